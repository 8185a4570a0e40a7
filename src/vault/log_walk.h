// Walks the journal's entries between two times, in slices, for reports.
#pragma once

#include <functional>
#include <optional>

#include "journal/log.h"
#include "journal/scan.h"

namespace holdfast::vault {

/// The number of the first entry that is not before `at`, by bisection. The clock may have been set
/// by up to a day between entries: walk from a day earlier where that matters.
/// Errors: corrupt, unavailable.
Task<Result<std::int64_t>> first_entry_at(journal::Log& log, Time at);

/// False ends the walk.
using EntrySeen = std::function<Result<bool>(const journal::Stored&, const journal::EntryView&)>;

/// Calls `seen` for each entry from number `from` on whose time lies in [since, until), and gives
/// the number behind the last entry looked at. Entries are those of the database; `journal verify`
/// says whether they are the ones in the tree.
/// Cost: about 2 µs an entry, in slices. Errors: corrupt, unavailable (deadline), those of `seen`.
Task<Result<std::int64_t>> walk_entries(journal::Log& log, std::int64_t from, Time since,
                                        Time until, MonoTime deadline, const Clock& clock,
                                        EntrySeen seen);

}  // namespace holdfast::vault
