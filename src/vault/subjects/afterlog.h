// The lines that customers' rights leave outside the database, so that a restore cannot undo them.
// Pure. Their bytes come back from a file: each reader refuses what its writer would not write.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vault/standing.h"

namespace holdfast::vault {

inline constexpr std::string_view kErased = "subject.groups_erased";
/// As development builds wrote it, with the version or without. Without it is read as of version 0,
/// which every row has behind it; so of these an older database has done again what took the whole
/// customer.
inline constexpr std::string_view kErasedBefore0_1 = "subject.erased";
inline constexpr std::string_view kMerged = "subject.merged";
inline constexpr std::string_view kStandingDecided = "subject.standing";

/// An older database came into use, that of a backup or of an accepted roll-back: the lines before
/// this one were done again in it. Without an id.
inline constexpr std::string_view kOlderDatabase = "database.older";

/// Activities of the deed, and of the same done again out of the afterlog.
inline constexpr std::string_view kErase = "subjects.erase", kEraseAgain = "subjects.erase_again";
inline constexpr std::string_view kMerge = "subjects.merge", kMergeAgain = "subjects.merge_again";
inline constexpr std::string_view kDecideAgain = "subjects.decide_again";

/// The id, the version of the row that the erasure leaves, and the groups: a row of that version or
/// a later one has it behind it, and what is in these groups by then came afterwards. Versions that
/// lines name begin anew, far higher, with each older database that came into use: so a row of
/// before has never one of these behind it.
struct ErasedLine {
  SubjectId subject;
  std::int64_t version = 0;
  std::vector<std::string> groups;
};
inline constexpr int kVersionBitsOfOneDatabase = 32;
Bytes erased_line(const ErasedLine& line);
std::optional<ErasedLine> read_erased_line(BytesView bytes);
std::optional<ErasedLine> read_erased_before_0_1(BytesView bytes);

/// The two ids.
struct MergedLine {
  SubjectId from, into;
};
Bytes merged_line(SubjectId from, SubjectId into);
std::optional<MergedLine> read_merged_line(BytesView bytes);

/// The id, the version of the row that has the standing, and the standing.
struct StandingLine {
  SubjectId subject;
  std::int64_t version = 0;
  Standing standing;
};
Bytes standing_line(const Subject& subject);
std::optional<StandingLine> read_standing_line(BytesView bytes);

}  // namespace holdfast::vault
