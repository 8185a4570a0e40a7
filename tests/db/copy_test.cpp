// What copy_to writes on either database, load_from brings into either.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <limits>
#include <thread>

#include "db/shop.h"

namespace holdfast::db::shop {
namespace {

using Kind = Database::Kind;
using test::TestDatabase;

/// A database that is open but has no tables yet.
class Empty {
 public:
  explicit Empty(Kind kind) {
    auto opened = kind == Kind::sqlite ? open_sqlite({.dir = dir_.path(), .known = kKnown}, clock_)
                                       : open_postgres({.url = test::shared_postgres()->url(),
                                                        .schema = test::fresh_schema(),
                                                        .known = kKnown},
                                                       clock_);
    if (opened) database_ = std::move(*opened);
  }
  Database& operator*() { return *database_; }
  Database* operator->() { return database_.get(); }

 private:
  test::TempDir dir_;
  SystemClock clock_;
  std::unique_ptr<Database> database_;
};

class Copy : public testing::TestWithParam<std::tuple<Kind, Kind>> {
 protected:
  Rows read(Database& from, const Sql& sql) {
    auto rows = context_.run(from.reader().read(sql, {}));
    EXPECT_TRUE(rows) << rows.error().text;
    return rows ? std::move(*rows) : Rows();
  }
  void fill(TestDatabase& db) {
    Changes changes;
    changes.write(kInsertOrder, {3, {}, {}, {}});
    changes.write(kInsertOrder, {std::numeric_limits<std::int64_t>::min(), 3, "", Bytes{}});
    changes.write(kInsertOrder, {2, 3, "Zoë 🙂 '\"\\", Bytes{0, 1, 255, 0}});
    changes.write(kInsertLine, {3, std::numeric_limits<std::int64_t>::max()});
    std::vector<Args> rows;
    for (std::int64_t id = 10; id < 5'010; ++id) rows.push_back(order(id, 100));
    changes.bulk(kInsertOrder, std::move(rows));
    changes.write(kAdd, {42});
    ASSERT_TRUE(context_.run(db.writer().commit(std::move(changes))));
  }

  test::TempDir dir_;
  std::filesystem::path file_ = dir_ / "data";
  test::RunContext context_;
};

TEST_P(Copy, brings_every_value_over) {
  auto [from, to] = GetParam();
  TestDatabase source(from, kKnown);
  fill(source);
  Empty target(to);

  auto copied = source->copy_to(file_);
  ASSERT_TRUE(copied) << copied.error().text;
  auto loaded = target->load_from(file_);
  ASSERT_TRUE(loaded) << loaded.error().text;

  auto before = read(*source, kListOrders);
  auto after = read(*target, kListOrders);
  ASSERT_EQ(before.size(), 5'003u);
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].integer(0), before[i].integer(0));
    EXPECT_EQ(after[i].null(1), before[i].null(1));
    EXPECT_EQ(after[i].integer(1), before[i].integer(1));
    EXPECT_EQ(after[i].null(2), before[i].null(2));
    EXPECT_EQ(after[i].text(2), before[i].text(2));
    EXPECT_EQ(after[i].null(3), before[i].null(3));
    EXPECT_EQ(to_bytes(after[i].bytes(3)), to_bytes(before[i].bytes(3)));
  }
  EXPECT_EQ(read(*target, kValue)[0].integer(0), 42);
  EXPECT_EQ(read(*target, kCountLines)[0].integer(0), 1);
  EXPECT_TRUE(context_.run(pending_migrations(target->reader(), kKnown))->empty());
  auto writer = target->take_writer();
  EXPECT_TRUE(context_.run(writer->commit(insert(1))));
  EXPECT_FALSE(context_.run(writer->commit(Changes().write(kInsertLine, {999'999, 1}))));
  target->close();
}

TEST_P(Copy, is_one_moment_while_others_commit) {
  auto [from, to] = GetParam();
  TestDatabase source(from, kKnown);
  fill(source);
  std::atomic<bool> stop = false;
  std::thread others([&] {
    test::RunContext context;
    for (std::int64_t id = 100'000; !stop; ++id)
      EXPECT_TRUE(context.run(source.writer().commit(insert(id).write(kAdd, {1}))));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));

  auto copied = source->copy_to(file_);

  stop = true;
  others.join();
  ASSERT_TRUE(copied) << copied.error().text;
  Empty target(to);
  ASSERT_TRUE(target->load_from(file_));
  auto orders = read(*target, kCountOrders)[0].integer(0);
  EXPECT_EQ(orders - 5'003, read(*target, kValue)[0].integer(0) - 42);
  EXPECT_GT(orders, 5'003);
  target->close();
}

std::string pair_name(const testing::TestParamInfo<std::tuple<Kind, Kind>>& info) {
  return test::kind_name(std::get<0>(info.param)) + "_to_" +
         test::kind_name(std::get<1>(info.param));
}
INSTANTIATE_TEST_SUITE_P(Databases, Copy,
                         testing::Combine(testing::ValuesIn(test::database_kinds()),
                                          testing::ValuesIn(test::database_kinds())),
                         pair_name);

/// A file as somebody changes it who knows SQLite.
class RawFile {
 public:
  explicit RawFile(const std::filesystem::path& file) { sqlite3_open(file.c_str(), &db_); }
  ~RawFile() { sqlite3_close(db_); }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  void run(const std::string& text) {
    EXPECT_EQ(sqlite3_exec(db_, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << text;
  }

 private:
  sqlite3* db_ = nullptr;
};

class CopyRefused : public testing::TestWithParam<Kind> {
 protected:
  CopyRefused() {
    EXPECT_TRUE(test::run(source_.writer().commit(insert(1))));
    EXPECT_TRUE(source_->copy_to(file_));
  }
  Code load() {
    Empty target(GetParam());
    auto loaded = target->load_from(file_);
    EXPECT_FALSE(loaded);
    // Nothing of it stays: a good file goes in afterwards.
    auto pending = test::run(pending_migrations(target->reader(), kKnown));
    EXPECT_TRUE(pending && pending->size() == std::size(kKnown));
    target->close();
    return loaded ? Code::internal : loaded.error().code;
  }

  TestDatabase source_{Kind::sqlite, kKnown};
  test::TempDir dir_;
  std::filesystem::path file_ = dir_ / "data";
};

TEST_P(CopyRefused, into_a_file_that_exists) {
  TestDatabase source(GetParam(), kKnown);

  auto copied = source->copy_to(file_);

  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code, Code::conflict);
  EXPECT_GT(std::filesystem::file_size(file_), 0u);
}

TEST_P(CopyRefused, into_a_database_with_facts) {
  TestDatabase target(GetParam(), kKnown);

  auto loaded = target->load_from(file_);

  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Code::conflict);
}

TEST_P(CopyRefused, when_it_is_not_a_data_file) {
  std::ofstream(file_, std::ios::trunc) << "something else, and long enough to be looked at";

  EXPECT_EQ(load(), Code::corrupt);
}

TEST_P(CopyRefused, when_it_is_cut_short) {
  std::filesystem::resize_file(file_, std::filesystem::file_size(file_) - 4'096);

  EXPECT_EQ(load(), Code::corrupt);
}

TEST_P(CopyRefused, when_its_tables_were_changed) {
  for (const char* planted :
       {"create trigger planted after insert on orders begin delete from counters; end",
        "create trigger planted after insert on schema_migrations begin delete from counters; end",
        "create view planted as select 1", "create index planted on orders (name)"}) {
    RawFile(file_).run(planted);

    EXPECT_EQ(load(), Code::corrupt) << planted;
    std::string kind(planted + 7, std::strchr(planted + 7, ' '));
    RawFile(file_).run("drop " + kind + " planted");
  }
}

TEST_P(CopyRefused, when_a_row_refers_to_nothing) {
  RawFile(file_).run("insert into lines (orders, number) values (77, 1)");

  EXPECT_EQ(load(), Code::corrupt);
}

TEST_P(CopyRefused, when_it_is_of_a_newer_release) {
  static constexpr Migration kNewer[] = {kKnown[0], kKnown[1], {"shop", 3, "more", "select 1;\n"}};
  TestDatabase newer(Kind::sqlite, kNewer);
  std::filesystem::remove(file_);
  ASSERT_TRUE(newer->copy_to(file_));

  EXPECT_EQ(load(), Code::conflict);
}

TEST_P(CopyRefused, but_a_copy_is_nobody_elses) {
  TestDatabase source(GetParam(), kKnown);
  ASSERT_TRUE(source->copy_to(dir_ / "mine"));

  struct stat found{};
  ASSERT_EQ(::stat((dir_ / "mine").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "mine-wal"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "mine-shm"));
}

INSTANTIATE_TEST_SUITE_P(Databases, CopyRefused, testing::ValuesIn(test::database_kinds()),
                         [](const auto& param) { return test::kind_name(param.param); });

}  // namespace
}  // namespace holdfast::db::shop
