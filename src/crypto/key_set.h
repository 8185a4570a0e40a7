// The keys that the server holds while it is unlocked, with the HMAC states that every request
// needs computed once.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "crypto/hash.h"
#include "crypto/keyring.h"

namespace holdfast::crypto {

/// A key by which rows are found, and another one under which they are kept findable meanwhile:
/// while the key of external ids is rotated, what is written is written under both.
struct Finding {
  std::uint32_t by = 0;
  std::optional<std::uint32_t> also{};
};
/// For the use external. A use that is left out is found by its active key alone.
using FindingPlan = std::map<KeyUse, Finding>;

/// A key with its id and its HMAC state.
struct MacKey {
  std::uint32_t id;
  Hmac mac;
};

/// The key that finds tokens, by its id in the keyring.
struct TokenKey {
  std::uint32_t id;
  Hmac hmac;
};

/// Immutable. Threads: safe.
struct KeySet {
  /// Ids in `finding` must be held (std::out_of_range). Tests of other rooms have no root key;
  /// nothing that changes the keyring works then.
  explicit KeySet(Keyring keyring, Secret root_key = {}, FindingPlan finding = {})
      : ring(std::move(keyring)),
        root(std::move(root_key)),
        plan(std::move(finding)),
        external_id(found_by(KeyUse::external)),
        external(held(KeyUse::external, external_id).expose()),
        digest(ring.active(KeyUse::digest).expose()),
        pseudonym(ring.active(KeyUse::pseudonym).expose()),
        external_also(also(KeyUse::external)) {
    for (auto id : ring.ids(KeyUse::token))
      tokens.push_back({id, Hmac(held(KeyUse::token, id).expose())});
  }

  Keyring ring;
  Secret root;  // seals the next generation of the keyring
  FindingPlan plan;
  std::uint32_t external_id;
  Hmac external;   // external ids
  Hmac digest;     // digests of rows
  Hmac pseudonym;  // people in the journal
  /// While a rotation is under way: what is written is written under these too.
  std::optional<MacKey> external_also;
  /// Newest first: new tokens use the first, and those made under an older one are still found.
  std::vector<TokenKey> tokens;

  /// The id of the digest key under which `fits(const Hmac&)` is true, tried newest first, for
  /// rows that were written before the last rotation; nullopt: none of them is theirs.
  template <class Fits>
  std::optional<std::uint32_t> digest_key_that(const Fits& fits) const {
    const auto newest = ring.active_id(KeyUse::digest);
    if (fits(digest)) return newest;
    for (auto id : ring.ids(KeyUse::digest))
      if (id != newest && fits(Hmac(ring.find(KeyUse::digest, id)->expose()))) return id;
    return std::nullopt;
  }

  /// The same keys with an older digest key in its place: to tell how rows looked to events that
  /// were written under it. Errors: nullptr when the ring does not hold it.
  std::shared_ptr<const KeySet> with_digest(std::uint32_t id) const {
    const auto* key = ring.find(KeyUse::digest, id);
    if (!key) return nullptr;
    auto out = std::make_shared<KeySet>(ring.copy(), root.clone(), plan);
    out->digest = Hmac(key->expose());
    return out;
  }

 private:
  const Secret& held(KeyUse use, std::uint32_t id) const {
    const auto* key = ring.find(use, id);
    if (!key) throw std::out_of_range("a plan names a key that the ring does not hold");
    return *key;
  }
  std::uint32_t found_by(KeyUse use) const {
    auto at = plan.find(use);
    return at == plan.end() ? ring.active_id(use) : at->second.by;
  }
  std::optional<MacKey> also(KeyUse use) const {
    auto at = plan.find(use);
    if (at == plan.end() || !at->second.also) return std::nullopt;
    return MacKey{*at->second.also, Hmac(held(use, *at->second.also).expose())};
  }
};

/// Who holds the keys now. Shared, because a rotation or a lock replaces them while requests
/// still use the old ones. Threads: safe.
class HeldKeys {
 public:
  explicit HeldKeys(std::shared_ptr<const KeySet> keys = {}) : keys_(std::move(keys)) {}

  /// nullptr while the server is locked.
  std::shared_ptr<const KeySet> get() const { return keys_.load(); }
  void set(std::shared_ptr<const KeySet> keys) {
    std::scoped_lock lock(mutex_);
    before_.push_back(keys_.exchange(std::move(keys)));
  }

  /// Sets `next` unless somebody replaced or dropped `expected` meanwhile: a lock is never undone.
  bool replace(std::shared_ptr<const KeySet> expected, std::shared_ptr<const KeySet> next) {
    std::scoped_lock lock(mutex_);
    const std::weak_ptr<const KeySet> before = expected;
    if (!keys_.compare_exchange_strong(expected, std::move(next))) return false;
    before_.push_back(before);
    return true;
  }

  /// True when nobody uses keys any more that were replaced or dropped.
  bool let_go() {
    std::scoped_lock lock(mutex_);
    const auto now = keys_.load();
    std::erase_if(before_, [&now](const auto& one) {
      const auto keys = one.lock();
      return !keys || keys == now;
    });
    return before_.empty();
  }

  /// Whoever writes the keyring's file, or replaces keys by others, takes this turn first: true for
  /// one at a time.
  bool begin_change() { return !changing_.exchange(true); }
  void end_change() { changing_ = false; }

 private:
  std::atomic<bool> changing_ = false;
  std::atomic<std::shared_ptr<const KeySet>> keys_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<const KeySet>> before_;
};

/// The turn of whoever changes the keyring, where it was free; given back when this ends.
class KeyringTurn {
 public:
  explicit KeyringTurn(HeldKeys& held) : held_(held.begin_change() ? &held : nullptr) {}
  ~KeyringTurn() {
    if (held_) held_->end_change();
  }
  KeyringTurn(const KeyringTurn&) = delete;
  KeyringTurn& operator=(const KeyringTurn&) = delete;
  explicit operator bool() const { return held_ != nullptr; }

 private:
  HeldKeys* held_;
};

}  // namespace holdfast::crypto
