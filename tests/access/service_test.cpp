#include "access/service.h"

#include <gtest/gtest.h>

#include "access/access_bench.h"
#include "access/key_text.h"
#include "access/store.h"

namespace holdfast::access {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr db::Sql kSetContent{"test.set_content",
                              "update access_authority set content = $2 where id = $1"};
constexpr db::Sql kBumpGeneration{"test.bump_generation",
                                  "update journal_generation set generation = generation + 1"};
constexpr db::Sql kDeleteRow{"test.delete_row", "delete from access_authority where id = $1"};
constexpr db::Sql kDeleteAll{"test.delete_all", "delete from access_authority"};
constexpr db::Sql kPutRow{"test.put_row",
                          "insert into access_authority (kind, id, version, content, mac_key, mac) "
                          "values ($1, $2, $3, $4, $5, $6)"};
constexpr db::Sql kReadRow{"test.read_row",
                           "select version, content, mac from access_authority where id = $1"};
constexpr db::Sql kPutBack{"test.put_back",
                           "update access_authority set version = $2, content = $3, mac = $4 "
                           "where id = $1"};

std::string text_of(const NewKey& key) {
  return std::string(key.api_key.expose_text());
}

TEST(AccessAuthenticate, lets_a_good_key_in_with_its_rights) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}, .acts_for = {"staff"}});

  auto caller = bench.sign_in(text_of(made));

  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->principal, made.info.key);
  EXPECT_EQ(caller->address, "192.0.2.1");
  EXPECT_EQ(caller->user_agent, "test");
  EXPECT_EQ(caller->request_id, "req_1");
  EXPECT_EQ(caller->generation, bench.run(bench.journal->generation(MonoTime::max())).value());
  EXPECT_TRUE(caller->rights->may("records.reveal"));
  EXPECT_FALSE(caller->rights->may("api_keys.create"));
}

TEST(AccessAuthenticate, gives_every_bad_key_the_same_answer) {
  AccessBench bench;
  auto good = text_of(bench.make_key({.roles = {"support"}}));
  auto expired = text_of(bench.make_key({.roles = {"support"}, .expires_in = "1 h"}));
  auto revoked = bench.make_key({.roles = {"support"}});
  auto elsewhere = text_of(bench.make_key({.roles = {"support"}, .networks = {"198.51.100.0/24"}}));
  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = revoked.info.key})));
  bench.clock.advance(hours(2));
  auto unknown = std::string(make_key_text(Environment::live, make_key_id()).expose_text());
  auto wrong = std::string(
      make_key_text(Environment::live, std::string_view(good).substr(8, 12)).expose_text());
  auto mistyped = good;
  mistyped.back() = mistyped.back() == 'a' ? 'b' : 'a';
  bench.journal->forget_events();

  std::vector<Result<Caller>> answers;
  for (const auto& key : {expired, text_of(revoked), elsewhere, unknown, wrong, mistyped,
                          std::string(), std::string("nonsense"), std::string(100'000, 'x')})
    answers.push_back(bench.sign_in(key));

  for (const auto& answer : answers) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::unauthenticated);
    EXPECT_EQ(answer.error().text, answers[0].error().text);
    EXPECT_TRUE(answer.error().field.empty());
  }
  // The secret was right in the first three: their principals are known, and recorded.
  const auto events = bench.journal->events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].event.reason, "expired");
  EXPECT_EQ(events[1].event.reason, "revoked");
  EXPECT_EQ(events[1].caller.principal, revoked.info.key);
  EXPECT_EQ(events[2].event.reason, "network");
  for (const auto& one : events) EXPECT_EQ(one.event.outcome, journal::Outcome::refused);
  EXPECT_EQ(bench.service().counts().strangers, 6u);
}

TEST(AccessAuthenticate, ends_a_key_at_its_minute) {
  AccessBench bench;
  auto key = text_of(bench.make_key({.roles = {"support"}}));

  bench.clock.advance(days(90) - Millis(1));
  EXPECT_TRUE(bench.sign_in(key));
  bench.clock.advance(Millis(1));
  EXPECT_FALSE(bench.sign_in(key));
}

TEST(AccessAuthenticate, binds_a_key_to_its_networks) {
  AccessBench bench;
  auto key = text_of(
      bench.make_key({.roles = {"support"}, .networks = {"198.51.100.0/24", "2001:db8::/32"}}));

  EXPECT_TRUE(bench.sign_in(key, "198.51.100.7"));
  EXPECT_TRUE(bench.sign_in(key, "2001:db8:5::1"));
  EXPECT_FALSE(bench.sign_in(key, "198.51.101.7"));
  EXPECT_FALSE(bench.sign_in(key, ""));
  EXPECT_FALSE(bench.sign_in(key, "nowhere"));
}

TEST(AccessAuthenticate, throttles_strangers_but_not_a_good_key_from_there) {
  AccessBench bench;
  auto bad = std::string(make_key_text(Environment::live, make_key_id()).expose_text());

  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(bench.sign_in(bad, "203.0.113.9").error().code, Code::unauthenticated);

  EXPECT_EQ(bench.sign_in(bad, "203.0.113.9").error().code, Code::exhausted);
  EXPECT_EQ(bench.sign_in(bad, "203.0.113.8").error().code, Code::unauthenticated);
  EXPECT_TRUE(bench.sign_in(bench.owner_key, "203.0.113.9"));
  bench.clock.advance(minutes(1));
  EXPECT_EQ(bench.sign_in(bad, "203.0.113.9").error().code, Code::unauthenticated);
}

TEST(AccessAuthenticate, does_not_fill_the_journal_for_one_ended_key) {
  AccessBench bench;
  auto key = text_of(bench.make_key({.roles = {"support"}, .expires_in = "1 h"}));
  bench.clock.advance(hours(2));
  bench.journal->forget_events();

  for (int i = 0; i < 1'000; ++i) (void)bench.sign_in(key);

  EXPECT_EQ(bench.journal->events().size(), 20u);
  ASSERT_TRUE(bench.run(bench.service().flush(true)));
  const auto counts = bench.journal->events("access.refused_unknown");
  ASSERT_EQ(counts.size(), 1u) << "the others are in a count";
  EXPECT_EQ(std::get<std::int64_t>(counts[0].event.facts[0].second), 980);
}

TEST(AccessFlush, makes_one_event_of_each_prefix_and_minute_with_the_prefix_sealed) {
  AccessBench bench;
  for (int i = 0; i < 30; ++i) (void)bench.sign_in("x", "203.0.113.9");
  for (int i = 0; i < 2; ++i) (void)bench.sign_in("x", "2001:db8:1:2:3::" + std::to_string(i));
  bench.clock.advance(minutes(1));
  (void)bench.sign_in("x", "203.0.113.9");

  ASSERT_TRUE(bench.run(bench.service().flush(false)));

  auto events = bench.journal->events("access.refused_unknown");
  ASSERT_EQ(events.size(), 2u);
  std::ranges::sort(events, {}, [](const auto& one) { return one.event.note; });
  EXPECT_EQ(events[0].event.note, "2001:db8:1:2::/64");
  EXPECT_EQ(events[1].event.note, "203.0.113.9/32");
  EXPECT_EQ(std::get<std::int64_t>(events[1].event.facts[0].second), 30);
  for (const auto& one : events)
    for (const auto& [name, fact] : one.event.facts)
      EXPECT_TRUE(std::holds_alternative<std::int64_t>(fact)) << name;
  ASSERT_TRUE(bench.run(bench.service().flush(true)));
  EXPECT_EQ(bench.journal->events("access.refused_unknown").size(), 3u);
}

TEST(AccessFlush, loses_no_count_that_it_cannot_record) {
  AccessBench bench;
  (void)bench.sign_in("x");
  bench.journal->fail = true;
  EXPECT_FALSE(bench.run(bench.service().flush(true)));

  bench.journal->fail = false;
  ASSERT_TRUE(bench.run(bench.service().flush(true)));

  EXPECT_EQ(bench.journal->events("access.refused_unknown").size(), 1u);
}

TEST(AccessRun, flushes_what_is_left_when_it_is_stopped) {
  AccessBench bench;
  (void)bench.sign_in("x");
  bench.service().stop();

  bench.run(bench.service().run());

  EXPECT_EQ(bench.journal->events("access.refused_unknown").size(), 1u);
}

TEST(AccessAllow, records_a_refusal_before_it_answers) {
  AccessBench bench;
  auto caller = bench.caller_with({.roles = {"support"}});
  bench.journal->forget_events();

  EXPECT_TRUE(bench.run(bench.service().allow(caller, "records.reveal")));
  EXPECT_TRUE(bench.journal->events().empty());
  auto refused = bench.run(bench.service().allow(caller, "api_keys.create"));

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::forbidden);
  const auto events = bench.journal->events("api_keys.create");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].event.outcome, journal::Outcome::refused);
  EXPECT_EQ(events[0].event.reason, "permission");
  EXPECT_EQ(events[0].caller.principal, caller.principal);
}

TEST(AccessAllow, refuses_with_the_journals_error_what_it_cannot_record) {
  AccessBench bench;
  auto caller = bench.caller_with({.roles = {"support"}});
  bench.journal->fail = true;

  EXPECT_EQ(bench.run(bench.service().allow(caller, "api_keys.create")).error().code,
            Code::unavailable);
}

TEST(AccessAllow, refuses_a_caller_without_rights) {
  AccessBench bench;

  EXPECT_EQ(bench.run(bench.service().allow(Caller{}, "records.get")).error().code,
            Code::forbidden);
}

TEST(AccessActing, needs_the_right_for_that_kind) {
  AccessBench bench;
  auto caller = bench.caller_with({.roles = {"service"}, .acts_for = {"customer"}});

  EXPECT_EQ(bench.service().acting_for(caller, "customer:4711")->on_behalf_of, "customer:4711");
  EXPECT_EQ(bench.service().acting_for(caller, "staff:17").error().code, Code::forbidden);
  EXPECT_EQ(bench.service().acting_for(caller, "4711").error().code, Code::invalid);
  EXPECT_EQ(bench.service().acting_for(Caller{}, "customer:4711").error().code, Code::forbidden);
}

TEST(AccessCache, sees_a_change_of_this_process_at_once) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  ASSERT_TRUE(bench.sign_in(text_of(made)));

  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = made.info.key})));

  EXPECT_FALSE(bench.sign_in(text_of(made)));
}

TEST(AccessCache, sees_a_change_of_another_process_within_half_a_second) {
  AccessBench bench;
  Process other(*bench.journal, bench.keys, bench.clock);
  auto made = bench.make_key({.roles = {"support"}});
  ASSERT_TRUE(bench.sign_in(text_of(made)));

  ASSERT_TRUE(bench.run(other.admin.revoke_key(bench.owner, {.key = made.info.key})));
  bench.clock.advance(Cache::kAskEvery);

  EXPECT_FALSE(bench.sign_in(text_of(made)));
}

TEST(AccessCache, serves_for_five_seconds_without_the_database_and_then_nobody) {
  AccessBench bench;
  ASSERT_TRUE(bench.sign_in(bench.owner_key));
  bench.journal->away = true;

  bench.clock.advance(Millis(4'900));
  EXPECT_TRUE(bench.sign_in(bench.owner_key));
  bench.clock.advance(Millis(200));
  EXPECT_EQ(bench.sign_in(bench.owner_key).error().code, Code::unavailable);
  bench.journal->away = false;
  EXPECT_TRUE(bench.sign_in(bench.owner_key));
}

TEST(AccessCache, does_not_serve_old_rights_after_its_own_change_when_the_database_goes_away) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  ASSERT_TRUE(bench.sign_in(text_of(made)));
  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = made.info.key})));
  bench.journal->away = true;

  EXPECT_EQ(bench.sign_in(text_of(made)).error().code, Code::unavailable);
}

TEST(AccessCache, is_shut_while_the_server_is_locked) {
  AccessBench bench;
  const auto keys = bench.keys.get();
  bench.keys.set(nullptr);

  EXPECT_EQ(bench.sign_in(bench.owner_key).error().code, Code::locked);
  bench.keys.set(keys);
  EXPECT_TRUE(bench.sign_in(bench.owner_key));
}

TEST(AccessRenewed, gives_the_newest_rights_or_none) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"service"}, .acts_for = {"staff"}});
  auto caller =
      bench.must(bench.service().acting_for(bench.must(bench.sign_in(text_of(made))), "staff:17"));
  bench.make_key({.roles = {"support"}});  // a new generation

  auto renewed = bench.run(bench.service().renewed(caller));
  ASSERT_TRUE(renewed);
  EXPECT_GT(renewed->generation, caller.generation);
  EXPECT_EQ(renewed->on_behalf_of, "staff:17");

  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = made.info.key})));
  EXPECT_EQ(bench.run(bench.service().renewed(caller)).error().code, Code::unauthenticated);
}

TEST(AccessStill, ends_with_the_key_also_while_the_policy_stays) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}, .expires_in = "3 h"});
  auto caller = bench.must(bench.sign_in(text_of(made)));
  auto still = [&](std::string_view operation) {
    auto may = bench.run(bench.service().still(caller, operation));
    return may ? "yes" : std::string(code_name(may.error().code));
  };

  EXPECT_EQ(still("records.reveal"), "yes");
  EXPECT_EQ(still("api_keys.create"), "forbidden");
  bench.clock.advance(hours(3) - Millis(1));
  EXPECT_EQ(still("records.reveal"), "yes");
  bench.clock.advance(Millis(1));
  EXPECT_EQ(still("records.reveal"), "unauthenticated");
}

TEST(AccessStill, ends_with_the_overlap_of_a_rotation) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  auto caller = bench.must(bench.sign_in(text_of(made)));
  ASSERT_TRUE(
      bench.run(bench.admin().rotate_key(bench.owner, {.key = made.info.key, .overlap = "2 h"})));

  EXPECT_TRUE(bench.run(bench.service().still(caller, "records.reveal")));
  bench.clock.advance(hours(2));
  EXPECT_FALSE(bench.run(bench.service().still(caller, "records.reveal")));
}

TEST(AccessStill, ends_before_the_reply_of_revoke_and_only_in_its_networks) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}, .networks = {"192.0.2.0/24"}});
  auto caller = bench.must(bench.sign_in(text_of(made)));
  auto moved = caller;
  moved.address = "198.51.100.1";

  EXPECT_TRUE(bench.run(bench.service().still(caller, "records.reveal")));
  EXPECT_FALSE(bench.run(bench.service().still(moved, "records.reveal")));
  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = made.info.key})));
  EXPECT_EQ(bench.run(bench.service().still(caller, "records.reveal")).error().code,
            Code::unauthenticated);
}

TEST(AccessLastUse, is_written_once_a_minute) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  auto used = [&] {
    return bench.must(bench.run(bench.api().get_key(bench.owner, {made.info.key}))).last_used;
  };
  EXPECT_FALSE(used());

  const auto first = bench.clock.now();
  ASSERT_TRUE(bench.sign_in(text_of(made)));
  EXPECT_EQ(used(), first);
  bench.clock.advance(seconds(59));
  ASSERT_TRUE(bench.sign_in(text_of(made)));
  EXPECT_EQ(used(), first);
  bench.make_key({.roles = {"support"}});  // a new snapshot does not forget
  ASSERT_TRUE(bench.sign_in(text_of(made)));
  EXPECT_EQ(used(), first);
  bench.clock.advance(seconds(1));
  ASSERT_TRUE(bench.sign_in(text_of(made)));
  EXPECT_EQ(used(), first + seconds(60));
}

// ── rows written behind the server's back

db::Changes with_generation(db::Changes changes) {
  changes.write(kBumpGeneration, {});
  return changes;
}

TEST(AccessTampering, with_a_key_gives_nothing_and_is_reported_once) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  auto rows = bench.must(bench.run(bench.journal->reader().read(kReadRow, {made.info.key})));
  auto content = std::string(rows[0].text(1));
  content.replace(content.find("support"), 7, "owner");
  db::Changes changes;
  changes.write(kSetContent, {made.info.key, content});
  ASSERT_TRUE(bench.run(bench.journal->tamper(with_generation(std::move(changes)))));
  bench.clock.advance(seconds(1));
  bench.journal->forget_events();

  EXPECT_FALSE(bench.sign_in(text_of(made)));
  EXPECT_TRUE(bench.sign_in(bench.owner_key)) << "the others work on";

  ASSERT_TRUE(bench.run(bench.process->cache.inspect(MonoTime::max())));
  const auto events = bench.journal->events("access.tampered");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].event.reason, "changed");
  ASSERT_EQ(events[0].event.touches.size(), 1u);
  EXPECT_EQ(as_text(events[0].event.touches[0].row), made.info.key);
  EXPECT_EQ(bench.process->notices.seen,
            (std::vector<std::string>{"api_keys " + made.info.key + " changed"}));
  EXPECT_EQ(bench.service().counts().tampered, 1u);
}

TEST(AccessTampering, that_undoes_a_revocation_gives_nothing) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  auto rows = bench.must(bench.run(bench.journal->reader().read(kReadRow, {made.info.key})));
  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = made.info.key})));
  db::Changes changes;
  changes.write(kPutBack, {made.info.key, rows[0].integer(0), std::string(rows[0].text(1)),
                           to_bytes(rows[0].bytes(2))});
  ASSERT_TRUE(bench.run(bench.journal->tamper(std::move(changes))));

  bench.restart();

  EXPECT_FALSE(bench.sign_in(text_of(made)));
  EXPECT_EQ(bench.process->notices.seen,
            (std::vector<std::string>{"api_keys " + made.info.key + " replaced"}));
}

/// As somebody does who can write the table, but not its MACs.
void replace_all(AccessBench& bench, std::vector<Row> rows) {
  db::Changes changes;
  changes.write(kDeleteAll, {});
  for (auto& row : rows)
    changes.write(kPutRow, {std::move(row.kind), std::move(row.id), row.version,
                            std::move(row.content), std::int64_t{row.mac_key}, std::move(row.mac)});
  ASSERT_TRUE(bench.run(bench.journal->tamper(std::move(changes))));
}

TEST(AccessTampering, that_puts_all_rows_and_the_manifest_back_gives_nothing_after_a_restart) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  auto before = bench.must(bench.run(read_authority(bench.journal->reader(), MonoTime::max())));
  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = made.info.key})));
  replace_all(bench, std::move(before));

  bench.restart();

  EXPECT_FALSE(bench.sign_in(text_of(made)));
  EXPECT_EQ(bench.process->notices.seen,
            (std::vector<std::string>{"access_manifest  rolled_back"}));
  auto fresh = bench.must(bench.run(bench.admin().bootstrap_owner_key("access.recover")));
  bench.restart();
  EXPECT_TRUE(bench.sign_in(fresh.expose_text())) << "and recovery is the way on";
  EXPECT_FALSE(bench.sign_in(text_of(made)));
}

TEST(AccessTampering, that_takes_every_row_out_is_no_fresh_store) {
  AccessBench bench;
  replace_all(bench, {});

  bench.restart();

  EXPECT_FALSE(bench.sign_in(bench.owner_key));
  EXPECT_EQ(bench.process->notices.seen, (std::vector<std::string>{"access_manifest  missing"}));
}

TEST(AccessTampering, is_found_while_serving_though_no_generation_says_so) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  db::Changes changes;
  changes.write(kDeleteRow, {made.info.key});
  ASSERT_TRUE(bench.run(bench.journal->tamper(std::move(changes))));

  ASSERT_TRUE(bench.run(bench.process->cache.inspect(MonoTime::max())));

  EXPECT_EQ(bench.process->notices.seen,
            (std::vector<std::string>{"api_keys " + made.info.key + " missing"}));
  EXPECT_FALSE(bench.sign_in(text_of(made)));
}

TEST(AccessTampering, with_the_manifest_lets_nobody_in_until_recovery) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  db::Changes changes;
  changes.write(kSetContent, {std::string(), std::string("api_keys forged 1\n")});
  ASSERT_TRUE(bench.run(bench.journal->tamper(std::move(changes))));
  bench.restart();
  EXPECT_FALSE(bench.sign_in(bench.owner_key));

  auto fresh = bench.run(bench.admin().bootstrap_owner_key("access.recover"));

  ASSERT_TRUE(fresh);
  auto owner = bench.sign_in(fresh->expose_text());
  ASSERT_TRUE(owner);
  EXPECT_TRUE(owner->rights->owner());
  EXPECT_FALSE(bench.sign_in(bench.owner_key)) << "what was listed must be made again";
  EXPECT_FALSE(bench.sign_in(text_of(made)));
  EXPECT_TRUE(bench.run(bench.admin().create_key(*owner, {.name = "new", .roles = {"support"}})));
  bench.restart();
  EXPECT_TRUE(bench.sign_in(fresh->expose_text()));
}

TEST(AccessTampering, is_named_by_the_check_of_the_state) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});
  const auto left = bench.journal->events("api_keys.create").back().event.touches;
  std::map<std::string, crypto::Digest> seen;
  auto sink = [&](std::string_view kind, BytesView row, const crypto::Digest& digest) {
    seen[std::string(kind) + ' ' + std::string(as_text(row))] = digest;
  };
  EXPECT_TRUE(bench.must(bench.run(bench.admin().check_state(sink))).empty());
  for (const auto& touch : left)
    EXPECT_EQ(seen[std::string(touch.kind) + ' ' + std::string(as_text(touch.row))], touch.left);

  db::Changes changes;
  changes.write(kSetContent, {made.info.key, std::string("{}")});
  ASSERT_TRUE(bench.run(bench.journal->tamper(std::move(changes))));

  EXPECT_EQ(bench.must(bench.run(bench.admin().check_state(sink))),
            (std::vector<Finding>{{"api_keys", made.info.key, "changed"}}));
  EXPECT_NE(seen["api_keys " + made.info.key], left[0].left);
}

}  // namespace
}  // namespace holdfast::access
