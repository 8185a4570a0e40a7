#include "vault/fill/token_text.h"

#include <algorithm>

#include "base/id.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kPrefix = "tok_";
constexpr std::size_t kIdLength = 30;
constexpr std::string_view kDomain = "@tokens.invalid";
constexpr std::size_t kLocal = 16;  // characters before it
constexpr std::size_t kMostDigits = 64;

bool small(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool word(char c) {
  return small(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' || c == '.';
}

std::optional<TokenFound> find_id(std::string_view text, std::size_t from) {
  for (auto at = text.find(kPrefix, from); at != text.npos; at = text.find(kPrefix, at + 1)) {
    if (at + kIdLength > text.size()) return std::nullopt;
    if (at + kIdLength < text.size() && small(text[at + kIdLength])) continue;
    if (TokenId::parse(text.substr(at, kIdLength))) return TokenFound{at, kIdLength};
  }
  return std::nullopt;
}

std::optional<TokenFound> find_address(std::string_view text, std::size_t from) {
  for (auto at = text.find(kDomain, from); at != text.npos; at = text.find(kDomain, at + 1)) {
    const auto end = at + kDomain.size();
    if (at < from + kLocal || (end < text.size() && (small(text[end]) || text[end] == '-')))
      continue;
    const auto begin = at - kLocal;
    if (!std::ranges::all_of(text.substr(begin, kLocal), small)) continue;
    if (begin > from && word(text[begin - 1])) continue;
    return TokenFound{begin, end - begin};
  }
  return std::nullopt;
}

}  // namespace

std::optional<TokenFound> find_token(std::string_view text, std::size_t from) {
  auto id = find_id(text, from);
  auto address = find_address(text, from);
  if (!id || !address) return id ? id : address;
  return id->at < address->at ? id : address;
}

std::size_t token_tail(std::string_view text) {
  // An id: its prefix, or the beginning of it, and letters behind it.
  std::size_t out = 0;
  for (auto size = std::min(text.size(), kIdLength); size > 0 && out == 0; --size) {
    auto end = text.substr(text.size() - size);
    const auto head = std::min(size, kPrefix.size());
    if (end.substr(0, head) == kPrefix.substr(0, head) &&
        std::ranges::all_of(end.substr(head), small))
      out = size;
  }
  // An address: the beginning of its domain, and what is before that, with one character more.
  std::size_t domain = 0;
  for (auto size = std::min(text.size(), kDomain.size()); size > 0 && domain == 0; --size)
    if (text.ends_with(kDomain.substr(0, size))) domain = size;
  auto before = text.substr(0, text.size() - domain);
  std::size_t local = 0;
  while (local < std::min(before.size(), kLocal + 1) && word(before[before.size() - 1 - local]))
    ++local;
  out = std::max(out, domain + local);
  // And it begins inside of no token.
  const auto cut = text.size() - out;
  const auto one = find_token(text, cut - std::min(cut, kIdLength + 2));
  return one && one->at < cut && one->at + one->size > cut ? text.size() - one->at : out;
}

TokenShapes::TokenShapes(const Schema& schema) {
  for (const auto& [name, collection] : schema.collections)
    for (const auto& field : collection.fields) {
      if (!field.token) continue;
      const auto shape = field.token->shape.value_or(TokenShape::tok);
      digits_ |= shape == TokenShape::digits || shape == TokenShape::card;
      if (shape != TokenShape::pattern) continue;
      if (auto parts = parse_pattern(field.token->pattern.value_or("")))
        patterns_.push_back(std::move(*parts));
    }
}

bool TokenShapes::may_be(std::string_view text) const {
  auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (digits_ && text.size() >= kFewestDigits && text.size() <= kMostDigits &&
      std::ranges::all_of(text, is_digit))
    return true;
  return std::ranges::any_of(patterns_, [text](const std::vector<PatternPart>& parts) {
    auto rest = text;
    for (const auto& part : parts) {
      if (rest.size() < part.count) return false;
      if (rest.substr(0, part.count).find_first_not_of(part.from) != rest.npos) return false;
      rest.remove_prefix(part.count);
    }
    return rest.empty();
  });
}

}  // namespace holdfast::vault
