// FF1 (NIST SP 800-38G, section 5.1) with AES-256: a keyed permutation of the numeral strings of
// one length. The vault draws the shape of tokens with it and keeps a row for each, so there is no
// way back here. FF3-1 is withdrawn and not offered.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::crypto {

/// Fewer possible strings than this are refused: somebody who may ask for tokens could try them all
/// (SP 800-38G rev. 1 demands as much).
inline constexpr std::uint64_t kFf1LeastDomain = 1'000'000;

/// Replaces `numerals`, each from 0 to radix - 1, by their image under key and tweak.
/// Radix 2 to 256; 2 to 4,096 numerals; a tweak of up to 65,535 bytes; a key of another size than
/// 32 bytes is a bug (std::invalid_argument). Errors: invalid (a numeral that is none, a length or
/// radix out of bounds, fewer than kFf1LeastDomain possible strings): nothing was changed then.
/// Cost: about 3 µs for a card number. Threads: safe; what it computes on the way is wiped.
Result<void> ff1_encrypt(BytesView key, BytesView tweak, unsigned radix,
                         std::span<std::uint8_t> numerals);

}  // namespace holdfast::crypto
