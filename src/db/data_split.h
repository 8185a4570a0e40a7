// A backup is two files for two places: the data without the keys of its customers, and the keys.
// Joined, any data file opens with the newest keys: who lives is there again, who was erased not.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "db/changes.h"
#include "db/rows.h"

namespace holdfast::db {

/// Small further parts of a keys file, by name.
using Parts = std::map<std::string, Bytes>;

/// Moves the rows of `tables` out of a data file (Database::copy_to) into a new file `keys`, beside
/// `parts`; nothing of them stays in the data file. Both are durable on return. Blocking; cost: the
/// data file is written once more. Errors: conflict (`keys` exists), unavailable (disk).
Result<void> split_data(const std::filesystem::path& data, const std::filesystem::path& keys,
                        std::span<const std::string_view> tables, const Parts& parts,
                        const Clock& clock);

/// What a select yields in a data file. Errors: not_found, corrupt, unavailable (also: the file has
/// no such table).
Result<Rows> read_data(const std::filesystem::path& data, const Sql& sql, const Clock& clock);

/// Runs a statement in a data file, once for each. Errors: as read_data.
Result<void> write_data(const std::filesystem::path& data, const Sql& sql,
                        const std::vector<Args>& rows, const Clock& clock);

/// The parts of a keys file. Errors: not_found, invalid (not a keys file, or damaged), unavailable.
Result<Parts> read_parts(const std::filesystem::path& keys, const Clock& clock);

/// The other way: puts the rows back into a data file, a copy of which is then loaded. Rows of
/// customers who are not in the data are put there too; they open nothing.
/// Errors: conflict (the data file has such rows), and those of read_parts.
Result<void> join_data(const std::filesystem::path& data, const std::filesystem::path& keys,
                       std::span<const std::string_view> tables, const Clock& clock);

}  // namespace holdfast::db
