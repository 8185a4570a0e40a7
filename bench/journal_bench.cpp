// What the journal costs, each figure beside its floor in the same run. Prints JSON lines:
// name, value, unit, against, against_value, ratio.
//   journal_bench [DIR]   works in a new folder of DIR (default: the temporary directory)
#include <sqlite3.h>
#include <stdlib.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "bench.h"
#include "journal/access_index.h"
#include "journal/export.h"
#include "journal/log.h"

namespace holdfast::journal {
namespace {

using bench::Bar;
using bench::fail;
using bench::must;
using bench::row;
using bench::run;
using bench::Steady;

using Seconds = std::chrono::duration<double>;
constexpr std::chrono::seconds kEach{3};
constexpr int kGroup = 64;
constexpr std::int64_t kProved = 10'000'000, kVerified = 1'000'000;
constexpr std::int64_t kAccesses = 10'000'000, kBatch = 1'000, kActors = 50, kSubjects = 1'000'000;

double ms_since(Steady::time_point start) {
  return std::chrono::duration<double, std::milli>(Steady::now() - start).count();
}

/// A store in a folder of its own.
struct Store {
  std::filesystem::path dir;
  SystemClock clock;
  crypto::HeldKeys keys{
      std::make_shared<crypto::KeySet>(crypto::Keyring::make(SystemClock().now()))};
  std::unique_ptr<db::Database> database;
  std::unique_ptr<Log> log;

  Store(const std::filesystem::path& parent, const char* name) : dir(parent / name) {
    std::filesystem::create_directory(dir);
    open();
  }
  ~Store() {
    close();
    std::filesystem::remove_all(dir);
  }
  void open() {
    database = must(db::open_sqlite({.dir = dir}, clock));
    log = must(run(Log::open({*database, keys, clock},
                             {.witness = dir / "witness", .afterlog = dir / "afterlog"})));
  }
  void close() {
    log.reset();
    if (database) database->close();
    database.reset();
  }
};

SubjectId subject_of(std::int64_t number) {
  SubjectId out;
  Bytes bytes;
  put_u64(bytes, static_cast<std::uint64_t>(number) * 0x9e3779b97f4a7c15u);
  put_u64(bytes, static_cast<std::uint64_t>(number));
  std::ranges::copy(bytes, out.uuid.begin());
  return out;
}

Event reveal(std::int64_t number) {
  return {.activity = "records.reveal",
          .opened = true,
          .purpose = "order_fulfilment",
          .collection = "customers",
          .fields = {"email", "phone"},
          .touches = {{.subject = subject_of(number), .kind = "records", .row = Bytes(16, 7)}}};
}
const Caller kCaller{.principal = "key_01jc9y3f2w8d",
                     .on_behalf_of = "staff:17",
                     .request_id = "req_01jc9y3f2w8dq6h0v5k7n4m2xz",
                     .address = "203.0.113.9",
                     .user_agent = "shop/1.0"};

// ── append

struct Appending {
  Log& log;
  Steady::time_point until;
  std::int64_t done = 0;
};

Task<void> append_many(Appending& work) {
  while (Steady::now() < work.until) {
    must(co_await work.log.commit(kCaller, {}, reveal(work.done)));
    ++work.done;
  }
}

/// The same bytes in the same groups, by the plainest program.
double plain_inserts(const std::filesystem::path& dir, const Bytes& id, std::string_view entry) {
  sqlite3* db = nullptr;
  sqlite3_stmt* insert = nullptr;
  auto exec = [&](const char* sql) {
    if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(sqlite3_errmsg(db));
  };
  sqlite3_open((dir / "plain.db").c_str(), &db);
  exec("pragma journal_mode = wal; pragma synchronous = full");
  exec(
      "create table entries (seq integer primary key, id blob not null, entry blob not null) "
      "strict");
  sqlite3_prepare_v2(db, "insert into entries (id, entry) values (?1, ?2)", -1, &insert, nullptr);
  std::int64_t done = 0;
  auto start = Steady::now();
  while (Steady::now() < start + kEach) {
    exec("begin immediate");
    for (int i = 0; i < kGroup; ++i, ++done) {
      sqlite3_bind_blob(insert, 1, id.data(), static_cast<int>(id.size()), SQLITE_STATIC);
      sqlite3_bind_blob(insert, 2, entry.data(), static_cast<int>(entry.size()), SQLITE_STATIC);
      if (sqlite3_step(insert) != SQLITE_DONE) fail(sqlite3_errmsg(db));
      sqlite3_reset(insert);
    }
    exec("commit");
  }
  auto rate = static_cast<double>(done) / Seconds(Steady::now() - start).count();
  sqlite3_finalize(insert);
  sqlite3_close(db);
  return rate;
}

void append(const std::filesystem::path& parent) {
  Store store(parent, "append");
  must(run(store.log->settle()));
  auto before = std::filesystem::file_size(store.dir / "holdfast.db");
  boost::asio::io_context io;
  auto start = Steady::now();
  Appending work{*store.log, start + kEach};
  for (int i = 0; i < kGroup; ++i)
    boost::asio::co_spawn(io, append_many(work), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  io.run();
  auto rate = static_cast<double>(work.done) / Seconds(Steady::now() - start).count();
  auto last = must(run(store.log->read_before(1LL << 40, 1))).at(0);
  must(run(store.log->settle()));
  store.close();
  auto grown = static_cast<double>(std::filesystem::file_size(store.dir / "holdfast.db") - before);
  row("journal append, 64 waiting", rate, "entries/s",
      "half of plain durable inserts of the same bytes, 64 a commit",
      plain_inserts(store.dir, to_bytes(last.id.bytes()), last.entry) / 2, Bar::least);
  row("journal bytes per reveal", grown / static_cast<double>(work.done), "B");
}

// ── offline verification

void put_record(std::ofstream& out, char tag, std::string_view bytes) {
  Bytes head{static_cast<std::uint8_t>(tag)};
  put_u32(head, static_cast<std::uint32_t>(bytes.size()));
  out << as_text(head) << bytes;
}

/// What hashing alone allows, on as many threads as the verification has.
double hashes_a_second(const std::vector<std::string>& entries) {
  auto hash = [&entries] {
    for (std::int64_t i = 0; i < kVerified / 2; ++i)
      (void)crypto::leaf_hash(as_bytes(entries[static_cast<std::size_t>(i % 1000)]));
  };
  auto start = Steady::now();
  std::thread other(hash);
  hash();
  other.join();
  return static_cast<double>(kVerified) / Seconds(Steady::now() - start).count();
}

void verification(const std::filesystem::path& parent) {
  auto file = parent / "log.export";
  crypto::Signer signer(Bytes(32, 1));
  Stamp stamp{.id = {},
              .at = SystemClock().now(),
              .principal = kCaller.principal,
              .person = "per_01jc9y3f2w8dq6h0v5k7n4m2xz",
              .request_id = kCaller.request_id,
              .context = crypto::Digest{1},
              .note = {}};
  // Two passes over the same entries: the checkpoint stands before them.
  std::vector<std::string> entries;
  for (std::int64_t i = 0; i < 1000; ++i) {
    stamp.id = EventId::make(stamp.at);
    entries.push_back(must(encode_entry(reveal(i), stamp, {})));
  }
  Recount recount;
  for (std::int64_t i = 0; i < kVerified; ++i)
    recount.add(crypto::leaf_hash(as_bytes(entries[static_cast<std::size_t>(i % 1000)])));
  {
    std::ofstream out(file, std::ios::binary);
    out << "holdfast journal export 1\n";
    put_record(out, 'K', verifier_key("bench/log", signer.public_key()));
    put_record(out, 'C', sign_checkpoint({"bench/log", kVerified, recount.root()}, signer));
    for (std::int64_t i = 0; i < kVerified; ++i)
      put_record(out, 'E', entries[static_cast<std::size_t>(i % 1000)]);
    put_record(out, 'Z', {});
  }
  std::vector<double> rates;
  for (int i = 0; i < 5; ++i) {
    auto start = Steady::now();
    auto report = must(verify_export(file, {}));
    if (!report.good()) fail("the export does not verify");
    rates.push_back(static_cast<double>(kVerified) / Seconds(Steady::now() - start).count());
  }
  std::ranges::sort(rates);
  row("offline verification of 1,000,000 entries", rates[2], "entries/s", "bar", 1'000'000,
      Bar::least);
  row("offline verification, beside hashing", rates[2], "entries/s",
      "SHA-256 of the same entries on two threads", hashes_a_second(entries), Bar::none);
  std::filesystem::remove(file);
}

// ── proofs

/// Tiles over made-up leaf hashes, put straight into the database: ten million entries would take
/// minutes to write, and a proof reads tiles only.
void synthetic_tiles(const std::filesystem::path& file) {
  sqlite3* db = nullptr;
  sqlite3_stmt* insert = nullptr;
  sqlite3_open(file.c_str(), &db);
  sqlite3_exec(db, "begin", nullptr, nullptr, nullptr);
  sqlite3_prepare_v2(db, "insert into journal_tiles (level, idx, hashes) values (?1, ?2, ?3)", -1,
                     &insert, nullptr);
  Tree tree;
  std::vector<Tile> full;
  while (tree.size() < kProved) {
    crypto::Digest leaf{};
    auto number = tree.size();
    std::memcpy(leaf.data(), &number, sizeof number);
    tree.add(leaf, full);
    for (const auto& tile : full) {
      sqlite3_bind_int64(insert, 1, tile.level);
      sqlite3_bind_int64(insert, 2, static_cast<std::int64_t>(tile.index));
      sqlite3_bind_blob(insert, 3, tile.hashes.data(), static_cast<int>(tile.hashes.size()),
                        SQLITE_STATIC);
      if (sqlite3_step(insert) != SQLITE_DONE) fail(sqlite3_errmsg(db));
      sqlite3_reset(insert);
    }
    full.clear();
  }
  sqlite3_finalize(insert);
  // The entries that are there go to the end, so that the next one comes after the last full tile.
  const auto move = "update journal_entries set seq = seq + " +
                    std::to_string(tree.size() / kTileWidth * kTileWidth) +
                    " - (select count(*) from journal_entries)";
  if (sqlite3_exec(db, move.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    fail(sqlite3_errmsg(db));
  sqlite3_exec(db, "commit", nullptr, nullptr, nullptr);
  sqlite3_close(db);
}

Task<std::vector<double>> prove_many(Log& log) {
  std::mt19937_64 random(7);
  std::vector<double> times;
  for (int i = 0; i < 2'000; ++i) {
    auto seq = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(log.size()));
    auto start = Steady::now();
    must(co_await log.prove(seq));
    times.push_back(ms_since(start));
  }
  std::ranges::sort(times);
  co_return times;
}

void proofs(const std::filesystem::path& parent) {
  Store store(parent, "proofs");
  store.close();
  synthetic_tiles(store.dir / "holdfast.db");
  auto start = Steady::now();
  store.open();
  row("journal open at 10,000,000 entries", ms_since(start), "ms");
  auto times = run(prove_many(*store.log));
  row("inclusion proof at 10,000,000 entries (made-up leaves), median", times[times.size() / 2],
      "ms", "bar", 1, Bar::most);
  row("inclusion proof at 10,000,000 entries (made-up leaves), p99", times[times.size() * 99 / 100],
      "ms", "bar", 1, Bar::most);
}

// ── who saw whom

Task<void> see_many(Log& log) {
  std::mt19937_64 random(7);
  for (std::int64_t i = 0; i < kAccesses / kBatch; ++i) {
    Event event{.activity = "records.reveal_batch",
                .opened = true,
                .purpose = "support",
                .collection = "customers",
                .fields = {"email"}};
    for (std::int64_t j = 0; j < kBatch; ++j)
      event.touches.push_back(
          {.subject = subject_of(static_cast<std::int64_t>(random() % kSubjects)),
           .kind = "records",
           .row = Bytes(16, 7)});
    Caller caller{.principal = "key_" + std::to_string(i % kActors)};
    must(co_await log.commit(caller, {}, std::move(event)));
  }
}

Task<bool> all_accesses(Log& log, AccessIndex& index) {
  auto start = Steady::now();
  co_await see_many(log);
  auto appended = ms_since(start);
  must(co_await log.settle());
  start = Steady::now();
  must(co_await index.tend());
  row("index of accesses, following", static_cast<double>(kAccesses) / ms_since(start) * 1000,
      "accesses/s", "committing them in batches of 1,000",
      static_cast<double>(kAccesses) / appended * 1000);

  std::vector<double> pages, scopes;
  for (std::int64_t i = 0; i < 21; ++i) {
    start = Steady::now();
    auto page = must(co_await index.accesses(subject_of(i * 977), 1LL << 40, 100));
    pages.push_back(ms_since(start));
    if (page.accesses.empty()) fail("no accesses");
  }
  for (std::int64_t i = 0; i < 5; ++i) {
    start = Steady::now();
    auto page = must(co_await index.scope("key_" + std::to_string(i), std::nullopt, 100));
    scopes.push_back(ms_since(start));
    if (page.total.value_or(0) < kAccesses / kActors / 2) fail("a scope lacks subjects");
  }
  std::ranges::sort(pages);
  std::ranges::sort(scopes);
  row("accesses of one subject over 10,000,000 (in batches of 1,000), newest 100",
      pages[pages.size() / 2], "ms", "bar", 1000, Bar::most);
  row("scope of one actor over 10,000,000 accesses, first page with total",
      scopes[scopes.size() / 2], "ms", "bar", 1000, Bar::most);
  co_return true;
}

void accesses(const std::filesystem::path& parent) {
  Store store(parent, "accesses");
  auto index = must(run(AccessIndex::open(*store.log, store.clock)));
  run(all_accesses(*store.log, *index));
  row("index of accesses on disk",
      static_cast<double>(std::filesystem::file_size(store.dir / "scratch.db")) / kAccesses,
      "B an access");
  index.reset();
}

}  // namespace
}  // namespace holdfast::journal

int main(int argc, char** argv) {
  auto name =
      (std::filesystem::path(argc > 1 ? argv[1] : std::filesystem::temp_directory_path().c_str()) /
       "journal-bench-XXXXXX")
          .string();
  if (!mkdtemp(name.data())) return 1;
  std::filesystem::path dir(name);
  holdfast::journal::append(dir);
  holdfast::journal::verification(dir);
  holdfast::journal::proofs(dir);
  holdfast::journal::accesses(dir);
  std::filesystem::remove_all(dir);
}
