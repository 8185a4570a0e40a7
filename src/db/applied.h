// The table of applied migrations, which each database makes when it is opened.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "db/migrations.h"
#include "db/rows.h"

namespace holdfast::db {

inline constexpr std::string_view kMigrationsTable =
    "create table if not exists schema_migrations (\n"
    "  room {{text}} not null,\n"
    "  number {{int}} not null,\n"
    "  name {{text}} not null,\n"
    "  checksum {{bytes}} not null,\n"
    "  applied_at_ms {{int}} not null,\n"
    "  primary key (room, number)\n"
    ") {{strict}}";

inline constexpr Sql kAppliedMigrations{"db.applied_migrations",
                                        "select room, number, name, checksum from "
                                        "schema_migrations order by applied_at_ms, room, number"};

/// pending_migrations() for rows that were read already.
Result<std::vector<Migration>> still_pending(const Rows& applied, std::span<const Migration> known);

}  // namespace holdfast::db
