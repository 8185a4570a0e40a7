// A journal on a real database, for tests: opened, closed, opened again, tampered with.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <boost/asio/detached.hpp>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "crypto/key_set.h"
#include "db/database.h"
#include "journal/log.h"
#include "support/fake_clock.h"
#include "support/postgres.h"
#include "support/raw_sql.h"
#include "support/run.h"
#include "support/temp_dir.h"

namespace holdfast::journal {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(std::string(result.error().text));
  return std::move(*result);
}
inline void must(Result<void> result) {
  if (!result) throw std::runtime_error(std::string(result.error().text));
}

class LogBench {
 public:
  explicit LogBench(db::Database::Kind kind = db::Database::Kind::sqlite) : kind_(kind) { open(); }
  ~LogBench() { close(); }

  Log& log() { return *log_; }
  template <class T>
  T run(Task<T> task) {
    return context_.run(std::move(task));
  }
  template <class T>
  auto operator()(Task<Result<T>> task) {
    return must(run(std::move(task)));
  }

  /// Runs tasks side by side on four threads.
  void on_four_threads(std::vector<Task<void>> tasks) {
    for (auto& task : tasks)
      boost::asio::co_spawn(threads_, std::move(task), boost::asio::detached);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([this] { threads_.run(); });
  }

  void open(bool accept_rollback = false) { must(try_open(accept_rollback)); }
  Result<void> try_open(bool accept_rollback = false) { return try_open(options(accept_rollback)); }
  Result<void> try_open(LogOptions options) {
    if (kind_ == db::Database::Kind::sqlite)
      database_ = must(db::open_sqlite({.dir = dir_.path()}, clock_));
    else
      database_ = must(
          db::open_postgres({.url = test::shared_postgres()->url(), .schema = schema_}, clock_));
    auto log = run(Log::open({*database_, keys_, clock_}, std::move(options)));
    if (!log) {
      database_->close();
      return std::move(log).error();
    }
    log_ = std::move(*log);
    return {};
  }
  LogOptions options(bool accept_rollback = false) const {
    return {.witness = dir_ / "witness",
            .afterlog = dir_ / "afterlog",
            .accept_rollback = accept_rollback};
  }
  void close() {
    log_.reset();
    if (database_) database_->close();
    database_.reset();
  }
  void reopen() {
    close();
    open();
  }
  void settle() { (*this)(log_->settle()); }

  /// Commits one event.
  Receipt commit(Event event, Caller caller = {}) {
    return (*this)(log_->commit(caller, {}, std::move(event))).receipt;
  }
  void commit_many(int count) {
    std::vector<Task<void>> tasks;
    for (int i = 0; i < count; ++i) tasks.push_back(commit_one(i));
    context_.run_all(std::move(tasks));
  }

  /// Runs SQL on the database file, as somebody who has the disk would.
  void tamper(const std::string& sql) {
    sqlite3* raw = nullptr;
    if (sqlite3_open((dir_ / "holdfast.db").c_str(), &raw) != SQLITE_OK)
      throw std::runtime_error("sqlite3_open");
    char* message = nullptr;
    auto code = sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, &message);
    std::string text = message ? message : "";
    sqlite3_free(message);
    sqlite3_close(raw);
    if (code != SQLITE_OK) throw std::runtime_error(text);
  }

  test::RawSql raw() {
    return kind_ == db::Database::Kind::sqlite
               ? test::RawSql::sqlite(dir_ / "holdfast.db")
               : test::RawSql::postgres(test::shared_postgres()->url(), schema_);
  }

  const test::TempDir& dir() const { return dir_; }
  test::FakeClock& clock() { return clock_; }
  crypto::HeldKeys& keys() { return keys_; }
  db::Database& database() { return *database_; }
  test::RunContext& context() { return context_; }

 private:
  Task<void> commit_one(int i) {
    must(co_await log_->commit(Caller{}, {},
                               {.activity = "test.note", .facts = {{"i", std::int64_t{i}}}}));
  }

  db::Database::Kind kind_;
  test::TempDir dir_;
  test::FakeClock clock_;
  std::string schema_ = test::fresh_schema();
  crypto::HeldKeys keys_{std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock_.now()))};
  test::RunContext context_;
  boost::asio::io_context threads_;  // before the database, whose threads wake it to the last
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<Log> log_;
};

/// Runs a test on SQLite and, where this machine has it, on PostgreSQL.
class OnBoth : public testing::TestWithParam<db::Database::Kind> {};

inline SubjectId subject(std::uint8_t number) {
  SubjectId out;
  out.uuid.fill(number);
  return out;
}

}  // namespace holdfast::journal
