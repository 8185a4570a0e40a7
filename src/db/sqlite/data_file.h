// A data file holds the facts of one database: a SQLite file with the schema that the migrations
// named in it make. Database::copy_to writes it on either database and load_from reads it, so that
// a copy of one goes into the other.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "db/sqlite/connection.h"

namespace holdfast::db::sqlite {

/// Marks a fresh file as ours and makes schema_migrations; fails on another program's file, or on
/// one with migrations that are not known or were edited.
Result<void> prepare_schema(Connection& connection, std::span<const Migration> known);

/// Makes the schema that `applied` names (rows as of kAppliedMigrations) in an empty file, and
/// opens it to be filled.
Result<std::unique_ptr<Connection>> open_new_data(const std::filesystem::path& file,
                                                  const Rows& applied,
                                                  std::span<const Migration> known,
                                                  const Clock& clock, const BugSink& bugs);

/// Opens a file that may come from anywhere, read-only. Checked: it is ours, each page and each
/// foreign key is sound, and its schema is exactly what its known migrations make.
/// Cost: reads all of it. Errors: corrupt, conflict (a newer release's), unavailable.
Result<std::unique_ptr<Connection>> open_data_file(const std::filesystem::path& file,
                                                   std::span<const Migration> known,
                                                   const Clock& clock, const BugSink& bugs);

/// Copies all pages of one snapshot of `from`; its writer is not held up meanwhile.
Result<void> copy_pages(Connection& from, Connection& to);

/// Leaves everything in the one file, without a log beside it.
Result<void> finish_data_file(Connection& connection);

/// The tables with data, in order of name, and their columns in order.
struct Table {
  std::string name;
  struct Column {
    std::string name;
    std::string type;  // INTEGER, TEXT or BLOB
  };
  std::vector<Column> columns;
};
Result<std::vector<Table>> tables_of(Connection& connection);

}  // namespace holdfast::db::sqlite
