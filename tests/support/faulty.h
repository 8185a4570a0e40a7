// A Writer that fails when a test says so.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "db/database.h"

namespace holdfast::test {

/// Decorates a Writer. Counted commits fail with unavailable, either before the hand-over (nothing
/// happened) or after it (it happened, but nobody was told). Threads: as the decorated Writer; the
/// switches may be set from any thread.
class FaultyWriter final : public db::Writer {
 public:
  struct Faults {
    std::atomic<int> fail_before = 0;  // so many of the next commits
    std::atomic<int> fail_after = 0;
    std::atomic<int> commits = 0;  // handed over so far
  };

  /// `faults` must outlive the writer.
  FaultyWriter(std::unique_ptr<db::Writer> real, Faults& faults)
      : real_(std::move(real)), faults_(faults) {}

  Task<Result<db::Committed>> commit(db::Changes changes,
                                     MonoTime deadline = MonoTime::max()) override {
    if (take(faults_.fail_before))
      co_return Error(Code::unavailable, "failed before the hand-over");
    ++faults_.commits;
    auto done = co_await real_->commit(std::move(changes), deadline);
    if (take(faults_.fail_after)) co_return Error(Code::unavailable, "failed after the hand-over");
    co_return done;
  }
  db::Load load() const override { return real_->load(); }

 private:
  static bool take(std::atomic<int>& left) {
    int now = left.load();
    while (now > 0)
      if (left.compare_exchange_weak(now, now - 1)) return true;
    return false;
  }

  std::unique_ptr<db::Writer> real_;
  Faults& faults_;
};

}  // namespace holdfast::test
