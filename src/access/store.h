// What is remembered: authority rows in the database, when a key was last used in scratch.
// One SQL text for both databases.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "access/authority.h"
#include "access/policy.h"
#include "base/task.h"
#include "db/database.h"

namespace holdfast::access {

/// Every statement of this room, for the test that prepares them on both databases.
std::span<const db::Sql* const> statements();
/// Those on scratch; prepare_scratch() first.
std::span<const db::Sql* const> scratch_statements();

/// All authority rows, in one statement, so that they are of one moment.
Task<Result<std::vector<Row>>> read_authority(db::Reader& reader, MonoTime deadline);

/// The writes of an edit, guarded by the manifest's version and followed by a new policy
/// generation. Error: stale when somebody else changed any authority row meanwhile.
/// `force` overwrites a manifest that is lost or damaged.
db::Changes changes_of(Edit::Done& edit, bool force = false);

/// Makes the scratch table where it is missing.
Task<Result<void>> prepare_scratch(db::Scratch& scratch);
Task<Result<void>> write_last_use(db::Scratch& scratch, std::string key, Time now);
/// By key; keys that were never used are absent.
Task<Result<ByName<Time>>> read_last_uses(db::Scratch& scratch, MonoTime deadline);

}  // namespace holdfast::access
