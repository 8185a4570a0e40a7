// The thread that writes to one SQLite file. What waits together becomes one transaction with one
// sync of the disk (group commit), in which each request stands or falls alone.
#pragma once

#include <atomic>
#include <condition_variable>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "db/answer.h"
#include "db/database.h"
#include "db/demand.h"
#include "db/sqlite/connection.h"
#include "db/sqlite/reserve.h"

namespace holdfast::db::sqlite {

/// Threads: every public function may be called from any thread.
class Committer {
 public:
  using Job = std::function<Result<void>(Connection&)>;

  /// `clock` must outlive it. `watched` is called when somebody begins to wait under a deadline.
  /// Without a reserve (nullptr) all commits fail alike on a full disk.
  Committer(std::unique_ptr<Connection> connection, const Clock& clock,
            std::function<void()> watched, std::unique_ptr<Reserve> reserve);
  ~Committer() { close(); }

  void submit(Changes changes, MonoTime deadline, Waiter<Committed> waiter);
  /// Runs a job alone on the thread's connection, outside of any transaction. Blocks.
  Result<void> run_alone(Job job);

  Load load() const { return demand_.load(); }
  Health health() const;
  /// The disk ran full: what is left is the reserve, and nothing may grow.
  bool low_on_space() const { return reserve_ && reserve_->given(); }
  /// Frees what is kept back; true when there was any.
  bool give_reserve() { return reserve_ && reserve_->give(); }
  /// Answers those whose deadline passed; true while others wait under one.
  bool answer_late();
  /// Finishes what was accepted, empties the log into the file and stops. Idempotent.
  void close();

 private:
  /// Under mutex_. Whether a commit that is not in the background waits or is on its way.
  bool others_wait() const;
  struct Request {
    Changes changes;
    MonoTime deadline = MonoTime::max();
    std::optional<Waiter<Committed>> waiter;
    Job job{};
  };
  using Group = std::span<const std::unique_ptr<Request>>;
  using Outcomes = std::span<std::optional<Result<Committed>>>;

  /// How a try to commit a group ended: `redo` wants another try, with a savepoint for each;
  /// `split` each alone.
  enum class Tried { done, redo, split };
  /// What one statement did: its rows or its Error, and whether anything has to be undone.
  struct Applied {
    Result<Rows> rows;
    bool changed = false;
  };
  /// Why the whole group cannot go on; without a fault it wants to be done again.
  struct Stop {
    std::optional<Fault> fault;
  };

  void serve();
  void take_group(Mail& mail);
  void run_group();
  void commit(Group group, Outcomes outcomes);
  Tried try_commit(Group group, Outcomes outcomes, bool savepoints);
  std::expected<Result<Committed>, Stop> apply(const Changes& changes, bool savepoint);
  std::expected<Applied, Fault> apply_write(const Write& write);
  std::expected<Applied, Fault> failed(const Write& write, Fault fault, bool changed);
  Tried fail(Outcomes outcomes, Fault fault);
  void keep_log_short();
  void rest();

  std::unique_ptr<Connection> connection_;
  const Clock& clock_;
  Demand demand_;
  std::function<void()> watched_;
  std::unique_ptr<Reserve> reserve_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Request>> queue_;    // guarded by mutex_
  std::vector<std::unique_ptr<Request>> running_;  // waiters guarded by mutex_, changed by thread_
  bool closing_ = false;

  std::atomic<int> fault_;  // a Fault, or kHealthy
  int checkpoint_at_;       // pages in the log
  std::thread thread_;      // last: it uses all of the above
};

}  // namespace holdfast::db::sqlite
