// What only SQLite promises: files, one server, a short log, and bad days of the disk.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "db/faulty_disk.h"
#include "db/shop.h"

namespace holdfast::db::shop {
namespace {

using namespace std::chrono_literals;

Result<std::unique_ptr<Database>> open(const std::filesystem::path& dir) {
  static const SystemClock clock;
  return open_sqlite({.dir = dir, .known = kKnown}, clock);
}

unsigned mode_of(const std::filesystem::path& file) {
  struct stat found{};
  ::stat(file.c_str(), &found);
  return found.st_mode & 0777;
}

template <class Condition>
bool within(std::chrono::milliseconds time, Condition condition) {
  auto end = std::chrono::steady_clock::now() + time;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

TEST(SqliteFiles, are_nobody_elses) {
  test::TestDatabase db(Database::Kind::sqlite, kKnown);
  ASSERT_TRUE(test::run(db.writer().commit(insert(1))));

  for (const char* name :
       {"holdfast.db", "holdfast.db-wal", "holdfast.db-shm", "scratch.db", "holdfast.lock"})
    EXPECT_EQ(mode_of(db.dir() / name), 0600u) << name;
}

TEST(SqliteFiles, are_made_with_their_directory) {
  test::TempDir dir;

  auto opened = open(dir / "new");

  ASSERT_TRUE(opened);
  EXPECT_EQ(mode_of(dir / "new"), 0700u);
}

TEST(SqliteFiles, open_to_others_are_refused) {
  test::TempDir dir;
  {
    ASSERT_TRUE(open(dir.path()));
  }
  ::chmod((dir / "holdfast.db").c_str(), 0644);

  auto opened = open(dir.path());

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::invalid);
}

TEST(SqliteFiles, of_another_program_are_refused) {
  test::TempDir dir;
  sqlite3* raw = nullptr;
  sqlite3_open((dir / "holdfast.db").c_str(), &raw);
  sqlite3_exec(raw, "create table theirs (id integer)", nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  ::chmod((dir / "holdfast.db").c_str(), 0600);

  auto opened = open(dir.path());

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
}

TEST(SqliteFiles, that_are_no_database_are_refused) {
  test::TempDir dir;
  std::ofstream(dir / "holdfast.db") << std::string(5'000, 'x');
  ::chmod((dir / "holdfast.db").c_str(), 0600);

  auto opened = open(dir.path());

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
}

TEST(SqliteFiles, of_a_newer_release_are_refused) {
  test::TempDir dir;
  {
    auto older = open(dir.path());
    ASSERT_TRUE(older);
    auto writer = (*older)->take_writer();
    ASSERT_TRUE(test::run(writer->commit(apply({"later", 9, "thing", ""}, 1))));
    (*older)->close();
  }

  auto opened = open(dir.path());

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::conflict);
}

TEST(SqliteFiles, serve_one_server_at_a_time) {
  test::TempDir dir;
  auto first = open(dir.path());
  ASSERT_TRUE(first);

  auto second = open(dir.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);

  first->reset();
  EXPECT_TRUE(open(dir.path()));
}

TEST(SqliteFiles, scratch_is_made_anew_when_it_is_damaged) {
  test::TempDir dir;
  {
    ASSERT_TRUE(open(dir.path()));
  }
  std::ofstream(dir / "scratch.db", std::ios::trunc) << std::string(5'000, 'x');

  auto opened = open(dir.path());

  ASSERT_TRUE(opened) << opened.error().text;
  EXPECT_TRUE(test::run((*opened)->scratch().commit(
      Changes().script("create table a (id {{int}} primary key) {{strict}};"))));
}

TEST(SqliteFiles, that_are_damaged_say_so) {
  test::TempDir dir;
  static constexpr Sql kSum{"test.sum", "select sum(length(data)) from orders"};
  {
    auto opened = open(dir.path());
    ASSERT_TRUE(opened);
    auto writer = (*opened)->take_writer();
    for (const auto& migration : kKnown)
      ASSERT_TRUE(test::run(writer->commit(apply(migration, 1))));
    std::vector<Args> rows;
    for (std::int64_t id = 0; id < 2'000; ++id) rows.push_back(order(id, 500));
    ASSERT_TRUE(test::run(writer->commit(Changes().bulk(kInsertOrder, std::move(rows)))));
    (*opened)->close();
  }
  std::fstream file(dir / "holdfast.db", std::ios::in | std::ios::out | std::ios::binary);
  for (std::streamoff page = 20; page < 200; ++page) {
    file.seekp(page * 4'096);
    file << std::string(64, '\x55');
  }
  file.close();

  auto opened = open(dir.path());
  ASSERT_TRUE(opened) << opened.error().text;
  auto rows = test::run((*opened)->reader().read(kSum, {}));

  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Code::corrupt);
}

TEST(SqliteLog, stays_short_under_load_with_readers) {
  test::TestDatabase db(Database::Kind::sqlite, kKnown);
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i)
    readers.emplace_back([&] {
      test::RunContext context;
      while (!stop) EXPECT_TRUE(context.run(db->reader().read(kCountLines, {})));
    });

  test::RunContext context;
  std::uintmax_t longest = 0;
  for (std::int64_t id = 0; id < 150; ++id) {  // 150 MiB
    ASSERT_TRUE(context.run(db.writer().commit(insert(id, 1u << 20))));
    longest = std::max(longest, std::filesystem::file_size(db.dir() / "holdfast.db-wal"));
  }
  stop = true;
  for (auto& reader : readers) reader.join();

  EXPECT_LT(longest, 90u << 20);
  auto log = db.dir() / "holdfast.db-wal";
  EXPECT_TRUE(within(5s, [&] { return std::filesystem::file_size(log) == 0; }));
}

TEST(SqliteDeadline, passes_while_another_program_holds_the_database) {
  test::TestDatabase db(Database::Kind::sqlite, kKnown);
  sqlite3* raw = nullptr;
  sqlite3_open((db.dir() / "holdfast.db").c_str(), &raw);
  ASSERT_EQ(sqlite3_exec(raw, "begin immediate", nullptr, nullptr, nullptr), SQLITE_OK);
  auto begun = std::chrono::steady_clock::now();

  auto late = test::run(db.writer().commit(insert(1), begun + 100ms));
  auto took = std::chrono::steady_clock::now() - begun;
  sqlite3_exec(raw, "rollback", nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  auto later = test::run(db.writer().commit(insert(2)));

  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::unavailable);
  EXPECT_LT(took, 2s);
  EXPECT_TRUE(later);
}

TEST(SqliteSchema, does_not_run_what_was_planted_in_the_file) {
  test::TempDir dir;
  {
    auto opened = open(dir.path());
    ASSERT_TRUE(opened);
    auto writer = (*opened)->take_writer();
    for (const auto& migration : kKnown)
      ASSERT_TRUE(test::run(writer->commit(apply(migration, 1))));
    (*opened)->close();
  }
  sqlite3* raw = nullptr;
  sqlite3_open((dir / "holdfast.db").c_str(), &raw);
  sqlite3_exec(
      raw,
      "create trigger planted after insert on orders begin update counters set value = 666; end",
      nullptr, nullptr, nullptr);
  sqlite3_close(raw);

  auto opened = open(dir.path());
  ASSERT_TRUE(opened);
  auto writer = (*opened)->take_writer();
  ASSERT_TRUE(test::run(writer->commit(insert(1))));

  auto rows = test::run((*opened)->reader().read(kValue, {}));
  EXPECT_EQ((*rows)[0].integer(0), 0);
  (*opened)->close();
}

class SqliteFaults : public testing::Test {
 protected:
  ~SqliteFaults() override {
    for (auto* fault : {&Disk::log_syncs_fail, &Disk::log_writes_fail, &Disk::database_syncs_fail,
                        &Disk::database_reads_fail})
      *fault = false;
  }
  using Disk = test_disk::FaultyDisk;

  std::vector<std::int64_t> ids() {
    auto rows = test::run(db_->reader().read(kListIds, {}));
    std::vector<std::int64_t> out;
    for (std::size_t i = 0; rows && i < rows->size(); ++i) out.push_back((*rows)[i].integer(0));
    return out;
  }

  Disk disk_;
  test::TestDatabase db_{Database::Kind::sqlite, kKnown};
};

TEST_F(SqliteFaults, of_the_log_are_answered_and_get_over) {
  for (auto* fault : {&Disk::log_syncs_fail, &Disk::log_writes_fail}) {
    std::int64_t id = fault == &Disk::log_syncs_fail ? 10 : 20;
    ASSERT_TRUE(test::run(db_.writer().commit(insert(id))));

    *fault = true;
    auto failed = test::run(db_.writer().commit(insert(id + 1)));
    auto health = db_->health();
    *fault = false;

    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Code::unavailable);
    EXPECT_FALSE(health.writable);
    EXPECT_EQ(health.reason, "the disk cannot be read or written");
    EXPECT_TRUE(within(5s, [&] { return db_->health().writable; }));
    ASSERT_TRUE(test::run(db_.writer().commit(insert(id + 2))));
  }
  EXPECT_EQ(ids(), (std::vector<std::int64_t>{10, 12, 20, 22}));
  db_.reopen();
  EXPECT_EQ(ids(), (std::vector<std::int64_t>{10, 12, 20, 22}));
}

TEST_F(SqliteFaults, of_a_checkpoint_lose_nothing) {
  Disk::database_syncs_fail = true;
  std::vector<std::int64_t> kept;
  for (std::int64_t id = 0; id < 30; ++id) {
    ASSERT_TRUE(test::run(db_.writer().commit(insert(id, 1u << 20))));
    kept.push_back(id);
  }
  auto log = std::filesystem::file_size(db_.dir() / "holdfast.db-wal");
  Disk::database_syncs_fail = false;

  EXPECT_GT(log, 30u << 20);
  EXPECT_TRUE(
      within(5s, [&] { return std::filesystem::file_size(db_.dir() / "holdfast.db-wal") == 0; }));
  EXPECT_EQ(ids(), kept);
  db_.reopen();
  EXPECT_EQ(ids(), kept);
}

TEST_F(SqliteFaults, of_reading_are_answered) {
  for (std::int64_t id = 0; id < 50; ++id)
    ASSERT_TRUE(test::run(db_.writer().commit(insert(id, 10'000))));
  db_.reopen();

  Disk::database_reads_fail = true;
  auto rows = test::run(db_->reader().read(kListOrders, {}));
  Disk::database_reads_fail = false;

  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Code::unavailable);
  EXPECT_EQ(ids().size(), 50u);
}

/// A small file system of its own, where this user may mount one.
class SqliteDisk : public testing::Test {
 protected:
  void SetUp() override {
    if (::mount("none", dir_.path().c_str(), "tmpfs", 0, "size=8m,mode=700") != 0)
      GTEST_SKIP() << "this user may not mount a tmpfs";
    mounted_ = true;
    std::ofstream(dir_ / "ballast") << std::string(4u << 20, 'x');
    auto opened = open(dir_ / "data");
    ASSERT_TRUE(opened) << opened.error().text;
    database_ = std::move(*opened);
    writer_ = database_->take_writer();
    for (const auto& migration : kKnown)
      ASSERT_TRUE(test::run(writer_->commit(apply(migration, 1))));
  }
  void TearDown() override {
    if (database_) database_->close();
    writer_.reset();
    database_.reset();
    if (mounted_) ::umount(dir_.path().c_str());
  }
  bool remount(unsigned long flags) {
    return ::mount("none", dir_.path().c_str(), "tmpfs", MS_REMOUNT | flags, "size=8m") == 0;
  }
  bool writable() { return database_->health().writable; }

  test::TempDir dir_;
  bool mounted_ = false;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Writer> writer_;
};

TEST_F(SqliteDisk, full_answers_unavailable_and_recovers) {
  std::vector<std::int64_t> kept;
  Result<Committed> done;
  std::int64_t id = 0;
  while ((done = test::run(writer_->commit(insert(++id, 20'000)))) && id < 1'000)
    kept.push_back(id);

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
  EXPECT_EQ(done.error().text,
            "the disk is full: make room on it; nothing that was acknowledged is lost");
  EXPECT_FALSE(writable());
  EXPECT_EQ(database_->health().reason,
            "the disk is full: make room on it; nothing that was acknowledged is lost");
  ASSERT_FALSE(test::run(writer_->commit(insert(++id, 20'000))));
  EXPECT_TRUE(test::run(database_->reader().read(kCountOrders, {})));

  std::filesystem::remove(dir_ / "ballast");
  EXPECT_TRUE(within(5s, [&] { return writable(); }));
  ASSERT_TRUE(test::run(writer_->commit(insert(5'000, 20'000))));
  kept.push_back(5'000);
  auto rows = test::run(database_->reader().read(kListIds, {}));
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), kept.size());
  for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_EQ((*rows)[i].integer(0), kept[i]);
}

TEST_F(SqliteDisk, read_only_is_refused_with_a_reason) {
  database_->close();
  writer_.reset();
  database_.reset();
  ASSERT_TRUE(remount(MS_RDONLY));

  auto opened = open(dir_ / "data");

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::unavailable);
  EXPECT_TRUE(remount(0));
  EXPECT_TRUE(open(dir_ / "data"));
}

}  // namespace
}  // namespace holdfast::db::shop
