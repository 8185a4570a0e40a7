#include "vault/engagements/service.h"

#include <algorithm>

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultEngagements : public Vault {
 protected:
  const Caller desk_{.principal = "key_desk"};
  const Caller agent_{.principal = "key_agent"};

  void SetUp() override {
    ann_ = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"phone", "030 1234567"}});
    bob_ = bench_.create("ext:4712", {{"email", "bob@example.org"}});
    bench_.permits().rules = {{"key_agent"}, {"key_desk"}};
  }
  Result<EngagementView> open(Caller caller, std::string reference = "T-1",
                              std::string kind = "ticket", std::optional<std::string> assignee = {},
                              std::optional<std::string> person = {},
                              std::optional<std::string> life = {}) {
    return bench_.run(
        bench_.engagements().open(std::move(caller), {.subject = "ext:4711",
                                                      .kind = std::move(kind),
                                                      .reference = std::move(reference),
                                                      .assignee = std::move(assignee),
                                                      .life = std::move(life),
                                                      .on_behalf_of = std::move(person),
                                                      .idempotency_key = {}}));
  }
  Result<RevealedRecord> reveal(Caller caller, const CreatedRecord& made, EngagementId engagement,
                                std::optional<std::string> person = {}) {
    return bench_.run(
        bench_.opening().reveal(std::move(caller), {.record = made.record,
                                                    .fields = {"email"},
                                                    .purpose = "support",
                                                    .on_behalf_of = std::move(person),
                                                    .engagement = engagement.text()}));
  }
  const journal::Event& last() { return bench_.journal().events.back(); }
  EngagementPage page(std::optional<bool> live = {}) {
    return bench_(
        bench_.engagements().list(desk_, {.subject = {}, .live = live, .after = {}, .limit = {}}));
  }
  std::optional<Code> close(EngagementId id) {
    return code_of(bench_.run(bench_.engagements().close(desk_, {id, "done"})));
  }

  CreatedRecord ann_, bob_;
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultEngagements, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultEngagements, open_for_one_customer_and_are_named_in_what_is_opened_under_them) {
  auto engagement = must(open(desk_, "T-1", "ticket", "staff:17"));
  EXPECT_TRUE(engagement.live);
  EXPECT_EQ(engagement.subject, ann_.subject);
  EXPECT_EQ(engagement.reference, "T-1");
  EXPECT_EQ(engagement.assignee, "staff:17");
  EXPECT_EQ(engagement.closes - engagement.opened, std::chrono::days(30));

  auto revealed = must(reveal(agent_, ann_, engagement.engagement));

  EXPECT_EQ(shown(revealed.values, "email"), "ann@example.org");
  const auto& facts = last().facts;
  EXPECT_TRUE(std::ranges::any_of(facts, [&](const auto& fact) {
    return fact.first == "engagement" &&
           std::get<std::string>(fact.second) == engagement.engagement.text();
  }));
}

TEST_P(VaultEngagements, follow_a_guest_into_the_account) {
  auto live = must(open(desk_, "T-1", "ticket", "staff:17"));
  auto closed = must(open(desk_, "T-2"));
  must(bench_.run(bench_.engagements().close(desk_, {closed.engagement, "done"})));

  bench_(bench_.subjects().merge({}, {"ext:4712", "ext:4711", {}}));

  auto found = bench_(bench_.engagements().find(desk_, {.kind = "ticket", .reference = "T-1"}));
  ASSERT_EQ(found.engagements.size(), 1u);
  EXPECT_EQ(found.engagements[0].subject, bob_.subject);
  EXPECT_EQ(found.engagements[0].reference, "T-1");
  EXPECT_EQ(found.engagements[0].assignee, "staff:17");
  EXPECT_TRUE(reveal(agent_, bob_, live.engagement)) << "the account is who it is for now";
  EXPECT_EQ(code_of(open(desk_, "T-1")), Code::conflict) << "the reference is still open";
  EXPECT_EQ(page(false).engagements.size(), 1u);
  EXPECT_EQ(close(live.engagement), std::nullopt);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultEngagements, refuse_with_the_reason_and_record_it) {
  auto mine = must(open(desk_));
  auto refused = [&](Result<RevealedRecord> result) {
    EXPECT_EQ(code_of(result), Code::forbidden);
    EXPECT_EQ(last().outcome, journal::Outcome::refused);
    EXPECT_EQ(last().reason, "engagement");
    EXPECT_FALSE(last().opened);
    EXPECT_EQ(result.error().field.text(), "engagement");
    return result ? std::string() : std::string(result.error().text);
  };

  EXPECT_TRUE(refused(reveal(agent_, bob_, mine.engagement)).contains("another customer"));
  EXPECT_TRUE(refused(reveal(desk_, ann_, mine.engagement)).contains("opened"));
  bench_.permits().rotated_from = {{agent_.principal, desk_.principal}};
  EXPECT_TRUE(refused(reveal(agent_, ann_, mine.engagement)).contains("opened"))
      << "the same key, rotated";
  bench_.permits().rotated_from.clear();
  EXPECT_TRUE(refused(reveal(agent_, ann_, EngagementId::make(bench_.clock().now())))
                  .contains("no such engagement"));
  bench_.clock().advance(std::chrono::days(30));
  EXPECT_TRUE(refused(reveal(agent_, ann_, mine.engagement)).contains("ended"));
  auto next = must(open(desk_));
  ASSERT_FALSE(close(next.engagement));
  EXPECT_TRUE(refused(reveal(agent_, ann_, next.engagement)).contains("ended"));
}

TEST_P(VaultEngagements, that_a_budget_refuses_leave_no_trace_of_a_row) {
  bench_.budgets().counting = bench_.budgets().full = true;

  EXPECT_EQ(code_of(open(desk_)), Code::exhausted);

  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultEngagements, are_not_opened_by_a_customer_for_another) {
  EXPECT_EQ(code_of(open(desk_, "T-1", "ticket", {}, "customer:4712")), Code::forbidden);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_FALSE(code_of(open(desk_, "T-1", "ticket", {}, "customer:4711")));
}

TEST_P(VaultEngagements, admit_neither_the_key_nor_the_person_that_opened_them) {
  auto engagement = must(open(desk_, "T-1", "ticket", {}, "staff:17"));

  EXPECT_EQ(code_of(reveal(agent_, ann_, engagement.engagement, "staff:17")), Code::forbidden);
  EXPECT_EQ(code_of(reveal(desk_, ann_, engagement.engagement, "staff:18")), Code::forbidden);
  EXPECT_FALSE(code_of(reveal(agent_, ann_, engagement.engagement, "staff:18")));
}

TEST_P(VaultEngagements, bar_every_way_of_opening_alike) {
  auto mine = must(open(agent_)).engagement.text();
  auto tokens = bench_(bench_.tokens().create({}, {.subject = "ext:4711",
                                                   .collection = "customers",
                                                   .values = values({{"phone", "030 1234567"}}),
                                                   .items = {},
                                                   .idempotency_key = {}}));
  SearchRecords search{.collection = "customers",
                       .q = values({{"email", "ann@example.org"}}),
                       .purpose = "support",
                       .limit = {},
                       .on_behalf_of = {},
                       .engagement = mine};
  auto& opening = bench_.opening();

  EXPECT_EQ(code_of(bench_.run(opening.reveal_batch(agent_, {.records = {ann_.record},
                                                             .fields = {"email"},
                                                             .purpose = "support",
                                                             .on_behalf_of = {},
                                                             .engagement = mine}))),
            Code::forbidden);
  EXPECT_EQ(code_of(bench_.run(opening.verify(agent_, {.record = ann_.record,
                                                       .field = "email",
                                                       .value = Secret::copy("ann@example.org"),
                                                       .purpose = "support",
                                                       .on_behalf_of = {},
                                                       .engagement = mine}))),
            Code::forbidden);
  EXPECT_EQ(code_of(bench_.search(agent_, std::move(search))), Code::forbidden);
  EXPECT_EQ(code_of(bench_.run(
                bench_.tokens().reveal(agent_, {.tokens = {tokens.items[0].tokens[0].second.token},
                                                .purpose = "support",
                                                .on_behalf_of = {},
                                                .engagement = mine}))),
            Code::forbidden);
}

TEST_P(VaultEngagements, that_close_while_something_is_opened_keep_it_shut) {
  auto engagement = must(open(desk_));
  bench_.journal().before_commit = [&]() -> Task<void> {
    (void)must(co_await bench_.engagements().close(desk_, {engagement.engagement, {}}));
  };

  EXPECT_EQ(code_of(reveal(agent_, ann_, engagement.engagement)), Code::forbidden);
  EXPECT_EQ(last().reason, "engagement");
}

TEST_P(VaultEngagements, of_one_reference_are_open_once) {
  auto first = must(open(desk_));

  EXPECT_EQ(code_of(open(desk_)), Code::conflict);
  EXPECT_FALSE(code_of(open(desk_, "T-1", "order"))) << "another kind has numbers of its own";
  ASSERT_FALSE(close(first.engagement));
  EXPECT_FALSE(close(first.engagement)) << "closing twice changes nothing";
  EXPECT_FALSE(code_of(open(desk_)));
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultEngagements, of_one_reference_are_open_once_when_two_race) {
  bench_.journal().before_commit = [&]() -> Task<void> {
    (void)must(co_await bench_.engagements().open(agent_, {.subject = "ext:4712",
                                                           .kind = "ticket",
                                                           .reference = "T-1",
                                                           .assignee = {},
                                                           .life = {},
                                                           .on_behalf_of = {},
                                                           .idempotency_key = {}}));
  };

  EXPECT_EQ(code_of(open(desk_)), Code::conflict);
  EXPECT_EQ(page(true).engagements.size(), 1u);
}

TEST_P(VaultEngagements, close_by_themselves_and_are_forgotten_90_days_later) {
  auto call = must(open(desk_, "C-1", "call"));
  auto ticket = must(open(desk_, "T-1", "ticket"));
  bench_.clock().advance(std::chrono::hours(4));

  EXPECT_EQ(bench_(bench_.engagements().sweep(MonoTime::max())), 1);

  EXPECT_EQ(page(true).engagements.size(), 1u);
  auto closed = page(false).engagements;
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(closed[0].engagement, call.engagement);
  EXPECT_EQ(closed[0].closed, call.closes);
  // Also when the clock is set back: closed is closed.
  bench_.clock().set_now(bench_.clock().now() - std::chrono::hours(2));
  EXPECT_EQ(code_of(reveal(agent_, ann_, call.engagement)), Code::forbidden);
  EXPECT_FALSE(code_of(reveal(agent_, ann_, ticket.engagement)));
  bench_(bench_.retention().confirm({}, {bench_.clock().now()}));
  bench_.clock().advance(std::chrono::days(95));
  EXPECT_EQ(bench_(bench_.engagements().sweep(MonoTime::max())), 1);
  EXPECT_EQ(must(bench_.swept()).others, 1);
  ASSERT_EQ(page().engagements.size(), 1u);
  EXPECT_EQ(page().engagements[0].engagement, ticket.engagement);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultEngagements, past_their_deadline_make_room_before_they_are_swept) {
  must(open(desk_, "C-1", "call"));
  bench_.clock().advance(std::chrono::hours(4));

  EXPECT_FALSE(code_of(open(desk_, "C-1", "call")));

  EXPECT_EQ(page().engagements.size(), 2u);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultEngagements, are_for_kinds_and_lives_that_are_declared) {
  auto put = [&](EngagementKind kind) {
    return bench_.run(bench_.engagements().put_kind({}, std::move(kind)));
  };
  EXPECT_EQ(code_of(open(desk_, "R-1", "repair")), Code::not_found);

  EXPECT_EQ(must(put({"repair", "A device in repair.", "10 days", {"email"}, {}})).version, 1);

  EXPECT_EQ(code_of(open(desk_, "R-1", "repair", {}, {}, "11 days")), Code::invalid);
  EXPECT_EQ(code_of(open(desk_, "R-1", "repair", {}, {}, "soon")), Code::invalid);
  EXPECT_FALSE(code_of(open(desk_, "R-1", "repair", {}, {}, "2 days")));
  EXPECT_EQ(must(put({"repair", "A device in repair.", "5 days", {}, {}})).version, 2);
  EXPECT_EQ(code_of(put({"repair", "", "5 days", {}, 1})), Code::conflict);
  EXPECT_EQ(must(put({"repair", "A device in repair.", "5 days", {}, 2})).version, 3);
  EXPECT_EQ(code_of(put({"Repair", "", "5 days", {}, {}})), Code::invalid);
  EXPECT_EQ(code_of(put({"repair", "", "2 years", {}, {}})), Code::invalid);
  EXPECT_EQ(code_of(put({"repair", "", "5 days", {"E-Mail"}, {}})), Code::invalid);
  auto kinds = bench_(bench_.engagements().list_kinds({}, {})).kinds;
  EXPECT_EQ(kinds.size(), 5u);
  EXPECT_EQ(code_of(bench_.run(bench_.engagements().delete_kind({}, {"ticket"}))), Code::conflict);
  bench_(bench_.engagements().delete_kind({}, {"repair"}));
  EXPECT_EQ(code_of(open(desk_, "R-2", "repair")), Code::not_found);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultEngagements, of_a_kind_that_was_deleted_admit_nobody) {
  bench_(bench_.engagements().put_kind({}, {"repair", "", "10 days", {}, {}}));
  auto engagement = must(open(desk_, "R-1", "repair"));
  EXPECT_FALSE(code_of(reveal(agent_, ann_, engagement.engagement)));

  bench_(bench_.engagements().delete_kind({}, {"repair"}));

  EXPECT_EQ(code_of(reveal(agent_, ann_, engagement.engagement)), Code::forbidden);
}

TEST_P(VaultEngagements, refuse_what_makes_no_sense) {
  EXPECT_EQ(code_of(open(desk_, "")), Code::invalid);
  EXPECT_EQ(code_of(open(desk_, "T\n1")), Code::invalid);
  EXPECT_EQ(code_of(open(desk_, "T-1", "ticket", "seventeen")), Code::invalid);
  EXPECT_EQ(code_of(open({.principal = "key_alone"}, "T-1", "ticket", {}, "staff:17")),
            Code::forbidden);
  EXPECT_EQ(last().activity, "engagements.open");
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  must(bench_.erase("ext:4712"));
  auto gone = bench_.run(bench_.engagements().open(desk_, {.subject = bob_.subject.text(),
                                                           .kind = "ticket",
                                                           .reference = "T-9",
                                                           .assignee = {},
                                                           .life = {},
                                                           .on_behalf_of = {},
                                                           .idempotency_key = {}}));
  EXPECT_EQ(code_of(gone), Code::gone);
}

TEST_P(VaultEngagements, are_opened_once_under_one_idempotency_key) {
  OpenEngagement request{.subject = "ext:4711",
                         .kind = "ticket",
                         .reference = "T-1",
                         .assignee = {},
                         .life = {},
                         .on_behalf_of = {},
                         .idempotency_key = "same"};

  auto first = bench_(bench_.engagements().open(desk_, request));
  auto second = bench_(bench_.engagements().open(desk_, request));

  EXPECT_EQ(first.engagement, second.engagement);
  EXPECT_EQ(first.reference, "T-1");
  EXPECT_FALSE(second.reference) << "what is remembered holds no value";
}

TEST_P(VaultEngagements, are_found_by_a_reference_that_is_nowhere_in_the_clear) {
  auto engagement = must(open(desk_, "ORDER-88-XQ", "order", "staff:wilma"));

  auto found =
      bench_(bench_.engagements().find(desk_, {.kind = "order", .reference = "ORDER-88-XQ"}));
  auto others =
      bench_(bench_.engagements().find(desk_, {.kind = "ticket", .reference = "ORDER-88-XQ"}));

  ASSERT_EQ(found.engagements.size(), 1u);
  EXPECT_EQ(found.engagements[0].engagement, engagement.engagement);
  EXPECT_EQ(others.engagements.size(), 0u);
  auto raw = bench_.raw();
  auto assignee = raw.text("select assignee from vault_engagements");
  EXPECT_TRUE(assignee.starts_with("per_")) << assignee;
  auto sealed = raw.bytes("select sealed from vault_engagements");
  EXPECT_FALSE(as_text(sealed).contains("ORDER-88"));
  for (const auto& event : bench_.journal().events)
    for (const auto& [name, value] : event.facts)
      if (const auto* text = std::get_if<std::string>(&value)) {
        EXPECT_FALSE(text->contains("ORDER-88") || text->contains("wilma")) << event.activity;
      }
}

TEST_P(VaultEngagements, lose_their_reference_with_the_customer) {
  must(open(desk_));
  must(bench_.erase("ext:4711"));

  auto left = page().engagements;

  ASSERT_EQ(left.size(), 1u);
  EXPECT_FALSE(left[0].reference);
  EXPECT_FALSE(left[0].assignee);
}

TEST_P(VaultEngagements, that_were_bent_in_the_database_admit_nobody) {
  auto engagement = must(open(desk_));
  auto id = engagement.engagement;
  auto raw = bench_.raw();
  const std::string bends[] = {"subject = " + raw.literal(bob_.subject.bytes()),
                               "closes_ms = closes_ms + 1000000000",
                               "opener = 'key_other'",
                               "assignee = 'key_agent'",
                               "kind = 'order'",
                               "version = version + 1"};

  for (const auto& bend : bends) {
    auto before = bench_.backup();
    raw.run("update vault_engagements set " + bend);

    EXPECT_EQ(code_of(reveal(agent_, ann_, id)), Code::corrupt) << bend;
    EXPECT_EQ(code_of(reveal(agent_, bob_, id)), Code::corrupt) << bend;
    EXPECT_EQ(page().damaged, 1) << bend;
    auto state = bench_.state();
    ASSERT_EQ(state.changed.size(), 1u) << bend;
    EXPECT_EQ(state.changed[0].kind, "engagements");
    bench_.restore(before);
    raw = bench_.raw();
    EXPECT_FALSE(code_of(reveal(agent_, ann_, id))) << bend;
  }
}

TEST_P(VaultEngagements, of_a_kind_that_was_bent_in_the_database_admit_nobody) {
  bench_(bench_.engagements().put_kind({}, {"repair", "", "10 days", {"phone"}, {}}));
  auto engagement = must(open(desk_, "R-1", "repair"));

  bench_.raw().run(
      R"(update vault_engagement_kinds set declared = '{"doc":"","max_life":"10 days","fields":[]}')");

  EXPECT_EQ(code_of(reveal(agent_, ann_, engagement.engagement)), Code::corrupt);
  EXPECT_EQ(code_of(open(desk_, "R-2", "repair")), Code::corrupt);
  auto state = bench_.state();
  ASSERT_EQ(state.changed.size(), 1u);
  EXPECT_EQ(state.changed[0].kind, "engagement_kinds");
}

TEST_P(VaultEngagements, that_were_reopened_in_the_database_admit_nobody) {
  auto engagement = must(open(desk_));
  ASSERT_FALSE(close(engagement.engagement));

  bench_.raw().run("update vault_engagements set closed_ms = null, version = 1");

  EXPECT_EQ(code_of(reveal(agent_, ann_, engagement.engagement)), Code::corrupt);
  EXPECT_EQ(code_of(open(desk_)), Code::corrupt);
  bench_.clock().advance(std::chrono::days(40));
  EXPECT_EQ(bench_(bench_.engagements().sweep(MonoTime::max())), 0) << "it stays as evidence";
}

TEST_P(VaultEngagements, open_nothing_that_cannot_be_recorded) {
  bench_.journal().fail = true;

  EXPECT_EQ(code_of(open(desk_)), Code::unavailable);

  bench_.journal().fail = false;
  EXPECT_EQ(page().engagements.size(), 0u);
}

TEST_P(VaultEngagements, are_listed_page_by_page) {
  for (int i = 0; i < 5; ++i) {
    must(open(desk_, "T-" + std::to_string(i)));
    bench_.clock().advance(Millis(1));
  }
  std::vector<std::string> seen;
  std::optional<EngagementId> after;
  for (int pages = 0; pages < 10; ++pages) {
    auto one = bench_(bench_.engagements().list(
        desk_, {.subject = ann_.subject.text(), .live = true, .after = after, .limit = 2}));
    for (const auto& engagement : one.engagements) seen.push_back(*engagement.reference);
    if (!one.next) break;
    after = EngagementId::parse(*one.next);
  }

  EXPECT_EQ(seen, (std::vector<std::string>{"T-0", "T-1", "T-2", "T-3", "T-4"}));
  EXPECT_EQ(
      bench_(bench_.engagements().list(
                 desk_, {.subject = bob_.subject.text(), .live = {}, .after = {}, .limit = {}}))
          .engagements.size(),
      0u);
}

TEST_P(VaultEngagements, charge_their_opener_and_are_not_opened_when_that_is_refused) {
  bench_.budgets().counting = bench_.budgets().full = true;

  EXPECT_EQ(code_of(open(desk_)), Code::exhausted);

  ASSERT_EQ(bench_.budgets().charged.size(), 1u);
  EXPECT_EQ(bench_.budgets().charged[0], std::vector{ann_.subject});
  bench_.budgets().full = false;
  EXPECT_EQ(page().engagements.size(), 0u);
}

}  // namespace
}  // namespace holdfast::vault
