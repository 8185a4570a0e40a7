// Pending tokens: values that a shop seals by itself, with a public key, while Holdfast is away. It
// cannot open them again; they are exchanged for tokens when Holdfast is back (docs/away.md).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "crypto/hpke.h"
#include "crypto/key_set.h"
#include "vault/policy.h"
#include "vault/tokens/messages.h"

namespace holdfast::vault {

/// `pnd_` and base64url of: version (1) | id of the sealing key (4) | HPKE's encapsulated key (32)
/// | ciphertext | tag (16). HPKE's info is `holdfast pending 1` and the store's id, its associated
/// data the collection, the field and the customer as the request writes them; each of these parts
/// under its length in 32 bits, most significant byte first. `pnd_` is vault/policy.h's
/// kPendingPrefix.
/// Characters: what a request takes as a value. It holds about 49,000 bytes.
inline constexpr std::size_t kLongestPending = 65'536;

/// What a pending token belongs to: it opens nowhere else.
struct PendingPlace {
  std::string_view collection, field, subject;
};

/// Whoever seals needs no more than this. Errors: invalid (not a key as SealingKey writes it),
/// too_large.
Result<std::string> seal_pending(const SealingKey& key, const PendingPlace& place,
                                 std::string_view value);

/// Opens those of one request; derives each key once. Threads: not safe.
class PendingTokens {
 public:
  explicit PendingTokens(const crypto::KeySet& keys) : keys_(keys) {}

  /// Cost: about 60 µs. Errors: invalid (not a pending token; of another store, collection, field
  /// or customer; changed), gone (its key was destroyed).
  Result<Secret> open(const PendingPlace& place, std::string_view text);
  /// Of the active key.
  static SealingKey sealing_key(const crypto::KeySet& keys);

 private:
  const crypto::KeySet& keys_;
  std::map<std::uint32_t, crypto::HpkeKey> derived_;
};

}  // namespace holdfast::vault
