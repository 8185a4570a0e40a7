#include "vault/requests/service.h"

#include "journal/state_check.h"
#include "vault/requests/policy.h"
#include "vault/rotations.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

Time at(std::string_view text) {
  return *parse_rfc3339(text);
}

TEST(RequestsDue, is_one_calendar_month_later) {
  EXPECT_EQ(months_after(at("2026-11-26T10:30:00.123Z"), 1), at("2026-12-26T10:30:00.123Z"));
  EXPECT_EQ(months_after(at("2026-01-31T23:59:00Z"), 1), at("2026-02-28T23:59:00Z"));
  EXPECT_EQ(months_after(at("2028-01-31T00:00:00Z"), 1), at("2028-02-29T00:00:00Z"));
  EXPECT_EQ(months_after(at("2026-12-31T12:00:00Z"), 1), at("2027-01-31T12:00:00Z"));
  EXPECT_EQ(months_after(at("2026-11-30T12:00:00Z"), 3), at("2027-02-28T12:00:00Z"));
}

class VaultRequests : public Vault {
 protected:
  Result<RequestView> ask(std::string subject, DemandKind kind = DemandKind::erase,
                          std::optional<IdentityCheck> identity = IdentityCheck::account_login,
                          std::optional<Time> received = {}, Caller caller = {},
                          std::optional<std::string> person = {}) {
    return bench_.run(bench_.requests().open(std::move(caller),
                                             {std::move(subject),
                                              kind,
                                              received,
                                              identity,
                                              Secret::copy(std::string_view("please erase me")),
                                              std::move(person),
                                              {}}));
  }
  Result<RequestView> answer(DemandId request, DemandOutcome outcome,
                             std::optional<EventId> event = {}, std::string text = "") {
    AnswerRequest with{request, outcome, event, {}};
    if (!text.empty()) with.text = Secret::copy(text);
    return bench_.run(bench_.requests().answer({}, std::move(with)));
  }
  Result<RequestView> update(DemandId request, std::optional<IdentityCheck> identity, bool extend,
                             std::optional<std::string> reason, std::string version = "") {
    return bench_.run(bench_.requests().update(
        {}, {request, identity, extend, std::move(reason), std::move(version)}));
  }
  RequestPage list(std::optional<DemandState> state = {}, std::optional<std::string> subject = {},
                   std::optional<std::int64_t> limit = {}, std::optional<std::string> after = {}) {
    return bench_(bench_.requests().list({}, {state, std::move(subject), limit, std::move(after)}));
  }
  const journal::Event& last() { return bench_.journal().events.back(); }
  static Task<void> hold_meanwhile(VaultRequests* test, PlaceHold hold, HoldId* placed) {
    *placed = must(co_await test->bench_.retention().hold({}, std::move(hold))).hold;
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultRequests, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultRequests, are_received_due_and_answered_with_what_was_done) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto opened = must(ask("ext:4711"));
  EXPECT_EQ(opened.state, DemandState::open);
  EXPECT_EQ(opened.due, months_after(bench_.clock().now(), 1));
  auto erased = must(bench_.erase("ext:4711"));

  auto done = must(answer(opened.request, DemandOutcome::granted, erased.event, "it is done"));

  EXPECT_EQ(done.state, DemandState::answered);
  EXPECT_EQ(done.event, erased.event);
  EXPECT_TRUE(list().requests.empty());
  auto shown = bench_(bench_.requests().get({}, {opened.request}));
  EXPECT_EQ(shown.text->expose_text(), "please erase me") << "kept though the customer is erased";
  EXPECT_EQ(shown.answer->expose_text(), "it is done");
  EXPECT_TRUE(last().opened);
  EXPECT_EQ(list(DemandState::answered).requests.at(0).request, opened.request);
  EXPECT_EQ(list({}, made.subject.text()).requests.size(), 1u);
  EXPECT_FALSE(list({}, made.subject.text()).requests[0].text) << "lists show no texts";
  EXPECT_EQ(code_of(answer(opened.request, DemandOutcome::granted)), Code::conflict);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRequests, texts_count_against_budgets) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto opened = must(ask("ext:4711"));
  bench_.budgets().counting = bench_.budgets().full = true;
  EXPECT_EQ(code_of(bench_.run(bench_.requests().get({}, {opened.request}))), Code::exhausted);
  EXPECT_EQ(bench_.budgets().charged.back(), std::vector{made.subject});
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_FALSE(last().opened);
  bench_.budgets().full = false;
  EXPECT_TRUE(bench_(bench_.requests().get({}, {opened.request})).text);
}

TEST_P(VaultRequests, texts_lie_sealed_and_out_of_the_journal) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(ask("ext:4711"));

  auto asked = bench_.raw().bytes("select asked from vault_requests");

  EXPECT_EQ(as_text(asked).find("please"), std::string_view::npos);
  EXPECT_TRUE(last().note.empty());
  for (const auto& [name, fact] : last().facts)
    if (const auto* text = std::get_if<std::string>(&fact)) {
      EXPECT_EQ(text->find("please"), std::string::npos);
    }
}

TEST_P(VaultRequests, are_granted_only_when_it_is_known_who_asks) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto opened = must(ask("ext:4711", DemandKind::access, std::nullopt));

  EXPECT_EQ(code_of(answer(opened.request, DemandOutcome::granted)), Code::conflict);
  EXPECT_EQ(code_of(answer(opened.request, DemandOutcome::refused)), Code::invalid)
      << "without reasons";
  EXPECT_EQ(code_of(update(opened.request, {}, false, {})), Code::invalid);
  EXPECT_EQ(code_of(update(opened.request, IdentityCheck::document, false, {}, "7")),
            Code::conflict);
  must(update(opened.request, IdentityCheck::document, false, {}));
  EXPECT_EQ(must(answer(opened.request, DemandOutcome::granted)).outcome, DemandOutcome::granted);
}

TEST_P(VaultRequests, an_event_of_another_customer_answers_nothing) {
  bench_.create("ext:1", {{"email", "ann@example.org"}});
  bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto opened = must(ask("ext:1"));
  auto theirs = must(bench_.erase("ext:2"));

  EXPECT_EQ(code_of(answer(opened.request, DemandOutcome::granted, theirs.event)), Code::invalid);
  EXPECT_EQ(
      code_of(answer(opened.request, DemandOutcome::granted, EventId::make(bench_.clock().now()))),
      Code::not_found);
}

TEST_P(VaultRequests, may_get_two_months_more_once_with_a_reason_and_in_time) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto opened = must(ask("ext:4711"));
  auto late = must(ask("ext:4711", DemandKind::port));

  EXPECT_EQ(code_of(update(opened.request, {}, true, {})), Code::invalid);
  auto longer = must(update(opened.request, {}, true, "many orders"));
  EXPECT_TRUE(longer.extended);
  EXPECT_EQ(longer.due, months_after(opened.received, 3));
  EXPECT_EQ(code_of(update(opened.request, {}, true, "more")), Code::conflict);
  bench_.clock().set_now(late.due);
  EXPECT_EQ(code_of(update(late.request, {}, true, "too late")), Code::conflict);
}

TEST_P(VaultRequests, that_are_late_are_shown_counted_and_recorded_once) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto opened = must(ask("ext:4711"));
  must(bench_.run(bench_.requests().look()));
  EXPECT_EQ(bench_.requests().overdue(), 0);
  EXPECT_EQ(list().overdue, 0);

  bench_.clock().set_now(opened.due);
  auto before = bench_.journal().events.size();
  must(bench_.run(bench_.requests().look()));
  must(bench_.run(bench_.requests().look()));

  EXPECT_EQ(bench_.requests().overdue(), 1);
  EXPECT_EQ(bench_.journal().events.size(), before + 1) << "one alarm";
  EXPECT_EQ(last().activity, "requests.overdue");
  EXPECT_EQ(list().overdue, 1);
  EXPECT_TRUE(list().requests.at(0).overdue);
  must(answer(opened.request, DemandOutcome::granted));
  must(bench_.run(bench_.requests().look()));
  EXPECT_EQ(bench_.requests().overdue(), 0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRequests, are_received_in_the_last_year_and_not_in_the_future) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto now = bench_.clock().now();

  EXPECT_EQ(code_of(ask("ext:4711", DemandKind::access, {}, now + std::chrono::hours(1))),
            Code::invalid);
  EXPECT_EQ(code_of(ask("ext:4711", DemandKind::access, {}, now - std::chrono::days(400))),
            Code::invalid);
  auto old = must(ask("ext:4711", DemandKind::access, {}, now - std::chrono::days(60)));
  EXPECT_TRUE(old.overdue);
  EXPECT_EQ(code_of(ask("ext:nobody")), Code::not_found);
}

TEST_P(VaultRequests, are_listed_by_their_date_page_by_page) {
  bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto now = bench_.clock().now();
  std::vector<DemandId> by_due;
  for (int days : {30, 10, 20})
    by_due.push_back(
        must(ask("ext:1", DemandKind::access, {}, now - std::chrono::days(days))).request);

  auto first = list({}, {}, 2);
  auto second = list({}, {}, 2, first.next);

  ASSERT_EQ(first.requests.size(), 2u);
  EXPECT_EQ(first.requests[0].request, by_due[0]);
  EXPECT_EQ(first.requests[1].request, by_due[2]);
  ASSERT_EQ(second.requests.size(), 1u);
  EXPECT_EQ(second.requests[0].request, by_due[1]);
  EXPECT_FALSE(second.next);
  for (auto odd : {"x", "5", "5.", "5.dsr_", ".dsr_01h455vb4pex5vsknk084sn02q"})
    EXPECT_EQ(code_of(bench_.run(bench_.requests().list({}, {{}, {}, {}, odd}))), Code::invalid)
        << odd;
}

TEST_P(VaultRequests, of_customers_are_for_themselves_only) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.create("ext:4712", {{"email", "bob@example.org"}});
  Caller shop{.principal = "key_shop"};

  EXPECT_EQ(code_of(ask("ext:4712", DemandKind::erase, {}, {}, shop, "customer:4711")),
            Code::forbidden);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_TRUE(ask("ext:4711", DemandKind::erase, {}, {}, shop, "customer:4711"));
}

TEST_P(VaultRequests, repeated_under_one_key_are_one) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto open = [&] {
    return bench_(bench_.requests().open({}, {"ext:4711",
                                              DemandKind::access,
                                              {},
                                              {},
                                              Secret::copy(std::string_view("hello")),
                                              {},
                                              "letter-1"}));
  };

  EXPECT_EQ(open().request, open().request);
  EXPECT_EQ(list().requests.size(), 1u);
}

TEST_P(VaultRequests, are_forgotten_three_years_after_their_answer) {
  bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto answered = must(ask("ext:1"));
  must(answer(answered.request, DemandOutcome::granted));
  auto other = must(ask("ext:1"));
  auto later = bench_.clock().now() + std::chrono::days(3 * 365);
  auto forget = [&](Time now) { return bench_(bench_.requests().forget(now, 10)); };

  EXPECT_EQ(forget(later - Millis{1}), 0);
  auto hold = bench_(bench_.retention().hold({}, {"ext:1", {}, "dispute", {}}));
  EXPECT_EQ(forget(later), 0) << "nothing of a held customer goes";
  bench_(bench_.retention().unhold({}, {hold.hold, "settled"}));
  EXPECT_EQ(forget(later), 1);

  EXPECT_EQ(code_of(bench_.run(bench_.requests().get({}, {answered.request}))), Code::not_found);
  EXPECT_EQ(bench_(bench_.requests().get({}, {other.request})).text->expose_text(),
            "please erase me")
      << "what is open stays, and so does its key";
  must(answer(other.request, DemandOutcome::granted));
  EXPECT_EQ(forget(later), 1);
  EXPECT_EQ(
      bench_.raw().number("select count(*) from vault_subject_keys where keep_group = '@requests'"),
      0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRequests, of_a_guest_stay_while_the_account_is_held_or_a_collection_with_its_records) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.create("ext:guest-9", {{"email", "ann@example.net"}});
  auto asked = must(ask("ext:guest-9"));
  must(answer(asked.request, DemandOutcome::granted));
  bench_(bench_.subjects().merge({}, {"ext:4711", "ext:guest-9", {}}));
  auto later = bench_.clock().now() + std::chrono::days(3 * 365);
  auto forget = [&] { return bench_(bench_.requests().forget(later, 10)); };
  auto lift = [&](HoldId id) { bench_(bench_.retention().unhold({}, {id, "settled"})); };

  for (PlaceHold hold : {PlaceHold{"ext:4711", {}, "dispute", {}, {}},
                         PlaceHold{{}, "customers", "dispute", {}, {}}}) {
    auto placed = bench_(bench_.retention().hold({}, hold));
    EXPECT_EQ(forget(), 0);
    lift(placed.hold);
    HoldId meanwhile;
    bench_.journal().before_commit = [&] { return hold_meanwhile(this, hold, &meanwhile); };
    EXPECT_EQ(forget(), 0) << "held at the last moment";
    lift(meanwhile);
  }

  EXPECT_EQ(forget(), 1);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRequests, changed_in_the_database_are_named) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(ask("ext:4711"));
  ASSERT_TRUE(bench_.state().good());

  bench_.raw().run("update vault_requests set due_ms = due_ms + 86400000");
  EXPECT_EQ(bench_.state().changed_total, 1);
  bench_.raw().run("delete from vault_requests");
  EXPECT_EQ(bench_.state().missing_total, 1);
}

TEST_P(VaultRequests, of_a_guest_are_found_with_the_account) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.create("ext:guest-9", {{"email", "ann@example.net"}});
  auto opened = must(ask("ext:guest-9"));
  bench_(bench_.subjects().merge({}, {"ext:4711", "ext:guest-9", {}}));

  EXPECT_EQ(list({}, "ext:4711").requests.size(), 1u);
  EXPECT_EQ(bench_(bench_.requests().get({}, {opened.request})).text->expose_text(),
            "please erase me");
}

TEST(VaultState, is_told_of_rows_by_ids_as_commands_take_them) {
  auto name = [](std::string_view kind) {
    return journal::name_of({.kind = std::string(kind), .row = Bytes(16)});
  };

  EXPECT_EQ(name("requests"), DemandId{}.text());
  EXPECT_EQ(name("decisions"), DecisionId{}.text());
  EXPECT_EQ(name("holds"), HoldId{}.text());
  EXPECT_EQ(name("rotations"), RotationId{}.text());
  EXPECT_EQ(name("engagements"), EngagementId{}.text());
  EXPECT_EQ(name("tokens"), TokenId{}.text());
}

}  // namespace
}  // namespace holdfast::vault
