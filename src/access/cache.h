// The policy as each core sees it. A check costs two atomic reads; the database is asked at most
// twice a second and core, and at once after a change that this process made.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>

#include "access/ports.h"
#include "access/snapshot.h"
#include "base/task.h"
#include "journal/journal.h"

namespace holdfast::access {

/// Threads: safe; each thread has a slot of its own.
class Cache {
 public:
  /// How old an answer of the database may be: with the read itself under the second within which
  /// a change must reach every node.
  static constexpr Millis kAskEvery{500};
  /// Without contact to the database for so long, nobody is let in any more.
  static constexpr Millis kTrustFor{5'000};

  struct Deps {
    journal::Journal& journal;
    const crypto::HeldKeys& keys;
    const Clock& clock;
    Notices& notices;
    std::int64_t policy_known = 0;  // a manifest of an older version gives nothing
  };

  explicit Cache(Deps deps);

  /// This core's snapshot while it is fresh, else nullptr: then refresh(). No lock, no wait.
  std::shared_ptr<const Snapshot> here() const;
  /// Asks for the generation and loads what is newer.
  /// Errors: locked, unavailable. While the database is away the old snapshot serves for a while,
  /// unless this process has changed the policy since.
  Task<Result<std::shared_ptr<const Snapshot>>> refresh(MonoTime deadline);
  Task<Result<std::shared_ptr<const Snapshot>>> current(MonoTime deadline);

  /// The policy was changed by this process: call it after the commit and before the reply.
  void changed() { epoch_.fetch_add(1, std::memory_order_acq_rel); }
  /// A manifest of this version is in the database: an older one is no longer taken for it.
  void saw(std::int64_t version);
  /// Reads and checks every row again although no generation says so: what somebody wrote into the
  /// database directly comes to light.
  Task<Result<void>> inspect(MonoTime deadline);

  std::uint64_t findings() const { return found_.load(std::memory_order_relaxed); }

 private:
  struct Slot;
  Slot& slot() const;
  std::shared_ptr<const Snapshot> shared() const;
  Task<Result<std::shared_ptr<const Snapshot>>> load(std::uint64_t generation, MonoTime deadline);
  Task<void> report(std::shared_ptr<const Snapshot> snapshot);

  const Deps deps_;
  const std::uint64_t instance_;  // random: tells this cache's slots from those of another
  std::atomic<std::uint64_t> epoch_ = 1;
  std::atomic<std::int64_t> highest_;  // manifest version
  std::atomic<std::uint64_t> found_ = 0;
  mutable std::mutex mutex_;
  std::shared_ptr<const Snapshot> shared_;  // shared: the cores' slots and requests hold it too
  std::set<Finding> reported_;
};

}  // namespace holdfast::access
