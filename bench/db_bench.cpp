// How fast the two databases commit and read through the db layer, beside the plainest program that
// does the same. PostgreSQL: give a libpq connection string as the first argument.
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "db/database.h"

namespace holdfast::db {
namespace {

using Seconds = std::chrono::duration<double>;
constexpr std::chrono::seconds kEach{2};

constexpr Migration kTables{
    "bench", 1, "tables",
    "create table policy (id {{int}} primary key, generation {{int}} not null) {{strict}};\n"
    "insert into policy (id, generation) values (1, 1);\n"
    "create table entries (id {{int}} primary key, body {{bytes}} not null) {{strict}};\n"};
constexpr Migration kKnown[] = {kTables};
constexpr Sql kGuard{"bench.guard",
                     "select generation from policy where id = $1 and generation = $2"};
constexpr Sql kInsert{"bench.insert", "insert into entries (id, body) values ($1, $2)"};
constexpr Sql kFind{"bench.find", "select body from entries where id = $1"};

/// A line of JSON for tools/bench.
void report(const std::string& name, double rate, const char* against = "", double floor = 0) {
  std::printf("{\"name\":\"%s\",\"value\":%.0f,\"unit\":\"/s\"", name.c_str(), rate);
  if (floor > 0)
    std::printf(",\"against\":\"%s\",\"against_value\":%.0f,\"ratio\":%.3f", against, floor,
                rate / floor);
  std::printf("}\n");
  std::fflush(stdout);
}

[[noreturn]] void fail(std::string_view text) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
  std::exit(1);
}

Bytes body(std::int64_t id) {
  Bytes out(300);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::uint8_t>(static_cast<std::size_t>(id) * 31 + i * 7);
  return out;
}

/// What runs side by side on one thread: `waiters` coroutines that repeat `one` until the time is
/// up.
struct Load {
  Database& database;
  Writer& writer;
  std::chrono::steady_clock::time_point until;
  std::atomic<std::int64_t>& next;
  std::atomic<std::int64_t> done = 0;
};

Task<void> commit_many(Load& load) {
  while (std::chrono::steady_clock::now() < load.until) {
    std::int64_t id = ++load.next;
    Changes changes;
    changes.guard(kGuard, {1, 1}).write(kInsert, {id, body(id)}, Expect::exactly(1));
    auto committed = co_await load.writer.commit(std::move(changes));
    if (!committed) fail(committed.error().text);
    ++load.done;
  }
}

Task<void> read_many(Load& load) {
  while (std::chrono::steady_clock::now() < load.until) {
    std::int64_t id = load.next.fetch_add(7919) % 1'000 + 1;
    auto rows = co_await load.database.reader().read(kFind, {id});
    if (!rows) fail(rows.error().text);
    ++load.done;
  }
}

Task<void> bulk_many(Load& load, std::int64_t batch) {
  while (std::chrono::steady_clock::now() < load.until) {
    std::vector<Args> rows;
    for (std::int64_t i = 0; i < batch; ++i) {
      std::int64_t id = ++load.next;
      rows.push_back({id, body(id)});
    }
    Changes changes;
    changes.bulk(kInsert, std::move(rows), Expect::exactly(batch));
    auto committed = co_await load.writer.commit(std::move(changes));
    if (!committed) fail(committed.error().text);
    load.done += batch;
  }
}

template <class Start>
double rate(Database& database, Writer& writer, std::atomic<std::int64_t>& next, int threads,
            int waiters, Start start) {
  auto begun = std::chrono::steady_clock::now();
  Load load{database, writer, begun + kEach, next};
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&] {
      boost::asio::io_context io;
      for (int i = 0; i < waiters; ++i)
        boost::asio::co_spawn(io, start(load), boost::asio::detached);
      io.run();
    });
  }
  for (auto& thread : running) thread.join();
  return static_cast<double>(load.done) / Seconds(std::chrono::steady_clock::now() - begun).count();
}

/// Plain SQLite with the same durability: rows in transactions of `group`.
double sqlite_floor(const std::string& dir, int group) {
  sqlite3* db = nullptr;
  sqlite3_open((dir + "/floor.db").c_str(), &db);
  sqlite3_exec(
      db,
      "pragma journal_mode=wal; pragma synchronous=full; pragma secure_delete=on;"
      "create table if not exists entries (id integer primary key, body blob not null) strict;"
      "delete from entries",
      nullptr, nullptr, nullptr);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(db, "insert into entries values (?, ?)", -1, &insert, nullptr);
  auto begun = std::chrono::steady_clock::now();
  std::int64_t id = 0;
  while (std::chrono::steady_clock::now() - begun < kEach) {
    sqlite3_exec(db, "begin immediate", nullptr, nullptr, nullptr);
    for (int i = 0; i < group; ++i) {
      auto bytes = body(++id);
      sqlite3_bind_int64(insert, 1, id);
      sqlite3_bind_blob(insert, 2, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
      sqlite3_step(insert);
      sqlite3_reset(insert);
    }
    sqlite3_exec(db, "commit", nullptr, nullptr, nullptr);
  }
  double took = Seconds(std::chrono::steady_clock::now() - begun).count();
  sqlite3_finalize(insert);
  sqlite3_close(db);
  return static_cast<double>(id) / took;
}

/// Plain single inserts, each its own commit, on `clients` connections of a thread each.
double postgres_floor(const std::string& url, int clients) {
  std::atomic<std::int64_t> next = 0;
  auto begun = std::chrono::steady_clock::now();
  std::vector<std::thread> running;
  for (int c = 0; c < clients; ++c) {
    running.emplace_back([&] {
      PGconn* pg = PQconnectdb(url.c_str());
      PQclear(PQprepare(pg, "i", "insert into bench_floor values ($1, $2)", 2, nullptr));
      while (std::chrono::steady_clock::now() - begun < kEach) {
        std::string id = std::to_string(++next);
        auto bytes = body(next);
        const char* values[] = {id.c_str(), reinterpret_cast<const char*>(bytes.data())};
        int lengths[] = {0, static_cast<int>(bytes.size())};
        int formats[] = {0, 1};
        PQclear(PQexecPrepared(pg, "i", 2, values, lengths, formats, 1));
      }
      PQfinish(pg);
    });
  }
  for (auto& thread : running) thread.join();
  return static_cast<double>(next) / Seconds(std::chrono::steady_clock::now() - begun).count();
}

void migrate(Database& database, Writer& writer) {
  boost::asio::io_context io;
  boost::asio::co_spawn(
      io,
      [](Database& to, Writer& by) -> Task<void> {
        auto pending = co_await pending_migrations(to.reader(), kKnown);
        if (!pending) fail(pending.error().text);
        for (const auto& migration : *pending)
          if (auto done = co_await by.commit(apply(migration, 1)); !done) fail(done.error().text);
      }(database, writer),
      boost::asio::detached);
  io.run();
}

using Floor = double (*)(const std::string& where, int group);

void measure(const std::string& name, Database& database, const char* against, Floor floor,
             const std::string& where, double bulk_floor) {
  auto writer = database.take_writer();
  migrate(database, *writer);
  std::atomic<std::int64_t> next = 0;
  for (int waiters : {1, 16, 64, 256}) {
    double plain = floor(where, std::min(waiters, 64));
    int threads = waiters == 1 ? 1 : 2;
    double got = rate(database, *writer, next, threads, waiters / threads,
                      [](Load& load) { return commit_many(load); });
    report("db, " + name + ", guard and insert, " + std::to_string(waiters) + " waiters", got,
           against, plain);
  }
  for (std::int64_t batch : {1'000, 20'000}) {
    double got =
        rate(database, *writer, next, 1, 1, [batch](Load& load) { return bulk_many(load, batch); });
    report("db, " + name + ", bulk rows, " + std::to_string(batch) + " a commit", got, "plain rows",
           bulk_floor);
  }
  for (int waiters : {1, 64}) {
    int threads = waiters == 1 ? 1 : 2;
    double got = rate(database, *writer, next, threads, waiters / threads,
                      [](Load& load) { return read_many(load); });
    report("db, " + name + ", point reads, " + std::to_string(waiters) + " waiters", got);
  }
  database.close();
}

}  // namespace
}  // namespace holdfast::db

int main(int argc, char** argv) {
  using namespace holdfast;
  SystemClock clock;
  std::string dir = (std::filesystem::temp_directory_path() / "holdfast-bench-XXXXXX").string();
  if (::mkdtemp(dir.data()) == nullptr) return 1;
  {
    auto database = db::open_sqlite({.dir = dir, .known = db::kKnown}, clock);
    if (!database) db::fail(database.error().text);
    db::measure("SQLite", **database, "plain SQLite, as many rows a commit", db::sqlite_floor, dir,
                db::sqlite_floor(dir, 20'000));
  }
  std::filesystem::remove_all(dir);
  if (argc < 2) return 0;

  std::string url = argv[1];
  PGconn* pg = PQconnectdb(url.c_str());
  PQclear(PQexec(pg,
                 "drop schema if exists holdfast_bench cascade; drop table if exists bench_floor; "
                 "create table bench_floor (id bigint, body bytea not null)"));
  auto database =
      db::open_postgres({.url = url, .schema = "holdfast_bench", .known = db::kKnown}, clock);
  if (!database) db::fail(database.error().text);
  db::measure("PostgreSQL", **database, "plain single inserts on as many connections",
              db::postgres_floor, url, 0);
  PQclear(PQexec(pg,
                 "drop schema holdfast_bench cascade; drop schema holdfast_bench_scratch cascade; "
                 "drop table bench_floor"));
  PQfinish(pg);
}
