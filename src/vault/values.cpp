// The half of policy.h that looks at values: checking, index terms and masks.
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "vault/formats.h"
#include "vault/policy.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kHidden = "•••";

/// Text on its way into a Secret: wiped when it goes.
struct Scrubbed {
  std::string text;
  Scrubbed() = default;
  explicit Scrubbed(std::string value) : text(std::move(value)) {}
  Scrubbed(Scrubbed&& other) noexcept : text(std::move(other.text)) { wipe(other.text); }
  Scrubbed& operator=(Scrubbed&&) = delete;
  ~Scrubbed() { wipe(text); }
};

bool is_ascii(std::string_view text) {
  unsigned char all = 0;
  for (char c : text) all |= static_cast<unsigned char>(c);
  return all < 0x80;
}

char ascii_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c;
}

/// In one case, by Unicode's simple mapping; spaces are left out unless they are kept.
Scrubbed one_case(std::string_view text, UChar32 (*map)(UChar32), bool keep_spaces) {
  Scrubbed out;
  out.text.reserve(text.size() + 4);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    UChar32 c = 0;
    U8_NEXT(bytes, at, text.size(), c);
    if (c < 0 || (!keep_spaces && u_isUWhiteSpace(c))) continue;
    std::uint8_t encoded[4];
    std::size_t size = 0;
    U8_APPEND_UNSAFE(encoded, size, map(c));
    out.text.append(reinterpret_cast<const char*>(encoded), size);
  }
  return out;
}

/// Runs of spaces as one, none at the ends.
void single_spaces(std::string& text) {
  std::size_t to = 0;
  for (char c : text) {
    bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!space)
      text[to++] = c;
    else if (to > 0 && text[to - 1] != ' ')
      text[to++] = ' ';
  }
  if (to > 0 && text[to - 1] == ' ') --to;
  wipe({reinterpret_cast<std::uint8_t*>(text.data()) + to, text.size() - to});
  text.resize(to);
}

Result<Secret> checked_json(const Field& field, std::string_view value) {
  auto parsed = parse_json(value);
  if (!parsed) return Error(parsed.error().code, "not a valid JSON value");
  Scrubbed canonical(canonical_json(*parsed));
  // A fraction beyond 2^53 would be written as an integer that nobody may send back.
  if (!parse_json(canonical.text)) return Error(Code::invalid, "has a number that is out of range");
  if (canonical.text.size() > field.max_bytes)
    return Error(Code::too_large, "longer than this field may be");
  return Secret::copy(canonical.text);
}

/// The stored form by type of a text that is already normalised and trimmed.
Result<Secret> checked_format(const Field& field, std::string_view text) {
  auto stored = [&](bool good, Error error) -> Result<Secret> {
    if (!good) return error;
    return Secret::copy(text);
  };
  switch (field.type) {
    case FieldType::text:
    case FieldType::name:
    case FieldType::address_line:
      return Secret::copy(text);
    case FieldType::email:
      return stored(is_email(text), Error(Code::invalid, "not an email address"));
    case FieldType::phone:
      return stored(!Scrubbed(e164(text)).text.empty(), Error(Code::invalid, "not a phone number"));
    case FieldType::postal_code:
      return stored(is_postal_code(text), Error(Code::invalid, "not a postal code"));
    case FieldType::date:
      return stored(is_date(text), Error(Code::invalid, "not a date such as 1990-12-31"));
    case FieldType::tax_id:
      return stored(is_tax_id(text), Error(Code::invalid, "not a tax number"));
    case FieldType::country: {
      std::string code(text.substr(0, 3));
      std::ranges::transform(code, code.begin(), ascii_upper);
      if (!is_country(code))
        return Error(Code::invalid, "not a country code of two letters (ISO 3166-1)");
      return Secret::copy(code);
    }
    case FieldType::ip: {
      auto address = canonical_ip(text);
      if (!address) return Error(Code::invalid, "not an IP address");
      return Secret::copy(Scrubbed(std::move(*address)).text);
    }
    case FieldType::iban: {
      auto iban = canonical_iban(text);
      if (!iban) return Error(Code::invalid, "not an IBAN, or its check digits are wrong");
      return Secret::copy(Scrubbed(std::move(*iban)).text);
    }
    case FieldType::card_number: {
      auto number = canonical_card_number(text);
      if (!number)
        return Error(Code::invalid,
                     "not a card number: its check digit, its issuer or its length is wrong");
      return Secret::copy(Scrubbed(std::move(*number)).text);
    }
    case FieldType::card_expiry: {
      auto expiry = canonical_card_expiry(text);
      if (!expiry) return Error(Code::invalid, "not an expiry date of a card such as 09/29");
      return Secret::copy(Scrubbed(std::move(*expiry)).text);
    }
    case FieldType::card_verification:
    case FieldType::json:
      break;
  }
  return Error(Code::internal, "a value of no type");
}

Error cards_off() {
  return {Code::invalid, "card data is off: see `holdfast cards status`"};
}

// ── masks

/// The first `count` code points, or the last.
std::string_view first(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  for (; count > 0 && at < text.size(); --count) do
      ++at;
    while (at < text.size() && (text[at] & 0xC0) == 0x80);
  return text.substr(0, at);
}
std::string_view last(std::string_view text, std::size_t count) {
  std::size_t at = text.size();
  for (; count > 0 && at > 0; --count) do
      --at;
    while (at > 0 && (text[at] & 0xC0) == 0x80);
  return text.substr(at);
}

std::string join(std::string_view a, std::string_view b, std::string_view c = {}) {
  return std::string(a).append(b).append(c);
}

std::string mask_first_letter(std::string_view text) {
  return join(code_points(text) >= 4 ? first(text, 1) : "", kHidden);
}

/// Two to four characters, where that is at most a quarter.
std::string mask_last(std::string_view text) {
  std::size_t shown = std::min<std::size_t>(4, code_points(text) / 4);
  return join(kHidden, shown >= 2 ? last(text, shown) : "");
}

std::string mask_email(std::string_view text) {
  auto at = text.rfind('@');
  if (at == std::string_view::npos) return std::string(kHidden);
  return mask_first_letter(text.substr(0, at)).append(text.substr(at));
}

std::string mask_phone(std::string_view text) {
  Scrubbed number(e164(text));  // digits only, and no extension
  return mask_last(number.text.starts_with('+') ? std::string_view(number.text).substr(1)
                                                : std::string_view(number.text));
}

std::string mask_iban(std::string_view text) {
  Scrubbed iban(canonical_iban(text).value_or(""));
  if (iban.text.empty()) return std::string(kHidden);
  return join(first(iban.text, 2), kHidden, last(iban.text, 4));
}

/// BIN and last four (PCI DSS 4.0.1, 3.4.1): the most that may be shown of a card.
std::string mask_card(std::string_view text) {
  Scrubbed number(canonical_card_number(text).value_or(""));
  if (number.text.empty()) return std::string(kHidden);
  return join(first(number.text, 6), kHidden, last(number.text, 4));
}

std::string mask_card_last(std::string_view text) {
  Scrubbed number(canonical_card_number(text).value_or(""));
  return join(kHidden, number.text.empty() ? "" : last(number.text, 4));
}

std::string mask_ip(std::string_view text) {
  if (!canonical_ip(text)) return std::string(kHidden);
  char separator = text.find(':') == std::string_view::npos ? '.' : ':';
  auto one = text.find(separator);
  auto two = one == std::string_view::npos ? one : text.find(separator, one + 1);
  // `::1` and `2001::1` have zeros there: nothing to show but zeros.
  if (one == 0 || two == std::string_view::npos || two == one + 1) return std::string(kHidden);
  return join(text.substr(0, two), separator == '.' ? ".•.•" : ":•");
}

Mask default_mask(FieldType type) {
  switch (type) {
    case FieldType::name:
      return Mask::first_letter;
    case FieldType::email:
      return Mask::domain;
    case FieldType::phone:
    case FieldType::iban:
      return Mask::last4;
    case FieldType::date:
      return Mask::year;
    case FieldType::country:
      return Mask::none;
    default:
      return Mask::hidden;
  }
}

/// Version, key id, encapsulated key and tag alone are 53 bytes: 71 characters of base64url.
bool is_pending_token(std::string_view text) {
  constexpr std::size_t kLeast = 71;
  if (!text.starts_with(kPendingPrefix)) return false;
  text.remove_prefix(kPendingPrefix.size());
  return text.size() >= kLeast && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_';
         });
}

}  // namespace

Result<Secret> checked_code(const Field& field, std::string_view value) {
  if (!field.cards_on) return cards_off();
  if (!is_card_verification(value))
    return Error(Code::invalid, "not a card verification code of three or four digits");
  return Secret::copy(value);
}

Result<Secret> checked_value(const Field& field, std::string_view value) {
  if (value.size() > kMaxValueBytes) return Error(Code::too_large, "longer than 65,536 bytes");
  if (field.type == FieldType::json) return checked_json(field, value);
  if (is_card(field.type) && !field.cards_on) return cards_off();
  if (field.type == FieldType::card_verification)
    return Error(Code::invalid,
                 "a card verification code is never kept: give it to tokens.create, which holds it "
                 "in memory for 15 minutes and one read");

  Scrubbed normal;
  auto text = value;
  if (!is_ascii(value)) {
    auto composed = nfc(value);
    if (!composed) return Error(Code::invalid, "not valid UTF-8");
    normal.text = std::move(*composed);
    text = normal.text;
  }
  text = trim(text);
  if (text.empty()) return Error(Code::invalid, "empty: leave it out");
  if (has_control(text, field.type == FieldType::text))
    return Error(Code::invalid, "has control characters");

  if (is_pending_token(text))
    return Error(Code::invalid,
                 "this is a pending token, not a value: tokens.exchange gives a token for it");

  auto stored = checked_format(field, text);
  if (stored && stored->size() > field.max_bytes)
    return Error(Code::too_large, "longer than this field may be");
  return stored;
}

Secret index_term(const Field& field, std::string_view value, std::string_view calling_code) {
  auto fold_case = [](UChar32 c) { return u_foldCase(c, U_FOLD_CASE_DEFAULT); };
  auto plain = nfkc(value);
  if (!plain) return {};
  Scrubbed normal(std::move(*plain));
  auto text = trim(normal.text);
  switch (field.type) {
    case FieldType::json:
      return {};
    case FieldType::email:
      return Secret::copy(one_case(text, fold_case, true).text);
    case FieldType::phone:
      return Secret::copy(Scrubbed(e164(text, calling_code)).text);
    case FieldType::name:
    case FieldType::address_line: {
      auto folded = fold(text);
      if (!folded) return {};
      Scrubbed term(std::move(*folded));
      single_spaces(term.text);
      return Secret::copy(term.text);
    }
    case FieldType::card_expiry: {
      auto expiry = canonical_card_expiry(text);
      return expiry ? Secret::copy(Scrubbed(std::move(*expiry)).text) : Secret();
    }
    case FieldType::ip: {
      auto address = canonical_ip(text);
      return address ? Secret::copy(Scrubbed(std::move(*address)).text) : Secret();
    }
    default:
      break;
  }
  auto term = one_case(text, u_toupper, false);
  if (field.type == FieldType::card_number) std::erase(term.text, '-');
  if (field.type == FieldType::tax_id)
    std::erase_if(term.text, [](char c) { return c == '.' || c == '-' || c == '/' || c == '&'; });
  return Secret::copy(term.text);
}

Secret index_fragment(const Field& field, std::string_view text, std::string_view calling_code,
                      bool from_start) {
  if (field.type == FieldType::ip) {
    Scrubbed out(std::string(trim(text)));
    for (char c : out.text)
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
            c == '.' || c == ':'))
        return {};
    for (char& c : out.text) c = c >= 'A' && c <= 'F' ? static_cast<char>(c | 0x20) : c;
    return Secret::copy(out.text);
  }
  if (field.type != FieldType::phone) return index_term(field, text);
  auto plain = nfkc(text);
  if (!plain) return {};
  Scrubbed normal(std::move(*plain));
  Scrubbed digits;
  digits.text.reserve(normal.text.size() + 4);
  bool plus = false;
  for (char c : trim(normal.text)) {
    if (c >= '0' && c <= '9')
      digits.text += c;
    else if (c == '+' && digits.text.empty() && !plus)
      plus = true;
    else if (std::string_view(" -./()").find(c) == std::string_view::npos)
      return {};
  }
  std::string_view number = digits.text;
  if (!plus && number.starts_with("00")) {
    plus = true;
    number.remove_prefix(2);
  }
  Scrubbed out;
  out.text.reserve(number.size() + 8);
  if (plus) {
    out.text.append("+").append(number);
  } else if (from_start && !calling_code.empty()) {
    bool trunk = calling_code != "1" && calling_code != "39" && number.starts_with('0');
    out.text.append("+").append(calling_code).append(number.substr(trunk ? 1 : 0));
  } else {
    // Inside a number in its international form there is no trunk 0.
    bool trunk = !calling_code.empty() && calling_code != "39" && number.starts_with('0');
    out.text.append(number.substr(trunk ? 1 : 0));
  }
  return Secret::copy(out.text);
}

bool shown_whole(const Field& field) {
  auto mask = field.mask == Mask::type_default ? default_mask(field.type) : field.mask;
  return mask == Mask::none;
}

std::string masked(const Field& field, std::string_view value) {
  if (!valid_utf8(value)) return std::string(kHidden);
  auto mask = field.mask == Mask::type_default ? default_mask(field.type) : field.mask;
  if (field.type == FieldType::ip && field.mask == Mask::type_default) return mask_ip(value);
  if (field.type == FieldType::card_number && field.mask == Mask::type_default)
    return mask_card(value);
  switch (mask) {
    case Mask::none:
      return std::string(value);
    case Mask::first_letter:
      return mask_first_letter(value);
    case Mask::domain:
      return mask_email(value);
    case Mask::year:
      return is_date(value) ? std::string(value.substr(0, 4)) : std::string(kHidden);
    case Mask::last4:
      if (field.type == FieldType::phone) return mask_phone(value);
      if (field.type == FieldType::iban) return mask_iban(value);
      if (field.type == FieldType::card_number) return mask_card_last(value);
      return mask_last(value);
    case Mask::type_default:
    case Mask::hidden:
      break;
  }
  return std::string(kHidden);
}

}  // namespace holdfast::vault
