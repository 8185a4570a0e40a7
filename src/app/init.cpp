// `holdfast init`: a new store, from nothing to the owner's first key.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "app/exit_codes.h"
#include "app/print.h"
#include "app/remote.h"
#include "app/setup.h"
#include "crypto/aead.h"
#include "crypto/unlock/file.h"
#include "crypto/unlock/root.h"
#include "http/tls.h"
#include "journal/outside.h"
#include "vault/keys/share_files.h"

namespace holdfast::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t kNeeded = 2, kTotal = 3;  // of the recovery shares

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

/// The text of holdfast.toml: that of a file which is there, as it is, else of a new one.
/// Errors: conflict (a file is there, and --set or --listen says what it does not).
Result<std::string> settings_file(const Config& config) {
  auto fresh = file_for(config);
  std::ifstream in(config.dir() / "holdfast.toml", std::ios::binary);
  if (!in) return fresh;
  std::string there(std::istreambuf_iterator<char>(in), {});
  if (there == fresh || fresh == default_file()) return there;
  if (there == default_file()) return fresh;
  return Error(Code::conflict,
               "there is a holdfast.toml in this folder already, which init keeps as it is: write "
               "the settings there instead of --set and --listen");
}

/// The everyday method, with what it needs; the root key's first way in.
Result<crypto::OpenedStore> make_keys(const Config& config, const LocalOptions& options,
                                      const Clock& clock, std::vector<std::string>& made) {
  auto method = crypto::method_of(options.method);
  if (!method)
    return Error(Code::invalid, "the method is file, passphrase, shamir or pkcs11").at("method");
  auto files = root_files(config);
  auto ring = crypto::Keyring::make(clock.now());
  auto root = Secret::random(crypto::kKeyBytes);
  const auto recovery = crypto::split(root, ring.store_id(), kNeeded, kTotal);
  crypto::NewMethod wanted{.method = *method,
                           .hsm_key = {.serial = {},
                                       .token_label = config.text("keys.hsm_token"),
                                       .key_label = config.text("keys.hsm_key")},
                           .recovery = crypto::set_of(recovery)};
  crypto::Means means;
  std::vector<crypto::Share> everyday;
  if (*method == crypto::Method::passphrase) {
    auto passphrase = means_of(options, config);
    if (!passphrase) return std::move(passphrase).error();
    if (!passphrase->passphrase) {
      auto asked = ask_passphrase("New passphrase (at least 15 characters)", true);
      if (!asked) return std::move(asked).error();
      passphrase->passphrase = std::move(*asked);
    }
    means.passphrase = std::move(passphrase->passphrase);
    wanted.passphrase = &*means.passphrase;
  }
  if (*method == crypto::Method::shamir) {
    auto size = vault::set_size(options.needed, options.total, 2, 3);
    if (!size) return std::move(size).error();
    everyday = crypto::split(root, ring.store_id(), size->needed, size->total);
    wanted.everyday = crypto::set_of(everyday);
    for (std::size_t i = 0; i < size->needed; ++i)
      means.shares.push_back(vault::copy_of(everyday[i]));
  }
  if (*method == crypto::Method::pkcs11) {
    auto hsm = crypto::Hsm::load(files.hsm);
    if (!hsm) return std::move(hsm).error();
    // A key of that label that is there already was made for this by the HSM's own tools.
    auto key = (*hsm)->find(wanted.hsm_key);
    if (!key && key.error().code == Code::not_found) key = (*hsm)->make_key(wanted.hsm_key);
    if (!key) return std::move(key).error();
    wanted.hsm_key = std::move(*key);
  }
  if (*method == crypto::Method::file) {
    auto wrote = crypto::write_key_file(files.key_file, ring.store_id(), root);
    if (!wrote) return std::move(wrote).error();
    made.push_back("root key    " + files.key_file.string() +
                   "  (keep it off backups of the store)");
  }
  auto record = crypto::make_record(files, ring.store_id(), root, wanted);
  if (!record) return std::move(record).error();
  std::error_code failed;
  fs::create_directories(config.path("recovery.dir"), failed);
  fs::permissions(config.path("recovery.dir"), fs::perms::owner_all, failed);
  auto shares = crypto::write_shares(config.path("recovery.dir"), recovery);
  if (!shares) return std::move(shares).error();
  for (const auto& file : *shares) made.push_back("recovery    " + file.string());
  if (!everyday.empty()) {
    auto set = vault::write_set(config.path("recovery.dir"), "everyday", everyday);
    if (!set) return std::move(set).error();
    for (const auto& file : set->files) made.push_back("everyday    " + file);
  }
  if (auto staged = crypto::stage_record(files, *record, root, means); !staged)
    return std::move(staged).error();
  if (auto placed = crypto::put_staged_record(files); !placed) return std::move(placed).error();
  if (auto wrote = crypto::write_keyring(files.keyring, ring, root); !wrote)
    return std::move(wrote).error();
  return crypto::open_store(files, means);
}

/// Whoever gets a copy of the store's folder must not get what opens it.
Result<void> check_places(const Config& config) {
  auto inside = [&](const fs::path& path) {
    std::error_code failed;
    const auto dir = fs::weakly_canonical(config.dir(), failed);
    const auto place = fs::weakly_canonical(path, failed);
    return std::ranges::mismatch(dir, place).in1 == dir.end();
  };
  for (std::string_view key : {"keys.file", "recovery.dir", "backup.keys"})
    if (inside(config.path(key)))
      return Error(Code::invalid,
                   "this lies in the store's own folder, so a copy of the folder would hold what "
                   "opens it: choose a place outside of --dir")
          .at(setting_path(key));
  return {};
}

/// All that can be known to be wrong before anything is written: what stops later leaves half a
/// store, and no owner's key.
Result<void> check(const Config& config, const LocalOptions& options) {
  if (fs::exists(config.path("keys.keyring")))
    return Error(Code::conflict,
                 "there is a store in this folder already: use another --dir, or `holdfast serve`");
  if (is_store_left(config))
    return Error(Code::conflict,
                 "a store is in this folder, without its keyring: put that back instead, or use "
                 "another --dir");
  if (auto file = settings_file(config); !file) return std::move(file).error();
  auto method = crypto::method_of(options.method);
  if (!method)
    return Error(Code::invalid, "the method is file, passphrase, shamir or pkcs11").at("method");
  if (*method == crypto::Method::shamir) {
    auto size = vault::set_size(options.needed, options.total, kNeeded, kTotal);
    if (!size) return std::move(size).error();
  } else if (options.needed != kNeeded || options.total != kTotal) {
    return Error(Code::invalid,
                 "--needed and --total are of everyday shares: they go with --method shamir. The "
                 "recovery shares are any 2 of 3")
        .at(options.needed != kNeeded ? "--needed" : "--total");
  }
  if (*method != crypto::Method::passphrase && !options.passphrase_file.empty())
    return Error(Code::invalid, "it goes with --method passphrase").at("--passphrase-file");
  if (auto places = check_places(config); !places) return places;
  return check_settings(config);
}

/// Where this machine finds the server; nothing where the command line looks anyway.
std::string url_line(std::string listen) {
  for (std::string_view any : {"0.0.0.0:", "[::]:"})
    if (listen.starts_with(any)) listen.replace(0, any.size(), "127.0.0.1:");
  const auto url = "https://" + listen;
  return url == kUsualUrl ? std::string() : "      export HOLDFAST_URL=" + url + "\n";
}

Result<std::string> make_store(const Config& config, const LocalOptions& options) {
  std::error_code failed;
  fs::create_directories(config.dir(), failed);
  if (failed)
    return Error(Code::unavailable, "the folder cannot be made: check its parent and your rights");
  fs::permissions(config.dir(), fs::perms::owner_all, failed);
  auto file = settings_file(config);
  if (!file) return std::move(file).error();
  if (auto wrote = journal::write_file_atomically(config.dir() / "holdfast.toml", *file); !wrote)
    return std::move(wrote).error();

  SystemClock clock;
  std::vector<std::string> made;
  auto opened = make_keys(config, options, clock, made);
  if (!opened) return std::move(opened).error();
  auto certificate =
      http::ensure_local_certificate(config.dir(), config.list("server.names"), clock.now());
  if (!certificate) return std::move(certificate).error();

  Cores cores(1);
  auto instance = Instance::open(config, std::move(*opened), cores, make_logger("warn"));
  if (!instance) return std::move(instance).error();
  auto key = cores.wait((*instance)->rooms().admin.bootstrap_owner_key("store.init"));
  if (!key) return std::move(key).error();
  (*instance)->stop();

  std::cerr << "Made a store in " << config.dir().string() << "\n"
            << "  unlocked by " << options.method << '\n';
  for (const auto& line : made) std::cerr << "  " << line << '\n';
  std::cerr
      << "Any " << int{kNeeded} << " of the " << int{kTotal}
      << " recovery shares bring the root key back. Move each to another person or place now.\n"
      << "Next: holdfast serve --dir " << options.dir << "\n"
      << url_line(config.list("server.listen").front())
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
  if (auto good = check(*config, options); !good) return print_error(good.error());
  if (auto closed = make_output_private(); !closed) return print_error(closed.error());
  auto key = make_store(*config, options);
  if (!key) return print_error(key.error());
  std::cout << *key << std::endl;
  wipe(*key);
  return kDone;
}

}  // namespace holdfast::app
