// Migrations are numbered per room, checksummed and forward only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "db/changes.h"

namespace holdfast::db {

class Database;
class Reader;

struct Migration {
  std::string_view room;
  int number;
  std::string_view name;
  std::string_view text;  // both databases; column types are written {{int}}, {{text}}, ...
};

/// Everything under src/*/migrations, sorted by room and number.
std::span<const Migration> embedded_migrations();

/// What this database still lacks: db first, then journal, then the others by name.
/// Errors: conflict when an applied migration's text was edited, or the database has one that
/// this program does not know (a newer release).
Task<Result<std::vector<Migration>>> pending_migrations(Reader& reader,
                                                        std::span<const Migration> known);

/// The script and the row in schema_migrations that says it was applied.
Changes apply(const Migration& migration, std::int64_t now_ms);

}  // namespace holdfast::db
