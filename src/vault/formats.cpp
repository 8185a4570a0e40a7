#include "vault/formats.h"

#include <arpa/inet.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace holdfast::vault {
namespace {

bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool letter(char c) {
  return upper(c) || (c >= 'a' && c <= 'z');
}
bool alnum(char c) {
  return letter(c) || digit(c);
}
bool ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

/// No spaces or invisible characters among what is not ASCII.
bool visible(std::string_view text) {
  if (std::ranges::all_of(text, ascii)) return true;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    UChar32 c = 0;
    U8_NEXT(bytes, at, text.size(), c);
    if (c < 0 || u_isUWhiteSpace(c) || u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT))
      return false;
  }
  return true;
}

bool is_domain_label(std::string_view label) {
  if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-')
    return false;
  return std::ranges::all_of(label, [](char c) { return alnum(c) || c == '-' || !ascii(c); });
}

bool is_domain(std::string_view domain) {
  std::size_t labels = 0;
  while (true) {
    auto dot = domain.find('.');
    auto label = domain.substr(0, dot);
    if (!is_domain_label(label)) return false;
    ++labels;
    if (dot == std::string_view::npos)
      return labels >= 2 && !std::ranges::all_of(label, digit);  // a top-level domain has letters
    domain.remove_prefix(dot + 1);
  }
}

/// Cuts off `ext. 12`, `x12`, `#12`, `;ext=12`. False when letters stand anywhere else.
bool cut_extension(std::string_view& text) {
  auto at = std::ranges::find_if(text, [](char c) { return letter(c) || c == '#' || c == ';'; });
  if (at == text.end()) return true;
  auto suffix = std::string_view(at, text.end());
  text = std::string_view(text.begin(), at);
  std::string word;
  while (!suffix.empty() && !digit(suffix.front())) {
    if (word.size() > 8) return false;
    char c = suffix.front();
    if (c != ' ' && c != '.') word += letter(c) ? static_cast<char>(c | 0x20) : c;
    suffix.remove_prefix(1);
  }
  return (word == "x" || word == "ext" || word == "#" || word == ";ext=") && !suffix.empty() &&
         suffix.size() <= 7 && std::ranges::all_of(suffix, digit);
}

/// The digits of a number, and whether a `+` stood before them. False for any other character.
bool read_digits(std::string_view text, std::string& digits, bool& plus) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    UChar32 c = 0;
    U8_NEXT(bytes, at, text.size(), c);
    if (c >= '0' && c <= '9') {
      digits += static_cast<char>(c);
    } else if ((c == '+' || c == 0xFF0B) && digits.empty() && !plus) {
      plus = true;
    } else if (c >= 0x80) {
      // Pasted from elsewhere: wide or Arabic digits, typographic dashes, invisible marks.
      auto value = u_charDigitValue(c);
      auto type = u_charType(c);
      if (value >= 0)
        digits += static_cast<char>('0' + value);
      else if (type != U_DASH_PUNCTUATION && type != U_SPACE_SEPARATOR && type != U_FORMAT_CHAR)
        return false;
    } else if (c < 0 ||
               std::string_view(" -./()").find(static_cast<char>(c)) == std::string_view::npos) {
      return false;
    }
    if (digits.size() > 20) return false;
  }
  return true;
}

constexpr std::string_view kCountries =
    "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCM"
    "CN"
    "COCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHK"
    "HM"
    "HNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMH"
    "MK"
    "MLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRU"
    "RW"
    "SASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVG"
    "VI"
    "VNVUWFWSXKYEYTZAZMZW";

constexpr auto kCountryTable = [] {
  std::array<bool, 26 * 26> table{};
  for (std::size_t i = 0; i < kCountries.size(); i += 2)
    table[static_cast<std::size_t>(kCountries[i] - 'A') * 26 +
          static_cast<std::size_t>(kCountries[i + 1] - 'A')] = true;
  return table;
}();

}  // namespace

bool is_email(std::string_view text) {
  static constexpr std::string_view kAlso = ".!#$%&'*+/=?^_`{|}~-";
  if (text.size() > 254) return false;
  auto at = text.find('@');
  if (at == std::string_view::npos || at == 0 || at > 64) return false;
  bool local = std::ranges::all_of(text.substr(0, at), [](char c) {
    return alnum(c) || !ascii(c) || kAlso.find(c) != std::string_view::npos;
  });
  return local && is_domain(text.substr(at + 1)) && visible(text);
}

std::string e164(std::string_view text, std::string_view calling_code) {
  if (text.size() > 128 || !cut_extension(text)) return {};
  std::string compact;
  if (auto trunk = text.find("(0)");
      trunk != std::string_view::npos && (text.find('+') < trunk || text.starts_with("00"))) {
    compact.append(text.substr(0, trunk)).append(text.substr(trunk + 3));
    text = compact;
  }
  std::string digits;
  bool plus = false;
  if (!read_digits(text, digits, plus)) return {};
  if (!plus && digits.starts_with("00")) {
    plus = true;
    digits.erase(0, 2);
  }
  if (plus) {
    if (digits.size() < 7 || digits.size() > 15 || digits.front() == '0') return {};
    return '+' + digits;
  }
  if (digits.size() < 5 || digits.size() > 15) return {};
  if (calling_code.empty()) return digits;
  // Italy keeps its leading 0, North America writes its own 1 before the area code.
  bool trunk = calling_code == "1" ? digits.size() == 11 && digits.front() == '1'
                                   : calling_code != "39" && digits.front() == '0';
  std::string whole = '+' + std::string(calling_code) + digits.substr(trunk ? 1 : 0);
  return whole.size() <= 16 ? whole : digits;
}

bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  int parts[3]{};
  for (std::size_t i = 0, part = 0; i < 10; ++i) {
    if (i == 4 || i == 7) {
      ++part;
    } else if (digit(text[i])) {
      parts[part] = parts[part] * 10 + (text[i] - '0');
    } else {
      return false;
    }
  }
  auto date = std::chrono::year(parts[0]) / parts[1] / parts[2];
  return parts[0] > 0 && date.ok();
}

bool is_country(std::string_view text) {
  return text.size() == 2 && upper(text[0]) && upper(text[1]) &&
         kCountryTable[static_cast<std::size_t>(text[0] - 'A') * 26 +
                       static_cast<std::size_t>(text[1] - 'A')];
}

std::optional<std::string> canonical_ip(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> in{};
  std::ranges::copy(text, in.begin());
  std::array<unsigned char, 16> address{};
  std::array<char, INET6_ADDRSTRLEN> out{};
  for (int family : {AF_INET, AF_INET6})
    if (inet_pton(family, in.data(), address.data()) == 1 &&
        inet_ntop(family, address.data(), out.data(), out.size()))
      return std::string(out.data());
  return std::nullopt;
}

std::optional<std::string> canonical_iban(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == ' ') continue;
    if (!alnum(c) || out.size() == 34) return std::nullopt;
    out += letter(c) ? static_cast<char>(c & ~0x20) : c;
  }
  if (out.size() < 15 || !is_country(std::string_view(out).substr(0, 2)) || !digit(out[2]) ||
      !digit(out[3]))
    return std::nullopt;
  std::uint32_t rest = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    char c = out[(i + 4) % out.size()];  // the first four go to the end
    rest = digit(c) ? rest * 10 + static_cast<std::uint32_t>(c - '0')
                    : rest * 100 + static_cast<std::uint32_t>(c - 'A' + 10);
    rest %= 97;
  }
  if (rest != 1) return std::nullopt;
  return out;
}

bool is_tax_id(std::string_view text) {
  std::size_t solid = 0;
  bool any_digit = false;
  for (char c : text) {
    if (alnum(c) || !ascii(c)) {
      ++solid;
      any_digit |= digit(c);
    } else if (std::string_view(" .-/&").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return solid >= 4 && any_digit;
}

bool is_postal_code(std::string_view text) {
  bool solid = false;
  for (char c : text) {
    if (alnum(c) || !ascii(c))
      solid = true;
    else if (std::string_view(" -./").find(c) == std::string_view::npos)
      return false;
  }
  return solid;
}

namespace {

/// Issuer numbers from `from` to `to` (of equally many digits), and the lengths that they come in.
struct IssuerRange {
  std::string_view network;
  std::uint32_t from, to;
  std::uint8_t shortest, longest;
};

/// From the networks' published ranges; of overlapping ones the narrower stands first.
constexpr IssuerRange kIssuers[] = {
    {"verve", 506099, 506198, 16, 19},
    {"verve", 650002, 650027, 16, 19},
    {"elo", 506699, 506778, 16, 16},
    {"elo", 509000, 509999, 16, 16},
    {"lankapay", 357111, 357111, 16, 16},
    {"mastercard", 2221, 2720, 16, 16},
    {"mir", 2200, 2204, 16, 19},
    {"dankort", 5019, 5019, 16, 16},
    {"discover", 6011, 6011, 16, 19},
    {"jcb", 3528, 3589, 16, 19},
    {"diners", 3095, 3095, 14, 19},
    {"humo", 9860, 9860, 16, 16},
    {"uzcard", 8600, 8600, 16, 16},
    {"troy", 9792, 9792, 16, 16},
    {"rupay", 508, 508, 16, 16},
    {"diners", 300, 305, 14, 19},
    {"discover", 644, 649, 16, 19},
    {"interpayment", 636, 636, 16, 19},
    {"instapayment", 637, 639, 16, 16},
    {"diners", 36, 36, 14, 19},
    {"diners", 38, 39, 14, 19},
    {"amex", 34, 34, 15, 15},
    {"amex", 37, 37, 15, 15},
    {"mastercard", 51, 55, 16, 16},
    {"discover", 65, 65, 16, 19},
    {"unionpay", 62, 62, 16, 19},
    {"unionpay", 81, 81, 16, 19},
    {"rupay", 60, 60, 16, 16},
    {"rupay", 82, 82, 16, 16},
    {"maestro", 50, 50, 12, 19},
    {"maestro", 56, 58, 12, 19},
    {"maestro", 67, 67, 12, 19},
    {"maestro", 6, 6, 12, 19},
    {"uatp", 1, 1, 15, 15},
    {"visa", 4, 4, 13, 13},
    {"visa", 4, 4, 16, 16},
    {"visa", 4, 4, 19, 19},
};

std::size_t decimal_digits(std::uint32_t number) {
  std::size_t out = 1;
  for (; number >= 10; number /= 10) ++out;
  return out;
}

}  // namespace

bool passes_luhn(std::string_view digits) {
  unsigned sum = 0;
  bool twice = false;
  for (auto at = digits.rbegin(); at != digits.rend(); ++at, twice = !twice) {
    if (!digit(*at)) return false;
    auto value = static_cast<unsigned>(*at - '0') * (twice ? 2 : 1);
    sum += value > 9 ? value - 9 : value;
  }
  return !digits.empty() && sum % 10 == 0;
}

std::string_view card_network(std::string_view digits) {
  for (const auto& range : kIssuers) {
    if (digits.size() < range.shortest || digits.size() > range.longest) continue;
    std::uint32_t issuer = 0;
    for (char c : digits.substr(0, decimal_digits(range.from)))
      issuer = issuer * 10 + static_cast<std::uint32_t>(c - '0');
    if (issuer >= range.from && issuer <= range.to) return range.network;
  }
  return {};
}

std::optional<std::string> canonical_card_number(std::string_view text) {
  std::string out;
  out.reserve(20);  // so that it does not move and leave a copy behind
  for (char c : text) {
    if (c == ' ' || c == '-') continue;
    if (!digit(c) || out.size() == 19) return std::nullopt;
    out += c;
  }
  if (out.size() < 12 || !passes_luhn(out) || card_network(out).empty()) return std::nullopt;
  return out;
}

std::optional<std::string> canonical_card_expiry(std::string_view text) {
  std::string digits;
  std::size_t separator = 0, separators = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (digit(text[i])) {
      digits += text[i];
    } else if (text[i] == '/' || text[i] == '-') {
      separator = digits.size();
      ++separators;
    } else if (text[i] != ' ') {
      return std::nullopt;
    }
    if (digits.size() > 6) return std::nullopt;
  }
  std::string month, year;
  if (separators == 1 && separator == 4 && digits.size() == 6) {
    year = digits.substr(0, 4);
    month = digits.substr(4);
  } else if (digits.size() == 4 && (separators == 0 || (separators == 1 && separator == 2))) {
    month = digits.substr(0, 2);
    year = "20" + digits.substr(2);
  } else if (digits.size() == 6 && separators == 1 && separator == 2) {
    month = digits.substr(0, 2);
    year = digits.substr(2);
  } else {
    return std::nullopt;
  }
  if (!year.starts_with("20") || month < "01" || month > "12") return std::nullopt;
  return year + '-' + month;
}

bool is_card_verification(std::string_view text) {
  return (text.size() == 3 || text.size() == 4) && std::ranges::all_of(text, digit);
}

}  // namespace holdfast::vault
