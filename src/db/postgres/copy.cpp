#include "db/postgres/copy.h"

#include <deque>
#include <system_error>
#include <utility>

#include "db/applied.h"
#include "db/postgres/session.h"
#include "db/postgres/wire.h"
#include "db/sql.h"
#include "db/sqlite/data_file.h"
#include "db/sqlite/files.h"

namespace holdfast::db::postgres {
namespace {

using sqlite::Table;

constexpr std::size_t kBatch = 2'000;
constexpr std::size_t kChunk = 256u << 10;

std::string in_quotes(std::string_view name) {
  return '"' + std::string(name) + '"';
}

std::string columns_of(const Table& table) {
  std::string out;
  for (const auto& column : table.columns)
    (out += out.empty() ? "" : ", ") += in_quotes(column.name);
  return out;
}

/// Every cell of a row as a Value, by the column's type.
Value value_of(const Rows::Row& row, const Table& table, std::size_t column) {
  if (row.null(column)) return std::monostate();
  if (table.columns[column].type == "INTEGER") return row.integer(column);
  if (table.columns[column].type == "TEXT") return std::string(row.text(column));
  return to_bytes(row.bytes(column));
}

// ── out

/// Statements made at run time, kept as long as the connection that prepares them.
class TableCopier {
 public:
  TableCopier(Session& from, sqlite::Connection& to) : from_(from), to_(to) {}

  Result<void> copy(const Table& table) {
    const Sql& insert = made("insert into " + in_quotes(table.name) + " (" + columns_of(table) +
                             ") values (" + parameters(table.columns.size()) + ")");
    const Sql& clear = made("delete from " + in_quotes(table.name));  // rows that migrations insert
    if (auto cleared = to_.run(clear, {}); !cleared) return sqlite::error_of(cleared.error());
    if (auto opened = from_.run("declare rows no scroll cursor for select " + columns_of(table) +
                                " from " + in_quotes(table.name));
        !opened)
      return opened;
    while (true) {
      auto rows = from_.query("fetch " + std::to_string(kBatch) + " from rows");
      if (!rows) return std::move(rows).error();
      if (rows->empty()) return from_.run("close rows");
      for (std::size_t i = 0; i < rows->size(); ++i) {
        Args args;
        for (std::size_t c = 0; c < table.columns.size(); ++c)
          args.push_back(value_of((*rows)[i], table, c));
        if (auto inserted = to_.run(insert, args); !inserted)
          return sqlite::error_of(inserted.error());
      }
    }
  }

 private:
  struct Made {
    std::string text;
    Sql sql;
  };

  const Sql& made(std::string text) {
    Made& made = statements_.emplace_back(Made{std::move(text), {}});
    made.sql = {"db.copy", made.text};
    return made.sql;
  }
  static std::string parameters(std::size_t count) {
    std::string out;
    for (std::size_t i = 1; i <= count; ++i) (out += i == 1 ? "$" : ", $") += std::to_string(i);
    return out;
  }

  Session& from_;
  sqlite::Connection& to_;
  std::deque<Made> statements_;
};

Result<void> copy_tables(Session& session, sqlite::Connection& data) {
  for (const char* pragma : {"pragma foreign_keys = off", "begin"})
    if (auto done = data.exec(pragma); !done) return sqlite::error_of(done.error());
  auto tables = sqlite::tables_of(data);
  if (!tables) return std::move(tables).error();
  TableCopier copier(session, data);
  for (const Table& table : *tables)
    if (auto copied = copier.copy(table); !copied) return copied;
  if (auto done = data.exec("commit"); !done) return sqlite::error_of(done.error());
  return sqlite::finish_data_file(data);
}

Result<void> copy_snapshot(const PostgresOptions& options, const std::filesystem::path& file,
                           const Clock& clock) {
  Settings settings(options, Settings::Role::setup);
  auto session = Session::open(settings, options.bugs);
  if (!session) return std::move(session).error();
  if (auto begun = session->run("begin isolation level repeatable read read only; "
                                "set local statement_timeout = 0");
      !begun)
    return begun;
  auto applied = session->query(std::string(kAppliedMigrations.text));
  if (!applied) return std::move(applied).error();
  auto data = sqlite::open_new_data(file, *applied, options.known, clock, options.bugs);
  if (!data) return std::move(data).error();
  return copy_tables(*session, **data);
}

// ── in

/// Rows in the binary format of COPY, sent in chunks.
class CopyIn {
 public:
  CopyIn(Session& session, const Table& table) : session_(session), table_(table) {}

  Result<void> begin() {
    std::string text = "copy " + in_quotes(table_.name) + " (" + columns_of(table_) +
                       ") from stdin (format binary)";
    PgResult result(PQexec(session_.handle(), text.c_str()));
    if (PQresultStatus(result.get()) != PGRES_COPY_IN) return session_.error_of(result.get());
    buffer_.assign("PGCOPY\n\377\r\n\0", 11);
    put_int32(buffer_, 0);
    put_int32(buffer_, 0);
    return {};
  }

  bool add(const Rows& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      put_int16(buffer_, static_cast<std::int16_t>(table_.columns.size()));
      for (std::size_t c = 0; c < table_.columns.size(); ++c) add_cell(rows[i], c);
    }
    return buffer_.size() < kChunk || send();
  }

  Result<void> end() {
    put_int16(buffer_, -1);
    send();
    PQputCopyEnd(session_.handle(), nullptr);
    Result<void> ended;
    while (PgResult result{PQgetResult(session_.handle())})
      if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) ended = session_.error_of(result.get());
    return ended;
  }

 private:
  void add_cell(const Rows::Row& row, std::size_t column) {
    if (row.null(column)) return put_int32(buffer_, -1);
    if (table_.columns[column].type == "INTEGER") {
      put_int32(buffer_, 8);
      return put_int64(buffer_, row.integer(column));
    }
    bool text = table_.columns[column].type == "TEXT";
    std::string_view cell = text ? row.text(column) : as_text(row.bytes(column));
    put_int32(buffer_, static_cast<std::int32_t>(cell.size()));
    buffer_ += cell;
  }

  bool send() {
    bool sent =
        PQputCopyData(session_.handle(), buffer_.data(), static_cast<int>(buffer_.size())) == 1;
    buffer_.clear();
    return sent;
  }

  Session& session_;
  const Table& table_;
  std::string buffer_;
};

Result<void> fill(Session& session, sqlite::Connection& data, const Table& table) {
  CopyIn copy(session, table);
  if (auto begun = copy.begin(); !begun) return begun;
  std::string text = "select " + columns_of(table) + " from " + in_quotes(table.name);
  auto streamed = data.stream(text, kBatch, [&](const Rows& rows) { return copy.add(rows); });
  auto ended = copy.end();
  if (!streamed) return sqlite::error_of(streamed.error());
  return ended;
}

/// The foreign keys of the schema, to be checked at the end instead of row by row.
Result<void> defer_foreign_keys(Session& session, bool deferred) {
  auto keys = session.query(
      "select conrelid::regclass::text, quote_ident(conname) from pg_constraint "
      "where contype = 'f' and connamespace = current_schema()::regnamespace");
  if (!keys) return std::move(keys).error();
  for (std::size_t i = 0; i < keys->size(); ++i) {
    auto key = (*keys)[i];
    auto altered = session.run("alter table " + std::string(key.text(0)) + " alter constraint " +
                               std::string(key.text(1)) +
                               (deferred ? " deferrable initially deferred" : " not deferrable"));
    if (!altered) return altered;
  }
  return {};
}

Result<void> make_tables(Session& session, sqlite::Connection& data,
                         std::span<const Migration> known) {
  auto applied = data.run(kAppliedMigrations, {});
  if (!applied) return sqlite::error_of(applied.error());
  for (std::size_t i = 0; i < applied->rows.size(); ++i) {
    auto row = applied->rows[i];
    for (const Migration& migration : known) {
      if (migration.room != row.text(0) || migration.number != row.integer(1)) continue;
      auto text = translate(Dialect::postgres, migration.text);
      if (!text) return std::move(text).error();
      if (auto made = session.run(text->text); !made) return made;
    }
  }
  return {};
}

Result<void> load(Session& session, sqlite::Connection& data, std::span<const Migration> known) {
  if (auto made = make_tables(session, data, known); !made) return made;
  auto tables = sqlite::tables_of(data);
  if (!tables) return std::move(tables).error();
  std::string all;
  for (const Table& table : *tables) (all += all.empty() ? "" : ", ") += in_quotes(table.name);
  if (auto cleared = session.run("truncate " + all); !cleared) return cleared;
  if (auto deferred = defer_foreign_keys(session, true); !deferred) return deferred;
  for (const Table& table : *tables)
    if (auto filled = fill(session, data, table); !filled) return filled;
  if (auto checked = session.run("set constraints all immediate"); !checked) return checked;
  return defer_foreign_keys(session, false);
}

}  // namespace

Result<void> copy_out(const PostgresOptions& options, const std::filesystem::path& file,
                      const Clock& clock) {
  if (auto made = sqlite::make_new_file(file); !made) return made;
  auto copied = copy_snapshot(options, file, clock);
  if (copied) copied = sqlite::sync_file(file);
  if (copied) return copied;
  for (const char* beside : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    std::filesystem::remove(file.string() + beside, ignored);
  }
  return copied;
}

Result<void> copy_in(const PostgresOptions& options, const std::filesystem::path& file,
                     const Clock& clock) {
  auto data = sqlite::open_data_file(file, options.known, clock, options.bugs);
  if (!data) return std::move(data).error();
  Settings settings(options, Settings::Role::setup);
  auto session = Session::open(settings, options.bugs);
  if (!session) return std::move(session).error();
  if (auto begun = session->run("begin; set local statement_timeout = 0; "
                                "lock table schema_migrations in exclusive mode");
      !begun)
    return begun;
  auto applied = session->query(std::string(kAppliedMigrations.text));
  if (!applied) return std::move(applied).error();
  if (!applied->empty())
    return Error(Code::conflict, "the database is not empty; load into a new one");
  if (auto loaded = load(*session, **data, options.known); !loaded) return loaded;
  if (auto done = session->run("set local synchronous_commit = on; commit"); !done) return done;
  // The rows are in; statistics come by themselves too, if later.
  (void)session->run("set statement_timeout = 0; analyze");
  return {};
}

}  // namespace holdfast::db::postgres
