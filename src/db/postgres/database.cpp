#include <cassert>
#include <utility>

#include "db/answer.h"
#include "db/database.h"
#include "db/postgres/copy.h"
#include "db/postgres/io.h"
#include "db/postgres/session.h"

namespace holdfast::db {
namespace postgres {
namespace {

constexpr Sql kServerTime{
    "db.server_time", "select cast(floor(extract(epoch from clock_timestamp()) * 1000) as bigint)"};

Task<Result<Rows>> read_on(Io& io, Io::Kind kind, const Sql& sql, Args args, MonoTime deadline) {
  auto start = [&io, kind, &sql, args = std::move(args), deadline](Waiter<Rows> waiter) mutable {
    io.submit(kind,
              std::make_shared<Request>(Request{
                  .what = Read{&sql, std::move(args), std::move(waiter)}, .deadline = deadline}));
  };
  return wait_for<Rows>(std::move(start));
}

Task<Result<Committed>> commit_on(Io& io, Io::Kind kind, Changes changes, MonoTime deadline) {
  auto start = [&io, kind, changes = std::move(changes),
                deadline](Waiter<Committed> waiter) mutable {
    io.submit(kind,
              std::make_shared<Request>(Request{
                  .what = Commit{std::move(changes), std::move(waiter)}, .deadline = deadline}));
  };
  return wait_for<Committed>(std::move(start));
}

class PostgresReader final : public Reader {
 public:
  explicit PostgresReader(Io& io) : io_(io) {}
  Task<Result<Rows>> read(const Sql& sql, Args args, MonoTime deadline) override {
    return read_on(io_, Io::Kind::read, sql, std::move(args), deadline);
  }

 private:
  Io& io_;
};

class PostgresWriter final : public Writer {
 public:
  explicit PostgresWriter(Io& io) : io_(io) {}
  Task<Result<Committed>> commit(Changes changes, MonoTime deadline) override {
    return commit_on(io_, Io::Kind::write, std::move(changes), deadline);
  }
  Load load() const override { return io_.load(); }

 private:
  Io& io_;
};

class PostgresScratch final : public Scratch {
 public:
  explicit PostgresScratch(Io& io) : io_(io) {}
  Task<Result<Rows>> read(const Sql& sql, Args args, MonoTime deadline) override {
    return read_on(io_, Io::Kind::scratch, sql, std::move(args), deadline);
  }
  Task<Result<Committed>> commit(Changes changes, MonoTime deadline) override {
    return commit_on(io_, Io::Kind::scratch, std::move(changes), deadline);
  }

 private:
  Io& io_;
};

class PostgresDatabase final : public Database {
 public:
  PostgresDatabase(PostgresOptions options, const std::string& synchronous_commit,
                   const Clock& clock, Hold hold)
      : options_(std::move(options)),
        clock_(clock),
        occupied_(std::move(hold.session)),
        io_(options_, synchronous_commit, std::move(hold.entry), clock) {}

  Kind kind() const override { return Kind::postgres; }
  Reader& reader() override { return reader_; }
  Scratch& scratch() override { return scratch_; }
  std::unique_ptr<Writer> take_writer() override {
    assert(!writer_taken_);
    writer_taken_ = true;
    return std::make_unique<PostgresWriter>(io_);
  }
  Health health() const override { return io_.health(); }
  Task<Result<std::optional<Time>>> time(MonoTime deadline) override {
    auto rows = co_await reader_.read(kServerTime, {}, deadline);
    if (!rows) co_return std::move(rows).error();
    co_return std::optional(from_ms((*rows)[0].integer(0)));
  }
  Result<void> copy_to(const std::filesystem::path& file) override {
    return copy_out(options_, file, clock_);
  }
  Result<void> load_from(const std::filesystem::path& file) override {
    return copy_in(options_, file, clock_);
  }
  void close() override {
    io_.close();
    occupied_.reset();
  }

 private:
  PostgresOptions options_;
  const Clock& clock_;
  std::optional<Session> occupied_;  // until close(); the writers' sessions hold the schema too
  Io io_;
  PostgresReader reader_{io_};
  PostgresScratch scratch_{io_};
  bool writer_taken_ = false;
};

}  // namespace
}  // namespace postgres

Result<std::unique_ptr<Database>> open_postgres(PostgresOptions options, const Clock& clock) {
  auto synchronous_commit = postgres::prepare(options);
  if (!synchronous_commit) return std::move(synchronous_commit).error();
  auto hold = postgres::occupy(options, *synchronous_commit);
  if (!hold) return std::move(hold).error();
  return std::unique_ptr<Database>(std::make_unique<postgres::PostgresDatabase>(
      std::move(options), *synchronous_commit, clock, std::move(*hold)));
}

}  // namespace holdfast::db
