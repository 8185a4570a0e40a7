// Shamir's secret sharing over GF(2^8) for the recovery of the root key: any k of n shares give
// it back, fewer tell nothing. Each share names its set, so that a wrong one is named.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/hash.h"

namespace holdfast::crypto {

struct Share {
  Bytes store_id;            // 16 bytes
  Bytes set_id;              // 8 bytes, random for each split
  std::uint8_t needed = 2;   // k
  std::uint8_t total = 3;    // n
  std::uint8_t number = 0;   // x, from 1
  Secret y;                  // one byte per byte of the secret
  Digest commitment{};       // of the secret: SHA-256 over a tag, set id and secret (256-bit random)
};

/// 2 <= needed <= total <= 16. Constant-time field arithmetic.
std::vector<Share> split(const Secret& secret, BytesView store_id, std::uint8_t needed,
                         std::uint8_t total);

/// Errors: invalid with what is wrong: too few (says how many are missing), of different sets,
/// the same share twice, or a share that does not fit the commitment (field names its number when
/// spare shares make it possible to tell which).
Result<Secret> combine(std::span<const Share> shares);

/// A text file that can be printed and typed in again: header lines, the share in groups of four
/// Crockford base32 characters with a check character per line, a SHA-256 prefix over all.
std::string format_share(const Share& share);
/// Tolerates case, spaces and blank lines; errors name the line (`line[4]`).
Result<Share> parse_share(std::string_view text);

/// One file per share, `recovery-share-1-of-3.txt`, mode 0600. Refuses to overwrite.
Result<std::vector<std::filesystem::path>> write_shares(const std::filesystem::path& dir,
                                                        std::span<const Share> shares);

}  // namespace holdfast::crypto
