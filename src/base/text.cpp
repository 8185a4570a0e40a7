#include "base/text.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace holdfast {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080;
constexpr std::size_t kLongest = std::size_t{1}
                                 << 26;  // ICU counts in int32_t, and NFKC may grow 18-fold

bool ascii(std::string_view text) {
  std::uint64_t seen = 0;
  for (; text.size() >= 8; text.remove_prefix(8)) {
    std::uint64_t eight;
    std::memcpy(&eight, text.data(), 8);
    seen |= eight;
  }
  for (char c : text) seen |= static_cast<unsigned char>(c);
  return (seen & kHighBits) == 0;
}

/// ICU's tables are part of its library: they cannot be missing.
void need(UErrorCode error) {
  if (U_FAILURE(error)) throw std::runtime_error("ICU failed");
}

icu::StringPiece piece(std::string_view text) {
  if (text.size() > kLongest) throw std::length_error("text to normalise is at most 64 MiB");
  return {text.data(), static_cast<int32_t>(text.size())};
}

std::string normalised(const icu::Normalizer2& form, std::string_view text) {
  UErrorCode error = U_ZERO_ERROR;
  std::string out;
  icu::StringByteSink sink(&out, static_cast<int32_t>(text.size()));
  form.normalizeUTF8(0, piece(text), sink, nullptr, error);
  need(error);
  return out;
}

/// By canonical combining class (UAX #44, table 15): overlays, Hebrew points, Arabic vowels and
/// what attaches to or stands around a base. Others (nukta, kana voicing, virama, vowel signs) make
/// another letter.
bool is_diacritic(UChar32 c) {
  auto order = u_getCombiningClass(c);
  return order == 1 || (order >= 10 && order <= 36) || order >= 200;
}

icu::UnicodeString without_diacritics(const icu::UnicodeString& text) {
  icu::UnicodeString out;
  for (int32_t i = 0; i < text.length();) {
    auto c = text.char32At(i);
    if (!is_diacritic(c)) out.append(c);
    i += U16_LENGTH(c);
  }
  return out;
}

const icu::Normalizer2& instance(const icu::Normalizer2* (*get)(UErrorCode&)) {
  UErrorCode error = U_ZERO_ERROR;
  const auto* form = get(error);
  need(error);
  return *form;
}

const icu::Normalizer2& form_c() {
  return instance(&icu::Normalizer2::getNFCInstance);
}
const icu::Normalizer2& form_kc() {
  return instance(&icu::Normalizer2::getNFKCInstance);
}
const icu::Normalizer2& form_d() {
  return instance(&icu::Normalizer2::getNFDInstance);
}

icu::UnicodeString normalised(const icu::Normalizer2& form, const icu::UnicodeString& text) {
  UErrorCode error = U_ZERO_ERROR;
  auto out = form.normalize(text, error);
  need(error);
  return out;
}

}  // namespace

std::optional<std::string> nfc(std::string_view text) {
  if (ascii(text)) return std::string(text);
  if (!valid_utf8(text)) return std::nullopt;
  return normalised(form_c(), text);
}

std::optional<std::string> nfkc(std::string_view text) {
  if (ascii(text)) return std::string(text);
  if (!valid_utf8(text)) return std::nullopt;
  return normalised(form_kc(), text);
}

std::optional<std::string> fold(std::string_view text) {
  if (ascii(text)) {
    std::string out(text);
    for (char& c : out)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    return out;
  }
  if (!valid_utf8(text)) return std::nullopt;
  auto wide = icu::UnicodeString::fromUTF8(piece(text));
  wide = without_diacritics(normalised(form_d(), wide));
  // Folding may bring forth marks of its own, so the marks go once more after it.
  wide = normalised(form_d(), wide.foldCase(U_FOLD_CASE_DEFAULT));
  std::string out;
  normalised(form_c(), without_diacritics(wide)).toUTF8String(out);
  return out;
}

std::size_t code_points(std::string_view text) {
  std::size_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

std::string_view trim(std::string_view text) {
  // A code point is at most four bytes, so a window of four is enough to see one.
  while (!text.empty()) {
    auto window = text.substr(0, 4);
    int32_t size = 0;
    UChar32 c;
    U8_NEXT(window.data(), size, static_cast<int32_t>(window.size()), c);
    if (c < 0 || !u_isUWhiteSpace(c)) break;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  while (!text.empty()) {
    auto window = text.substr(text.size() - std::min<std::size_t>(text.size(), 4));
    auto at = static_cast<int32_t>(window.size());
    UChar32 c;
    U8_PREV(window.data(), 0, at, c);
    if (c < 0 || !u_isUWhiteSpace(c)) break;
    text.remove_suffix(window.size() - static_cast<std::size_t>(at));
  }
  return text;
}

bool has_control(std::string_view text, bool allow_newlines) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c == '\t' || c == '\n' || c == '\r') {
      if (!allow_newlines) return true;
    } else if (c < 0x20 || c == 0x7f) {
      return true;
    }
    // U+0080 to U+009F are C2 80 to C2 9F; U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
    auto rest = text.substr(i + 1);
    if (c == 0xc2 && !rest.empty() && static_cast<unsigned char>(rest[0]) <= 0x9f) return true;
    if (c == 0xe2 && (rest.starts_with("\x80\xa8") || rest.starts_with("\x80\xa9"))) return true;
  }
  return false;
}

}  // namespace holdfast
