// What tokens look like. A token's text is drawn at random and kept in a row: nothing of the value
// is in it but what its shape says, and no key leads back from it. Pure but for randomness.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "vault/types.h"

namespace holdfast::vault {

/// Fewer possible tokens than this are refused: they would run out, and could be tried.
inline constexpr std::uint64_t kLeastTokens = 1'000'000;
inline constexpr std::size_t kFewestDigits = 6;  // of a value whose token is digits
inline constexpr std::size_t kLongestToken = 96;
/// The handle of a card verification code starts so; no token does.
inline constexpr std::string_view kCodePrefix = "cvc_";

/// `count` characters of `from`.
struct PatternPart {
  std::string from;
  std::size_t count = 1;
};

/// A pattern: letters, digits and `-_.:/+#@ ` as they are, and sets such as `[0-9]`, `[A-HJ-NP-Z]`
/// or `[xyz]`, each followed or not by a count `{8}` from 1 to 64. At most 128 bytes of it, 64
/// characters of token and 32 parts; ASCII only; no spaces at the ends.
/// Errors: invalid (and fewer than kLeastTokens possible tokens, or `tok_`/`cvc_` in front).
Result<std::vector<PatternPart>> parse_pattern(std::string_view text);

/// Draws a text for a value in its stored form; never the value itself. FF1 under `key` (32 bytes)
/// and a random tweak draws digits where a million are possible.
///
///   digits    as many as the value has (6 to 64; `+ - . / ( )` and spaces between them are left
///             out); does not start with 0 unless the value does
///   email     sixteen letters and digits at tokens.invalid (RFC 2606: never delivered)
///   pattern   as declared
///   card      the first six and last four digits of the card, the rest drawn so that the Luhn
///   check
///             fails: never a card number
///
/// Shape tok has no text (the caller makes an id). Cost: about 5 µs.
/// Errors: invalid (a value that does not fit the shape: too few digits).
Result<std::string> draw_token(const TokenSpec& spec, BytesView key, std::string_view value);

}  // namespace holdfast::vault
