// `journal verify --state`: the rows of the database against what the events left behind. An older
// row put back, a row changed, added or removed without an event are found and named.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "journal/check.h"
#include "journal/log.h"

namespace holdfast::journal {

/// What a room tells of its rows: every row that its events leave digests of, with the digest as
/// it is now. Rows may be told in any order and from several sources; a row that is told more than
/// once, as under each digest key while it is rotated, must fit once.
/// The activity of events that give rows new digests without changing them, after a rotation of the
/// digest key. Their fact `as_of` is the size that the log had before the rows were read.
inline constexpr std::string_view kRestate = "keys.restate";

struct StateSource {
  using Report =
      std::function<void(std::string_view kind, BytesView row, const crypto::Digest& now)>;
  virtual ~StateSource() = default;
  /// Calls `report` on the calling thread, in slices.
  virtual Task<Result<void>> rows(Report report) = 0;
  /// The same with the digests that `keys` make: for a rotation of the digest key.
  virtual Task<Result<void>> rows_under(std::shared_ptr<const crypto::KeySet> keys,
                                        Report report) = 0;
  /// Rows that hold what does not open, although they may be as their last event left them: the
  /// keys that events leave no digests of are gone, or others' stand in their place.
  using Closed = std::function<void(std::string_view kind, BytesView row)>;
  virtual Task<Result<void>> closed(Closed /*report*/) { co_return Result<void>(); }
};

struct StateRow {
  std::string kind;
  Bytes row;
  std::int64_t seq = -1;  // the event that touched it last; -1 without
};

/// The row as commands name it: an id such as `rec_...`, or its name; base64url of what is neither.
std::string name_of(const StateRow& row);

/// Counts, and the first hundred of each.
struct StateReport {
  std::int64_t rows = 0;    // looked at
  std::int64_t moving = 0;  // left out: events touched them while the check ran
  std::int64_t changed_total = 0, unrecorded_total = 0, missing_total = 0, closed_total = 0;
  std::vector<StateRow> changed;     // not as the last event left it
  std::vector<StateRow> unrecorded;  // no event made it, or an event removed it
  std::vector<StateRow> missing;     // an event left it, and it is gone
  std::vector<StateRow> closed;      // what it holds does not open

  bool good() const { return changed_total + unrecorded_total + missing_total + closed_total == 0; }
};

/// Compares, while the server goes on: rows that are touched meanwhile are left out.
/// Memory: about 110 bytes for each row that an event ever left. Log and sources must outlive it.
/// Errors: corrupt (an entry cannot be read), and those of the sources.
Task<Result<StateReport>> check_state(Log& log, std::vector<StateSource*> sources,
                                      Progress progress = {});

}  // namespace holdfast::journal
