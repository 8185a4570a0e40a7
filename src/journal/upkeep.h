// What goes on beside requests: the log is followed, and side rows past their keep time go.
#pragma once

#include <atomic>
#include <functional>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "journal/access_index.h"
#include "journal/log.h"

namespace holdfast::journal {

/// What follow() works on; all of it must outlive the task.
struct FollowDeps {
  Log& log;
  AccessIndex& index;
  const std::atomic<bool>& stop;
  /// Called when steps begin to fail, and with nullptr when none of a second's did any more.
  std::function<void(const Error*)> tell;
};

/// Sequences every 100 ms; each second also writes the witness and tends the index of accesses.
/// Failures are told and tried again. Ends within 100 ms of `stop`, with the witness written.
Task<void> follow(FollowDeps deps);

/// Side rows that one event removes at most.
inline constexpr std::int64_t kSweptSides = 5'000;
/// Removes at most `most` sealed addresses, user agents and notes whose keep time ended before
/// `now`, with one event. `now` must not be one reading of a clock that can jump: it cannot be
/// undone. Gives how many went. Errors: those of commit.
Task<Result<std::int64_t>> sweep_some_sides(Journal& journal, Time now, std::int64_t most);
/// The same until none is left.
Task<Result<std::int64_t>> sweep_sides(Journal& journal, Time now);

}  // namespace holdfast::journal
