// `holdfast unlock`: for a server that waits to be unlocked, and for a stopped one with a latch.
#include <unistd.h>

#include <iostream>

#include "app/exit_codes.h"
#include "app/print.h"
#include "app/setup.h"
#include "app/unlock_socket.h"
#include "base/json.h"
#include "crypto/private_file.h"

namespace holdfast::app {
namespace {

/// A request as one line, in locked memory.
Secret line_of(std::string_view command, std::string_view member, const Secret* value,
               bool restart) {
  std::string text = "{\"command\":\"";
  reserve_wiping(text, 256 + (value ? value->size() * 6 : 0));
  text += command;
  text += '"';
  if (value) {
    ((text += ",\"") += member) += "\":";
    append_json_string(text, value->expose_text());
  }
  if (restart) text += ",\"restart\":true";
  text += "}\n";
  auto out = Secret::copy(text);
  wipe(text);
  return out;
}

Result<SocketAnswer> ask(const Config& config, const Secret& line) {
  auto text = ask_socket(config.dir(), line);
  if (!text) return std::move(text).error();
  return parse_json_as<SocketAnswer>(text->expose_text());
}

int say_error(const SocketAnswer& answer) {
  std::cerr << "holdfast: " << (answer.field ? *answer.field + ": " : "")
            << answer.detail.value_or("") << '\n';
  return answer.code == "forbidden"                                   ? kRefused
         : answer.code == "conflict"                                  ? kConflict
         : answer.code == "exhausted" || answer.code == "unavailable" ? kUnavailable
                                                                      : kFailed;
}

/// False when more is needed.
bool say_progress(const vault::UnlockProgress& progress) {
  if (!progress.locked) {
    std::cout << "Unlocked. The server starts." << std::endl;
    return true;
  }
  std::cout << "Taken. " << progress.shares_given.size() << " of "
            << static_cast<std::int64_t>(progress.shares_given.size()) + progress.missing
            << " shares are here (";
  for (std::size_t i = 0; i < progress.shares_given.size(); ++i)
    std::cout << (i > 0 ? ", " : "") << progress.shares_given[i];
  std::cout << "); the next holder runs the same command." << std::endl;
  return false;
}

int give(const Config& config, const Secret& line, bool& open) {
  auto answer = ask(config, line);
  if (!answer) return print_error(answer.error());
  if (answer->code) return say_error(*answer);
  if (!answer->progress) return print_error(Error(Code::internal, "an answer that is none"));
  open = say_progress(*answer->progress);
  return kDone;
}

int unlock_running(const LocalOptions& options, const Config& config, const vault::KeysStatus& at) {
  bool open = false, restart = options.restart;
  for (const auto& file : options.unlock_shares) {
    auto text = read_secret(file);
    if (!text) return print_error(std::move(text).error().at("share"));
    auto code =
        give(config, line_of("unlock", "share", &*text, std::exchange(restart, false)), open);
    if (code != kDone) {
      std::cerr << "holdfast: that was " << file << '\n';
      return code;
    }
    if (open) return kDone;
  }
  if (!options.unlock_shares.empty()) return kDone;
  if (at.method == crypto::Method::passphrase) {
    auto typed = options.passphrase_file.empty() ? ask_passphrase("Passphrase of this store", false)
                                                 : read_secret(options.passphrase_file);
    if (!typed) return print_error(typed.error());
    return give(config, line_of("unlock", "passphrase", &*typed, false), open);
  }
  if (at.method == crypto::Method::shamir) {
    std::cerr << "holdfast: this store opens with shares: name the files with --share FILE, or "
                 "--share - for standard input\n";
    return kUsage;
  }
  return give(config, line_of("unlock", "", nullptr, false), open);
}

/// The server does not run: proves that the store opens. A latch is the server's to take off, which
/// records it.
int unlock_stopped(const LocalOptions& options, const Config& config) {
  auto latched = read_latch(latch_file(config)).has_value();
  auto means = means_of(options, config);
  if (!means) return print_error(means.error());
  auto opened = crypto::open_store(root_files(config), *means);
  if (!opened) return print_error(opened.error());
  if (!latched) {
    std::cout << "The store in " << config.dir().string()
              << " opens with this. It is not locked: there is nothing to unlock." << std::endl;
    return kDone;
  }
  return print_error(Error(Code::locked,
                           "the store opens with this, but it was locked on purpose, and no server "
                           "runs that could record that this ends: start it (`holdfast serve`; it "
                           "waits, locked), then repeat this"));
}

}  // namespace

int unlock_command(const LocalOptions& options) {
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  if (auto there = check_store_is_there(*config); !there) return print_error(there.error());
  auto record = crypto::current_record(root_files(*config));
  if (record && record->method != crypto::Method::passphrase && !options.passphrase_file.empty())
    return print_error(
        Error(Code::invalid, "this store does not open with a passphrase: leave it out")
            .at("--passphrase-file"));
  auto status = ask(*config, line_of("status", "", nullptr, false));
  if (!status && status.error().code == Code::not_found) return unlock_stopped(options, *config);
  if (!status) return print_error(status.error());
  if (!status->status) return say_error(*status);
  return unlock_running(options, *config, *status->status);
}

}  // namespace holdfast::app
