// All facts of a PostgreSQL schema as a data file (sqlite/data_file.h), and back.
#pragma once

#include <filesystem>

#include "base/clock.h"
#include "db/database.h"

namespace holdfast::db::postgres {

/// One repeatable-read snapshot of every table, into a new file. Blocking.
Result<void> copy_out(const PostgresOptions& options, const std::filesystem::path& file,
                      const Clock& clock);
/// Into a schema without migrations: makes its tables, fills them with COPY, checks foreign keys,
/// and commits once. Blocking.
Result<void> copy_in(const PostgresOptions& options, const std::filesystem::path& file,
                     const Clock& clock);

}  // namespace holdfast::db::postgres
