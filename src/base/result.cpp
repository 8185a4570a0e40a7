#include "base/result.h"

namespace holdfast {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::invalid:
      return "invalid";
    case Code::too_large:
      return "too_large";
    case Code::unauthenticated:
      return "unauthenticated";
    case Code::forbidden:
      return "forbidden";
    case Code::not_found:
      return "not_found";
    case Code::conflict:
      return "conflict";
    case Code::gone:
      return "gone";
    case Code::exhausted:
      return "exhausted";
    case Code::corrupt:
      return "corrupt";
    case Code::locked:
      return "locked";
    case Code::unavailable:
      return "unavailable";
    case Code::stale:
      return "stale";
    case Code::internal:
      return "internal";
  }
  return "internal";
}

namespace {

constexpr std::size_t kLongestPath = 128;

bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool digit(char c) {
  return c >= '0' && c <= '9';
}

/// A name is what a schema could hold: letters, digits, `_`, `-`, at most 64. One without a letter,
/// or with seven digits in a row, is more likely a phone, a card or a customer number.
std::string_view safe(std::string_view name) {
  if (name.empty() || name.size() > 64) return "?";
  bool letters = false;
  int run = 0;
  for (char c : name) {
    if (!letter(c) && !digit(c) && c != '_' && c != '-') return "?";
    letters |= letter(c);
    run = digit(c) ? run + 1 : 0;
    if (run == 7) return "?";
  }
  return letters ? name : "?";
}

}  // namespace

FieldPath::FieldPath(std::string_view name) : text_(safe(name)) {}

FieldPath FieldPath::operator/(std::string_view name) const {
  if (text_.empty()) return FieldPath(name);
  return extended('.' + std::string(safe(name)));
}

FieldPath FieldPath::operator[](std::size_t index) const {
  return extended('[' + std::to_string(index) + ']');
}

FieldPath FieldPath::extended(std::string_view part) const {
  FieldPath out = *this;
  if (out.text_.size() + part.size() <= kLongestPath) out.text_ += part;
  return out;
}

}  // namespace holdfast
