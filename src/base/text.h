// Text as people type it: UTF-8 that is valid, in one normal form, and folded for search.
// Unicode tables come from ICU; ASCII text never gets that far. Everything here is pure and safe
// from several threads. Results and ICU's own intermediates are ordinary memory: a caller that
// passes a personal value wipes what it gets.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

/// Strict (RFC 3629; Unicode 15, table 3-7): no overlong forms, surrogates, or code points over
/// U+10FFFF. The same function as in base/json.h, whose reader defines it.
bool valid_utf8(std::string_view text);

/// Normalisation form C (UAX #15): canonically equal texts become the same bytes, and nothing that
/// a reader could see is lost. nullopt when the text is not UTF-8; over 64 MiB is a bug
/// (std::length_error); both here and below.
std::optional<std::string> nfc(std::string_view text);

/// Form KC: also wide, narrow, ligature and superscript forms become plain. For keys, not to show.
std::optional<std::string> nfkc(std::string_view text);

/// Case- and accent-folded, for search: `MÜLLER`, `Müller` and `muller` are one, and so are
/// `Straße` and `STRASSE`. Full case folding (Unicode 3.13, not of one language), without
/// diacritics, Hebrew points and Arabic vowels. Marks that make another letter stay: kana voicing,
/// and the vowel signs of Indic scripts and Thai. `ø`, `ł`, `đ` are letters of their own and stay.
/// Idempotent; the result is in form C. Cost: 20 ns for ASCII, about 1 µs for a name.
std::optional<std::string> fold(std::string_view text);

/// How many code points the text has. Counts nothing sensible when it is not UTF-8.
std::size_t code_points(std::string_view text);

/// Without the characters of property White_Space at both ends (no-break and wide spaces too).
std::string_view trim(std::string_view text);

/// True when the text holds a control character (general category Cc) or a line or paragraph
/// separator (U+2028, U+2029). `allow_newlines` lets tab, LF and CR pass.
bool has_control(std::string_view text, bool allow_newlines);

}  // namespace holdfast
