// `holdfast init`: a new store, from nothing to the owner's first key.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "app/exit_codes.h"
#include "app/print.h"
#include "app/setup.h"
#include "crypto/unlock/file.h"
#include "crypto/unlock/shamir.h"
#include "http/tls.h"
#include "journal/outside.h"

namespace holdfast::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t kNeeded = 2, kTotal = 3;

/// holdfast.toml with what was said by --set and --listen written down.
std::string file_for(const Config& config) {
  auto text = default_file();
  for (const auto& setting : settings()) {
    const auto& value = config.values().find(setting.key)->second;
    if (value.source != Source::flag) continue;
    auto dot = setting.key.find('.');
    auto section = "[" + std::string(setting.key.substr(0, dot)) + "]\n";
    auto line = std::string(setting.key.substr(dot + 1)) + " = ";
    if (setting.list) {
      line += '[';
      bool first = true;
      for (const auto& one : config.list(setting.key)) {
        line += (first ? "\"" : ", \"") + one + '"';
        first = false;
      }
      line += "]\n";
    } else {
      line += '"';
      for (char c : value.text) {
        if (c == '"' || c == '\\') line += '\\';
        line += c;
      }
      line += "\"\n";
    }
    text.insert(text.find(section) + section.size(), line);
  }
  return text;
}

Result<std::string> make_store(const Config& config, const LocalOptions& options) {
  std::error_code failed;
  if (fs::exists(config.path("keys.keyring")))
    return Error(Code::conflict,
                 "there is a store in this folder already: use another --dir, or `holdfast serve`");
  fs::create_directories(config.dir(), failed);
  if (failed)
    return Error(Code::unavailable, "the folder cannot be made: check its parent and your rights");
  fs::permissions(config.dir(), fs::perms::owner_all, failed);
  if (auto wrote = journal::write_file_atomically(config.dir() / "holdfast.toml", file_for(config));
      !wrote)
    return std::move(wrote).error();

  SystemClock clock;
  auto ring = crypto::Keyring::make(clock.now());
  auto root = crypto::make_key_file(config.path("keys.file"), ring.store_id());
  if (!root) return std::move(root).error();
  auto shares = crypto::split(*root, ring.store_id(), kNeeded, kTotal);
  fs::create_directories(config.path("recovery.dir"), failed);
  fs::permissions(config.path("recovery.dir"), fs::perms::owner_all, failed);
  auto files = crypto::write_shares(config.path("recovery.dir"), shares);
  if (!files) return std::move(files).error();
  if (auto wrote = crypto::write_keyring(config.path("keys.keyring"), ring, *root); !wrote)
    return std::move(wrote).error();
  auto certificate =
      http::ensure_local_certificate(config.dir(), config.list("server.names"), clock.now());
  if (!certificate) return std::move(certificate).error();

  Cores cores(1);
  auto instance = Instance::open(config, cores, make_logger("warn"));
  if (!instance) return std::move(instance).error();
  auto key = cores.wait((*instance)->rooms().admin.bootstrap_owner_key("store.init"));
  if (!key) return std::move(key).error();
  (*instance)->stop();

  std::cerr << "Made a store in " << config.dir().string() << "\n"
            << "  root key    " << config.path("keys.file").string()
            << "  (keep it off backups of the store)\n";
  for (const auto& file : *files) std::cerr << "  recovery    " << file.string() << '\n';
  std::cerr
      << "Any " << int{kNeeded} << " of the " << int{kTotal}
      << " recovery shares bring the root key back. Move each to another person or place now.\n"
      << "Next: holdfast serve --dir " << options.dir << "\n"
      << "      export HOLDFAST_CA_FILE=" << (config.dir() / "ca.pem").string() << "\n"
      << "      export HOLDFAST_API_KEY=(the owner's key below; it ends in 7 days)\n";
  return std::string(key->expose_text());
}

}  // namespace

int init(const LocalOptions& options) {
  umask(0077);
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  auto key = make_store(*config, options);
  if (!key) return print_error(key.error());
  std::cout << *key << std::endl;
  wipe(*key);
  return kDone;
}

}  // namespace holdfast::app
