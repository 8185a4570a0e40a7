#include "db/sqlite/data_file.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "db/applied.h"
#include "db/sqlite/files.h"

namespace holdfast::db::sqlite {
namespace {

constexpr std::int64_t kApplicationId = 0x486f6c64;  // "Hold"
constexpr int kPagesPerStep = 1'024;

constexpr Sql kReadId{"db.application_id", "pragma application_id"};
constexpr Sql kCountObjects{"db.count_objects", "select count(*) from sqlite_master"};
constexpr Sql kSchema{"db.schema",
                      "select type, name, tbl_name, coalesce(sql, '') from sqlite_master "
                      "order by type, name"};
constexpr Sql kTables{"db.tables",
                      "select m.name, c.name, upper(c.type) from sqlite_master m, "
                      "pragma_table_info(m.name) c where m.type = 'table' "
                      "and m.name not like 'sqlite\\_%' escape '\\' order by m.name, c.cid"};
constexpr Sql kIntegrity{"db.integrity", "pragma integrity_check(1)"};
constexpr Sql kForeignKeys{"db.foreign_keys", "pragma foreign_key_check"};

Error not_ours() {
  return {Code::corrupt, "the file is not a Holdfast database"};
}
Error wrong_schema() {
  return {Code::corrupt, "the tables of the data file are not those that its migrations make"};
}

Result<Rows> read(Connection& connection, const Sql& sql) {
  auto ran = connection.run(sql, {});
  if (!ran) return error_of(ran.error());
  return std::move(ran->rows);
}

bool equal(const Rows& a, const Rows& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t column = 0; column < a.columns(); ++column)
      if (a[i].text(column) != b[i].text(column)) return false;
  return true;
}

/// Runs the scripts of the applied ones again, in their order.
Result<void> make_schema(Connection& connection, const Rows& applied,
                         std::span<const Migration> known) {
  for (std::size_t i = 0; i < applied.size(); ++i) {
    auto found = std::ranges::find_if(known, [&](const Migration& migration) {
      return migration.room == applied[i].text(0) && migration.number == applied[i].integer(1);
    });
    if (found == known.end()) return wrong_schema();
    if (auto done = connection.script(found->text); !done) return error_of(done.error());
  }
  return {};
}

Result<void> check_schema(Connection& connection, std::span<const Migration> known,
                          const Clock& clock, const BugSink& bugs) {
  auto applied = read(connection, kAppliedMigrations);
  if (!applied) return std::move(applied).error();
  if (auto pending = still_pending(*applied, known); !pending) return std::move(pending).error();

  auto reference = Connection::open({.file = ":memory:", .writes = true}, clock, bugs);
  if (!reference) return std::move(reference).error();
  if (auto made = (*reference)->script(kMigrationsTable); !made) return error_of(made.error());
  if (auto made = make_schema(**reference, *applied, known); !made) return made;
  auto expected = read(**reference, kSchema);
  auto found = read(connection, kSchema);
  if (!expected) return std::move(expected).error();
  if (!found) return std::move(found).error();
  if (!equal(*expected, *found)) return wrong_schema();
  return {};
}

Result<void> check_content(Connection& connection) {
  auto sound = read(connection, kIntegrity);
  if (!sound) return std::move(sound).error();
  if (sound->size() != 1 || (*sound)[0].text(0) != "ok") return error_of(Fault::corrupt);
  auto dangling = read(connection, kForeignKeys);
  if (!dangling) return std::move(dangling).error();
  if (!dangling->empty())
    return Error(Code::corrupt, "a row of the data file refers to one that is not there");
  return {};
}

}  // namespace

Result<void> prepare_schema(Connection& connection, std::span<const Migration> known) {
  auto id = read(connection, kReadId);
  if (!id) return std::move(id).error();
  if ((*id)[0].integer(0) != kApplicationId) {
    auto objects = read(connection, kCountObjects);
    if (!objects) return std::move(objects).error();
    if ((*objects)[0].integer(0) != 0) return not_ours();
    auto marked =
        connection.exec(("pragma application_id = " + std::to_string(kApplicationId)).c_str());
    if (!marked) return error_of(marked.error());
  }
  if (auto made = connection.script(kMigrationsTable); !made) return error_of(made.error());
  auto applied = read(connection, kAppliedMigrations);
  if (!applied) return std::move(applied).error();
  auto pending = still_pending(*applied, known);
  if (!pending) return std::move(pending).error();
  return {};
}

Result<std::unique_ptr<Connection>> open_new_data(const std::filesystem::path& file,
                                                  const Rows& applied,
                                                  std::span<const Migration> known,
                                                  const Clock& clock, const BugSink& bugs) {
  auto connection = Connection::open({.file = file, .writes = true, .durable = false}, clock, bugs);
  if (!connection) return connection;
  if (auto prepared = prepare_schema(**connection, known); !prepared)
    return std::move(prepared).error();
  if (auto made = make_schema(**connection, applied, known); !made) return std::move(made).error();
  return connection;
}

Result<std::unique_ptr<Connection>> open_data_file(const std::filesystem::path& file,
                                                   std::span<const Migration> known,
                                                   const Clock& clock, const BugSink& bugs) {
  auto connection = Connection::open({.file = file}, clock, bugs);
  if (!connection) return connection;
  auto id = read(**connection, kReadId);
  if (!id) return std::move(id).error();
  if ((*id)[0].integer(0) != kApplicationId) return not_ours();
  if (auto checked = check_content(**connection); !checked) return std::move(checked).error();
  if (auto checked = check_schema(**connection, known, clock, bugs); !checked)
    return std::move(checked).error();
  return connection;
}

Result<void> copy_pages(Connection& from, Connection& to) {
  // One read transaction around all steps: they see one snapshot, whatever is committed meanwhile.
  if (auto begun = from.exec("begin; select count(*) from sqlite_master"); !begun)
    return error_of(begun.error());
  int code = SQLITE_ERROR;
  if (auto* backup = sqlite3_backup_init(to.handle(), "main", from.handle(), "main")) {
    do {
      code = sqlite3_backup_step(backup, kPagesPerStep);
    } while (code == SQLITE_OK);
    int finished = sqlite3_backup_finish(backup);
    if (code == SQLITE_DONE) code = finished == SQLITE_OK ? SQLITE_DONE : finished;
  }
  auto ended = from.exec("rollback");
  if (code != SQLITE_DONE) return error_of(to.fault(code, "db.copy"));
  if (!ended) return error_of(ended.error());
  return {};
}

Result<void> finish_data_file(Connection& connection) {
  if (auto done = connection.exec("pragma journal_mode = delete"); !done)
    return error_of(done.error());
  return {};
}

Result<std::vector<Table>> tables_of(Connection& connection) {
  auto rows = read(connection, kTables);
  if (!rows) return std::move(rows).error();
  std::vector<Table> out;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = (*rows)[i];
    if (out.empty() || out.back().name != row.text(0))
      out.push_back({std::string(row.text(0)), {}});
    out.back().columns.push_back({std::string(row.text(1)), std::string(row.text(2))});
  }
  return out;
}

}  // namespace holdfast::db::sqlite
