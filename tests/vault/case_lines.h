// Test cases as data: files of lines under tests/cases.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::test {

inline std::filesystem::path case_path(std::string_view name) {
  return std::filesystem::path(HOLDFAST_SOURCE_DIR) / "tests" / "cases" / name;
}

inline std::string case_text(std::string_view name) {
  std::ifstream in(case_path(name), std::ios::binary);
  EXPECT_TRUE(in) << "no such case file: " << name;
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

/// `\n`, `\r`, `\t`, `\s` (a space), `\p` (a bar), `\\` and `\xHH`.
inline std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (char c = text[++i]) {
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 's':
        out += ' ';
        break;
      case 'p':
        out += '|';
        break;
      case 'x':
        out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
        i += 2;
        break;
      default:
        out += c;
    }
  }
  return out;
}

struct CaseLine {
  std::string where;               // "policy/good_email.txt:12"
  std::vector<std::string> parts;  // between ` | `, without spaces around, unescaped
};

/// Lines of a case file; empty ones and those that start with `#` are left out.
inline std::vector<CaseLine> case_lines(const std::string& name) {
  std::vector<CaseLine> out;
  std::istringstream in(case_text(name));
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty() || line.front() == '#') continue;
    CaseLine one{name + ":" + std::to_string(number), {}};
    for (std::size_t at = 0; at <= line.size();) {
      auto end = line.find('|', at);
      if (end == std::string::npos) end = line.size();
      auto part = line.substr(at, end - at);
      part.erase(0, part.find_first_not_of(' '));
      part.erase(part.find_last_not_of(' ') + 1);
      one.parts.push_back(unescaped(part));
      at = end + 1;
    }
    out.push_back(std::move(one));
  }
  EXPECT_FALSE(out.empty()) << name;
  return out;
}

/// Names (below tests/cases) of the files in a folder that start with `prefix`, sorted.
inline std::vector<std::string> case_files(std::string_view folder, std::string_view prefix) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(case_path(folder))) {
    auto name = entry.path().filename().string();
    if (name.starts_with(prefix)) out.push_back(std::string(folder) + "/" + name);
  }
  std::sort(out.begin(), out.end());
  EXPECT_FALSE(out.empty()) << folder << "/" << prefix;
  return out;
}

}  // namespace holdfast::test
