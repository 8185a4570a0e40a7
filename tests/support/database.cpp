#include "support/database.h"

#include <stdexcept>
#include <utility>

namespace holdfast::test {
namespace {

template <class T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(std::string(result.error().text));
  return std::move(*result);
}

Task<void> migrate(db::Database& database, db::Writer& writer,
                   std::span<const db::Migration> migrations) {
  auto pending = value_of(co_await db::pending_migrations(database.reader(), migrations));
  for (const auto& migration : pending)
    value_of(co_await writer.commit(db::apply(migration, 1'795'426'200'000)));
}

}  // namespace

std::vector<db::Database::Kind> database_kinds() {
  std::vector<db::Database::Kind> kinds = {db::Database::Kind::sqlite};
  if (!PostgresServer::binaries().empty()) kinds.push_back(db::Database::Kind::postgres);
  return kinds;
}

std::string kind_name(db::Database::Kind kind) {
  return kind == db::Database::Kind::sqlite ? "sqlite" : "postgres";
}

TestDatabase::TestDatabase(db::Database::Kind kind, std::span<const db::Migration> migrations)
    : kind_(kind), migrations_(migrations), database_(open()), writer_(database_->take_writer()) {
  run(migrate(*database_, *writer_, migrations_));
}

TestDatabase::~TestDatabase() {
  database_->close();
}

void TestDatabase::reopen() {
  database_->close();
  writer_.reset();
  database_.reset();
  database_ = open();
  writer_ = database_->take_writer();
}

std::unique_ptr<db::Database> TestDatabase::another() {
  return kind_ == db::Database::Kind::postgres ? open() : nullptr;
}

std::unique_ptr<db::Database> TestDatabase::open() {
  if (kind_ == db::Database::Kind::sqlite)
    return value_of(db::open_sqlite({.dir = dir_.path(), .known = migrations_}, clock_));
  return value_of(db::open_postgres(
      {.url = shared_postgres()->url(), .schema = schema_, .known = migrations_}, clock_));
}

}  // namespace holdfast::test
