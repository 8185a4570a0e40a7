// Read-only connections to one SQLite file, one per thread that reads.
#pragma once

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "db/sqlite/connection.h"

namespace holdfast::db::sqlite {

/// Reads run inline, so that a thread uses one connection at a time and no thread waits for
/// another: the lock is held for the look into a short list. A thread gets the connection that it
/// had before, whose statements and pages are warm.
class ReaderPool {
 public:
  /// Opens `count` connections now and further ones when more threads read. All must outlive it.
  static Result<std::unique_ptr<ReaderPool>> open(Connection::Options options, std::size_t count,
                                                  const Clock& clock, const BugSink& bugs);

  Result<Rows> read(const Sql& sql, const Args& args, MonoTime deadline);
  /// Runs `work` on a connection, for more than a statement.
  Result<void> with(const std::function<Result<void>(Connection&)>& work);

 private:
  struct Slot {
    std::unique_ptr<Connection> connection;
    std::thread::id owner;
    bool busy = false;
  };
  /// Gives the slot back at the end of its life.
  class Lease;

  ReaderPool(Connection::Options options, const Clock& clock, const BugSink& bugs)
      : options_(std::move(options)), clock_(clock), bugs_(bugs) {}
  Result<Slot*> take();

  Connection::Options options_;
  const Clock& clock_;
  const BugSink& bugs_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Slot>> slots_;  // guarded by mutex_; a busy slot by its thread
};

}  // namespace holdfast::db::sqlite
