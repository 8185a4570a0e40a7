#include "db/sqlite/connection.h"

#include <sqlite3.h>

#include <mutex>
#include <string>
#include <utility>

#include "db/sql.h"
#include "db/sqlite/list.h"

namespace holdfast::db::sqlite {
namespace {

constexpr int kDeadlineEvery = 5'000;  // virtual machine steps, some 50 µs
constexpr int kBusyMs = 5'000;
constexpr std::string_view kOwn = "db.own";

/// SQLite counts each allocation of each thread under one lock, and nothing here reads the counts.
/// It takes this only before its first use; where something else came first, it stays slower.
void count_no_allocations() {
  static std::once_flag once;
  std::call_once(once, [] { (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); });
}

int look_at_deadline(void* look) {
  return (*static_cast<std::function<bool()>*>(look))() ? 1 : 0;
}

int bind_value(sqlite3_stmt* statement, int at, const Value& value) {
  if (auto* integer = std::get_if<std::int64_t>(&value))
    return sqlite3_bind_int64(statement, at, *integer);
  if (auto* text = std::get_if<std::string>(&value))
    return sqlite3_bind_text64(statement, at, text->data(), text->size(), SQLITE_STATIC,
                               SQLITE_UTF8);
  if (auto* bytes = std::get_if<Bytes>(&value)) {
    if (bytes->empty()) return sqlite3_bind_zeroblob(statement, at, 0);
    return sqlite3_bind_blob64(statement, at, bytes->data(), bytes->size(), SQLITE_STATIC);
  }
  if (auto* list = std::get_if<List>(&value)) return bind_list(statement, at, *list);
  return sqlite3_bind_null(statement, at);
}

int bind_all(sqlite3_stmt* statement, const Args& args) {
  int code = SQLITE_OK;
  for (std::size_t i = 0; i < args.size() && code == SQLITE_OK; ++i)
    code = bind_value(statement, static_cast<int>(i + 1), args[i]);
  return code;
}

/// False for a type that no table of ours has.
bool add_cell(Rows& rows, sqlite3_stmt* statement, int at) {
  switch (sqlite3_column_type(statement, at)) {
    case SQLITE_NULL:
      rows.add_null();
      return true;
    case SQLITE_INTEGER:
      rows.add_integer(sqlite3_column_int64(statement, at));
      return true;
    case SQLITE_TEXT: {
      auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, at));
      rows.add_text({text, static_cast<std::size_t>(sqlite3_column_bytes(statement, at))});
      return true;
    }
    case SQLITE_BLOB: {
      auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement, at));
      rows.add_bytes({data, static_cast<std::size_t>(sqlite3_column_bytes(statement, at))});
      return true;
    }
    default:
      return false;
  }
}

}  // namespace

Error error_of(Fault fault) {
  switch (fault) {
    case Fault::deadline:
      return {Code::unavailable, "the deadline passed"};
    case Fault::full:
      return {Code::unavailable,
              "the disk is full: make room on it; nothing that was acknowledged is lost"};
    case Fault::io:
      return {Code::unavailable, "the disk cannot be read or written"};
    case Fault::read_only:
      return {Code::unavailable, "the database file cannot be written"};
    case Fault::busy:
      return {Code::unavailable, "another program holds the database"};
    case Fault::corrupt:
      return {Code::corrupt, "the database file is damaged; restore it from a backup"};
    case Fault::constraint:
    case Fault::refused:
    case Fault::bug:
      break;
  }
  return {Code::internal, "a statement does not fit the database's schema"};
}

Result<std::unique_ptr<Connection>> Connection::open(const Options& options, const Clock& clock,
                                                     const BugSink& bugs) {
  count_no_allocations();
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
              (options.writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
  sqlite3* db = nullptr;
  int code = sqlite3_open_v2(options.file.c_str(), &db, flags, nullptr);
  std::unique_ptr<Connection> connection(new Connection(db, clock, bugs));
  if (code != SQLITE_OK) return error_of(connection->fault(code, kOwn));
  if (!connection->configure(options)) {
    int why = sqlite3_extended_errcode(db);
    if ((why & 0xff) == SQLITE_NOTADB)
      return Error(Code::corrupt, "the file is not a database; is it the right directory?");
    return error_of(connection->fault(why, kOwn));
  }
  return connection;
}

Connection::~Connection() {
  for (auto& [sql, prepared] : statements_) sqlite3_finalize(prepared.statement);
  sqlite3_close_v2(db_);
}

bool Connection::configure(const Options& options) {
  // Nothing of ours has triggers or views, and double quotes are for names: whoever can write to
  // the file cannot make the server run code that way.
  for (auto [option, on] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1},
                            {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                            {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                            {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                            {SQLITE_DBCONFIG_DQS_DDL, 0},
                            {SQLITE_DBCONFIG_DQS_DML, 0},
                            {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0}})
    sqlite3_db_config(db_, option, on, nullptr);
  sqlite3_limit(db_, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_busy_timeout(db_, kBusyMs);
  if (!add_list_function(db_)) return false;

  std::string cache = "pragma cache_size = -" + std::to_string(options.cache_bytes / 1024);
  bool done = exec("pragma foreign_keys = on") && exec("pragma temp_store = memory") &&
              exec("pragma case_sensitive_like = on") && exec("pragma cell_size_check = on") &&
              exec(cache.c_str());
  if (!options.writes) return done && exec("pragma query_only = on");

  sqlite3_wal_hook(
      db_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Connection*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  return done && exec("pragma secure_delete = on") && exec("pragma journal_mode = wal") &&
         exec("pragma journal_size_limit = 16777216") &&
         exec(options.durable ? "pragma synchronous = full" : "pragma synchronous = off");
}

std::expected<Ran, Fault> Connection::run(const Sql& sql, const Args& args, MonoTime deadline) {
  auto found = prepared(sql);
  if (!found) return std::unexpected(found.error());
  Prepared& statement = **found;
  if (auto checked = check_args(args, statement.parameters); !checked) {
    if (checked.error().code == Code::internal) bugs_(sql.name, checked.error().text);
    return std::unexpected(refuse(std::move(checked).error()));
  }

  std::function<bool()> late = [this, deadline] { return clock_.mono() > deadline; };
  bool bounded = deadline != MonoTime::max();
  if (bounded && late()) return std::unexpected(Fault::deadline);
  if (bounded) sqlite3_progress_handler(db_, kDeadlineEvery, look_at_deadline, &late);
  auto ran = step(statement.statement, sql.name, args);
  if (bounded) sqlite3_progress_handler(db_, 0, nullptr, nullptr);
  sqlite3_reset(statement.statement);
  sqlite3_clear_bindings(statement.statement);
  return ran;
}

std::expected<Ran, Fault> Connection::step(sqlite3_stmt* statement, std::string_view name,
                                           const Args& args) {
  if (int code = bind_all(statement, args); code != SQLITE_OK)
    return std::unexpected(fault(code, name));
  Ran ran{.rows = Rows(static_cast<std::size_t>(sqlite3_column_count(statement)))};
  int code;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW)
    if (!add_row(ran.rows, statement, name)) return std::unexpected(Fault::bug);
  if (code != SQLITE_DONE) return std::unexpected(fault(code, name));
  ran.writes = sqlite3_stmt_readonly(statement) == 0;
  if (ran.writes) ran.changed = sqlite3_changes64(db_);
  return ran;
}

bool Connection::add_row(Rows& rows, sqlite3_stmt* statement, std::string_view name) {
  int columns = sqlite3_column_count(statement);
  for (int i = 0; i < columns; ++i) {
    if (add_cell(rows, statement, i)) continue;
    bugs_(name, "yields a floating-point number");
    return false;
  }
  return true;
}

std::expected<void, Fault> Connection::stream(const std::string& text, std::size_t batch,
                                              const Take& take) {
  sqlite3_stmt* made = nullptr;
  int code = sqlite3_prepare_v2(db_, text.c_str(), -1, &made, nullptr);
  std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement(made, sqlite3_finalize);
  if (code != SQLITE_OK) return std::unexpected(fault(code, kOwn));
  auto columns = static_cast<std::size_t>(sqlite3_column_count(made));
  Rows rows(columns);
  while ((code = sqlite3_step(made)) == SQLITE_ROW) {
    if (!add_row(rows, made, kOwn)) return std::unexpected(Fault::bug);
    if (rows.size() == batch && !take(std::exchange(rows, Rows(columns)))) return {};
  }
  if (code != SQLITE_DONE) return std::unexpected(fault(code, kOwn));
  if (!rows.empty()) take(rows);
  return {};
}

std::expected<Connection::Prepared*, Fault> Connection::prepared(const Sql& sql) {
  Prepared& found = statements_[&sql];
  if (found.statement != nullptr && found.text.data() == sql.text.data()) return &found;

  sqlite3_finalize(std::exchange(found.statement, nullptr));
  auto translated = translate(Dialect::sqlite, sql.text);
  if (!translated) {
    bugs_(sql.name, translated.error().text);
    return std::unexpected(Fault::bug);
  }
  const std::string& text = translated->text;
  const char* tail = nullptr;
  int code = sqlite3_prepare_v3(db_, text.data(), static_cast<int>(text.size()),
                                SQLITE_PREPARE_PERSISTENT, &found.statement, &tail);
  if (code != SQLITE_OK) return std::unexpected(fault(code, sql.name));
  if (found.statement == nullptr || tail != text.data() + text.size()) {
    bugs_(sql.name, "is not one statement");
    sqlite3_finalize(std::exchange(found.statement, nullptr));
    return std::unexpected(Fault::bug);
  }
  found.text = sql.text;
  found.parameters = translated->parameters;
  return &found;
}

std::expected<void, Fault> Connection::script(std::string_view text) {
  auto translated = translate(Dialect::sqlite, text);
  if (!translated) {
    bugs_("migration", translated.error().text);
    return std::unexpected(Fault::bug);
  }
  int code = sqlite3_exec(db_, translated->text.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(fault(code, "migration"));
  return {};
}

std::expected<void, Fault> Connection::exec(const char* text) {
  int code = sqlite3_exec(db_, text, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(fault(code, kOwn));
  return {};
}

bool Connection::autocommit() const {
  return sqlite3_get_autocommit(db_) != 0;
}

bool Connection::checkpoint(Checkpoint kind, Millis patience) {
  int mode = kind == Checkpoint::passive   ? SQLITE_CHECKPOINT_PASSIVE
             : kind == Checkpoint::restart ? SQLITE_CHECKPOINT_RESTART
                                           : SQLITE_CHECKPOINT_TRUNCATE;
  sqlite3_busy_timeout(db_, static_cast<int>(patience.count()));
  int pages = 0;
  int moved = 0;
  int code = sqlite3_wal_checkpoint_v2(db_, "main", mode, &pages, &moved);
  sqlite3_busy_timeout(db_, kBusyMs);
  if (code != SQLITE_OK) return false;
  if (kind != Checkpoint::passive) wal_pages_ = 0;
  return pages == moved;
}

Fault Connection::fault(int code, std::string_view name) {
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_DATATYPE) break;
      return Fault::constraint;
    case SQLITE_INTERRUPT:
      return Fault::deadline;
    case SQLITE_FULL:
      return Fault::full;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
      return Fault::io;
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return Fault::read_only;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Fault::busy;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Fault::corrupt;
    case SQLITE_TOOBIG:
      return refuse({Code::too_large, "a value is too large for the database"});
    default:
      break;
  }
  bugs_(name, sqlite3_errmsg(db_));
  return Fault::bug;
}

Fault Connection::refuse(Error error) {
  refusal_ = std::move(error);
  return Fault::refused;
}

}  // namespace holdfast::db::sqlite
