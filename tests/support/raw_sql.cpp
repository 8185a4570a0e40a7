#include "support/raw_sql.h"

#include <libpq-fe.h>
#include <sqlite3.h>

#include <regex>
#include <stdexcept>
#include <vector>

#include "db/postgres/shape.h"

namespace holdfast::test {

struct RawSql::Connection {
  sqlite3* lite = nullptr;
  PGconn* pq = nullptr;

  ~Connection() {
    if (lite) sqlite3_close(lite);
    if (pq) PQfinish(pq);
  }
};

RawSql RawSql::sqlite(const std::filesystem::path& file) {
  auto made = std::make_shared<Connection>();
  if (sqlite3_open_v2(file.c_str(), &made->lite, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK)
    throw std::runtime_error("sqlite3_open");
  sqlite3_busy_timeout(made->lite, 5000);
  return RawSql(std::move(made));
}

RawSql RawSql::postgres(const std::string& url, const std::string& schema) {
  auto made = std::make_shared<Connection>();
  made->pq = PQconnectdb(url.c_str());
  RawSql out(made);
  if (PQstatus(made->pq) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(made->pq));
  out.run("set search_path to \"" + schema + "\"");
  return out;
}

void RawSql::run(const std::string& sql) {
  if (connection_->lite) {
    if (sqlite3_exec(connection_->lite, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
      throw std::runtime_error(sqlite3_errmsg(connection_->lite));
    return;
  }
  auto* result = PQexec(connection_->pq, sql.c_str());
  auto status = PQresultStatus(result);
  PQclear(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    throw std::runtime_error(PQerrorMessage(connection_->pq));
}

Bytes RawSql::bytes(const std::string& sql) {
  auto encoded = connection_->lite ? "lower(hex(x))" : "encode(x, 'hex')";
  auto out = unhex(text("with one(x) as (" + sql + ") select " + encoded + " from one"));
  if (!out) throw std::runtime_error("not bytes");
  return *out;
}

std::string RawSql::text(const std::string& sql) {
  if (connection_->lite) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(connection_->lite, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
      throw std::runtime_error(sqlite3_errmsg(connection_->lite));
    bool found = sqlite3_step(statement) == SQLITE_ROW;
    const auto* cell = found ? sqlite3_column_text(statement, 0) : nullptr;
    std::string out = cell ? reinterpret_cast<const char*>(cell) : "";
    sqlite3_finalize(statement);
    if (!found) throw std::runtime_error("no row");
    return out;
  }
  auto* result = PQexec(connection_->pq, sql.c_str());
  bool found = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0;
  std::string out = found ? PQgetvalue(result, 0, 0) : "";
  PQclear(result);
  if (!found) throw std::runtime_error("no row: " + std::string(PQerrorMessage(connection_->pq)));
  return out;
}

void RawSql::prepare(const std::string& sql) {
  if (connection_->lite) {
    sqlite3_stmt* statement = nullptr;
    bool good =
        sqlite3_prepare_v2(connection_->lite, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK;
    sqlite3_finalize(statement);
    if (!good) throw std::runtime_error(sqlite3_errmsg(connection_->lite));
    return;
  }
  auto* result = PQprepare(connection_->pq, "", sql.c_str(), 0, nullptr);
  bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
  PQclear(result);
  if (!good) throw std::runtime_error(PQerrorMessage(connection_->pq));
}

std::string RawSql::literal(BytesView bytes) const {
  return connection_->lite ? "x'" + hex(bytes) + "'" : "'\\x" + hex(bytes) + "'::bytea";
}

std::string as_arrays(const db::Sql& sql) {
  db::postgres::Shapes shapes;
  const auto shape = shapes.of(sql);
  if (!shape || !(*shape)->spread) return {};
  const std::vector<std::size_t> nulls((*shape)->parameters, 0);
  return std::regex_replace(text_of(*(*shape)->spread, nulls), std::regex(R"(\$(\d+))"),
                            "cast($$$1 as text[])");
}

}  // namespace holdfast::test
