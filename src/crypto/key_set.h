// The keys that the server holds while it is unlocked, with the HMAC states that every request
// needs computed once.
#pragma once

#include <atomic>
#include <memory>

#include "crypto/hash.h"
#include "crypto/keyring.h"

namespace holdfast::crypto {

/// Immutable. Threads: safe.
struct KeySet {
  /// Tests of other rooms have no root key; nothing that changes the keyring works then.
  explicit KeySet(Keyring keyring, Secret root_key = {})
      : ring(std::move(keyring)),
        root(std::move(root_key)),
        index(ring.active(KeyUse::index).expose()),
        external(ring.active(KeyUse::external).expose()),
        digest(ring.active(KeyUse::digest).expose()) {}

  Keyring ring;
  Secret root;    // seals the next generation of the keyring
  Hmac index;     // blind indexes
  Hmac external;  // external ids, pseudonyms
  Hmac digest;    // digests of rows
};

/// Who holds the keys now. Shared, because a rotation or a lock replaces them while requests
/// still use the old ones. Threads: safe.
class HeldKeys {
 public:
  explicit HeldKeys(std::shared_ptr<const KeySet> keys = {}) : keys_(std::move(keys)) {}

  /// nullptr while the server is locked.
  std::shared_ptr<const KeySet> get() const { return keys_.load(); }
  void set(std::shared_ptr<const KeySet> keys) { keys_.store(std::move(keys)); }

  /// Sets `next` unless somebody replaced or dropped `expected` meanwhile: a lock is never undone.
  bool replace(std::shared_ptr<const KeySet> expected, std::shared_ptr<const KeySet> next) {
    return keys_.compare_exchange_strong(expected, std::move(next));
  }

  /// Whoever writes the keyring's file takes this turn first: true for one at a time.
  bool begin_change() { return !changing_.exchange(true); }
  void end_change() { changing_ = false; }

 private:
  std::atomic<bool> changing_ = false;
  std::atomic<std::shared_ptr<const KeySet>> keys_;
};

}  // namespace holdfast::crypto
