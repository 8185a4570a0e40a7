// Deeds that a restore must not undo: noted in the afterlog, then done.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "journal/journal.h"
#include "journal/outside.h"

namespace holdfast::journal {

/// A line whose deed was refused by the database: as if it had not been written. The id is its kind
/// and its id, as parts.
inline constexpr std::string_view kTakenBack = "line.taken_back";

/// What Journal::afterlog keeps of a deed. `kind` is a literal.
struct Line {
  std::string_view kind;
  Bytes id;
};

/// Notes the line outside the database, then commits. When the commit was surely not made, the line
/// is taken back; when nobody knows (unavailable, internal) it stays, and the next start does the
/// deed if the database lacks it. Cost: an fsync for a line, then Journal::commit.
/// Errors: those of Journal::commit and Journal::afterlog.
Task<Result<Written>> commit_noted(Journal& journal, std::optional<Line> line, Caller caller,
                                   db::Changes changes, Event event);

/// For a deed that surely was not done, and will not be. Errors: those of Journal::afterlog.
Task<Result<void>> take_back(Journal& journal, Line line);

/// The lines that count: without those that were taken back, and what took them back.
std::vector<AfterlogEntry> without_taken_back(std::vector<AfterlogEntry> entries);

}  // namespace holdfast::journal
