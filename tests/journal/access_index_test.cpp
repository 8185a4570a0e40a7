#include "journal/access_index.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>

#include "journal/log_bench.h"
#include "support/database.h"

namespace holdfast::journal {
namespace {

constexpr AccessOptions kSmall{
    .run_rows = 7, .run_age = Millis{1'000}, .chunk_rows = 3, .fan_in = 3, .batch = 5};

/// Who saw whom, kept the plain way.
struct Reference {
  std::map<SubjectId, std::vector<std::pair<EventId, bool>>> touches;  // oldest first
  std::map<std::string, std::map<SubjectId, int>> seen;
};

class AccessBench : public LogBench {
 public:
  using LogBench::LogBench;

  void open_index(AccessOptions options = kSmall) {
    index.reset();
    index = (*this)(AccessIndex::open(log(), clock(), options));
  }
  /// Of the `unopened` nothing was opened, where the event has others.
  void reveal(std::vector<SubjectId> subjects, std::string key = "key_a", bool opened = true,
              std::string person = {}, const std::set<SubjectId>& unopened = {}) {
    Event event{.activity = "records.reveal", .opened = opened};
    for (const auto& one : subjects)
      event.touches.push_back({.subject = one,
                               .kind = "records",
                               .row = {one.uuid[0], 1},
                               .unopened = unopened.contains(one)});
    auto receipt = commit(event, {.principal = key, .on_behalf_of = person});
    for (const auto& one : std::set<SubjectId>(subjects.begin(), subjects.end())) {
      const bool shown = opened && (subjects.size() == 1 || !unopened.contains(one));
      reference.touches[one].emplace_back(receipt.event, shown);
      if (!shown) continue;
      ++reference.seen[person.empty() ? key : Log::pseudonym(*keys().get(), person)][one];
      if (!person.empty()) ++reference.seen[key][one];
    }
  }
  /// All pages.
  std::vector<EventId> accesses(SubjectId of, bool opened = true, std::size_t limit = 4) {
    std::vector<EventId> out;
    std::int64_t before = 1LL << 40;
    for (;;) {
      auto page = (*this)(index->accesses(of, before, limit, opened));
      EXPECT_LE(page.accesses.size(), limit);
      for (const auto& access : page.accesses) {
        out.push_back(access.stored.id);
        EXPECT_FALSE(access.rows.empty());
        EXPECT_EQ(access.entry.id, access.stored.id.text());
      }
      if (!page.before_seq) return out;
      before = *page.before_seq;
    }
  }
  std::map<SubjectId, int> scope(std::string actor, std::size_t limit = 4) {
    std::map<SubjectId, int> out;
    std::optional<SubjectId> after;
    std::optional<std::int64_t> total;
    do {
      auto page = (*this)(index->scope(actor, after, limit));
      EXPECT_EQ(page.total.has_value(), !after.has_value());
      if (page.total) total = page.total;
      for (const auto& one : page.subjects) {
        EXPECT_LE(one.seen.first, one.seen.last);
        EXPECT_TRUE(out.emplace(one.subject, static_cast<int>(one.seen.count)).second);
      }
      after = page.after;
    } while (after);
    EXPECT_EQ(total, static_cast<std::int64_t>(out.size()));
    return out;
  }
  void expect_like_reference() {
    for (const auto& [of, touches] : reference.touches)
      for (bool opened : {true, false}) {
        std::vector<EventId> expected;
        for (auto at = touches.rbegin(); at != touches.rend(); ++at)
          if (at->second || !opened) expected.push_back(at->first);
        EXPECT_EQ(accesses(of, opened), expected);
      }
    for (const auto& [actor, seen] : reference.seen) EXPECT_EQ(scope(actor), seen) << actor;
  }

  std::unique_ptr<AccessIndex> index;
  Reference reference;
};

class Accesses : public OnBoth {
 protected:
  AccessBench bench_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Databases, Accesses, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(Accesses, are_known_at_once) {
  bench_.open_index();
  bench_.reveal({subject(1)});

  EXPECT_EQ(bench_.accesses(subject(1)).size(), 1u);
  EXPECT_TRUE(bench_.accesses(subject(2)).empty());
  EXPECT_EQ(bench_.scope("key_a").size(), 1u);
  EXPECT_TRUE(bench_.scope("key_b").empty());
}

TEST_P(Accesses, name_the_row_and_its_leaf_in_a_batch) {
  bench_.open_index();
  bench_.reveal({subject(1), subject(2), subject(3), subject(2)});

  auto page = bench_(bench_.index->accesses(subject(2), 1LL << 40, 10));

  ASSERT_EQ(page.accesses.size(), 1u);
  const auto& rows = page.accesses[0].rows;
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].leaf, 1u);
  EXPECT_EQ(rows[1].leaf, 3u);
  EXPECT_EQ(rows[0].kind, "records");
  EXPECT_EQ(rows[0].row, (Bytes{2, 1}));
}

TEST_P(Accesses, are_not_of_whom_nothing_was_opened_beside_others) {
  bench_.open_index();
  bench_.reveal({subject(1), subject(2), subject(3)}, "key_a", true, {}, {subject(2)});
  Event both{.activity = "records.reveal", .opened = true};
  both.touches = {{.subject = subject(4), .kind = "records", .row = {1}, .unopened = true},
                  {.subject = subject(4), .kind = "records", .row = {2}},
                  {.subject = subject(4), .kind = "records", .row = {3}, .unopened = true}};
  bench_.commit(both, {.principal = "key_b"});

  EXPECT_TRUE(bench_.accesses(subject(2)).empty());
  EXPECT_EQ(bench_.accesses(subject(2), false).size(), 1u) << "the entry speaks of them";
  EXPECT_EQ(bench_.scope("key_a").size(), 2u);
  auto page = bench_(bench_.index->accesses(subject(4), 1LL << 40, 10));
  ASSERT_EQ(page.accesses.size(), 1u);
  ASSERT_EQ(page.accesses[0].rows.size(), 1u);
  EXPECT_EQ(page.accesses[0].rows[0].row, (Bytes{2}));
}

TEST_P(Accesses, and_scope_are_those_of_a_plain_reference_whatever_happens) {
  std::mt19937 random(7);
  auto one_of = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  bench_.open_index();
  for (int step = 0; step < 150; ++step) {
    std::vector<SubjectId> subjects;
    for (int i = one_of(4) == 0 ? one_of(12) : one_of(2); i >= 0; --i)
      subjects.push_back(subject(static_cast<std::uint8_t>(1 + one_of(9))));
    bench_.reveal(subjects, one_of(2) ? "key_a" : "key_b", one_of(5) != 0,
                  one_of(3) ? "" : "staff:17", {subject(static_cast<std::uint8_t>(1 + one_of(9)))});
    if (one_of(6) == 0) bench_(bench_.index->tend());
    if (one_of(20) == 0) bench_.open_index();
    if (one_of(30) == 0) {
      bench_.index.reset();
      bench_.reopen();
      bench_.open_index();
    }
    bench_.clock().advance(Millis{100});
  }

  bench_.expect_like_reference();
  for (int i = 0; i < 5; ++i) {
    bench_.clock().advance(Millis{1'000});
    bench_(bench_.index->tend());
  }
  bench_.expect_like_reference();
}

TEST_P(Accesses, are_made_again_when_scratch_is_of_another_log) {
  bench_.open_index();
  for (int i = 0; i < 30; ++i) bench_.reveal({subject(1), subject(2)});
  bench_(bench_.index->tend());
  static constexpr db::Sql kLie{"test.lie", "update access_state set last = $1"};
  db::Changes changes;
  changes.write(kLie, {Bytes(32, 1)});
  ASSERT_TRUE(bench_.run(bench_.log().scratch().commit(std::move(changes))));

  bench_.open_index();

  EXPECT_EQ(bench_.index->position(), 0);
  bench_.expect_like_reference();
}

TEST(AccessIndex, is_made_again_when_scratch_is_gone) {
  AccessBench bench;
  bench.open_index();
  for (std::uint8_t i = 0; i < 40; ++i) bench.reveal({subject(i), subject(1)});
  bench(bench.index->tend());
  bench.index.reset();
  bench.close();
  for (auto name : {"scratch.db", "scratch.db-wal", "scratch.db-shm"})
    std::filesystem::remove(bench.dir() / name);

  bench.open();
  bench.open_index();

  EXPECT_EQ(bench.index->position(), 0);
  bench.expect_like_reference();
}

TEST(AccessIndex, does_not_follow_an_entry_that_was_changed_in_the_database) {
  AccessBench bench;
  bench.reveal({subject(1)});
  bench.reveal({subject(1)});
  bench(bench.log().sequence());
  bench.open_index();
  bench.tamper(
      "update journal_entries set entry = cast(replace(cast(entry as text), 'key_a', 'key_b') as "
      "blob) "
      "where seq = (select max(seq) - 1 from journal_entries)");

  auto page = bench.run(bench.index->accesses(subject(1), 1LL << 40, 10));

  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, Code::corrupt);
}

TEST(AccessIndex, is_not_made_of_leaves_that_were_changed_in_the_database) {
  AccessBench bench;
  bench.reveal({subject(77), subject(78)});
  bench(bench.log().sequence());
  bench.open_index();
  auto raw = bench.raw();
  auto leaves = raw.bytes("select leaves from journal_leaves");
  auto at = std::ranges::search(leaves, subject(77).uuid);
  ASSERT_FALSE(at.empty());
  std::ranges::copy(subject(79).uuid, at.begin());
  raw.run("update journal_leaves set leaves = " + raw.literal(leaves));

  auto page = bench.run(bench.index->accesses(subject(77), 1LL << 40, 10));
  auto scope = bench.run(bench.index->scope("key_a", std::nullopt, 10));

  ASSERT_FALSE(page) << "it would be missing without a word";
  EXPECT_EQ(page.error().code, Code::corrupt);
  EXPECT_FALSE(scope);
}

TEST(AccessIndex, does_not_show_a_batch_whose_leaves_were_changed) {
  AccessBench bench;
  bench.open_index();
  bench.reveal({subject(1), subject(2)});
  bench(bench.index->catch_up());
  bench.tamper(
      "update journal_leaves set leaves = cast(replace(cast(leaves as text), 'records', 'recordz') "
      "as blob)");

  EXPECT_FALSE(bench.run(bench.index->accesses(subject(1), 1LL << 40, 10)));
}

/// Each finds at least what was committed before it asked.
Task<void> reveal_and_ask(AccessBench& bench, std::atomic<int>& failures,
                          std::atomic<int>& committed, bool tends) {
  Touch touch{.subject = subject(1), .kind = "records", .row = {1}};
  for (int i = 0; i < 50; ++i) {
    Event event{.activity = "records.reveal", .opened = true, .touches = {touch}};
    auto written = co_await bench.log().commit(Caller{}, {}, std::move(event));
    if (!written) ++failures;
    auto least = ++committed;
    auto page = co_await bench.index->accesses(subject(1), 1LL << 40, 1000);
    if (!page || std::ssize(page->accesses) < least) ++failures;
    if (tends && i % 5 == 0)
      if (auto done = co_await bench.index->tend(); !done) ++failures;
    auto scope = co_await bench.index->scope("system", std::nullopt, 10);
    if (!scope || scope->subjects.size() != 1 || scope->subjects[0].seen.count < least) ++failures;
  }
}

TEST(AccessIndex, answers_right_from_four_threads_while_runs_are_written_and_merged) {
  AccessBench bench;
  bench.open_index();
  std::atomic<int> failures = 0, committed = 0;
  std::vector<Task<void>> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(reveal_and_ask(bench, failures, committed, i == 0));

  bench.on_four_threads(std::move(tasks));

  EXPECT_EQ(failures, 0);
  EXPECT_EQ(bench(bench.index->accesses(subject(1), 1LL << 40, 1000)).accesses.size(), 200u);
}

}  // namespace
}  // namespace holdfast::journal
