// A fresh database of either kind, migrated, with its writer taken: for tests of every room.
#pragma once

#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "db/database.h"
#include "support/postgres.h"
#include "support/run.h"
#include "support/temp_dir.h"

namespace holdfast::test {

/// SQLite, and PostgreSQL where this machine has it: the values of a parameterised test.
std::vector<db::Database::Kind> database_kinds();
/// "sqlite" or "postgres", for INSTANTIATE_TEST_SUITE_P.
std::string kind_name(db::Database::Kind kind);

/// Made and migrated by the constructor, which throws std::runtime_error with the Error's text.
class TestDatabase {
 public:
  explicit TestDatabase(db::Database::Kind kind = db::Database::Kind::sqlite,
                        std::span<const db::Migration> migrations = db::embedded_migrations());
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  db::Database& operator*() { return *database_; }
  db::Database* operator->() { return database_.get(); }
  /// The Writer, until somebody takes it over.
  db::Writer& writer() { return *writer_; }
  std::unique_ptr<db::Writer> take_writer() { return std::move(writer_); }

  /// Closes it and opens it again, as after a restart.
  void reopen();
  /// Opens another handle on the same PostgreSQL schema, or nothing on SQLite.
  std::unique_ptr<db::Database> another();
  /// SQLite: the directory. PostgreSQL: one without use.
  const std::filesystem::path& dir() const { return dir_.path(); }
  const std::string& schema() const { return schema_; }

 private:
  std::unique_ptr<db::Database> open();

  db::Database::Kind kind_;
  std::span<const db::Migration> migrations_;
  TempDir dir_;
  std::string schema_ = fresh_schema();
  SystemClock clock_;
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<db::Writer> writer_;
};

}  // namespace holdfast::test
