// The keys that the server holds while it is unlocked, with the HMAC states that every request
// needs computed once.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "crypto/hash.h"
#include "crypto/keyring.h"

namespace holdfast::crypto {

/// The key that finds tokens, by its id in the keyring.
struct TokenKey {
  std::uint32_t id;
  Hmac hmac;
};

/// Immutable. Threads: safe.
struct KeySet {
  explicit KeySet(Keyring keyring)
      : ring(std::move(keyring)),
        index(ring.active(KeyUse::index).expose()),
        external(ring.active(KeyUse::external).expose()),
        digest(ring.active(KeyUse::digest).expose()) {
    for (const auto& key : ring.list())
      if (key.use == KeyUse::token)
        tokens.insert(tokens.begin(), {key.id, Hmac(ring.find(key.use, key.id)->expose())});
  }

  Keyring ring;
  Hmac index;     // blind indexes
  Hmac external;  // external ids, pseudonyms
  Hmac digest;    // digests of rows
  /// Newest first: new tokens use the first, and those made under an older one are still found.
  std::vector<TokenKey> tokens;
};

/// Who holds the keys now. Shared, because a rotation or a lock replaces them while requests
/// still use the old ones. Threads: safe.
class HeldKeys {
 public:
  explicit HeldKeys(std::shared_ptr<const KeySet> keys = {}) : keys_(std::move(keys)) {}

  /// nullptr while the server is locked.
  std::shared_ptr<const KeySet> get() const { return keys_.load(); }
  void set(std::shared_ptr<const KeySet> keys) { keys_.store(std::move(keys)); }

 private:
  std::atomic<std::shared_ptr<const KeySet>> keys_;
};

}  // namespace holdfast::crypto
