#include "base/result.h"

#include <algorithm>

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

/// A name is what a schema could hold: letters, digits, `_`, `-`, at most 64, not without a letter.
bool is_name(std::string_view text) {
  return text.size() <= 64 && std::ranges::any_of(text, letter) &&
         std::ranges::all_of(text,
                             [](char c) { return letter(c) || digit(c) || c == '_' || c == '-'; });
}

/// A caller's name with seven digits in a row is more likely a phone, a card or a customer number.
std::string_view safe(std::string_view name) {
  const auto digits = std::ranges::search_n(name, 7, true, {}, digit);
  return is_name(name) && digits.empty() ? name : "?";
}

}  // namespace

FieldPath::FieldPath(std::string_view name) : text_(safe(name)) {}

FieldPath FieldPath::made_id(std::string_view id) {
  FieldPath out;
  out.text_ = is_name(id) ? id : "?";
  return out;
}

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
