// One TOML file with documented defaults; environment and flags over it. Every setting is a row of
// one table, so that `holdfast config show` says what is in force and where each value came from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace holdfast::app {

enum class Source : std::uint8_t { built_in, file, environment, flag };
std::string_view source_name(Source source);

/// A setting: `server.listen` in the file is HOLDFAST_SERVER_LISTEN in the environment and
/// `--set server.listen=...` on the command line. Lists are separated by commas outside the file.
struct Setting {
  std::string_view key;
  std::string_view value;  // built in; {dir} is the store's folder
  std::string_view doc;
  bool list = false;
};
std::span<const Setting> settings();

class Config {
 public:
  struct Value {
    std::string text;
    Source source = Source::built_in;
  };

  /// Reads DIR/holdfast.toml when it is there, then the environment, then `overrides`
  /// (`key`, `value`). Errors: invalid (unknown key, HOLDFAST_SECTION_... that is no setting, wrong
  /// type: the field names it), unavailable.
  static Result<Config> load(const std::filesystem::path& dir,
                             const std::vector<std::pair<std::string, std::string>>& overrides);

  const std::filesystem::path& dir() const { return dir_; }
  const std::string& text(std::string_view key) const;
  std::vector<std::string> list(std::string_view key) const;
  /// Such as `30 days`. Errors: invalid (not a duration, or shorter than `min`).
  Result<Millis> duration(std::string_view key, Millis min) const;
  /// A path; relative ones are taken from the store's folder.
  std::filesystem::path path(std::string_view key) const;
  /// Errors: invalid (not a number from min to max).
  Result<std::int64_t> number(std::string_view key, std::int64_t min, std::int64_t max) const;
  const std::map<std::string, Value, std::less<>>& values() const { return values_; }

 private:
  std::filesystem::path dir_;
  std::map<std::string, Value, std::less<>> values_;
};

/// The file that `holdfast init` writes: every setting with its doc, commented out.
std::string default_file();

}  // namespace holdfast::app
