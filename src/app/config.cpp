#include "app/config.h"

#include <toml++/toml.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "app/words.h"

namespace holdfast::app {

std::string_view source_name(Source source) {
  switch (source) {
    case Source::built_in:
      return "default";
    case Source::file:
      return "file";
    case Source::environment:
      return "environment";
    case Source::flag:
      return "flag";
  }
  return "default";
}

std::span<const Setting> settings() {
  static constexpr Setting kSettings[] = {
      {"server.listen", "127.0.0.1:8443", "Addresses to serve HTTPS on.", true},
      {"server.names", "",
       "Further host names and addresses of the certificate that Holdfast makes.", true},
      {"server.certificate", "", "Your own certificate chain (PEM) instead; reloaded on SIGHUP."},
      {"server.certificate_key", "", "The private key of your own certificate (PEM)."},
      {"server.proxies", "",
       "Proxies (addresses or networks) whose X-Forwarded-For is believed. The last address in it "
       "is the client's: a request in which it is none is refused.",
       true},
      {"server.connections_per_address", "256", "Connections that one client address may hold."},
      {"server.cores", "0", "Threads that serve requests; 0: one per core."},
      {"database.url", "", "A libpq connection string for PostgreSQL; empty: the embedded SQLite."},
      {"database.schema", "holdfast", "The PostgreSQL schema that holds Holdfast's tables."},
      {"database.reserve_mib", "64",
       "Disk space kept back in the store's folder (embedded SQLite): when the disk runs full, "
       "openings, erasures and locks are still recorded. 0: none."},
      {"keys.file", "{dir}.keys/root.key",
       "The file that unlocks the keyring. Keep it off the data directory and off its backups."},
      {"keys.keyring", "keyring", "The keyring: all other keys, sealed under the root key."},
      {"keys.epoch", "30 days",
       "How long an epoch lasts. When the next begins, what was erased meanwhile starts to go from "
       "backups. `never`: only by `holdfast keys roll`."},
      {"keys.passphrase_file", "",
       "A private file with the passphrase, such as a systemd credential; empty: the credential "
       "holdfast-passphrase where systemd passes one, else the server starts locked."},
      {"keys.hsm_module", "", "The HSM's PKCS #11 module, an absolute path (method pkcs11)."},
      {"keys.hsm_token", "", "The label of the HSM's token."},
      {"keys.hsm_key", "holdfast-root", "The label of the AES-256 key in that token."},
      {"keys.hsm_pin_file", "", "A private file (mode 0600) with the token's PIN."},
      {"keys.unlock_over_https", "no",
       "yes: shares and passphrases are also taken over HTTPS, without an API key, while the "
       "server "
       "is locked. The local socket is always there."},
      {"keys.rehearse_days", "180", "Days after which a rehearsal of the shares is asked for."},
      {"keys.oldest_days", "400", "Days after which a key in use is old; the alarm comes before."},
      {"recovery.dir", "{dir}.recovery",
       "Where `holdfast init` puts the recovery shares. Move them apart."},
      {"backup.data", "{dir}.backup/data",
       "Where backups of the data go. Any age of them can be restored."},
      {"backup.keys", "{dir}.backup/keys", "Where backups of the keys go: another place."},
      {"backup.keep_keys", "30 days",
       "How long backups of the keys are kept. Old keys are destroyed no sooner than this after "
       "their rotation."},
      {"access.time_zone", "UTC", "The time zone (IANA) in which grants' hours are meant."},
      {"access.store_per_hour", "0",
       "Different customers that all callers together may open within an hour; 0: no ceiling."},
      {"access.store_per_day", "0", "The same within a day; 0: no ceiling."},
      {"retention.each", "1 hour",
       "How long after one sweep of values past their keep time the next one begins."},
      {"controller.name", "", "Who is responsible for the customers' data (GDPR art. 30)."},
      {"controller.address", "", "Their address."},
      {"controller.email", "", "Their email."},
      {"controller.phone", "", "Their phone."},
      {"controller.representative", "",
       "Their representative in the Union, when they are elsewhere (art. 27)."},
      {"controller.officer", "", "Their data protection officer, and how to reach them."},
      {"controller.recipients", "",
       "Categories of recipients, such as carriers, payment providers, tax office.", true},
      {"controller.transfers", "", "Transfers to third countries, and what safeguards them.", true},
      {"cards.node", "",
       "This server's name in handles of card verification codes; empty: the host's name. Card "
       "data itself is switched on by `holdfast cards switch-on`, which says what that means (PCI "
       "DSS SAQ D instead of SAQ A)."},
      {"vault.calling_code", "",
       "Calling code of phone numbers written without one, such as 49, where a collection names "
       "none."},
      {"log.level", "info", "debug, info, warn or error."},
  };
  return kSettings;
}

namespace {

std::string environment_name(std::string_view key) {
  std::string out = "HOLDFAST_";
  for (char c : key)
    out += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

const Setting* find(std::string_view key) {
  auto found = std::ranges::find(settings(), key, &Setting::key);
  return found == settings().end() ? nullptr : &*found;
}

FieldPath path_of(std::string_view key) {
  const auto dot = key.find('.');
  FieldPath out(key.substr(0, dot));
  return dot == std::string_view::npos ? out : out / key.substr(dot + 1);
}

Error no_such_setting(FieldPath given) {
  return Error(Code::invalid, "there is no such setting: see `holdfast config show`")
      .at(std::move(given));
}

/// A mistyped name would be a setting that is silently left as it was.
/// Errors: invalid (it begins as the names of a section do, and is none of them).
Result<void> check_environment() {
  std::vector<std::string> names, sections;
  for (const auto& setting : settings()) {
    names.push_back(environment_name(setting.key));
    sections.push_back(environment_name(setting.key.substr(0, setting.key.find('.') + 1)));
  }
  for (char** at = environ; *at; ++at) {
    std::string_view name(*at);
    name = name.substr(0, name.find('='));
    auto begins = [&](const std::string& section) { return name.starts_with(section); };
    if (std::ranges::none_of(sections, begins)) continue;
    if (std::ranges::find(names, name) != names.end()) continue;
    auto error = no_such_setting(FieldPath(name));
    if (auto near = nearest(name, names); !near.empty())
      error.also.push_back(Error(Code::invalid, "this is one, with nearly the same name").at(near));
    return error;
  }
  return {};
}

/// The file's value as text; lists joined by commas.
std::optional<std::string> text_of(const Setting& setting, const toml::node& node) {
  if (auto array = node.as_array(); array && setting.list) {
    std::string out;
    for (const auto& item : *array) {
      auto text = item.value_exact<std::string>();
      if (!text || text->contains(',')) return std::nullopt;
      (out += out.empty() ? "" : ",") += *text;
    }
    return out;
  }
  if (auto text = node.value_exact<std::string>()) return *text;
  if (auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  return std::nullopt;
}

}  // namespace

Result<Config> Config::load(const std::filesystem::path& dir,
                            const std::vector<std::pair<std::string, std::string>>& overrides) {
  Config out;
  if (dir.empty())
    return Error(Code::invalid, "it is empty: is the variable set that it came from?").at("--dir");
  std::error_code ignored;
  const auto absolute = std::filesystem::absolute(dir, ignored);
  out.dir_ = std::filesystem::weakly_canonical(absolute, ignored);
  if (out.dir_.empty()) out.dir_ = absolute;
  for (const auto& setting : settings()) {
    std::string value(setting.value);
    if (auto at = value.find("{dir}"); at != std::string::npos)
      value.replace(at, 5, out.dir_.string());
    out.values_.emplace(std::string(setting.key), Value{std::move(value), Source::built_in});
  }
  auto file = out.dir_ / "holdfast.toml";
  if (std::filesystem::exists(file)) {
    toml::table table;
    try {
      table = toml::parse_file(file.string());
    } catch (const toml::parse_error& error) {
      return Error(Code::invalid,
                   "holdfast.toml is not valid TOML: often a section or a setting stands in it "
                   "twice. Mend it, or compare it with docs/configuration.md")
          .at(FieldPath("line")[error.source().begin.line]);
    }
    for (const auto& [section, node] : table) {
      const auto* members = node.as_table();
      if (!members)
        return Error(Code::invalid, "holdfast.toml has a setting outside of a [section]")
            .at(section.str());
      for (const auto& [name, value] : *members) {
        auto key = std::string(section.str()) + '.' + std::string(name.str());
        auto where = FieldPath(section.str()) / name.str();
        const auto* setting = find(key);
        if (!setting)
          return Error(Code::invalid,
                       "holdfast.toml has a setting that is none: see `holdfast config show`")
              .at(where);
        auto text = text_of(*setting, value);
        if (!text)
          return Error(Code::invalid, "holdfast.toml has a value of the wrong type").at(where);
        out.values_[key] = {*text, Source::file};
      }
    }
  }
  if (auto good = check_environment(); !good) return std::move(good).error();
  for (const auto& setting : settings())
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets any
    if (const char* text = std::getenv(environment_name(setting.key).c_str()))
      out.values_[std::string(setting.key)] = {text, Source::environment};
  for (const auto& [key, value] : overrides) {
    if (!find(key)) return no_such_setting(path_of(key));
    out.values_[key] = {value, Source::flag};
  }
  return out;
}

const std::string& Config::text(std::string_view key) const {
  return values_.find(key)->second.text;
}

std::vector<std::string> Config::list(std::string_view key) const {
  std::vector<std::string> out;
  std::string_view rest = text(key);
  while (!rest.empty()) {
    auto end = std::min(rest.find(','), rest.size());
    if (end > 0) out.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

std::filesystem::path Config::path(std::string_view key) const {
  const auto& value = text(key);
  return value.empty() ? std::filesystem::path() : dir_ / value;
}

Result<std::int64_t> Config::number(std::string_view key, std::int64_t min,
                                    std::int64_t max) const {
  const auto& value = text(key);
  std::int64_t out = 0;
  auto [end, bad] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (bad != std::errc() || end != value.data() + value.size() || out < min || out > max) {
    return Error(Code::invalid, "this setting takes a whole number within its bounds")
        .at(path_of(key));
  }
  return out;
}

Result<Millis> Config::duration(std::string_view key, Millis min) const {
  auto read = parse_duration(text(key));
  if (read && *read >= min) return *read;
  return Error(Code::invalid, "this setting takes a duration, such as `30 days`, and not too short")
      .at(path_of(key));
}

std::string default_file() {
  std::string out =
      "# Holdfast's settings. What is commented out has the value shown.\n"
      "# `holdfast config show` prints what is in force and where it came from.\n";
  std::string_view section;
  for (const auto& setting : settings()) {
    auto dot = setting.key.find('.');
    if (setting.key.substr(0, dot) != section) {
      section = setting.key.substr(0, dot);
      (out += "\n[") += section;
      out += "]\n";
    }
    ((out += "# ") += setting.doc) += '\n';
    ((out += "# ") += setting.key.substr(dot + 1)) += " = ";
    out += setting.list
               ? (setting.value.empty() ? "[]" : "[\"" + std::string(setting.value) + "\"]")
               : '"' + std::string(setting.value) + '"';
    out += '\n';
  }
  return out;
}

}  // namespace holdfast::app
