#include "app/unlock.h"

#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "crypto/private_file.h"
#include "journal/outside.h"

namespace holdfast::app {
namespace {

namespace fs = std::filesystem;

constexpr Millis kDay{86'400'000};

/// The value of a line `name: value`.
std::string_view value_of(std::string_view text, std::string_view name) {
  auto at = text.find(name);
  if (at == std::string_view::npos) return {};
  auto rest = text.substr(at + name.size());
  return rest.substr(0, rest.find('\n'));
}

Result<Secret> private_passphrase(const fs::path& file) {
  auto text = crypto::read_private(file, kLongestSecret);
  if (!text && text.error() == crypto::FileTrouble::exposed)
    return Error(Code::forbidden, "the passphrase file can be read by others: run chmod 600 on it");
  if (!text)
    return Error(Code::unavailable,
                 "the passphrase file (keys.passphrase_file) cannot be read: look for the file and "
                 "its owner");
  return crypto::passphrase_from(text->expose_text());
}

Result<Secret> read_line(const char* what) {
  termios old{};
  bool terminal = tcgetattr(STDIN_FILENO, &old) == 0;
  if (terminal) {
    auto quiet = old;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    std::cerr << what << ": " << std::flush;
  }
  std::string line;
  std::getline(std::cin, line);
  if (terminal) {
    tcsetattr(STDIN_FILENO, TCSANOW, &old);
    std::cerr << '\n';
  }
  auto out = Secret::copy(line);
  wipe(line);
  return out;
}

}  // namespace

crypto::RootFiles root_files(const Config& config) {
  return {.record = config.dir() / "unlock",
          .keyring = config.path("keys.keyring"),
          .key_file = config.path("keys.file"),
          .hsm = {config.path("keys.hsm_module"), config.path("keys.hsm_pin_file")}};
}

Result<vault::UnlockPlaces> unlock_places(const Config& config) {
  auto rehearse = config.number("keys.rehearse_days", 1, 3650);
  if (!rehearse) return std::move(rehearse).error();
  auto oldest = config.number("keys.oldest_days", 1, 36'500);
  if (!oldest) return std::move(oldest).error();
  return vault::UnlockPlaces{.files = root_files(config),
                             .hsm_key = {.serial = {},
                                         .token_label = config.text("keys.hsm_token"),
                                         .key_label = config.text("keys.hsm_key")},
                             .keyring_copy = config.path("backup.keys") / "keyring",
                             .copied = config.dir() / "keyring.copied",
                             .latch = latch_file(config),
                             .shares = config.path("recovery.dir"),
                             .rehearse_every = *rehearse * kDay,
                             .oldest_key = *oldest * kDay};
}

fs::path latch_file(const Config& config) {
  return config.dir() / "locked";
}

std::optional<Latch> read_latch(const fs::path& file) {
  std::error_code ignored;
  // What cannot be looked at is taken for a latch.
  if (fs::symlink_status(file, ignored).type() == fs::file_type::not_found) return std::nullopt;
  Latch out;
  if (auto text = journal::read_small_file(file, 4096)) {
    out.at = parse_rfc3339(value_of(*text, "\nat: "));
    out.by = value_of(*text, "\nby: ").substr(0, 64);
  }
  return out;
}

Result<Secret> read_secret(const std::string& file, std::size_t longest) {
  if (file == "-") {
    std::string text(std::istreambuf_iterator<char>(std::cin), {});
    if (text.size() > longest) return Error(Code::too_large, "standard input is too long for this");
    auto out = Secret::copy(text);
    wipe(text);
    return out;
  }
  auto text = journal::read_small_file(file, longest);
  if (!text) return std::move(text).error();
  auto out = Secret::copy(*text);
  wipe(*text);
  return out;
}

Result<Secret> ask_passphrase(const char* what, bool twice) {
  auto first = read_line(what);
  if (!first) return first;
  auto out = crypto::passphrase_from(first->expose_text());
  if (!out || !twice || !isatty(STDIN_FILENO)) return out;
  auto again = read_line("The same again");
  if (!again) return again;
  if (!again->matches(first->expose()))
    return Error(Code::invalid, "the two are not the same: nothing was changed");
  return out;
}

Result<crypto::Means> own_means(const Config& config) {
  crypto::Means out;
  auto record = crypto::current_record(root_files(config));
  if (!record || record->method != crypto::Method::passphrase) return out;
  auto file = config.path("keys.passphrase_file");
  if (file.empty()) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets any
    const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
    if (!credentials || !*credentials) return out;
    file = fs::path(credentials) / "holdfast-passphrase";
    if (!fs::exists(file)) return out;
  }
  auto passphrase = private_passphrase(file);
  if (!passphrase) return std::move(passphrase).error();
  out.passphrase = std::move(*passphrase);
  return out;
}

Result<crypto::Means> means_of(const LocalOptions& options, const Config& config) {
  auto out = own_means(config);
  if (!out) return out;
  for (const auto& file : options.unlock_shares) {
    auto text = read_secret(file);
    if (!text) return std::move(text).error().at("share");
    auto share = crypto::parse_share(text->expose_text());
    if (!share) {
      std::cerr << "holdfast: " << file << ":\n";
      return std::move(share).error();
    }
    out->shares.push_back(std::move(*share));
  }
  if (!options.passphrase_file.empty()) {
    auto text = read_secret(options.passphrase_file);
    auto passphrase = text ? crypto::passphrase_from(text->expose_text()) : std::move(text);
    if (!passphrase) return std::move(passphrase).error();
    out->passphrase = std::move(*passphrase);
  }
  if (out->passphrase || !out->shares.empty() || !isatty(STDIN_FILENO)) return out;
  auto record = crypto::current_record(root_files(config));
  if (!record || record->method != crypto::Method::passphrase) return out;
  auto asked = ask_passphrase("Passphrase of this store", false);
  if (!asked) return std::move(asked).error();
  out->passphrase = std::move(*asked);
  return out;
}

Result<crypto::OpenedStore> unlock(const Config& config, const crypto::Means& means) {
  if (read_latch(latch_file(config)))
    return Error(Code::locked,
                 "the store was locked on purpose: `holdfast unlock --dir DIR` takes that back");
  return crypto::open_store(root_files(config), means);
}

}  // namespace holdfast::app
