// Known answers as data: files under tests/cases/crypto in blocks of `name = value` lines, values
// mostly in hex; and Wycheproof's JSON files beside the project, which are skipped when absent.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace holdfast::crypto::test {

struct Case {
  std::string where;  // "ed25519.txt:9": the block's first line
  std::map<std::string, std::string, std::less<>> values;

  const std::string& text(std::string_view name) const {
    auto found = values.find(name);
    if (found == values.end()) throw std::out_of_range(where + " lacks " + std::string(name));
    return found->second;
  }
  Bytes bytes(std::string_view name) const { return unhex(text(name)).value(); }
  std::uint64_t number(std::string_view name) const { return std::stoull(text(name)); }
};

inline std::vector<Case> read_cases(const std::string& file) {
  std::ifstream in(std::string(HOLDFAST_SOURCE_DIR "/tests/cases/crypto/") + file);
  EXPECT_TRUE(in) << file;
  std::vector<Case> cases;
  std::string line;
  bool open = false;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.starts_with('#')) continue;
    if (line.empty()) {
      open = false;
      continue;
    }
    if (!open) cases.push_back({file + ":" + std::to_string(number), {}});
    open = true;
    auto equals = line.find(" =");
    auto value = line.substr(equals + 2);
    cases.back().values[line.substr(0, equals)] = value.empty() ? value : value.substr(1);
  }
  EXPECT_FALSE(cases.empty()) << file;
  return cases;
}

/// nullopt when the folder of test vectors is not beside the project.
inline std::optional<boost::json::value> wycheproof(const std::string& file) {
  std::filesystem::path path(HOLDFAST_SOURCE_DIR "/../shared/vectors/" + file);
  if (!std::filesystem::exists(path)) return std::nullopt;
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return boost::json::parse(text.str());
}

inline Bytes hex_member(const boost::json::value& object, std::string_view name) {
  return unhex(std::string(object.at(name).as_string())).value();
}

}  // namespace holdfast::crypto::test
