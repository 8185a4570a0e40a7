// Who wants to write: so that bulk work knows when to keep its batches small.
#pragma once

#include <atomic>

#include "base/clock.h"
#include "db/changes.h"
#include "db/database.h"

namespace holdfast::db {

std::size_t rows_in(const Changes& changes);

/// Threads: safe.
class Demand {
 public:
  explicit Demand(const Clock& clock) : clock_(clock) {}

  /// A commit was handed over, while others waited or not: those in the background are none. Bulk
  /// work that hands over one batch after another is alone; anything else is somebody else.
  void note(const Changes& changes, bool others_wait);
  /// Within the last second.
  Load load() const;

 private:
  bool lately(const std::atomic<MonoTime>& at) const;

  const Clock& clock_;
  std::atomic<MonoTime> others_at_{MonoTime::min()};
  std::atomic<MonoTime> bulk_at_{MonoTime::min()};
};

}  // namespace holdfast::db
