// How the terms of indexes are made of values, and how postings are sealed. Pure but for
// randomness.
//
// Everything is made under one index key of the keyring and bound to the index's number, so that
// the terms of an old and a new index of the same field have nothing in common.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "crypto/key_set.h"
#include "vault/types.h"

namespace holdfast::vault {

/// A record that got a term, or lost it again. Of a record's entries under one term that with the
/// highest version holds; of two with one version the one that adds.
struct Posting {
  RecordId record;
  std::uint32_t version = 0;
  bool adds = true;
  friend bool operator==(const Posting&, const Posting&) = default;
};

/// A block of more entries is cut; one of fewer than half of it is small, and merged later.
inline constexpr std::size_t kBlockEntries = 1024;
inline constexpr std::size_t kFullBlock = kBlockEntries / 2;
inline constexpr std::size_t kFragmentCharacters = 3;

/// kind of a row of vault_postings.
std::int64_t block_kind(std::span<const Posting> entries);
/// version (1) | count (4) | count times: record (16), version (4), adds (1)
Bytes pack_postings(std::span<const Posting> entries);
/// Errors: corrupt.
Result<std::vector<Posting>> unpack_postings(BytesView plain);
/// What holds, one entry a record, sorted by record; those that were taken back are left out.
std::vector<Posting> resolved(std::vector<Posting> entries);

/// Threads: const methods are safe. Cost: construction 1 µs, more under a key that is not active.
class BlindTerms {
 public:
  BlindTerms(const crypto::KeySet& keys, const IndexInfo& index);

  /// False when its key was destroyed: the index answers nothing and takes nothing.
  bool usable() const { return key_.has_value(); }
  const IndexInfo& index() const { return index_; }

  /// exact: the first `bits` bits of HMAC-SHA-256; unique: all of it.
  Bytes term(std::string_view normal) const;
  /// Four bytes by which rows of one term are told apart without opening their records; empty for
  /// unique. Says nothing without the key: it differs for each record.
  Bytes tag(std::string_view normal, RecordId record) const;
  /// The terms of a value in postings, each once. substring: every three characters in a row.
  /// prefix: the first 3, 4, 5, 6, 8 and 12 characters.
  std::vector<Bytes> grams(std::string_view normal) const;
  /// The terms that every value with this fragment has. Empty below three characters.
  std::vector<Bytes> grams_of_fragment(std::string_view fragment) const;

  Bytes seal_block(BytesView term, BytesView block, std::span<const Posting> entries) const;
  /// Errors: corrupt (damaged, or of another term).
  Result<std::vector<Posting>> open_block(BytesView term, BytesView block, BytesView sealed) const;

 private:
  Bytes gram(std::string_view text) const;
  crypto::Digest mac(std::string_view label, std::string_view text, BytesView more = {}) const;

  IndexInfo index_;
  std::optional<crypto::Hmac> key_;
  Secret block_key_;
};

}  // namespace holdfast::vault
