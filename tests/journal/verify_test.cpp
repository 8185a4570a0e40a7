#include "journal/verify.h"

#include <algorithm>
#include <fstream>

#include "journal/export.h"
#include "journal/log_bench.h"
#include "support/database.h"

namespace holdfast::journal {
namespace {

Event batch_of(int count) {
  Event event{.activity = "records.create"};
  for (int i = 0; i < count; ++i)
    event.touches.push_back({.subject = subject(static_cast<std::uint8_t>(i)),
                             .kind = "records",
                             .row = {1, static_cast<std::uint8_t>(i)},
                             .left = crypto::Digest{1}});
  return event;
}

class VerifyBench : public LogBench {
 public:
  explicit VerifyBench(db::Database::Kind kind = db::Database::Kind::sqlite) : LogBench(kind) {
    commit_many(300);
    commit(batch_of(5));
    commit_many(300);
    commit(batch_of(7));
    settle();
  }
  VerifyReport verify() { return (*this)(verify_log(log())); }
  std::string exported() {
    std::string out;
    (*this)(export_log(log(), [&out](std::string_view bytes) { return keep(&out, bytes); }));
    return out;
  }

 private:
  static Task<Result<void>> keep(std::string* out, std::string_view bytes) {
    *out += bytes;
    co_return Result<void>();
  }
};

Result<VerifyReport> verify_text(std::string_view text, std::optional<std::string_view> key = {}) {
  return verify_export(
      [&text](std::span<char> into) -> Result<std::size_t> {
        auto count = std::min({into.size(), text.size(), std::size_t{1000}});
        std::copy_n(text.begin(), count, into.begin());
        text.remove_prefix(count);
        return count;
      },
      key);
}

class Verify : public OnBoth {
 protected:
  VerifyBench bench_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Databases, Verify, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(Verify, finds_nothing_wrong_with_a_log_that_nobody_touched) {
  auto report = bench_.verify();

  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.entries, bench_.log().size());
  EXPECT_EQ(report.batches, 2);
  EXPECT_EQ(report.leaves, 12);
  EXPECT_TRUE(report.root_matches);
  EXPECT_EQ(report.witness_matches, true);
}

TEST_P(Verify, checks_an_export_offline) {
  auto text = bench_.exported();

  auto report = verify_text(text, bench_.log().verifier());

  ASSERT_TRUE(report) << report.error().text;
  EXPECT_TRUE(report->good());
  EXPECT_TRUE(report->key_expected);
  EXPECT_EQ(report->entries, bench_.log().size());
  EXPECT_EQ(report->batches, 2);
  EXPECT_EQ(report->leaves, 12);
}

TEST_P(Verify, goes_on_while_the_log_grows) {
  std::vector<Task<void>> tasks;
  VerifyReport report;
  tasks.push_back([](LogBench& bench, VerifyReport& out) -> Task<void> {
    out = must(co_await verify_log(bench.log()));
  }(bench_, report));
  tasks.push_back([](LogBench& bench) -> Task<void> {
    for (int i = 0; i < 300; ++i)
      must(co_await bench.log().commit(Caller{}, {}, {.activity = "test.note"}));
    must(co_await bench.log().settle());
  }(bench_));

  bench_.context().run_all(std::move(tasks));

  EXPECT_TRUE(report.good());
}

/// What somebody with the disk does to the database, and what verification says.
struct Tampering {
  const char* name;
  const char* sql;
  Fault fault;
  std::int64_t seq, total;  // -1: any
};

class Tampered : public testing::TestWithParam<Tampering> {};

TEST_P(Tampered, is_named) {
  VerifyBench bench;
  bench.tamper(GetParam().sql);

  auto report = bench.verify();

  EXPECT_FALSE(report.good());
  ASSERT_FALSE(report.faults.empty());
  EXPECT_EQ(report.faults[0].fault, GetParam().fault) << text_of(report.faults[0].fault);
  if (GetParam().seq >= 0) {
    EXPECT_EQ(report.faults[0].seq, GetParam().seq);
  }
  if (GetParam().total >= 0) {
    EXPECT_EQ(report.faults_total, GetParam().total);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Database, Tampered,
    testing::Values(
        Tampering{"entry_changed",
                  "update journal_entries set entry = cast(replace(cast(entry as text), '\"i\":', "
                  "'\"j\":') as blob) where seq = 100",
                  Fault::entry_changed, 100, 1},
        Tampering{"entry_not_json", "update journal_entries set entry = x'00' where seq = 100",
                  Fault::entry_malformed, 100, 2},
        Tampering{"entry_at_the_edge",
                  "update journal_entries set entry = cast(replace(cast(entry as text), '\"i\":', "
                  "'\"j\":') as blob) where seq = 600",
                  Fault::entry_changed, 600, 1},
        Tampering{"entry_deleted", "delete from journal_entries where seq = 100",
                  Fault::entry_missing, 100, 1},
        Tampering{"entries_swapped",
                  "update journal_entries set seq = -1 where seq = 100; update journal_entries set "
                  "seq = 100 where seq = 101; "
                  "update journal_entries set seq = 101 where seq = -1",
                  Fault::entry_changed, 100, 2},
        Tampering{"entry_put_between",
                  "update journal_entries set seq = -seq where seq > 100; update journal_entries "
                  "set seq = 1 - seq where seq < -99; "
                  "insert into journal_entries (seq, id, entry) select 101, randomblob(16), entry "
                  "from journal_entries where seq = 100",
                  Fault::id_differs, 101, -1},
        Tampering{"entry_under_another_id",
                  "update journal_entries set id = randomblob(16) where seq = 100",
                  Fault::id_differs, 100, 1},
        Tampering{"leaves_changed",
                  "update journal_leaves set leaves = cast(replace(cast(leaves as text), "
                  "'records', 'recordz') as blob) "
                  "where event = (select event from journal_leaves order by event limit 1)",
                  Fault::leaves_changed, -1, 1},
        Tampering{"leaves_deleted", "delete from journal_leaves", Fault::leaves_missing, -1, 2},
        Tampering{"tile_changed",
                  "update journal_tiles set hashes = randomblob(8192) where level = 0 and idx = 0",
                  Fault::entry_changed, 0, 257},
        Tampering{"tile_deleted", "delete from journal_tiles where level = 0 and idx = 1",
                  Fault::tile_missing, 256, 1}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Verify, finds_an_entry_and_its_tile_changed_together) {
  VerifyBench bench;
  bench.tamper(
      "update journal_entries set entry = cast(replace(cast(entry as text), '\"i\":', '\"j\":') as "
      "blob) where seq = 100");
  auto changed = bench(bench.log().read(100, 1)).at(0);
  auto hash = hex(crypto::leaf_hash(as_bytes(changed.entry)));
  bench.tamper("update journal_tiles set hashes = cast(substr(hashes, 1, 3200) || x'" + hash +
               "' || substr(hashes, 3233) as blob) where level = 0 and idx = 0");

  auto report = bench.verify();

  EXPECT_FALSE(report.good());
  ASSERT_EQ(report.faults_total, 1);
  EXPECT_EQ(report.faults[0].fault, Fault::tile_changed);
  EXPECT_FALSE(report.root_matches);
  EXPECT_FALSE(bench(bench.log().in_tree(changed)));
}

TEST(Verify, says_when_the_witness_is_not_of_this_log) {
  VerifyBench bench;
  crypto::Signer signer(bench.keys().get()->ring.active(crypto::KeyUse::journal).expose());
  ASSERT_TRUE(
      write_file_atomically(bench.dir() / "witness",
                            sign_checkpoint({bench.log().origin(), 5, crypto::Digest{1}}, signer)));

  auto report = bench.verify();

  EXPECT_EQ(report.witness_matches, false);
  EXPECT_FALSE(report.good());
}

// ── exports

TEST(Export, with_any_byte_changed_is_found_out) {
  LogBench small;
  small.commit(batch_of(2));
  std::string text;
  small(export_log(small.log(), [&text](std::string_view bytes) {
    return [](std::string* out, std::string_view more) -> Task<Result<void>> {
      *out += more;
      co_return Result<void>();
    }(&text, bytes);
  }));
  const auto key = small.log().verifier();
  ASSERT_TRUE(verify_text(text, key)->good());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto bad = text;
    bad[i] = static_cast<char>(bad[i] ^ 1);

    auto report = verify_text(bad, key);

    EXPECT_FALSE(report && report->good()) << i;
  }
}

TEST(Export, cut_off_or_with_more_behind_it_is_refused) {
  VerifyBench bench;
  const auto text = bench.exported();
  for (std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{26}, std::size_t{40},
                           text.size() / 2, text.size() - 1})
    EXPECT_FALSE(verify_text(std::string_view(text).substr(0, size))) << size;
  EXPECT_FALSE(verify_text(text + "x"));
}

TEST(Export, of_another_log_is_refused_when_the_key_is_known) {
  VerifyBench bench;
  LogBench other;

  auto report = verify_text(bench.exported(), other.log().verifier());

  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Code::corrupt);
}

TEST(Export, is_read_from_a_file) {
  VerifyBench bench;
  std::ofstream(bench.dir() / "log.export", std::ios::binary) << bench.exported();
  std::int64_t told = 0;

  auto report = verify_export(bench.dir() / "log.export", {},
                              [&](std::int64_t done, std::int64_t) { told = done; });

  ASSERT_TRUE(report);
  EXPECT_TRUE(report->good());
  EXPECT_FALSE(report->key_expected);
  EXPECT_EQ(told, bench.log().size());
  EXPECT_EQ(verify_export(bench.dir() / "none", {}).error().code, Code::not_found);
}

TEST(Recount, has_the_root_of_rfc_6962_at_every_size) {
  Recount recount;
  crypto::TreeEdge reference;
  for (std::uint8_t i = 0; recount.size() < 1'100; ++i) {
    EXPECT_EQ(recount.root(), reference.root());
    recount.add(crypto::Digest{i});
    reference.add(crypto::Digest{i});
  }
}

}  // namespace
}  // namespace holdfast::journal
