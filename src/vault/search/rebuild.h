// Indexes made, changed, resized and taken away while everything goes on.
//
// What an index should be is stated by its field, the active index key (KeyUse::index) and the
// calling code; Rebuild brings what is there in line with that. So a rotation of the index key
// (search/rotation.h) is: make a new key active, build until under_key(old) is 0, destroy the old
// one.
//
// A fresh index is declared first: from that commit on every writer writes it beside the old one,
// which goes on to answer. Then records are walked by id in batches, each one commit with its
// place, so that a kill at any moment costs one batch. At the end the fresh one answers and the old
// one's rows go, in batches too.
#pragma once

#include <atomic>
#include <functional>
#include <map>

#include "base/pool.h"
#include "vault/context.h"
#include "vault/search/compaction.h"
#include "vault/search/distribution.h"

namespace holdfast::vault {

/// Threads: any io_context thread; steps take turns. Lifetime: outlives its steps.
class Rebuild {
 public:
  Rebuild(Context context, Pool& pool)
      : context_(context), pool_(pool), compaction_(context, pool) {}

  /// One piece of what is to be done: at most 2,000 records, 150 while others commit. True when
  /// there is more. Several nodes may run it: each batch is written by one of them, the others hear
  /// conflict. Errors: conflict, stale (call it again), locked, corrupt, unavailable.
  Task<Result<bool>> step();
  /// Steps until there is nothing more to do: for tests and tools.
  Task<Result<void>> finish();
  /// Steps until stop(): at once while there is work, each second else. `tell` is called when a
  /// step fails, and with nullptr when one that had failed succeeds.
  Task<void> run(std::function<void(const Error*)> tell);
  void stop() { stopping_ = true; }

  /// Declares fresh indexes beside those of which parts are damaged: values that did not open when
  /// they were built, blocks that do not open. Errors: those of step().
  Task<Result<void>> renew_damaged();

  /// How many indexes have terms under this key, those that are about to go included.
  /// Errors: locked, unavailable.
  Task<Result<std::int64_t>> under_key(std::uint32_t key);

  /// For metrics: as of the last step that looked.
  std::int64_t building() const { return building_; }
  std::int64_t alarms() const { return alarms_; }
  /// Records that were looked at since the start, once for each index.
  std::int64_t looked() const { return looked_; }

 private:
  struct State {
    std::int64_t number, collection, field, done, total;
    Bytes after;
    Distribution found;
    std::int64_t damaged;
  };
  using States = std::map<std::int64_t, State>;

  Task<Result<bool>> step_in_turn();
  Task<Result<States>> states();
  Task<Result<bool>> settle(const Working& work);
  Task<Result<bool>> build(const Working& work, const Collection& collection, const Field& field,
                           const IndexInfo& index, const State& state);
  Task<Result<bool>> begin_build(const Working& work, const Collection& collection,
                                 const Field& field, const IndexInfo& index);
  Task<Result<bool>> end_build(const Working& work, const Collection& collection,
                               const Field& field, const IndexInfo& index, const State& state);
  Task<Result<bool>> drop(const Working& work, const State& state);
  Task<Result<bool>> check(const Working& work, const States& states);
  Task<Result<bool>> check_one(const Working& work, const Collection& collection,
                               const Field& field, const IndexInfo& index, std::int64_t records);
  Task<Result<void>> change(const Working& work, const Collection& old, Collection next,
                            db::Changes more, journal::Event event);
  void count(const Working& work, const States& states);

  Context context_;
  Pool& pool_;
  Compaction compaction_;
  Growth growth_;
  std::map<std::int64_t, std::int64_t> waits_;  // indexes with duplicates: steps until another look
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> busy_ = false;
  std::atomic<std::int64_t> building_ = 0, alarms_ = 0, looked_ = 0;
};

std::span<const db::Sql* const> rebuild_statements();

}  // namespace holdfast::vault
