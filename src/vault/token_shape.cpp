#include "vault/token_shape.h"

#include <array>
#include <optional>
#include <span>

#include "base/id.h"
#include "base/secret.h"
#include "crypto/ff1.h"
#include "vault/formats.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kLongestPattern = 128;
constexpr std::size_t kLongestText = 64;
constexpr std::size_t kMostParts = 32;
constexpr std::size_t kIssuer = 6, kLast = 4;
constexpr std::size_t kTweakBytes = 16;
constexpr int kDraws = 200;  // a draw fails once in ten at most
constexpr std::string_view kTokenDomain = "@tokens.invalid";
constexpr std::string_view kEmailLetters = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::size_t kEmailLength = 16;  // 80 bits

bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool alnum(char c) {
  return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Evenly from 0 to `below` - 1, which is at most 256.
std::size_t random_below(std::size_t below) {
  const std::size_t fair = 256 - 256 % below;
  for (;;) {
    std::uint8_t byte = 0;
    random_public({&byte, 1});
    if (byte < fair) return byte % below;
  }
}

std::string letters(std::string_view from, std::size_t count) {
  std::string out;
  for (; count > 0; --count) out += from[random_below(from.size())];
  return out;
}

/// Draws other digits in place: by FF1 where it may be used, else evenly.
void draw_digits(BytesView key, std::span<std::uint8_t> digits) {
  std::array<std::uint8_t, kTweakBytes> tweak;
  random_public(tweak);
  if (crypto::ff1_encrypt(key, tweak, 10, digits)) return;
  for (auto& one : digits) one = static_cast<std::uint8_t>(random_below(10));
}

std::string text_of(BytesView digits) {
  std::string out;
  out.reserve(digits.size());
  for (auto one : digits) out += static_cast<char>('0' + one);
  return out;
}

/// The digits of a value; nullopt when anything else than separators stands among them.
std::optional<Secret> digits_of(std::string_view value) {
  Secret out(value.size());
  std::size_t count = 0;
  for (char c : value) {
    if (digit(c))
      out.expose_mut()[count++] = static_cast<std::uint8_t>(c - '0');
    else if (std::string_view("+-./() ").find(c) == std::string_view::npos)
      return std::nullopt;
  }
  out.shrink(count);
  return out;
}

Result<std::string> draw_number(BytesView key, std::string_view value) {
  auto digits = digits_of(value);
  if (!digits || digits->size() > kLongestText)
    return Error(Code::invalid,
                 "this field's tokens are digits, and so must the value be: up to 64 of them");
  if (digits->size() < kFewestDigits)
    return Error(Code::invalid,
                 "a value of fewer than six digits: too few tokens of this length are possible");
  bool zero = digits->expose()[0] == 0;
  auto drawn = digits->clone();
  for (int i = 0; i < kDraws; ++i) {
    draw_digits(key, drawn.expose_mut());
    if ((zero || drawn.expose()[0] != 0) && !drawn.matches(digits->expose()))
      return text_of(drawn.expose());
  }
  return Error(Code::internal, "no token could be drawn");
}

Result<std::string> draw_card(BytesView key, std::string_view value) {
  auto digits = digits_of(value);
  if (!digits || digits->size() < kIssuer + kLast + 2)
    return Error(Code::invalid, "not a card number");
  auto drawn = digits->clone();
  auto middle = drawn.expose_mut().subspan(kIssuer, drawn.size() - kIssuer - kLast);
  for (int i = 0; i < kDraws; ++i) {
    draw_digits(key, middle);
    auto text = text_of(drawn.expose());
    if (!passes_luhn(text)) return text;
  }
  return Error(Code::internal, "no token could be drawn");
}

bool reserved(std::string_view text) {
  return text.starts_with("tok_") || text.starts_with(kCodePrefix);
}

Result<std::string> draw_pattern(std::string_view pattern, std::string_view value) {
  auto parts = parse_pattern(pattern);
  if (!parts) return std::move(parts).error();
  for (int i = 0; i < kDraws; ++i) {
    std::string out;
    for (const auto& part : *parts) out += letters(part.from, part.count);
    if (!reserved(out) && out != value) return out;
  }
  return Error(Code::invalid, "this pattern gives no token that is allowed");
}

/// Reads the sets, characters and counts of a pattern.
class PatternReader {
 public:
  explicit PatternReader(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }

  std::optional<PatternPart> part() {
    PatternPart out;
    char c = take();
    if (c == '[') {
      if (!set(out.from)) return std::nullopt;
    } else if (alnum(c) || std::string_view("-_.:/+#@ ").find(c) != std::string_view::npos) {
      out.from = c;
    } else {
      return std::nullopt;
    }
    if (rest_.starts_with('{') && !count(out.count)) return std::nullopt;
    return out;
  }

 private:
  char take() {
    if (rest_.empty()) return '\0';
    char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  static bool same_kind(char a, char b) {
    auto within = [&](char from, char to) { return a >= from && a <= to && b >= from && b <= to; };
    return within('0', '9') || within('a', 'z') || within('A', 'Z');
  }

  bool set(std::string& out) {
    for (char c = take(); c != ']'; c = take()) {
      if (!alnum(c)) return false;
      char last = c;
      if (rest_.starts_with('-')) {
        take();
        last = take();
        if (!same_kind(c, last) || last < c) return false;
      }
      for (char one = c; one <= last; ++one) {
        if (out.contains(one)) return false;
        out += one;
      }
    }
    return !out.empty();
  }

  bool count(std::size_t& out) {
    take();
    out = 0;
    for (char c = take(); c != '}'; c = take()) {
      if (!digit(c)) return false;
      out = out * 10 + static_cast<std::size_t>(c - '0');
      if (out > kLongestText) return false;
    }
    return out > 0;
  }

  std::string_view rest_;
};

}  // namespace

Result<std::vector<PatternPart>> parse_pattern(std::string_view text) {
  if (text.empty() || text.size() > kLongestPattern)
    return Error(Code::invalid, "a pattern has 1 to 128 characters");
  if (text.front() == ' ' || text.back() == ' ')
    return Error(Code::invalid, "a pattern does not start or end with a space");
  std::vector<PatternPart> out;
  std::size_t length = 0;
  std::uint64_t possible = 1;
  for (PatternReader reader(text); !reader.done();) {
    auto part = reader.part();
    if (!part)
      return Error(Code::invalid,
                   "a pattern has letters, digits and -_.:/+#@ as they are, sets such as [0-9] or "
                   "[A-HJ-NP-Z] that name each character once, and counts such as {8}");
    length += part->count;
    if (length > kLongestText || out.size() == kMostParts)
      return Error(Code::invalid, "a pattern gives at most 64 characters in at most 32 parts");
    for (std::size_t i = 0; i < part->count && possible < kLeastTokens; ++i)
      possible *= part->from.size();
    out.push_back(std::move(*part));
  }
  if (reserved(text))
    return Error(Code::invalid, "tok_ and cvc_ are Holdfast's own: start otherwise");
  if (possible < kLeastTokens)
    return Error(Code::invalid,
                 "fewer than a million tokens are possible: they would run out, and could be "
                 "guessed");
  return out;
}

Result<std::string> draw_token(const TokenSpec& spec, BytesView key, std::string_view value) {
  switch (spec.shape.value_or(TokenShape::tok)) {
    case TokenShape::digits:
      return draw_number(key, value);
    case TokenShape::email:
      return letters(kEmailLetters, kEmailLength) + std::string(kTokenDomain);
    case TokenShape::pattern:
      return draw_pattern(spec.pattern.value_or(""), value);
    case TokenShape::card:
      return draw_card(key, value);
    case TokenShape::tok:
      break;
  }
  return Error(Code::internal, "tokens of this shape have no text");
}

}  // namespace holdfast::vault
