#include "vault/import/shape.h"

#include <unicode/locid.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "base/text.h"

namespace holdfast::vault {
namespace {

char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

/// Of Unicode, and of no language (a Turkish `I` is an `i`).
std::string lower(std::string_view text) {
  std::string out;
  icu::UnicodeString::fromUTF8({text.data(), static_cast<int32_t>(text.size())})
      .toLower(icu::Locale::getRoot())
      .toUTF8String(out);
  return out;
}

std::string without_breaks(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto end = std::min(text.find_first_of("\r\n"), text.size());
    auto line = trim(text.substr(0, end));
    if (!line.empty()) out.append(out.empty() ? "" : ", ").append(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace

bool same_column(std::string_view a, std::string_view b) {
  return std::ranges::equal(trim(a), trim(b), {}, ascii_lower, ascii_lower);
}

std::optional<std::string> cleaned(std::string_view value, Clean clean) {
  value = trim(value);
  switch (clean) {
    case Clean::none:
      break;
    case Clean::apostrophe:
      if (value.starts_with('\'')) value = trim(value.substr(1));
      break;
    case Clean::yes_no: {
      if (value.empty()) break;
      auto word = lower(value);
      if (word == "yes" || word == "true" || word == "1" || word == "y") return "yes";
      if (word == "no" || word == "false" || word == "0" || word == "n") return "no";
      return std::nullopt;
    }
    case Clean::date:
      if (value.size() > 10 && (value[10] == ' ' || value[10] == 'T')) value = value.substr(0, 10);
      break;
    case Clean::lines:
      return without_breaks(value);
    case Clean::lower:
      return lower(value);
  }
  return std::string(value);
}

}  // namespace holdfast::vault
