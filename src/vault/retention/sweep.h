// The sweep: values whose keep time has ended go for good, with their index terms and tokens, and
// records that are left empty go as a whole. It follows journal time, not the clock.
//
// There is no cursor to lose: a pass asks what is due and removes it, batch by batch, each with
// its event in one commit. One that was interrupted, by a crash or a lock, is simply the next one.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "journal/journal_time.h"
#include "vault/context.h"
#include "vault/retention/holds.h"

namespace holdfast::vault {

/// What one pass took away.
struct Swept {
  std::int64_t records = 0;  // that were left empty
  std::int64_t values = 0;
  std::int64_t tokens = 0;
  std::int64_t held = 0;     // values that are due and under a legal hold
  std::int64_t lifted = 0;   // holds whose time ended
  std::int64_t damaged = 0;  // records that cannot be read: `journal verify --state` names them
  std::int64_t others = 0;   // rows of other kinds: answers, sealed addresses
};

struct SweepStatus {
  bool running = false;
  std::optional<Time> started, finished;  // of the last pass, by the clock
  Swept last;
  std::optional<Error> stopped;  // why the last pass did not get to its end
};

struct SweepOptions {
  Millis each{3'600'000};  // from the end of one pass to the next
  /// Records in one commit: while others commit, and while nobody does. The first keeps the writer
  /// for less than 5 ms.
  std::size_t contended = 100, alone = 2'000;
  std::int64_t page = 250;  // records read at a time
};

class Sweep {
 public:
  struct Deps {
    Context context;
    journal::JournalTime& time;
    LegalHolds& holds;
    Closings& closings;
    std::vector<Remains*> remains;
  };
  explicit Sweep(Deps deps, SweepOptions options = {})
      : deps_(std::move(deps)), options_(options) {}

  /// One pass over everything. Ends early, without error, when `stop` is set.
  /// Cost: about 5 µs for each record old enough to have a value that is due, 50 µs for one that
  /// has. Errors: locked, unavailable, corrupt (journal time, a declaration or a hold was written
  /// past Holdfast): nothing more is destroyed.
  Task<Result<Swept>> pass(const std::atomic<bool>& stop);

  /// Passes until `stop`, one `each`. `tell` hears of a pass that failed, and of the first that
  /// went well again (nullptr). Ends within 200 ms of `stop`.
  Task<void> run(const std::atomic<bool>& stop, std::function<void(const Error*)> tell);

  /// Threads: any.
  SweepStatus status() const;

 private:
  struct Due;
  struct Pass;

  Task<Result<void>> lift_ended(Pass& pass);
  Task<Result<void>> collection(Pass& pass, std::uint32_t id);
  Task<Result<std::vector<Due>>> due(Pass& pass, const Collection& collection,
                                     std::vector<Record> records);
  Task<Result<void>> flush(Pass& pass, std::uint32_t id, std::vector<Due> due);
  Task<Result<std::vector<Due>>> judge_again(Pass& pass, std::uint32_t id,
                                             std::vector<RecordId> left);
  Task<Result<void>> remove(Pass& pass, std::vector<Due>& due);
  Task<Result<void>> remains(Pass& pass);

  Deps deps_;
  SweepOptions options_;
  mutable std::mutex mutex_;  // guards the status
  SweepStatus status_;
};

/// Answers kept for repeated requests, past their day.
class OldAnswers final : public Remains {
 public:
  explicit OldAnswers(journal::Journal& journal) : journal_(journal) {}
  std::string_view what() const override { return "answers"; }
  Task<Result<std::int64_t>> forget(Time now, std::int64_t most) override;

 private:
  journal::Journal& journal_;
};

/// Addresses, user agents and notes sealed beside the journal, past their keep time.
class OldSides final : public Remains {
 public:
  explicit OldSides(journal::Journal& journal) : journal_(journal) {}
  std::string_view what() const override { return "sides"; }
  Task<Result<std::int64_t>> forget(Time now, std::int64_t most) override;

 private:
  journal::Journal& journal_;
};

std::span<const db::Sql* const> sweep_statements();

}  // namespace holdfast::vault
