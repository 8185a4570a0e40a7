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
  Bytes store_id;           // 16 bytes
  Bytes set_id;             // 8 bytes, random for each split
  std::uint8_t needed = 2;  // k
  std::uint8_t total = 3;   // n
  std::uint8_t number = 0;  // x, from 1
  Secret y;                 // one byte per byte of the secret
  /// To the secret, which must be random: SHA-256 over a tag, store id, set id, k, n and secret.
  Digest commitment{};
};

/// 2 <= needed <= total <= 16 and a secret of 16 to 64 random bytes; anything else is a bug
/// (std::invalid_argument). Constant-time field arithmetic.
std::vector<Share> split(const Secret& secret, BytesView store_id, std::uint8_t needed,
                         std::uint8_t total);

/// Errors: invalid with what is wrong: too few (says how many are missing), of different sets,
/// the same share twice, or a share that does not fit the commitment. `field` names the wrong one
/// by its number (`share[2]`, further ones in `also`) when the spare shares make it possible to
/// tell. Cost: under 1 ms, with wrong shares among 16 at most about a second.
Result<Secret> combine(std::span<const Share> shares);

/// A text file that can be printed and typed in again: comment lines, then the share in numbered
/// lines of five groups of four Crockford base32 characters and a check character, which finds
/// every wrong character and every two that changed places; a SHA-256 prefix over all closes it.
/// What it returns is a secret: wipe it.
/// `kind` is what people read in it: recovery, everyday.
std::string format_share(const Share& share, std::string_view kind = "recovery");
/// Tolerates case, spaces, hyphens, blank lines, comment lines, and `o`, `i`, `l` for 0 and 1.
/// Errors: invalid; the field names the numbered line (`line[4]`) where it can be told.
Result<Share> parse_share(std::string_view text);

/// One file per share, `KIND-share-1-of-3.txt`, mode 0600; a missing folder is made with 0700.
/// Returns their paths. All or none: refuses to overwrite (conflict), and takes back what it wrote
/// when a later one fails (unavailable). Blocking.
Result<std::vector<std::filesystem::path>> write_shares(const std::filesystem::path& dir,
                                                        std::span<const Share> shares,
                                                        std::string_view kind = "recovery");

}  // namespace holdfast::crypto
