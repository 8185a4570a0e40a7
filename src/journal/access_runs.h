// Sorted runs of access rows in scratch, in chunks of some thousand rows, and the state that says
// which runs there are. A run is never changed: some of one tier are merged into one of the next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "crypto/hash.h"
#include "db/database.h"
#include "journal/access_rows.h"

namespace holdfast::journal {

/// One run of each kind over the entries [from, to).
struct Run {
  std::int64_t id;
  std::int64_t tier;
  std::int64_t from, to;
  std::int64_t chunks = 0;  // of one that was just merged
};

/// What scratch knows.
struct RunState {
  std::string origin;        // of the log that the rows are from
  std::int64_t cursor = 0;   // the next entry to follow
  Bytes last;                // hash of the entry before it, empty at 0
  std::int64_t version = 0;  // raised by every change
  std::int64_t merges = 0;   // raised when runs went away
  std::vector<Run> runs;     // oldest entries first
};

/// Threads: safe; changes are compared and swapped on the version.
class RunStore {
 public:
  RunStore(db::Scratch& scratch, std::size_t chunk_rows)
      : scratch_(scratch), chunk_rows_(chunk_rows) {}

  /// Makes the tables when they are missing.
  Task<Result<RunState>> open();
  /// Removes what a crash left half merged: at start, before anything merges.
  Task<Result<void>> clean();
  /// Forgets everything.
  Task<Result<RunState>> reset(RunState now, std::string origin);
  /// `state` with one more run over [state.cursor, to); rows as AccessRows sorts them. Without
  /// rows only the cursor moves. Errors: conflict when somebody else changed the state.
  Task<Result<RunState>> add(RunState state, Bytes subjects, Bytes actors, std::int64_t to,
                             Bytes last);
  /// The oldest `fan_in` runs of a tier that has so many; empty when none has.
  static std::vector<Run> due(const RunState& state, std::size_t fan_in);
  /// Writes the run that takes the place of these, beside them. Long, in slices; flat memory.
  Task<Result<Run>> merged(std::vector<Run> inputs);
  /// Puts it in their place, atomically. Errors: conflict, as add.
  Task<Result<RunState>> replace(RunState state, std::vector<Run> inputs, Run made);
  /// Removes the rows of a run that is in no state, in bounded commits.
  Task<Result<void>> drop(std::int64_t run);
  /// How often runs have gone away: an answer that was put together while this changed may lack
  /// rows.
  Task<Result<std::int64_t>> merges();

  /// The chunk in which a row of this key lies or would lie; empty when that is before the first.
  Task<Result<Bytes>> chunk_with(RowKind kind, std::int64_t run, Bytes key);
  /// The last chunk that begins before the key.
  Task<Result<Bytes>> chunk_before(RowKind kind, std::int64_t run, Bytes key);
  /// The first chunk that begins after the key.
  Task<Result<Bytes>> chunk_after(RowKind kind, std::int64_t run, Bytes key);

 private:
  friend class RunWriter;

  Task<Result<Bytes>> chunk(const db::Sql& sql, RowKind kind, std::int64_t run, Bytes key);
  Task<Result<std::int64_t>> merge_kind(RowKind kind, std::vector<Run> inputs, std::int64_t into);
  Task<Result<std::int64_t>> next_id();

  db::Scratch& scratch_;
  std::size_t chunk_rows_;
};

/// Reads the rows of one run in order.
class RunReader {
 public:
  RunReader(RunStore& store, RowKind kind, std::int64_t run)
      : store_(&store), kind_(kind), run_(run) {}

  /// To the first row whose key is not less.
  Task<Result<void>> seek(Bytes key);
  /// The row, or empty at the end. Valid until next() or load().
  BytesView row() const {
    return at_ < chunk_.size() ? BytesView(chunk_).subspan(at_, row_bytes(kind_)) : BytesView();
  }
  /// To the next row of the chunk. False when the chunk is used up: load() then goes on.
  bool next() {
    at_ += row_bytes(kind_);
    return at_ < chunk_.size();
  }
  Task<Result<void>> load();

 private:
  RunStore* store_;
  RowKind kind_;
  std::int64_t run_;
  Bytes chunk_;
  std::size_t at_ = 0;
};

/// Where in a chunk the first row stands whose key is not less: an offset in bytes.
std::size_t lower_bound(RowKind kind, BytesView chunk, BytesView key);

}  // namespace holdfast::journal
