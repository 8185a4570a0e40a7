#include "journal/log.h"

#include <atomic>
#include <boost/json.hpp>
#include <fstream>

#include "base/json.h"
#include "crypto/merkle.h"
#include "journal/left_origins.h"
#include "journal/log_bench.h"
#include "journal/slices.h"
#include "journal/statements.h"
#include "journal/upkeep.h"
#include "support/database.h"

namespace holdfast::journal {
namespace {

constexpr db::Sql kAddRow{"test.add_row",
                          "insert into journal_leaves (event, leaves) values ($1, $2)"};
constexpr db::Sql kCountRow{"test.count_row",
                            "select count(*) from journal_leaves where event = $1"};
constexpr db::Sql kNoRow{"test.no_row",
                         "update journal_generation set generation = 5 where id = 99"};

class JournalLog : public OnBoth {
 protected:
  LogBench bench_{GetParam()};

  std::int64_t count(std::uint8_t row) {
    auto rows = bench_(bench_.log().reader().read(kCountRow, {Bytes{row}}));
    return rows[0].integer(0);
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, JournalLog, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(JournalLog, starts_with_the_events_of_its_own_migrations) {
  auto entries = bench_(bench_.log().read(0, 1000));

  ASSERT_GE(entries.size(), 2u);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i].seq, static_cast<std::int64_t>(i));
    auto entry = decode_entry(entries[i].entry);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->operation, "store.migrate");
    EXPECT_EQ(entry->id, entries[i].id.text());
  }
  EXPECT_EQ(bench_.log().size(), static_cast<std::int64_t>(entries.size()));
}

TEST_P(JournalLog, makes_changes_and_event_durable_together) {
  db::Changes changes;
  changes.write(kAddRow, {Bytes{1}, Bytes{2}});

  auto written = bench_.run(bench_.log().commit({}, std::move(changes), {.activity = "test.note"}));

  ASSERT_TRUE(written);
  auto found = bench_(bench_.log().find(written->receipt.event));
  EXPECT_EQ(decode_entry(found.entry)->operation, "test.note");
  EXPECT_EQ(count(1), 1);
}

TEST_P(JournalLog, keeps_neither_changes_nor_event_when_an_expectation_fails) {
  db::Changes changes;
  changes.write(kAddRow, {Bytes{1}, Bytes{2}});
  changes.write(kNoRow, {}, db::Expect::exactly(1), Error(Code::conflict, "not there"));
  auto before = bench_.log().size();

  auto written = bench_.run(bench_.log().commit({}, std::move(changes), {.activity = "test.note"}));

  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().text, "not there");
  EXPECT_EQ(count(1), 0);
  bench_(bench_.log().sequence());
  EXPECT_EQ(bench_.log().size(), before);
}

TEST_P(JournalLog, of_two_sizes_of_an_origin_that_was_left_the_larger_counts) {
  for (std::int64_t size : {5, 9, 7}) {
    db::Changes changes;
    changes.write(leave_origin_statement(), {"holdfast/shop", size});
    must(bench_.run(bench_.log().commit({}, std::move(changes), {.activity = "test.note"})));
  }

  EXPECT_EQ(bench_.raw().number("select size from journal_left_origins"), 9);
}

TEST_P(JournalLog, refuses_what_was_decided_under_an_older_policy) {
  Caller caller;
  caller.generation = bench_(bench_.log().generation(MonoTime::max()));
  db::Changes changes;
  Journal::bump_generation(changes);
  ASSERT_TRUE(
      bench_.run(bench_.log().commit(caller, std::move(changes), {.activity = "roles.put"})));

  auto written = bench_.run(bench_.log().commit(caller, {}, {.activity = "test.note"}));

  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::stale);
}

TEST_P(JournalLog, gives_back_what_statements_returned_without_its_own_guard) {
  static constexpr db::Sql kReturning{
      "test.returning",
      "insert into journal_leaves (event, leaves) values ($1, $2) returning event"};
  Caller caller;
  caller.generation = bench_(bench_.log().generation(MonoTime::max()));
  db::Changes changes;
  changes.write(kReturning, {Bytes{7}, Bytes{2}});

  auto written = bench_(bench_.log().commit(caller, std::move(changes), {.activity = "test.note"}));

  ASSERT_GE(written.committed.returned.size(), 1u);
  ASSERT_EQ(written.committed.returned[0].size(), 1u);
  EXPECT_EQ(to_bytes(written.committed.returned[0][0].bytes(0)), Bytes{7});
}

TEST_P(JournalLog, keeps_one_touch_in_the_entry_and_several_as_leaves_beside_it) {
  Touch touch{.subject = subject(1), .kind = "records", .row = {1}, .left = crypto::Digest{3}};
  auto one = bench_.commit({.activity = "records.reveal", .opened = true, .touches = {touch}});
  auto two = bench_.commit(
      {.activity = "records.reveal_batch", .opened = true, .touches = {touch, touch}});

  auto single = *decode_entry(bench_(bench_.log().find(one.event)).entry);
  auto batch = *decode_entry(bench_(bench_.log().find(two.event)).entry);

  EXPECT_EQ(single.touches.at(0).subject, subject(1));
  EXPECT_TRUE(bench_(bench_.log().leaves(one.event)).empty());
  EXPECT_TRUE(batch.touches.empty());
  EXPECT_EQ(batch.touched, 2);
  auto leaves = bench_(bench_.log().leaves(two.event));
  ASSERT_EQ(leaves.size(), 2u);
  EXPECT_EQ(leaves_root(leaves), batch.root);
  EXPECT_NE(leaves[0], leaves[1]) << "leaves of equal touches are salted";
  EXPECT_EQ(decode_leaf(leaves[1])->subject, subject(1));
}

TEST_P(JournalLog, proves_every_entry_at_sizes_around_tiles) {
  auto key = parse_verifier_key(bench_.log().verifier());
  for (int size : {0, 255, 256, 257, 513}) {
    bench_(bench_.log().sequence());
    if (auto missing = size - static_cast<int>(bench_.log().size()); missing > 0)
      bench_.commit_many(missing);
    bench_(bench_.log().sequence());
    const auto now = bench_.log().size();
    for (std::int64_t seq :
         {std::int64_t{0}, std::int64_t{1}, now / 3, now / 2, now - 2, now - 1}) {
      auto proof = bench_(bench_.log().prove(seq));

      auto head = open_checkpoint(proof.checkpoint, key->key);
      ASSERT_TRUE(head);
      auto entry = bench_(bench_.log().read(seq, 1)).at(0).entry;
      EXPECT_TRUE(crypto::verify_inclusion(crypto::leaf_hash(as_bytes(entry)),
                                           static_cast<std::uint64_t>(seq), head->size, proof.path,
                                           head->root))
          << seq << " of " << now;
    }
  }
}

TEST_P(JournalLog, proves_that_it_only_grew) {
  auto key = parse_verifier_key(bench_.log().verifier());
  std::vector<Checkpoint> heads;
  for (int grown : {1, 100, 200, 300}) {
    bench_.commit_many(grown);
    bench_(bench_.log().sequence());
    heads.push_back(*open_checkpoint(bench_(bench_.log().checkpoint()), key->key));
  }

  for (const auto& older : heads)
    for (const auto& newer : heads) {
      if (older.size > newer.size) continue;
      auto path = bench_(bench_.log().consistency(older.size, newer.size));
      EXPECT_TRUE(crypto::verify_consistency(older.size, older.root, newer.size, newer.root, path));
    }
  EXPECT_FALSE(bench_.run(bench_.log().consistency(5, 2)));
  EXPECT_FALSE(bench_.run(bench_.log().consistency(5, 1'000'000)));
}

TEST_P(JournalLog, goes_on_where_the_other_database_left_its_head_and_its_pending_entries) {
  bench_.commit_many(3);
  bench_.settle();
  const auto size = bench_.log().size();
  auto root = bench_(bench_.log().checkpoint());
  bench_.close();
  auto raw = bench_.raw();
  raw.run(
      "insert into journal_pending (node, counter, id, entry) select 1, 7, id, entry from "
      "journal_entries where seq = (select max(seq) from journal_entries)");
  raw.run("delete from journal_entries where seq = (select max(seq) from journal_entries)");
  raw.run("update journal_head set size = 1");

  bench_.open();

  EXPECT_EQ(bench_.log().size(), size);
  EXPECT_EQ(bench_(bench_.log().checkpoint()), root);
  EXPECT_EQ(raw.number("select count(*) from journal_pending"), 0);
  bench_.commit({.activity = "test.note"});
  bench_.settle();
  EXPECT_EQ(bench_.log().size(), size + 1);
}

// SQLite gives entries their place itself and has neither a head that counts nor entries that wait.
TEST_P(JournalLog, says_when_its_head_was_set_back_behind_it) {
  bench_.commit_many(3);
  bench_.settle();
  bench_.raw().run("update journal_head set size = size - 1");
  bench_.commit({.activity = "test.note"});

  auto done = bench_.run(bench_.log().sequence());

  if (GetParam() == db::Database::Kind::sqlite)
    EXPECT_TRUE(done);
  else
    EXPECT_EQ(done.error().code, Code::corrupt);
  bench_.reopen();
  bench_.commit({.activity = "test.note"});
  EXPECT_TRUE(bench_.run(bench_.log().sequence()));
}

TEST_P(JournalLog, says_when_entries_are_taken_out_right_after_they_were_written) {
  bench_.settle();
  const auto size = bench_.log().size();
  bench_.commit_many(3);
  bench_.raw().run(GetParam() == db::Database::Kind::sqlite
                       ? "delete from journal_entries where seq >= " + std::to_string(size)
                       : "delete from journal_pending");

  auto done = bench_.run(bench_.log().sequence());

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::corrupt);
  EXPECT_TRUE(bench_.run(bench_.log().sequence())) << "told once";
  auto last = bench_(bench_.log().read_before(1LL << 40, 1)).at(0);
  EXPECT_NE(last.entry.find("journal.entries_lost"), std::string::npos);
  EXPECT_NE(last.entry.find("\"count\":3"), std::string::npos);
  EXPECT_NE(last.entry.find("\"changed\":0"), std::string::npos);
}

TEST_P(JournalLog, says_when_entries_are_changed_right_after_they_were_written) {
  bench_.settle();
  const auto size = bench_.log().size();
  bench_.commit_many(2);
  bench_.raw().run(
      GetParam() == db::Database::Kind::sqlite
          ? "update journal_entries set entry = cast(entry || ' ' as blob) where seq = " +
                std::to_string(size)
          : "update journal_pending set entry = entry || '\\x20'::bytea where counter "
            "= (select min(counter) from journal_pending)");

  auto done = bench_.run(bench_.log().sequence());

  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::corrupt);
  EXPECT_TRUE(bench_.run(bench_.log().sequence())) << "told once";
  auto last = bench_(bench_.log().read_before(1LL << 40, 1)).at(0);
  EXPECT_NE(last.entry.find("\"changed\":1"), std::string::npos);
  EXPECT_NE(last.entry.find("\"count\":0"), std::string::npos);
}

TEST_P(JournalLog, a_refusal_leaves_no_row) {
  journal::Touch touch{.subject = subject(1),
                       .kind = "records",
                       .row = {1},
                       .left = crypto::Digest{1},
                       .was = crypto::Digest{2}};

  auto done = bench_.commit({.activity = "test.put",
                             .outcome = Outcome::refused,
                             .reason = "budget",
                             .touches = {touch}});

  auto entry = bench_(bench_.log().find(done.event)).entry;
  EXPECT_EQ(entry.find("\"left\""), std::string::npos) << entry;
  EXPECT_EQ(entry.find("\"was\""), std::string::npos) << entry;
}

TEST_P(JournalLog, resumes_with_the_same_tree) {
  for (int grown : {1, 250, 5, 300}) {
    bench_.commit_many(grown);
    bench_.settle();
    auto before = bench_(bench_.log().checkpoint());

    bench_.reopen();

    EXPECT_EQ(bench_(bench_.log().checkpoint()), before);
  }
}

TEST_P(JournalLog, refuses_entries_and_proofs_that_are_not_there) {
  EXPECT_EQ(bench_.run(bench_.log().find(EventId::make(bench_.clock().now()))).error().code,
            Code::not_found);
  EXPECT_EQ(bench_.run(bench_.log().prove(99'999)).error().code, Code::not_found);
  EXPECT_EQ(bench_.run(bench_.log().prove(-1)).error().code, Code::not_found);
}

TEST_P(JournalLog, seals_who_it_was_and_why_and_names_them_by_commitment) {
  Caller caller{.principal = "key_a",
                .on_behalf_of = "staff:17",
                .address = "203.0.113.77",
                .user_agent = "PlantedAgent/9"};
  auto receipt = bench_.commit({.activity = "test.note", .note = "planted reason"}, caller);

  auto entry = *decode_entry(bench_(bench_.log().find(receipt.event)).entry);

  ASSERT_TRUE(entry.context && entry.note);
  EXPECT_TRUE(entry.actor.starts_with("per_"));
  EXPECT_EQ(entry.principal, "key_a");
  EXPECT_EQ(bench_(bench_.log().side(*entry.note)).expose_text(), "planted reason");
  auto context = parse_json(bench_(bench_.log().side(*entry.context)).expose_text());
  EXPECT_EQ(context->at("address").as_string(), "203.0.113.77");
  EXPECT_EQ(context->at("user_agent").as_string(), "PlantedAgent/9");
  EXPECT_EQ(context->at("on_behalf_of").as_string(), "staff:17");
}

TEST_P(JournalLog, uses_one_sealed_context_for_the_same_caller_and_the_same_name_for_a_person) {
  Caller caller{.principal = "key_a", .on_behalf_of = "staff:17", .address = "203.0.113.77"};
  auto one = bench_.commit({.activity = "test.note"}, caller);
  auto two = bench_.commit({.activity = "test.note"}, caller);
  caller.address = "203.0.113.78";
  auto three = bench_.commit({.activity = "test.note"}, caller);

  auto first = *decode_entry(bench_(bench_.log().find(one.event)).entry);
  auto second = *decode_entry(bench_(bench_.log().find(two.event)).entry);
  auto third = *decode_entry(bench_(bench_.log().find(three.event)).entry);

  EXPECT_EQ(first.context, second.context);
  EXPECT_NE(first.context, third.context);
  EXPECT_EQ(first.actor, third.actor);
}

TEST_P(JournalLog, forgets_sealed_sides_past_their_keep_time_and_records_that) {
  Caller caller{.principal = "key_a", .address = "203.0.113.77"};
  auto old = bench_.commit({.activity = "test.note", .note = "old"}, caller);
  bench_.clock().advance(std::chrono::days(300));
  auto young = bench_.commit({.activity = "test.note", .note = "young"}, caller);
  bench_.clock().advance(std::chrono::days(70));

  auto swept = bench_(sweep_sides(bench_.log(), bench_.clock().now()));

  EXPECT_EQ(swept, 2);
  auto gone = *decode_entry(bench_(bench_.log().find(old.event)).entry);
  auto kept = *decode_entry(bench_(bench_.log().find(young.event)).entry);
  EXPECT_EQ(bench_.run(bench_.log().side(*gone.note)).error().code, Code::gone);
  EXPECT_EQ(bench_.run(bench_.log().side(*gone.context)).error().code, Code::gone);
  EXPECT_TRUE(bench_.run(bench_.log().side(*kept.note)));
  EXPECT_TRUE(bench_.run(bench_.log().side(*kept.context)));
  auto last = bench_(bench_.log().read_before(1 << 30, 1)).at(0);
  EXPECT_NE(last.entry.find("journal.sweep_sides"), std::string::npos);
  EXPECT_EQ(bench_(sweep_sides(bench_.log(), bench_.clock().now())), 0);
}

TEST_P(JournalLog, records_nothing_while_the_server_is_locked) {
  auto keys = bench_.keys().get();
  bench_.keys().set(nullptr);

  auto written = bench_.run(bench_.log().commit({}, {}, {.activity = "test.note"}));

  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::locked);
  bench_.keys().set(keys);
}

TEST_P(JournalLog, checks_entries_against_the_tree) {
  bench_.commit_many(600);
  bench_(bench_.log().sequence());
  auto entries = bench_(bench_.log().read(200, 300));

  EXPECT_TRUE(bench_.run(bench_.log().check(entries)));
  auto other = entries[3];
  other.entry.replace(other.entry.find("test.note"), 9, "test.nota");
  EXPECT_FALSE(bench_(bench_.log().in_tree(other)));
  other = entries[3];
  other.seq = entries[4].seq;
  EXPECT_FALSE(bench_(bench_.log().in_tree(other)));
}

TEST_P(JournalLog, goes_on_after_tiles_were_stored_and_the_answer_lost_and_trusts_no_others) {
  auto raw = bench_.raw();
  auto stored = [&] { return raw.number("select count(*) from journal_tiles"); };
  bench_.commit_many(600);
  raw.run("insert into journal_tiles (level, idx, hashes) values (0, 0, " +
          raw.literal(Bytes(kTileWidth * 32, 7)) + ")");

  auto foreign = bench_.run(bench_.log().sequence());
  Bytes tile;
  for (const auto& one : bench_(bench_.log().read(0, kTileWidth))) {
    auto hash = crypto::leaf_hash(as_bytes(one.entry));
    tile.insert(tile.end(), hash.begin(), hash.end());
  }
  raw.run("update journal_tiles set hashes = " + raw.literal(tile));
  auto own = bench_.run(bench_.log().sequence());

  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, Code::corrupt);
  EXPECT_TRUE(own);
  EXPECT_EQ(stored(), 1) << "the first; what follows is the next save's";
  bench_(bench_.log().sequence());
  EXPECT_EQ(stored(), 2);
  bench_.reopen();
  EXPECT_TRUE(bench_.run(bench_.log().check(bench_(bench_.log().read(0, 600)))));
}

Task<bool> proved(Log& log, Stored stored) {
  auto proof = co_await log.prove(stored.seq);
  if (!proof) co_return false;
  auto head = open_checkpoint(proof->checkpoint, parse_verifier_key(log.verifier())->key);
  co_return head&& crypto::verify_inclusion(crypto::leaf_hash(as_bytes(stored.entry)),
                                            static_cast<std::uint64_t>(stored.seq), head->size,
                                            proof->path, head->root);
}

Task<void> commit_and_prove(Log& log, std::atomic<int>& failures) {
  for (int i = 0; i < 60; ++i) {
    auto written = co_await log.commit(Caller{}, {}, {.activity = "test.note"});
    auto found = co_await log.find(written ? written->receipt.event : EventId{});
    if (!found || !co_await proved(log, *found)) ++failures;
    if (i % 20 == 0)
      if (auto done = co_await log.settle(); !done) ++failures;
  }
}

TEST_P(JournalLog, goes_on_right_while_four_threads_commit_sequence_and_prove) {
  std::atomic<int> failures = 0;
  std::vector<Task<void>> tasks;
  for (int i = 0; i < 4; ++i) tasks.push_back(commit_and_prove(bench_.log(), failures));

  bench_.on_four_threads(std::move(tasks));

  EXPECT_EQ(failures, 0);
  EXPECT_GE(bench_.log().size(), 240);
  bench_.reopen();
}

// ── the witness

std::string refusal(LogBench& bench) {
  bench.close();
  auto opened = bench.try_open();
  return opened ? "" : std::string(opened.error().text);
}

class Rollback : public testing::Test {
 protected:
  LogBench bench_;
  std::filesystem::path copy_ = bench_.dir() / "yesterday.db";

  /// Yesterday's database comes back under today's witness.
  void roll_back() {
    bench_.commit_many(10);
    bench_.settle();
    bench_.close();
    std::filesystem::copy_file(bench_.dir() / "holdfast.db", copy_);
    bench_.open();
    bench_.commit_many(20);
    bench_.settle();
    bench_.close();
    for (auto name : {"holdfast.db", "holdfast.db-wal", "holdfast.db-shm"})
      std::filesystem::remove(bench_.dir() / name);
    std::filesystem::copy_file(copy_, bench_.dir() / "holdfast.db");
  }
};

TEST_F(Rollback, is_refused_with_the_way_on) {
  roll_back();

  auto opened = bench_.try_open();

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::conflict);
  EXPECT_NE(opened.error().text.find("accept-rollback"), std::string_view::npos);
}

TEST_F(Rollback, that_is_accepted_mints_a_new_origin_and_names_both_heads) {
  auto origin = bench_.log().origin();
  roll_back();

  bench_.open(true);

  EXPECT_NE(bench_.log().origin(), origin);
  EXPECT_TRUE(bench_.log().origin().starts_with(origin));
  auto last = bench_(bench_.log().read_before(1 << 30, 1)).at(0);
  auto facts = parse_json(last.entry)->at("unmapped").at("facts");
  EXPECT_EQ(facts.at("left_origin").as_string(), origin);
  EXPECT_EQ(facts.at("left_size").as_int64(), facts.at("went_on_at_size").as_int64() + 20);
  auto raw = bench_.raw();
  EXPECT_EQ(raw.text("select origin from journal_left_origins"), origin);
  EXPECT_EQ(raw.number("select size from journal_left_origins"),
            facts.at("went_on_at_size").as_int64());
  bench_.reopen();
  bench_.commit_many(1);
}

TEST_F(Rollback, that_is_accepted_begins_with_no_version_of_the_policy) {
  bench_.log().keep_policy(7);
  roll_back();

  bench_.open(true);

  EXPECT_EQ(bench_.log().policy(), 0) << "an older database has an older policy";
  bench_.log().keep_policy(3);
  bench_.settle();
  bench_.reopen();
  EXPECT_EQ(bench_.log().policy(), 3);
}

TEST_F(Rollback, by_a_restore_that_was_cut_off_mints_a_new_origin_once) {
  auto origin = bench_.log().origin();
  roll_back();
  auto options = bench_.options();
  options.restoring = true;

  must(bench_.try_open(options));

  const auto restored = bench_.log().origin();
  EXPECT_NE(restored, origin);
  auto last = bench_(bench_.log().read_before(1 << 30, 1)).at(0);
  EXPECT_NE(last.entry.find("journal.restored"), std::string::npos);
  bench_.close();
  must(bench_.try_open(options));
  EXPECT_EQ(bench_.log().origin(), restored) << "the witness is of this log by now";
  bench_.close();
  std::filesystem::remove(bench_.dir() / "witness");
  must(bench_.try_open(options));
  EXPECT_NE(bench_.log().origin(), restored) << "nobody can say which log it is";
}

TEST_F(Rollback, of_the_same_length_with_other_entries_is_refused) {
  roll_back();
  std::filesystem::remove(bench_.dir() / "aside");
  std::filesystem::rename(bench_.dir() / "witness", bench_.dir() / "aside");
  bench_.open();
  bench_.commit_many(40);
  bench_.settle();
  bench_.close();
  std::filesystem::rename(bench_.dir() / "aside", bench_.dir() / "witness");

  EXPECT_FALSE(bench_.try_open());
}

TEST(Witness, of_another_store_is_refused) {
  LogBench bench, other;
  bench.settle();
  other.settle();
  std::filesystem::copy_file(other.dir() / "witness", bench.dir() / "witness",
                             std::filesystem::copy_options::overwrite_existing);

  EXPECT_NE(refusal(bench).find("another store"), std::string::npos);
}

TEST(Witness, that_is_damaged_is_refused) {
  LogBench bench;
  bench.settle();
  std::ofstream(bench.dir() / "witness", std::ios::app) << "x";

  EXPECT_NE(refusal(bench).find("damaged"), std::string::npos);
}

TEST(Witness, that_is_missing_is_made_again) {
  LogBench bench;
  bench.settle();
  bench.close();
  std::filesystem::remove(bench.dir() / "witness");

  bench.open();
  bench.settle();

  EXPECT_TRUE(std::filesystem::exists(bench.dir() / "witness"));
}

bool any_entry(LogBench& bench, std::string_view operation) {
  bench.settle();
  auto wanted = "\"operation\":\"" + std::string(operation) + '"';
  for (const auto& stored : bench(bench.log().read(0, 1000)))
    if (stored.entry.find(wanted) != std::string::npos) return true;
  return false;
}

TEST(Witness, that_is_missing_is_recorded_but_not_of_a_new_log) {
  LogBench bench;
  EXPECT_EQ(bench.log().witness_lacks(), "");
  EXPECT_FALSE(any_entry(bench, "journal.witness_missing"));
  bench.close();
  std::filesystem::remove(bench.dir() / "witness");

  bench.open();

  EXPECT_EQ(bench.log().witness_lacks(), "witness");
  EXPECT_TRUE(any_entry(bench, "journal.witness_missing"));
  bench.reopen();
  EXPECT_EQ(bench.log().witness_lacks(), "");
}

TEST(Witness, that_is_missing_is_not_recorded_of_a_restored_log) {
  LogBench bench;
  bench.settle();
  bench.close();
  std::filesystem::remove(bench.dir() / "witness");
  auto options = bench.options();
  options.restored = true;

  ASSERT_TRUE(bench.try_open(options));

  EXPECT_EQ(bench.log().witness_lacks(), "");
  EXPECT_FALSE(any_entry(bench, "journal.witness_missing"));
}

TEST(Witness, may_be_behind_the_database) {
  LogBench bench;
  bench.settle();
  bench.commit_many(5);

  bench.reopen();

  EXPECT_GE(bench.log().size(), 7);
}

TEST(Witness, is_written_only_when_something_changed) {
  LogBench bench;
  bench.settle();
  auto before = std::filesystem::last_write_time(bench.dir() / "witness");

  bench.settle();

  EXPECT_EQ(std::filesystem::last_write_time(bench.dir() / "witness"), before);
}

TEST(Witness, keeps_the_newest_version_of_the_policy) {
  LogBench bench;
  EXPECT_EQ(bench.log().policy(), 0);
  bench.settle();
  bench.log().keep_policy(7);
  bench.log().keep_policy(6);
  bench.settle();

  bench.reopen();

  EXPECT_EQ(bench.log().policy(), 7);
  bench.close();
  std::filesystem::remove(bench.dir() / "witness");
  bench.open();
  EXPECT_EQ(bench.log().policy(), 0) << "nobody can say, which is recorded";
}

TEST(Witness, without_a_note_of_the_policy_is_recorded) {
  LogBench bench;
  bench.settle();
  bench.close();
  const auto file = bench.dir() / "witness";
  auto all = must(read_small_file(file, 4096));
  std::ofstream(file) << all.substr(0, all.rfind('\n', all.find("/policy\n")) + 1);

  bench.open();

  EXPECT_EQ(bench.log().witness_lacks(), "policy");
  EXPECT_TRUE(any_entry(bench, "journal.witness_missing"));
}

TEST(Witness, that_names_another_policy_is_refused) {
  LogBench bench;
  bench.log().keep_policy(7);
  bench.settle();
  bench.close();
  const auto file = bench.dir() / "witness";
  auto all = must(read_small_file(file, 4096));
  auto at = all.find("/policy\n7\n");
  ASSERT_NE(at, std::string::npos);
  all[at + std::string_view("/policy\n").size()] = '1';
  std::ofstream(file) << all;

  EXPECT_FALSE(bench.try_open());
}

TEST(Keyring, of_another_store_is_refused) {
  LogBench bench;
  bench.keys().set(std::make_shared<crypto::KeySet>(crypto::Keyring::make(bench.clock().now())));

  EXPECT_NE(refusal(bench).find("different stores"), std::string::npos);
}

// ── what the database file shows

TEST(DatabaseFile, shows_no_address_no_user_agent_no_person_and_no_reason) {
  LogBench bench;
  bench.commit({.activity = "test.note", .note = "Because PlantedReason said so"},
               {.principal = "key_a",
                .on_behalf_of = "staff:PlantedPerson",
                .address = "198.51.100.213",
                .user_agent = "PlantedAgent/9"});
  bench.settle();

  std::string bytes;
  for (auto name :
       {"holdfast.db", "holdfast.db-wal", "scratch.db", "scratch.db-wal", "witness", "afterlog"})
    if (std::ifstream in(bench.dir() / name, std::ios::binary); in)
      bytes.append(std::istreambuf_iterator<char>(in), {});
  ASSERT_GT(bytes.size(), 10'000u);
  for (auto planted : {"PlantedReason", "PlantedPerson", "198.51.100.213", "PlantedAgent"})
    EXPECT_EQ(bytes.find(planted), std::string::npos) << planted;
}

TEST(Afterlog, keeps_what_the_journal_was_told_over_a_restart) {
  LogBench bench;
  EXPECT_FALSE(bench.log().afterlog_loss()) << "a new log has lost nothing";
  bench(bench.log().afterlog("subject.erased", Bytes{1, 2}));

  bench.reopen();

  EXPECT_FALSE(bench.log().afterlog_loss());
  ASSERT_EQ(bench.log().afterlog_entries().size(), 1u);
  EXPECT_EQ(bench.log().afterlog_entries()[0].id, (Bytes{1, 2}));
}

class AfterlogEndKept : public testing::Test {
 protected:
  LogBench bench_;
  std::filesystem::path file_ = bench_.dir() / "afterlog", witness_ = bench_.dir() / "witness";

  void note(std::uint8_t id) {
    bench_(bench_.log().afterlog("api_key.revoked", Bytes{id}));
    bench_.commit_many(1);
  }
  std::string text() const { return must(read_small_file(file_, 1 << 20)); }
  void put(const std::filesystem::path& file, std::string_view text) const {
    must(write_file_atomically(file, text));
  }
  void cut_last_line() {
    auto all = text();
    put(file_, all.substr(0, all.rfind('\n', all.size() - 2) + 1));
  }
  /// As an earlier version wrote it: the note of the log alone.
  void make_witness_old() {
    auto all = must(read_small_file(witness_, 4096));
    put(witness_, all.substr(0, all.rfind('\n', all.find("/afterlog\n")) + 1));
  }
  LogOptions restored() const {
    auto out = bench_.options();
    out.restored = true;
    return out;
  }
};

TEST_F(AfterlogEndKept, shows_a_line_that_was_cut_off_until_what_follows_is_done) {
  note(1);
  note(2);
  bench_.settle();
  bench_.close();
  cut_last_line();

  bench_.open();

  ASSERT_TRUE(bench_.log().afterlog_loss());
  EXPECT_EQ(bench_.log().afterlog_loss()->expected, 2u);
  EXPECT_EQ(bench_.log().afterlog_loss()->there, 1u);
  bench_.settle();
  bench_.reopen();
  EXPECT_TRUE(bench_.log().afterlog_loss()) << "a stop in between changes nothing";
  bench_(bench_.log().settle_afterlog());
  EXPECT_FALSE(bench_.log().afterlog_loss());
  bench_.reopen();
  EXPECT_FALSE(bench_.log().afterlog_loss());
  EXPECT_EQ(bench_.log().afterlog_lost_at(), bench_.clock().now());
}

TEST_F(AfterlogEndKept, shows_an_older_copy_and_one_that_went_on_otherwise) {
  note(1);
  bench_.settle();
  bench_.close();
  auto older = text();
  bench_.open();
  note(2);
  bench_.settle();
  bench_.close();
  auto newer = text();
  put(file_, older);
  bench_.open();
  EXPECT_TRUE(bench_.log().afterlog_loss());
  bench_(bench_.log().settle_afterlog());
  bench_.settle();
  bench_.close();
  put(file_, newer);

  bench_.open();

  EXPECT_TRUE(bench_.log().afterlog_loss());
}

TEST_F(AfterlogEndKept, shows_a_file_that_is_gone) {
  note(1);
  bench_.settle();
  bench_.close();
  std::filesystem::remove(file_);

  bench_.open();

  ASSERT_TRUE(bench_.log().afterlog_loss());
  EXPECT_EQ(bench_.log().afterlog_loss()->expected, 1u);
  EXPECT_EQ(bench_.log().afterlog_loss()->there, 0u);
  bench_.reopen();
  EXPECT_TRUE(bench_.log().afterlog_loss());
}

TEST_F(AfterlogEndKept, takes_a_longer_one_as_a_crash_before_the_witness_leaves_it) {
  note(1);
  bench_.settle();
  note(2);
  bench_(bench_.log().afterlog("api_key.revoked", Bytes{3}));

  bench_.reopen();

  EXPECT_FALSE(bench_.log().afterlog_loss());
  EXPECT_EQ(bench_.log().afterlog_entries().size(), 3u);
}

TEST_F(AfterlogEndKept, is_written_for_a_line_whose_deed_failed) {
  bench_.settle();
  bench_(bench_.log().afterlog("api_key.revoked", Bytes{1}));
  bench_.settle();
  bench_.close();
  cut_last_line();

  bench_.open();

  EXPECT_TRUE(bench_.log().afterlog_loss());
}

TEST_F(AfterlogEndKept, is_not_asked_of_a_witness_of_an_earlier_version_which_is_recorded) {
  note(1);
  bench_.settle();
  bench_.close();
  make_witness_old();

  bench_.open();

  EXPECT_FALSE(bench_.log().afterlog_loss());
  EXPECT_EQ(bench_.log().witness_lacks(), "afterlog");
  EXPECT_TRUE(any_entry(bench_, "journal.witness_missing"));
  bench_.reopen();
  EXPECT_EQ(bench_.log().witness_lacks(), "");
}

TEST_F(AfterlogEndKept, cannot_be_changed_in_the_witness) {
  note(1);
  bench_.settle();
  bench_.close();
  auto all = must(read_small_file(witness_, 4096));
  auto at = all.find("/afterlog\n1\n");
  ASSERT_NE(at, std::string::npos);
  all[at + std::string_view("/afterlog\n").size()] = '0';
  put(witness_, all);

  EXPECT_FALSE(bench_.try_open());
}

TEST_F(AfterlogEndKept, is_the_same_under_another_key) {
  note(1);
  bench_.settle();
  auto ring = bench_.keys().get()->ring.with_new(crypto::KeyUse::afterlog, bench_.clock().now());
  bench_.keys().set(std::make_shared<crypto::KeySet>(std::move(ring)));
  ASSERT_TRUE(bench_(bench_.log().rekey_afterlog()));

  bench_.reopen();

  EXPECT_FALSE(bench_.log().afterlog_loss());
  bench_.close();
  cut_last_line();
  bench_.open();
  EXPECT_TRUE(bench_.log().afterlog_loss());
}

TEST_F(AfterlogEndKept, shows_a_cut_line_to_a_restore) {
  note(1);
  bench_.settle();
  bench_.close();
  cut_last_line();

  must(bench_.try_open(restored()));

  EXPECT_TRUE(bench_.log().afterlog_loss());
}

TEST_F(AfterlogEndKept, in_a_backup_shows_a_cut_line_where_there_is_no_witness) {
  note(1);
  auto options = restored();
  options.afterlog_known = {bench_.log().afterlog_end(), bench_.clock().now()};
  bench_.close();
  std::filesystem::remove(witness_);
  auto whole = text();
  must(bench_.try_open(options));
  EXPECT_FALSE(bench_.log().afterlog_loss());
  bench_.close();
  std::filesystem::remove(witness_);
  put(file_, whole);
  cut_last_line();

  must(bench_.try_open(options));

  EXPECT_TRUE(bench_.log().afterlog_loss());
  bench_(bench_.log().settle_afterlog());
  bench_.close();
  options.afterlog_known->at -= Millis(1);
  must(bench_.try_open(options));
  EXPECT_FALSE(bench_.log().afterlog_loss()) << "a loss that was found since answers for it";
}

TEST_F(AfterlogEndKept, is_not_moved_by_a_start_that_was_refused) {
  note(1);
  bench_.settle();
  bench_.close();
  auto before = text();
  cut_last_line();
  auto cut = text();
  std::filesystem::copy_file(bench_.dir() / "holdfast.db", bench_.dir() / "aside.db");
  bench_.tamper("delete from journal_entries; update journal_head set size = 0");
  ASSERT_FALSE(bench_.try_open());

  EXPECT_EQ(text(), cut);
  EXPECT_NE(text(), before);
}

Task<void> commit_then_stop(Log& log, std::atomic<bool>& stop) {
  must(co_await log.commit(Caller{}, {}, {.activity = "test.note"}));
  co_await pause_for(Millis(150));
  stop = true;
}

TEST(Follow, sequences_and_writes_the_witness_until_it_is_stopped) {
  LogBench bench;
  auto index = bench(AccessIndex::open(bench.log(), bench.clock()));
  std::atomic<bool> stop = false;
  int told = 0;
  auto size = bench.log().size();
  std::vector<Task<void>> tasks;
  tasks.push_back(follow({bench.log(), *index, stop, [&](const Error*) { ++told; }}));
  tasks.push_back(commit_then_stop(bench.log(), stop));

  bench.context().run_all(std::move(tasks));

  EXPECT_EQ(bench.log().size(), size + 1);
  EXPECT_TRUE(std::filesystem::exists(bench.dir() / "witness"));
  EXPECT_EQ(told, 0);
}

Task<void> commit_then_stop_after_failures(Log& log, const int& failures, std::atomic<bool>& stop) {
  must(co_await log.commit(Caller{}, {}, {.activity = "test.note"}));
  for (int i = 0; i < 200 && failures == 0; ++i) co_await pause_for(Millis(20));
  co_await pause_for(Millis(2500));  // two more rounds
  stop = true;
}

TEST(Follow, tells_of_failures_when_they_begin) {
  LogBench bench;
  auto index = bench(AccessIndex::open(bench.log(), bench.clock()));
  std::filesystem::remove(bench.dir() / "witness");
  std::filesystem::create_directories(bench.dir() / "witness" / "in the way");
  std::atomic<bool> stop = false;
  int failures = 0, recoveries = 0;
  std::vector<Task<void>> tasks;
  tasks.push_back(follow(
      {bench.log(), *index, stop, [&](const Error* error) { ++(error ? failures : recoveries); }}));
  tasks.push_back(commit_then_stop_after_failures(bench.log(), failures, stop));

  bench.context().run_all(std::move(tasks));

  EXPECT_EQ(failures, 2) << "once when they began, once at the end";
  EXPECT_EQ(recoveries, 0);
}

}  // namespace
}  // namespace holdfast::journal
