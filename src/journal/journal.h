// The journal is the only holder of the handle that can write to the database. Nothing changes,
// and nothing sealed is opened, without an entry in the same atomic commit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "crypto/keyring.h"
#include "db/database.h"
#include "journal/event.h"

namespace holdfast::journal {

/// What `returning` statements yielded beside the receipt.
struct Written {
  Receipt receipt;
  db::Committed committed;
};

class Journal {
 public:
  virtual ~Journal() = default;

  /// Makes changes and event durable in one unit, or neither. Also guards that the policy
  /// generation is still `caller.generation` (0 = not decided under a policy).
  ///
  /// Cost: one share of a group commit (one fdatasync). Threads: any io_context thread.
  /// Errors: the failed statement's own Error; stale (policy changed: decide again);
  /// unavailable (disk, database, deadline).
  virtual Task<Result<Written>> commit(const Caller& caller, db::Changes changes, Event event) = 0;

  /// Reads see what was committed before they began.
  virtual db::Reader& reader() = 0;
  virtual db::Scratch& scratch() = 0;
  /// Who writes now: see db::Writer. What is committed for the server itself is in the background.
  virtual db::Load load() const = 0;
  /// Whether work in the background should keep its batches small now.
  bool busy() const { return load() != db::Load::none; }

  /// Adds to `changes` the statement that makes every node decide anew: for policy changes.
  static void bump_generation(db::Changes& changes);
  /// The policy generation as of now.
  virtual Task<Result<std::uint64_t>> generation(MonoTime deadline) = 0;

  /// Ids of erasures and revocations, durable outside the database before this returns, so that a
  /// restore cannot bring them back. Call it before the commit that does the deed.
  virtual Task<Result<void>> afterlog(std::string_view kind, Bytes id) = 0;
};

}  // namespace holdfast::journal
