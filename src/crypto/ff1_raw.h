// FF1 with any AES key and down to the smallest domain that the standard of 2016 allows: for
// known-answer tests. Everything else uses ff1.h.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace holdfast::crypto::raw {

/// False, and nothing changed, for a key that is not of 16, 24 or 32 bytes, a radix, length or
/// numeral out of bounds, or fewer than 100 possible strings.
bool ff1_encrypt(BytesView key, BytesView tweak, unsigned radix, std::span<std::uint8_t> numerals);

}  // namespace holdfast::crypto::raw
