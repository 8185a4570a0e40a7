// Journal time: what irreversible work follows instead of one reading of a clock. It advances at
// most as fast as uptime that was measured on the monotonic clock, plus gaps that the owner
// confirmed; so a clock that is set forward ten years destroys nothing, and neither does one that
// is set back.
//
// It is written down each hour and at stop. After a start on the same boot of the machine the time
// between is measured, too. After another boot it is a gap: taken by itself while the allowance
// lasts (7 days, refilled by measured uptime) and the log goes on where its witness left it; else
// it stays open, nothing is destroyed that became due in it, and `retention confirm-time` closes
// it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/caller.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "crypto/key_set.h"
#include "journal/journal.h"

namespace holdfast::journal {

/// What gaps may count by themselves before the owner is asked.
inline constexpr Millis kTimeAllowance{7LL * 86'400'000};
/// How far the wall clock may lie behind journal time before it must have been set back.
inline constexpr Millis kClockBehind{3'600'000};
/// How far this node's clock may lie from the database server's.
inline constexpr Millis kDatabaseDrift{2'000};

struct TimeStatus {
  Time time{};      // journal time
  Time wall{};      // the clock of this node
  Millis behind{};  // what journal time lacks of the wall clock; negative: the clock was set back
  Millis allowance{};  // what gaps may still count by themselves
  std::int64_t confirmations = 0;
  std::optional<Millis> database;  // this node's clock minus the database server's
  std::optional<Error> refused;    // why irreversible work stands still; nothing when it goes on
};

/// The start of this machine, from /proc/sys/kernel/random/boot_id; empty where there is none.
std::string boot_id();

/// Threads: safe. Lifetime: everything in Deps outlives it.
class JournalTime {
 public:
  /// The database server's clock; nothing where the database has none of its own (SQLite).
  using DatabaseTime = std::function<Task<Result<std::optional<Time>>>(MonoTime deadline)>;
  struct Deps {
    Journal& journal;
    const crypto::HeldKeys& keys;
    const Clock& clock;
    DatabaseTime database{};
  };
  struct Options {
    /// The log goes on where its witness left it: no restore, no roll-back, no missing witness.
    bool continued = true;
    std::string boot = boot_id();
  };

  JournalTime(Deps deps, Options options) : deps_(std::move(deps)), options_(std::move(options)) {}

  /// Reads what was written down, adds what was measured or allowed, and writes it down again.
  /// Errors: locked, unavailable. A row that Holdfast did not write is no error here: now() then
  /// refuses until the owner confirms the time.
  Task<Result<void>> open();

  /// The time that irreversible work follows; never later than the wall clock. One look at the
  /// clock, no I/O. Errors, each with what to do: locked, corrupt (the row was written past
  /// Holdfast), unavailable (not open yet; the clock was set back; this node's clock lies more than
  /// 2 s from the database's, or could not be compared for five minutes).
  Result<Time> now() const;
  TimeStatus status() const;

  /// The owner looked at a clock of their own and says what time it is: closes the gap. Journal
  /// time becomes the wall clock, backwards too, and the allowance is whole again. Recorded.
  /// Errors: invalid (`said` is not within five minutes of the wall clock), locked, unavailable,
  /// conflict (another node wrote it down meanwhile: repeat).
  Task<Result<TimeStatus>> confirm(Caller caller, Time said);

  /// Compares with the database's clock; each hour writes journal time down, and takes over what
  /// another node's owner confirmed. To be called each minute.
  Task<Result<void>> tick();
  /// Writes it down now.
  Task<Result<void>> save();

  static std::span<const db::Sql* const> statements();

 private:
  struct Kept {
    std::int64_t version = 0, time_ms = 0, mono_ms = 0;
    std::string boot;
    std::int64_t allowance_ms = 0, confirmations = 0;
  };

  Task<Result<std::optional<Kept>>> read(const crypto::KeySet& keys);
  Task<Result<Time>> first_time();
  Task<Result<void>> write(Caller caller, Kept next, std::string_view activity, Time from);
  Task<Result<void>> compare();
  static Bytes mac(const crypto::KeySet& keys, std::uint32_t key, const Kept& kept);
  Kept measured() const;  // under mutex_
  Time reached() const;   // under mutex_
  Result<Time> now_locked() const;

  Deps deps_;
  Options options_;

  mutable std::mutex mutex_;  // guards what follows
  bool open_ = false;
  std::optional<Error> fault_;
  Kept kept_;    // as it was last written down or read
  Time base_{};  // journal time at base_mono_
  MonoTime base_mono_{}, saved_mono_{};
  std::optional<MonoTime> compared_;
  std::optional<Millis> drift_;
};

/// What keep_time() works on; all of it must outlive the task.
struct KeepTimeDeps {
  JournalTime& time;
  const std::atomic<bool>& stop;
  /// Called when a step fails and again when one that had failed succeeds (nullptr).
  std::function<void(const Error*)> tell;
};
/// Ticks each minute until `stop`, then writes journal time down. Ends within 100 ms of `stop`.
Task<void> keep_time(KeepTimeDeps deps);

}  // namespace holdfast::journal
