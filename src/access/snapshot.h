// All keys and roles of one policy generation, compiled. Immutable but for last uses; shared by
// all cores; replaced as a whole.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "access/authority.h"
#include "access/network.h"
#include "access/policy.h"

namespace holdfast::access {

/// When a key's use was last written down. Lives across snapshots. Threads: safe.
class LastUse {
 public:
  /// True for one caller in each minute.
  bool due(Time now) {
    auto before = at_ms_.load(std::memory_order_relaxed);
    const auto ms = to_ms(now);
    if (ms >= before && ms - before < 60'000) return false;
    return at_ms_.compare_exchange_strong(before, ms, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> at_ms_ = 0;
};

struct Principal {
  ApiKey key;
  crypto::Digest digest{};
  std::string request;  // fingerprint of the idempotency key that made it; empty without
  /// The key that it was rotated from first, or itself: what budgets are counted on, so that a
  /// rotation does not fill them.
  std::string account;
  std::vector<Network> networks;
  std::shared_ptr<const Rights> rights;  // shared by keys of the same roles, and with Callers
  std::shared_ptr<LastUse> last_use;     // shared with the snapshots before and after

  /// Whether it may come from this address (an unreadable one is nowhere).
  bool reachable_from(std::string_view address) const;
};

struct Snapshot {
  std::uint64_t generation = 0;
  Authority authority;
  ByName<Principal> keys;  // by id, without `key_`
  ByName<Role> own_roles;

  const Principal* find_id(std::string_view id) const;
  /// By `key_...`.
  const Principal* find(std::string_view principal) const;
  /// Own or built in. An own role that is older than a built-in one of the same name (of a later
  /// release) stands, so that an upgrade gives nobody more.
  const Role* role(std::string_view name) const;
  /// What a key's roles give. Those that do not exist (any more) give nothing, and suspended ones
  /// only where `in_full` asks what the key gets when they are put again.
  std::shared_ptr<const Rights> compile(const ApiKey& key, bool in_full = false) const;
};

/// Rows that authenticate but cannot be read (of a newer release) become findings, `unreadable`.
/// Cost: with check(), about 5 µs a key. `before` (may be null) hands on last uses.
std::shared_ptr<const Snapshot> make_snapshot(std::uint64_t generation, Authority authority,
                                              const Snapshot* before);

/// The content of a key's row: what make_snapshot reads.
std::string stored_text(const ApiKey& key, const crypto::Digest& digest, std::string request);

}  // namespace holdfast::access
