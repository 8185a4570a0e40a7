#include "vault/retention/service.h"

#include <algorithm>

#include "vault/retention/due.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

constexpr Millis kDay{86'400'000};
constexpr Millis kTenYears = 3650 * kDay;

Record made_at(Time created, Time updated) {
  return {
      .id = {}, .subject = {}, .slot = {}, .created = created, .updated = updated, .sealed = {}};
}

Field kept(KeepFrom from) {
  Field out;
  out.keep = Keep{"30 days", from};
  out.keep_for = 30 * kDay;
  return out;
}

TEST(Due, counts_from_the_creation_the_last_change_or_the_end_of_an_engagement) {
  const Time made = from_ms(1'000'000'000'000), changed = made + 5 * kDay;
  auto record = made_at(made, changed);

  EXPECT_EQ(due_at(kept(KeepFrom::created), record, {}), made + 30 * kDay);
  EXPECT_EQ(due_at(kept(KeepFrom::updated), record, {}), changed + 30 * kDay);
  EXPECT_EQ(due_at(kept(KeepFrom::closed), record, made + 9 * kDay), made + 39 * kDay);
}

TEST(Due, is_nothing_that_is_kept_with_its_group_or_whose_engagement_has_not_closed) {
  auto record = made_at(from_ms(0), from_ms(0));

  EXPECT_EQ(due_at(Field{}, record, {}), std::nullopt);
  EXPECT_EQ(due_at(kept(KeepFrom::closed), record, {}), std::nullopt);
}

TEST(Due, does_not_count_from_an_engagement_that_ended_before_the_record_was_made) {
  const Time made = from_ms(1'000'000'000'000);

  EXPECT_EQ(due_at(kept(KeepFrom::closed), made_at(made, made), made - 400 * kDay),
            made + 30 * kDay);
}

class VaultRetention : public Vault {
 protected:
  void SetUp() override { bench_(bench_.declarations().put({}, visits())); }

  /// Everything of them goes after a while.
  static CollectionSpec visits() {
    CollectionSpec visits{.collection = "visits", .doc = {}, .fields = {}, .if_match = {}};
    visits.fields = {field("address", FieldType::ip),
                     field("email", FieldType::email, IndexKind::exact),
                     field("ticket", FieldType::text)};
    visits.fields[0].keep = Keep{"30 days", KeepFrom::created};
    visits.fields[1].keep = Keep{"30 days", KeepFrom::created};
    visits.fields[2].keep = Keep{"10 days", KeepFrom::closed};
    return visits;
  }

  CreatedRecord visit(std::string subject, Named named) {
    CreateRecords request{.collection = "visits",
                          .subject = std::move(subject),
                          .slot = {},
                          .values = values(named),
                          .records = {},
                          .idempotency_key = {}};
    return bench_(bench_.records().create({}, std::move(request))).records.front();
  }
  std::int64_t rows(const std::string& table) {
    return bench_.raw().number("select count(*) from " + table);
  }
  Swept sweep() { return must(bench_.swept()); }
  HoldView hold(std::optional<std::string> subject, std::optional<std::string> collection = {},
                std::optional<Time> until = {}) {
    return bench_(bench_.retention().hold(
        {.principal = "key_privacy"},
        {std::move(subject), std::move(collection), "dispute with Ann, file 12/26", until}));
  }
  HoldView lift(HoldId id) {
    return bench_(bench_.retention().unhold({.principal = "key_owner"}, {id, "settled"}));
  }
  EngagementId engage(std::string subject, std::string reference) {
    return bench_(bench_.engagements().open({.principal = "key_shop"},
                                            {.subject = std::move(subject),
                                             .kind = "ticket",
                                             .reference = std::move(reference),
                                             .assignee = {},
                                             .life = {},
                                             .on_behalf_of = {},
                                             .idempotency_key = {}}))
        .engagement;
  }
  void close(EngagementId id) {
    bench_(bench_.engagements().close({.principal = "key_shop"}, {.engagement = id, .reason = {}}));
  }
  RetentionPreview preview(std::int64_t days) {
    return bench_(bench_.retention().preview({}, {days}));
  }
  static Task<void> change_phone(VaultRetention* test, RecordId id) {
    must(co_await test->bench_.records().update({}, {.record = id,
                                                     .values = values({{"phone", "030 7654321"}}),
                                                     .version = {},
                                                     .if_match = {}}));
  }
  static Task<void> hold_meanwhile(VaultRetention* test) {
    must(co_await test->bench_.retention().hold({}, {"ext:1", {}, "dispute", {}}));
  }
  static Task<void> hold_visits_meanwhile(VaultRetention* test) {
    must(co_await test->bench_.retention().hold({}, {{}, "visits", "dispute", {}}));
  }
  static Task<void> engage_meanwhile(VaultRetention* test, bool close) {
    auto opened = must(co_await test->bench_.engagements().open({.principal = "key_shop"},
                                                                {.subject = "ext:1",
                                                                 .kind = "ticket",
                                                                 .reference = "T-9",
                                                                 .assignee = {},
                                                                 .life = {},
                                                                 .on_behalf_of = {},
                                                                 .idempotency_key = {}}));
    if (close)
      must(co_await test->bench_.engagements().close(
          {.principal = "key_shop"}, {.engagement = opened.engagement, .reason = {}}));
  }
  static Task<void> merge_meanwhile(VaultRetention* test) {
    must(co_await test->bench_.subjects().merge({}, {"ext:1", "ext:2", {}}));
  }
  static Task<void> keep_longer(VaultRetention* test) {
    auto visits = test->visits();
    visits.fields[0].keep = Keep{"60 days", KeepFrom::created};
    must(co_await test->bench_.declarations().put({}, visits));
  }
  void move_clock(Millis by) { bench_.clock().set_now(bench_.clock().now() + by); }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultRetention, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultRetention, takes_a_value_whose_time_has_come_and_leaves_the_rest) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}, {"last_ip", "192.0.2.7"}});
  bench_.clock().advance(29 * kDay);
  auto early = sweep();
  bench_.clock().advance(2 * kDay);

  auto swept = sweep();

  EXPECT_EQ(early.values, 0);
  EXPECT_EQ(swept.values, 1);
  EXPECT_EQ(swept.records, 0);
  EXPECT_EQ(bench_.opened(made.record, "email"), "ann@example.org");
  auto shown = bench_(bench_.records().get({}, {made.record}));
  EXPECT_EQ(shown.values.entries.size(), 1u);
  EXPECT_EQ(shown.updated, shown.created);
  EXPECT_EQ(shown.version, 2);
  EXPECT_TRUE(bench_.state().good());
  EXPECT_EQ(sweep().values, 0);
}

TEST_P(VaultRetention, takes_index_terms_tokens_and_records_that_are_left_empty) {
  bench_(bench_.tokens().create({}, {.subject = "ext:1",
                                     .collection = "visits",
                                     .values = values({{"email", "ann@example.org"}}),
                                     .items = {},
                                     .idempotency_key = {}}));
  visit("ext:2", {{"email", "bob@example.org"}, {"address", "192.0.2.7"}});
  ASSERT_EQ(rows("vault_index"), 2);
  ASSERT_EQ(rows("vault_tokens"), 1);
  bench_.clock().advance(31 * kDay);

  auto swept = sweep();

  EXPECT_EQ(swept.records, 2);
  EXPECT_EQ(swept.values, 3);
  EXPECT_EQ(swept.tokens, 1);
  EXPECT_EQ(rows("vault_records"), 0);
  EXPECT_EQ(rows("vault_index"), 0);
  EXPECT_EQ(rows("vault_tokens"), 0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, takes_the_token_of_the_value_that_goes_and_no_other) {
  auto tokens = bench_(bench_.tokens().create(
      {}, {.subject = "ext:1",
           .collection = "customers",
           .values = values({{"email", "ann@example.org"}, {"last_ip", "192.0.2.7"}}),
           .items = {},
           .idempotency_key = {}}));
  bench_.clock().advance(31 * kDay);

  EXPECT_EQ(sweep().tokens, 1);

  EXPECT_EQ(rows("vault_tokens"), 1);
  std::string left;
  for (const auto& [name, view] : tokens.items[0].tokens)
    if (name == "email") left = view.token;
  auto revealed = bench_(bench_.tokens().reveal({}, {{left}, "support", {}}));
  EXPECT_EQ(revealed.values.entries.size(), 1u);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, counts_from_the_last_change_where_that_is_declared) {
  auto made = bench_.create("ext:1", {{"last_ip", "192.0.2.7"}, {"phone", "030 1234567"}});
  bench_.clock().advance(20 * kDay);
  bench_(bench_.records().update({}, {.record = made.record,
                                      .values = values({{"phone", "030 7654321"}}),
                                      .version = {},
                                      .if_match = {}}));
  bench_.clock().advance(20 * kDay);

  EXPECT_EQ(sweep().values, 0);
  bench_.clock().advance(11 * kDay);
  EXPECT_EQ(sweep().values, 1);
}

TEST_P(VaultRetention, keeps_what_counts_from_an_engagement_until_the_last_has_closed) {
  visit("ext:1", {{"ticket", "asks for an invoice"}});
  visit("ext:2", {{"ticket", "never had an engagement"}});
  bench_.clock().advance(400 * kDay);
  auto first = engage("ext:1", "T-1"), second = engage("ext:1", "T-2");
  auto without = sweep();
  close(first);
  bench_.clock().advance(20 * kDay);
  auto one_open = sweep();
  close(second);
  bench_.clock().advance(9 * kDay);
  auto soon = sweep();
  bench_.clock().advance(2 * kDay);

  auto later = sweep();

  EXPECT_EQ(without.values + one_open.values + soon.values, 0);
  EXPECT_EQ(later.values, 1);
  EXPECT_EQ(rows("vault_records"), 1);
}

TEST_P(VaultRetention,
       keeps_what_counts_from_an_engagement_when_one_was_opened_at_the_last_moment) {
  for (bool closed : {false, true}) {
    visit("ext:1", {{"ticket", "asks for an invoice"}});
    visit("ext:2", {{"ticket", "asks for another"}});
    for (std::string subject : {"ext:1", "ext:2"}) close(engage(subject, "T-" + subject));
    bench_.clock().advance(11 * kDay);
    bench_.journal().before_commit = [this, closed] { return engage_meanwhile(this, closed); };

    auto swept = sweep();

    EXPECT_EQ(swept.values, 1) << "the other customer's";
    EXPECT_EQ(rows("vault_records"), 1) << closed;
    EXPECT_EQ(rows("vault_engagements where closed_ms is null"), closed ? 0 : 1);
    if (!closed)
      close(bench_(bench_.engagements().find({}, {"ticket", "T-9"})).engagements[0].engagement);
    bench_.clock().advance(9 * kDay);
    EXPECT_EQ(sweep().values, 0) << closed;
    bench_.clock().advance(2 * kDay);
    EXPECT_EQ(sweep().values, 1) << closed;
  }
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention,
       keeps_what_counts_from_an_engagement_that_came_with_a_guest_at_the_last_moment) {
  auto visits = this->visits();
  visits.fields.push_back(field("receipt", FieldType::text));
  visits.fields.back().keep = Keep{"40 days", KeepFrom::closed};
  bench_(bench_.declarations().put({}, visits));
  visit("ext:1", {{"receipt", "one of each"}});
  bench_.create("ext:2", {{"email", "bob@example.org"}});
  close(engage("ext:1", "T-1"));
  bench_.clock().advance(20 * kDay);
  close(engage("ext:2", "T-2"));
  bench_.clock().advance(21 * kDay);
  bench_.journal().before_commit = [this] { return merge_meanwhile(this); };

  auto swept = sweep();

  EXPECT_EQ(swept.values, 0) << "the account's last one ended 21 days ago by now";
  bench_.clock().advance(20 * kDay);
  EXPECT_EQ(sweep().values, 1);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, keeps_what_counts_from_an_engagement_whose_end_was_bent) {
  visit("ext:1", {{"ticket", "asks for an invoice"}});
  auto open = engage("ext:1", "T-1");
  close(open);
  auto raw = bench_.raw();
  raw.run("update vault_engagements set closed_ms = closed_ms - 1000000");
  bench_.clock().advance(200 * kDay);

  auto swept = sweep();

  EXPECT_EQ(swept.values, 0);
  EXPECT_EQ(swept.others, 0) << "it stays as evidence";
  EXPECT_EQ(bench_.state().changed_total, 1);
  raw.run("update vault_engagements set closed_ms = closed_ms + 1000000");
  EXPECT_EQ(sweep().values, 1);
}

TEST_P(VaultRetention, remembers_the_last_engagement_while_a_keep_time_counts_from_it) {
  auto visits = this->visits();
  visits.fields[2].keep = Keep{"200 days", KeepFrom::closed};
  bench_(bench_.declarations().put({}, visits));
  visit("ext:1", {{"ticket", "asks for an invoice"}});
  bench_.create("ext:2", {{"email", "bob@example.org"}});
  close(engage("ext:1", "T-1"));
  bench_.clock().advance(kDay);
  auto last = engage("ext:1", "T-2");
  close(last);
  close(engage("ext:2", "T-3"));
  bench_.clock().advance(91 * kDay);
  auto forgotten = sweep();
  const auto kept = rows("vault_engagements");
  bench_.clock().advance(110 * kDay);

  auto done = sweep();

  EXPECT_EQ(forgotten.others, 2) << "an older one, and one that nothing counts from";
  EXPECT_EQ(kept, 1);
  EXPECT_EQ(done.values, 1) << "it was not forgotten before it was needed";
  EXPECT_EQ(done.others, 1);
  EXPECT_EQ(rows("vault_engagements"), 0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, forgets_engagements_by_journal_time_and_not_of_held_customers) {
  bench_.create("ext:1", {{"email", "ann@example.org"}});
  bench_.create("ext:2", {{"email", "bob@example.org"}});
  close(engage("ext:1", "T-1"));
  close(engage("ext:2", "T-2"));
  auto held = hold("ext:1");
  move_clock(kTenYears);
  auto jumped = sweep();
  move_clock(-kTenYears);
  bench_.clock().advance(91 * kDay);

  auto after = sweep();

  EXPECT_EQ(jumped.others, 0);
  EXPECT_EQ(after.others, 1);
  EXPECT_EQ(rows("vault_engagements"), 1);
  lift(held.hold);
  EXPECT_EQ(sweep().others, 1);
  auto report = bench_(bench_.retention().report({}, {}));
  EXPECT_EQ(report.rows, 2);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, forgets_no_engagements_of_who_has_a_record_in_a_held_collection) {
  auto made = visit("ext:1", {{"ticket", "asks for an invoice"}});
  bench_.create("ext:2", {{"email", "bob@example.org"}});
  for (std::string reference : {"T-1", "T-2"}) {
    close(engage("ext:1", reference));
    bench_.clock().advance(kDay);
  }
  close(engage("ext:2", "T-3"));
  auto held = hold({}, "visits");
  bench_.clock().advance(91 * kDay);

  auto under = sweep();

  EXPECT_EQ(under.others, 1) << "the other customer's";
  EXPECT_EQ(rows("vault_engagements"), 2);
  lift(held.hold);
  bench_(bench_.records().remove({}, {.record = made.record, .if_match = {}}));
  visit("ext:1", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [this] { return hold_visits_meanwhile(this); };
  EXPECT_EQ(sweep().others, 0) << "held at the last moment";
  EXPECT_EQ(rows("vault_engagements"), 2);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, destroys_nothing_when_the_clock_is_set_forward_ten_years) {
  bench_.create("ext:1", {{"last_ip", "192.0.2.7"}, {"tax_id", "DE123456789"}});
  move_clock(kTenYears + 400 * kDay);

  auto running = sweep();
  bench_.reopen();
  auto restarted = sweep();
  bench_.reboot();
  bench_.reopen();
  auto rebooted = sweep();

  EXPECT_EQ(running.values + restarted.values + rebooted.values, 0);
  EXPECT_EQ(rows("vault_records"), 1);
}

TEST_P(VaultRetention, destroys_nothing_when_the_clock_is_set_back_a_day) {
  bench_.create("ext:1", {{"last_ip", "192.0.2.7"}});
  bench_.clock().advance(30 * kDay + Millis(1));
  move_clock(-kDay);

  auto swept = bench_.swept();

  ASSERT_FALSE(swept);
  EXPECT_EQ(swept.error().code, Code::unavailable);
  EXPECT_EQ(must(bench_.run(bench_.retention().status({}, {}))).refused.has_value(), true);
  bench_(bench_.retention().confirm({}, {bench_.clock().now()}));
  EXPECT_EQ(sweep().values, 0);
  bench_.clock().advance(kDay);
  EXPECT_EQ(sweep().values, 1);
}

TEST_P(VaultRetention, waits_for_the_owner_after_a_long_gap) {
  bench_.create("ext:1", {{"last_ip", "192.0.2.7"}});
  bench_.clock().advance(100 * kDay);
  bench_.reboot();
  bench_.reopen();

  auto before = sweep();
  auto confirmed = bench_(bench_.retention().confirm({}, {bench_.clock().now()}));

  EXPECT_EQ(before.values, 0);
  EXPECT_EQ(confirmed.journal_time, bench_.clock().now());
  EXPECT_EQ(sweep().values, 1);
}

TEST_P(VaultRetention, stands_still_while_the_server_is_locked) {
  bench_.create("ext:1", {{"last_ip", "192.0.2.7"}});
  bench_.clock().advance(31 * kDay);
  auto keys = bench_.keys().get();
  bench_.keys().set(nullptr);

  EXPECT_EQ(code_of(bench_.swept()), Code::locked);

  bench_.keys().set(keys);
  EXPECT_EQ(sweep().values, 1);
}

TEST_P(VaultRetention, goes_on_where_it_was_interrupted) {
  for (int i = 0; i < 5; ++i) visit("ext:" + std::to_string(i), {{"address", "192.0.2.7"}});
  bench_.clock().advance(31 * kDay);
  bench_.journal().lose_replies = true;
  EXPECT_EQ(code_of(bench_.swept()), Code::unavailable);
  bench_.journal().lose_replies = false;
  bench_.journal().fail = true;
  EXPECT_EQ(code_of(bench_.swept()), std::nullopt);  // nothing was left but the answer
  bench_.journal().fail = false;
  bench_.reopen();

  sweep();

  EXPECT_EQ(rows("vault_records"), 0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, ends_early_when_it_is_told_to) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  bench_.clock().advance(31 * kDay);
  std::atomic<bool> stop = true;

  auto swept = bench_(bench_.sweep().pass(stop));

  EXPECT_EQ(swept.values, 0);
  EXPECT_EQ(rows("vault_records"), 1);
}

TEST_P(VaultRetention, takes_less_at_a_time_while_others_wait) {
  auto values_of_each_commit = [&](db::Load load) {
    for (int i = 0; i < 250; ++i) visit("ext:" + std::to_string(i), {{"address", "192.0.2.7"}});
    bench_.clock().advance(31 * kDay);
    bench_.journal().told = load;
    bench_.journal().events.clear();
    EXPECT_EQ(sweep().values, 250);
    bench_.journal().told = {};
    return std::ranges::count(bench_.journal().events, "retention.sweep",
                              &journal::Event::activity);
  };

  EXPECT_EQ(values_of_each_commit(db::Load::none), 1);
  EXPECT_EQ(values_of_each_commit(db::Load::others), 3) << "at most 100 each";
}

TEST_P(VaultRetention, judges_again_what_changed_under_it) {
  auto made = bench_.create("ext:1", {{"last_ip", "192.0.2.7"}, {"phone", "030 1234567"}});
  bench_.clock().advance(31 * kDay);
  bench_.journal().before_commit = [this, id = made.record] { return change_phone(this, id); };

  auto swept = sweep();

  EXPECT_EQ(swept.values, 0);  // the change began its time anew
  EXPECT_EQ(bench_.opened(made.record, "last_ip"), "192.0.2.7");
  EXPECT_EQ(bench_.opened(made.record, "phone"), "030 7654321");
}

TEST_P(VaultRetention, does_not_take_what_came_under_a_hold_at_the_last_moment) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  bench_.clock().advance(31 * kDay);
  bench_.journal().before_commit = [this] { return hold_meanwhile(this); };

  auto swept = sweep();

  EXPECT_EQ(swept.values, 0);
  EXPECT_EQ(swept.held, 1);
  EXPECT_EQ(rows("vault_records"), 1);
}

TEST_P(VaultRetention, takes_nothing_that_a_hold_keeps_until_it_is_lifted) {
  auto made = visit("ext:1", {{"address", "192.0.2.7"}});
  visit("ext:2", {{"address", "192.0.2.8"}});
  auto placed = hold("ext:1");
  bench_.clock().advance(31 * kDay);

  auto under = sweep();
  EXPECT_EQ(under.values, 1);
  EXPECT_EQ(under.held, 1);
  EXPECT_EQ(rows("vault_records"), 1);
  EXPECT_TRUE(bench_(bench_.holds().held(made.subject, MonoTime::max())));
  EXPECT_TRUE(bench_.state().good());

  auto lifted = lift(placed.hold);
  EXPECT_EQ(lifted.lifted_by, "key_owner");
  EXPECT_FALSE(bench_(bench_.holds().held(made.subject, MonoTime::max())));
  EXPECT_EQ(sweep().values, 1);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, places_one_hold_for_a_request_that_is_repeated) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  visit("ext:2", {{"address", "192.0.2.8"}});
  auto ask = [&](std::string subject) {
    PlaceHold request{.subject = std::move(subject),
                      .collection = {},
                      .reason = "dispute",
                      .until = {},
                      .idempotency_key = "once"};
    return bench_.run(
        bench_.retention().hold(Caller{.principal = "key_privacy"}, std::move(request)));
  };

  auto first = must(ask("ext:1"));
  auto again = must(ask("ext:1"));
  auto other = ask("ext:2");

  EXPECT_EQ(again.hold, first.hold);
  EXPECT_EQ(rows("vault_holds"), 1);
  EXPECT_EQ(code_of(other), Code::conflict);
  lift(first.hold);
  EXPECT_EQ(code_of(ask("ext:1")), Code::gone) << "nobody is to believe that it still holds";
}

TEST_P(VaultRetention, a_hold_that_was_refused_is_not_placed_later) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  PlaceHold request{.subject = "ext:1",
                    .collection = {},
                    .reason = "dispute",
                    .until = {},
                    .idempotency_key = "once"};
  bench_.journal().before_commit = [&]() -> Task<void> {
    must(co_await bench_.retention().hold({.principal = "key_privacy"}, request));
  };

  auto refused = bench_.run(bench_.retention().hold({.principal = "key_privacy"}, request));

  EXPECT_EQ(code_of(refused), Code::conflict);
  EXPECT_EQ(rows("vault_holds"), 1);
  bench_.reopen();
  EXPECT_EQ(bench_(bench_.holds().replay(bench_.log().afterlog_entries())).again, 0);
  EXPECT_EQ(rows("vault_holds"), 1);
}

TEST_P(VaultRetention, holds_a_collection_as_a_whole) {
  auto made = visit("ext:1", {{"address", "192.0.2.7"}});
  bench_.create("ext:1", {{"last_ip", "192.0.2.7"}});
  hold({}, "visits");
  bench_.clock().advance(31 * kDay);

  auto swept = sweep();

  EXPECT_EQ(swept.values, 1);
  EXPECT_EQ(swept.held, 1);
  EXPECT_TRUE(bench_(bench_.holds().held(made.subject, MonoTime::max())));
}

TEST_P(VaultRetention, lifts_a_hold_whose_time_has_ended) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  hold("ext:1", {}, bench_.clock().now() + 40 * kDay);
  bench_.clock().advance(31 * kDay);
  auto before = sweep();
  bench_.clock().advance(10 * kDay);

  auto after = sweep();

  EXPECT_EQ(before.values, 0);
  EXPECT_EQ(after.lifted, 1);
  EXPECT_EQ(after.values, 1);
  auto all = bench_(bench_.retention().holds({}, {true, {}, {}}));
  ASSERT_EQ(all.holds.size(), 1u);
  EXPECT_EQ(all.holds[0].lifted_by, "system");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, forgets_a_hold_and_its_reason_three_years_after_it_ended) {
  visit("ext:1", {{"email", "ann@example.org"}});
  auto lifted = hold("ext:1"), unnoted = hold("ext:1");
  hold("ext:1");
  lift(lifted.hold);
  bench_.journal().lose_replies = true;  // so that the afterlog does not hear of it
  EXPECT_FALSE(
      bench_.run(bench_.retention().unhold({.principal = "key_owner"}, {unnoted.hold, "settled"})));
  bench_.journal().lose_replies = false;
  bench_.clock().advance(kHoldsKept - kDay);
  sweep();
  const auto kept = rows("vault_holds");
  bench_.clock().advance(2 * kDay);

  auto later = sweep();

  EXPECT_EQ(kept, 3);
  EXPECT_EQ(later.others, 2);
  EXPECT_EQ(rows("vault_holds"), 1) << "what is in force stays";
  auto report = bench_(bench_.retention().report({}, {}));
  EXPECT_EQ(report.batches.back().operation, "retention.sweep_holds");
  EXPECT_EQ(report.batches.back().rows, 2);
  EXPECT_TRUE(bench_.state().good());
  bench_.reopen();
  EXPECT_EQ(bench_(bench_.holds().replay(bench_.log().afterlog_entries())).again, 0);
  EXPECT_EQ(rows("vault_holds"), 1);
}

TEST_P(VaultRetention, does_not_forget_an_ended_hold_that_was_changed_past_the_server) {
  visit("ext:1", {{"email", "ann@example.org"}});
  lift(hold("ext:1").hold);
  bench_.raw().run("update vault_holds set released_ms = 1");

  auto swept = sweep();

  EXPECT_EQ(swept.others, 0);
  EXPECT_EQ(rows("vault_holds"), 1);
}

TEST_P(VaultRetention, does_not_lift_a_hold_because_the_clock_jumped) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  hold("ext:1", {}, bench_.clock().now() + 40 * kDay);
  move_clock(kTenYears);

  EXPECT_EQ(sweep().lifted, 0);
}

TEST_P(VaultRetention, keeps_a_record_under_a_hold_from_being_deleted_and_records_the_refusal) {
  auto made = visit("ext:1", {{"address", "192.0.2.7"}});
  hold("ext:1");
  bench_.journal().events.clear();

  auto deleted = bench_.run(bench_.records().remove({}, {.record = made.record, .if_match = {}}));

  EXPECT_EQ(code_of(deleted), Code::conflict);
  EXPECT_EQ(rows("vault_records"), 1);
  ASSERT_EQ(bench_.journal().events.size(), 1u);
  EXPECT_EQ(bench_.journal().events[0].outcome, journal::Outcome::refused);
  EXPECT_EQ(bench_.journal().events[0].reason, "held");
}

TEST_P(VaultRetention, keeps_values_and_tokens_of_a_held_customer_but_lets_them_be_put_right) {
  auto made = visit("ext:1", {{"address", "192.0.2.7"}});
  auto token = bench_(bench_.tokens().create({}, {.subject = "ext:1",
                                                  .collection = "visits",
                                                  .values = values({{"address", "192.0.2.8"}}),
                                                  .items = {},
                                                  .idempotency_key = {}}))
                   .items.front()
                   .tokens.front()
                   .second.token;
  hold("ext:1");
  auto update = [&](Values change) {
    return code_of(
        bench_.run(bench_.records().update({}, {made.record, std::move(change), {}, {}})));
  };
  auto gone = [] {
    Values out;
    out.entries.push_back({{"address", Secret(), false}, true});
    return out;
  };

  EXPECT_EQ(update(gone()), Code::conflict);
  EXPECT_EQ(bench_.journal().events.back().reason, "held");
  EXPECT_EQ(code_of(bench_.run(bench_.tokens().remove({}, {{token}}))), Code::conflict);
  EXPECT_EQ(rows("vault_tokens"), 1);
  EXPECT_EQ(update(values({{"address", "192.0.2.9"}})), std::nullopt);
  EXPECT_EQ(bench_.opened(made.record, "address"), "192.0.2.9");
}

TEST_P(VaultRetention, keeps_a_record_from_being_deleted_by_who_did_not_see_the_hold_come) {
  auto made = visit("ext:1", {{"address", "192.0.2.7"}});
  bench_.journal().before_commit = [this] { return hold_meanwhile(this); };

  auto deleted = bench_.run(bench_.records().remove({}, {.record = made.record, .if_match = {}}));

  EXPECT_EQ(code_of(deleted), Code::conflict);
  EXPECT_EQ(rows("vault_records"), 1);
}

TEST_P(VaultRetention, seals_the_reason_of_a_hold_and_shows_it_to_who_lists_them) {
  visit("ext:1", {{"address", "192.0.2.7"}});

  auto placed = hold("ext:1");

  auto list = bench_(bench_.retention().holds({}, {}));
  ASSERT_EQ(list.holds.size(), 1u);
  EXPECT_EQ(list.holds[0].placed_by, "key_privacy");
  ASSERT_TRUE(list.holds[0].reason);
  EXPECT_EQ(list.holds[0].reason->expose_text(), "dispute with Ann, file 12/26");
  auto raw = bench_.raw();
  auto sealed =
      raw.bytes("select sealed from vault_holds where id = " + raw.literal(placed.hold.bytes()));
  EXPECT_EQ(as_text(sealed).find("dispute"), std::string_view::npos);
  bench_(bench_.log().settle());
  for (const auto& stored : bench_(bench_.log().read(0, 1000)))
    EXPECT_EQ(stored.entry.find("dispute"), std::string::npos);
}

TEST_P(VaultRetention, stands_still_when_a_hold_was_changed_past_the_server) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  visit("ext:2", {{"address", "192.0.2.8"}});
  auto placed = hold("ext:1");
  bench_.clock().advance(31 * kDay);
  bench_.raw().run("update vault_holds set released_ms = 1, released_by = 'key_owner'");
  auto lifted_by_hand = bench_.state();
  bench_.raw().run("update vault_holds set released_ms = null, placed_by = 'somebody'");

  auto swept = bench_.swept();

  EXPECT_EQ(code_of(swept), Code::corrupt);
  EXPECT_EQ(rows("vault_records"), 2);
  EXPECT_EQ(lifted_by_hand.changed_total, 1);
  EXPECT_EQ(code_of(bench_.run(bench_.holds().held(*placed.subject, MonoTime::max()))),
            Code::corrupt);
}

TEST_P(VaultRetention, a_hold_lifted_or_taken_out_behind_the_server_holds_all_the_same) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  auto placed = hold("ext:1");
  bench_.clock().advance(31 * kDay);
  auto held = [&] { return bench_.run(bench_.holds().held(*placed.subject, MonoTime::max())); };

  bench_.raw().run("update vault_holds set released_ms = 1, released_by = 'key_owner'");
  EXPECT_EQ(code_of(held()), Code::corrupt);
  EXPECT_EQ(code_of(bench_.swept()), Code::corrupt);
  EXPECT_EQ(rows("vault_records"), 1);

  bench_.raw().run("delete from vault_holds");
  EXPECT_TRUE(must(held()));
  EXPECT_EQ(rows("vault_holds"), 1) << "placed again, as at a start";
  bench_.raw().run("delete from vault_holds");
  EXPECT_EQ(sweep().values, 0);
  EXPECT_EQ(rows("vault_records"), 1);
  EXPECT_TRUE(bench_.state().good());

  lift(placed.hold);
  EXPECT_FALSE(must(held()));
}

TEST_P(VaultRetention, a_hold_is_not_forgotten_while_somebody_hides_its_customer) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  auto placed = hold("ext:1");
  bench_.raw().run("create table aside as select * from vault_subjects");
  bench_.raw().run("delete from vault_holds");
  bench_.raw().run("delete from vault_subjects");
  (void)bench_.run(bench_.holds().in_force(MonoTime::max()));
  bench_.raw().run("insert into vault_subjects select * from aside");

  EXPECT_TRUE(must(bench_.run(bench_.holds().held(*placed.subject, MonoTime::max()))));
  EXPECT_EQ(rows("vault_holds"), 1);
}

TEST_P(VaultRetention, starts_beside_a_damaged_hold_and_destroys_nothing_until_it_is_put_right) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  auto other = visit("ext:2", {{"address", "192.0.2.8"}});
  auto placed = hold("ext:1");
  bench_.clock().advance(31 * kDay);
  for (std::string changed : {"until_ms = 1", "released_ms = 1, released_by = 'key_owner'",
                              "sealed = mac", "version = version + 1"}) {
    bench_.raw().run("update vault_holds set " + changed + "");
    bench_.reopen();

    auto again = bench_(bench_.holds().replay(bench_.log().afterlog_entries()));

    EXPECT_EQ(again.again, 0) << changed;
    EXPECT_EQ(again.damaged, std::vector{placed.hold}) << changed;
    EXPECT_EQ(code_of(bench_.swept()), Code::corrupt) << changed;
    EXPECT_EQ(code_of(bench_.run(bench_.holds().held(other.subject, MonoTime::max()))),
              Code::corrupt)
        << changed;
    EXPECT_EQ(rows("vault_records"), 2) << changed;
    auto found = bench_.state();
    ASSERT_EQ(found.changed_total, 1) << changed;
    EXPECT_EQ(found.changed[0].kind, "holds");
    EXPECT_EQ(found.changed[0].row, to_bytes(placed.hold.bytes()));
  }

  auto anew = hold("ext:1");
  EXPECT_EQ(code_of(bench_.swept()), Code::corrupt) << "the damaged one is there still";
  auto lifted = lift(placed.hold);

  EXPECT_EQ(lifted.lifted_by, "key_owner");
  EXPECT_TRUE(bench_.state().good());
  EXPECT_TRUE(bench_.swept());
  EXPECT_EQ(rows("vault_records"), 1) << "what is held anew stays";
  EXPECT_TRUE(bench_(bench_.holds().held(*anew.subject, MonoTime::max())));
  bench_.reopen();
  EXPECT_TRUE(bench_(bench_.holds().replay(bench_.log().afterlog_entries())).damaged.empty());
}

TEST_P(VaultRetention, a_damaged_hold_that_was_lifted_holds_nothing_up) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  auto placed = hold("ext:1");
  lift(placed.hold);
  bench_.clock().advance(31 * kDay);
  bench_.raw().run("update vault_holds set until_ms = 1");
  bench_.reopen();

  auto again = bench_(bench_.holds().replay(bench_.log().afterlog_entries()));

  EXPECT_EQ(again.damaged, std::vector{placed.hold});
  EXPECT_TRUE(bench_.swept());
  EXPECT_EQ(rows("vault_records"), 0);
}

TEST_P(VaultRetention, places_a_hold_again_that_a_restore_or_a_hand_took_away) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  auto file = bench_.backup();
  auto placed = hold("ext:1");
  auto other = hold({}, "visits");
  lift(other.hold);
  bench_.restore(file);
  ASSERT_EQ(rows("vault_holds"), 0);

  auto again = bench_(bench_.holds().replay(bench_.log().afterlog_entries()));

  EXPECT_EQ(again.again, 1);
  auto list = bench_(bench_.retention().holds({}, {}));
  ASSERT_EQ(list.holds.size(), 1u);
  EXPECT_EQ(list.holds[0].hold, placed.hold);
  EXPECT_EQ(list.holds[0].subject, placed.subject);
  EXPECT_EQ(bench_(bench_.holds().replay(bench_.log().afterlog_entries())).again, 0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRetention, shows_what_will_go) {
  visit("ext:1", {{"address", "192.0.2.7"}, {"email", "ann@example.org"}});
  bench_.clock().advance(20 * kDay);
  visit("ext:2", {{"address", "192.0.2.8"}});
  hold("ext:2");

  auto near = preview(5);
  auto far = preview(30);

  EXPECT_EQ(near.values, 0);
  EXPECT_EQ(far.values, 3);
  EXPECT_EQ(far.held, 1);
  ASSERT_EQ(far.fields.size(), 2u);
  EXPECT_EQ(far.fields[0].field, "address");
  EXPECT_EQ(far.fields[0].due, 2);
  EXPECT_EQ(far.fields[0].overdue, 0);
  EXPECT_EQ(far.fields[0].oldest, bench_.clock().now() + 10 * kDay);
  bench_.clock().advance(11 * kDay);
  EXPECT_EQ(preview(0).fields[0].overdue, 1);
}

TEST_P(VaultRetention, reports_what_went_from_the_journal) {
  visit("ext:1", {{"address", "192.0.2.7"}, {"email", "ann@example.org"}});
  visit("ext:2", {{"address", "192.0.2.8"}});
  bench_.clock().advance(31 * kDay);
  sweep();

  auto report = bench_(bench_.retention().report({}, {}));

  ASSERT_EQ(report.batches.size(), 1u);
  const auto& batch = report.batches[0];
  EXPECT_EQ(batch.operation, "retention.sweep");
  EXPECT_EQ(batch.collection, "visits");
  EXPECT_EQ(batch.records, 2);
  EXPECT_EQ(batch.values, 3);
  ASSERT_EQ(batch.fields.size(), 2u);
  EXPECT_EQ(batch.fields[0].field, "address");
  EXPECT_EQ(batch.fields[0].values, 2);
  EXPECT_EQ(batch.fields[1].values, 1);
  EXPECT_EQ(report.values, 3);
}

TEST_P(VaultRetention, forgets_old_answers_and_sealed_addresses) {
  bench_(bench_.records().create({.address = "192.0.2.7"}, {.collection = "visits",
                                                            .subject = "ext:1",
                                                            .slot = {},
                                                            .values = values({{"ticket", "x"}}),
                                                            .records = {},
                                                            .idempotency_key = "once"}));
  ASSERT_EQ(rows("vault_idempotency"), 1);
  ASSERT_GE(rows("journal_sides"), 1);
  bench_.clock().advance(2 * kDay);
  auto soon = sweep();
  bench_.clock().advance(400 * kDay);

  sweep();

  EXPECT_EQ(soon.others, 1);
  EXPECT_EQ(rows("vault_idempotency"), 0);
  EXPECT_EQ(rows("journal_sides"), 0);
}

TEST_P(VaultRetention, goes_on_past_a_record_that_cannot_be_read) {
  auto bad = visit("ext:1", {{"address", "192.0.2.7"}});
  visit("ext:2", {{"address", "192.0.2.8"}});
  auto raw = bench_.raw();
  raw.run("update vault_records set sealed = " + raw.literal(Bytes{9, 9, 9}) +
          " where id = " + raw.literal(bad.record.bytes()));
  bench_.clock().advance(31 * kDay);

  auto swept = sweep();

  EXPECT_EQ(swept.damaged, 1);
  EXPECT_EQ(swept.values, 1);
  EXPECT_EQ(rows("vault_records"), 1);
}

TEST_P(VaultRetention, does_not_let_a_keep_time_be_shortened_behind_the_servers_back) {
  visit("ext:1", {{"address", "192.0.2.7"}});
  bench_.raw().run("update vault_collections set declared = replace(declared, '30 days', '1 day')");
  bench_.clock().advance(2 * kDay);
  bench_.reopen();

  EXPECT_EQ(code_of(bench_.swept()), Code::corrupt);
  EXPECT_EQ(rows("vault_records"), 1);
}

TEST_P(VaultRetention, keeps_longer_what_is_declared_to_be_kept_longer_meanwhile) {
  auto made = visit("ext:1", {{"address", "192.0.2.7"}});
  bench_.clock().advance(31 * kDay);
  bench_.journal().before_commit = [this] { return keep_longer(this); };

  auto swept = sweep();

  EXPECT_EQ(swept.values, 0);
  EXPECT_EQ(bench_.opened(made.record, "address"), "192.0.2.7");
}

TEST_P(VaultRetention, refuses_a_hold_on_nothing_on_both_or_in_the_past) {
  auto code = [&](PlaceHold request) {
    return code_of(bench_.run(bench_.retention().hold({}, std::move(request))));
  };

  EXPECT_EQ(code({{}, {}, "why", {}}), Code::invalid);
  EXPECT_EQ(code({"ext:1", "visits", "why", {}}), Code::invalid);
  EXPECT_EQ(code({{}, "visits", "", {}}), Code::invalid);
  EXPECT_EQ(code({{}, "visits", "why", bench_.clock().now()}), Code::invalid);
  EXPECT_EQ(code({"ext:1", {}, "why", {}}), Code::not_found);
  EXPECT_EQ(code({{}, "orders", "why", {}}), Code::not_found);
  EXPECT_EQ(rows("vault_holds"), 0);
}

TEST_P(VaultRetention, sweeps_many_records_in_batches) {
  for (int i = 0; i < 600; ++i) visit("ext:" + std::to_string(i % 50), {{"address", "192.0.2.7"}});
  bench_.clock().advance(31 * kDay);
  visit("ext:1", {{"address", "192.0.2.9"}});

  auto swept = sweep();

  EXPECT_EQ(swept.records, 600);
  EXPECT_EQ(rows("vault_records"), 1);
  EXPECT_TRUE(bench_.state().good());
}

}  // namespace
}  // namespace holdfast::vault
