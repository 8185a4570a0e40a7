// Conditions of grants where they count: engagements, assignees, hours, networks, and rules that
// are only observed, through all rooms.
#include "app/rooms_bench.h"

namespace holdfast::app {
namespace {

struct PersonalFields final : access::Fields {
  Task<Result<access::FieldClass>> class_of(std::string, std::string, MonoTime) override {
    co_return access::FieldClass::personal;
  }
  Task<Result<void>> purpose(std::string, MonoTime) override { co_return Result<void>(); }
};

/// A handler whose policy changes under it until it was called so often.
Task<Result<http::Answer>> stale_until(int* calls, int good) {
  if (++*calls < good) co_return Error(Code::stale, "the policy changed meanwhile");
  co_return http::Answer{};
}

/// Of a download: begins to answer in the call `begins`.
Task<Result<http::Answer>> stale_download(int* calls, int begins, http::BodyWriter* out) {
  if (++*calls == begins) must(co_await out->start("text/csv"));
  co_return Error(Code::stale, "the policy changed meanwhile");
}

struct Nowhere final : http::BodyWriter {
  Task<Result<void>> start(std::string_view) override { co_return Result<void>(); }
  Task<Result<void>> write(std::string_view) override { co_return Result<void>(); }
  bool closing() const override { return false; }
};

class AppGrants : public AllRooms {
 protected:
  void SetUp() override { made_ = bench_.customers(3); }

  Caller desk(access::Grant grant) {
    bench_.put_role("desk", {std::move(grant)});
    return bench_.caller("desk");
  }
  std::string engagement(int customer, std::string kind = "ticket",
                         std::optional<std::string> assignee = {}) {
    return must(bench_.run(bench_.rooms().engagements.open(
                    bench_.owner(), {.subject = made_[customer].subject.text(),
                                     .kind = std::move(kind),
                                     .reference = "R-" + std::to_string(++references_),
                                     .assignee = std::move(assignee),
                                     .life = {},
                                     .on_behalf_of = {},
                                     .idempotency_key = {}})))
        .engagement.text();
  }
  std::string seen(const Caller& agent, int customer, std::optional<std::string> engaged = {},
                   std::optional<std::string> person = {}, std::string field = "email") {
    return bench_.seen(agent, made_[customer].record, std::move(person), std::move(engaged),
                       std::move(field));
  }
  std::vector<access::Observed> observed() {
    return must(bench_.run(
        access::read_observed(bench_.rooms().context.journal.scratch(), MonoTime::max())));
  }

  std::vector<vault::CreatedRecord> made_;
  int references_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Databases, AppGrants, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(AppGrants, are_asked_again_when_the_policy_changes_under_a_request) {
  auto role = bench_.put_role("desk", {RoomsBench::grant()});
  const auto agent = bench_.caller("desk");
  int calls = 0;
  http::Route route;
  route.id = "records.get";
  route.run = [&calls](const http::Call&) { return stale_until(&calls, 3); };
  decide_again(route, bench_.rooms().access);
  http::Call call;
  call.caller = agent;

  EXPECT_TRUE(bench_.run(route.run(call)));
  EXPECT_EQ(calls, 3);

  must(bench_.run(
      bench_.rooms().admin.put_role(bench_.owner(), {.role = "desk",
                                                     .doc = {},
                                                     .permissions = {"records.list"},
                                                     .grants = {},
                                                     .if_match = std::to_string(role.version)})));
  calls = 0;
  auto refused = bench_.run(route.run(call));

  EXPECT_EQ(code_of(refused), Code::forbidden) << "the role lost the operation";
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(bench_.last_entry().contains("refused"));
}

TEST_P(AppGrants, are_asked_again_for_a_download_until_it_begins) {
  int calls = 0;
  Nowhere out;
  http::Route route;
  route.id = "reports.data_map_csv";
  route.kind = http::RouteKind::download;
  route.run = [&calls](const http::Call& call) { return stale_download(&calls, 3, call.download); };
  decide_again(route, bench_.rooms().access);
  http::Call call;
  call.caller = bench_.owner();
  call.download = &out;

  auto ended = bench_.run(route.run(call));

  EXPECT_EQ(code_of(ended), Code::stale);
  EXPECT_EQ(calls, 3) << "twice before it began, and never after";
}

TEST_P(AppGrants, that_demand_an_engagement_show_masks_without_one) {
  auto grant = RoomsBench::grant();
  grant.engagements = {"ticket", "call"};
  const auto agent = desk(grant);

  EXPECT_EQ(seen(agent, 0), "masked");
  EXPECT_EQ(seen(agent, 0, engagement(0)), "clear");
  EXPECT_EQ(seen(agent, 0, engagement(0, "call")), "clear");
  EXPECT_EQ(seen(agent, 1, engagement(0)), "forbidden engagement") << "another customer's";
  EXPECT_EQ(seen(agent, 0, engagement(0, "order")), "forbidden engagement") << "the wrong kind";
  EXPECT_TRUE(bench_.last_entry().contains(R"("status_code":"engagement")"));
  EXPECT_EQ(seen(agent, 0, "eng_x"), "invalid engagement");
}

TEST_P(AppGrants, that_demand_the_assignee_show_it_to_nobody_else) {
  auto grant = RoomsBench::grant();
  grant.engagements = {"ticket"};
  grant.assignee = true;
  const auto agent = desk(grant);
  const auto given = engagement(0, "ticket", "staff:17");

  EXPECT_EQ(seen(agent, 0, given, "staff:17"), "clear");
  EXPECT_EQ(seen(agent, 0, given, "staff:18"), "forbidden engagement");
  EXPECT_EQ(seen(agent, 0, given), "forbidden engagement");
  EXPECT_EQ(seen(agent, 0, engagement(0, "ticket", agent.principal)), "clear");
  EXPECT_EQ(seen(agent, 0, engagement(0)), "forbidden engagement") << "given to nobody";
}

TEST_P(AppGrants, open_only_the_fields_of_the_kind) {
  auto grant = RoomsBench::grant();
  grant.engagements = {"ticket"};
  must(bench_.run(bench_.rooms().engagements.put_kind(
      bench_.owner(), {"ticket", "A question.", "2 days", {"email"}, {}})));
  const auto agent = desk(grant);
  const auto ticket = engagement(0);

  EXPECT_EQ(seen(agent, 0, ticket), "clear");
  EXPECT_EQ(seen(agent, 0, ticket, {}, "phone"), "forbidden engagement");
  bench_.clock().advance(std::chrono::days(2));
  EXPECT_EQ(seen(agent, 0, ticket), "forbidden engagement") << "it closed by itself";
}

TEST_P(AppGrants, that_demand_an_engagement_demand_it_of_a_search_too) {
  auto grant = RoomsBench::grant();
  grant.engagements = {"ticket"};
  const auto agent = desk(grant);
  auto search = [&](std::optional<std::string> engaged, const char* email) {
    vault::SearchRecords request{.collection = "customers",
                                 .q = {},
                                 .purpose = "support",
                                 .limit = {},
                                 .on_behalf_of = {},
                                 .engagement = std::move(engaged)};
    request.q.entries.push_back({{"email", Secret::copy(std::string_view(email)), false}, false});
    return bench_.run(bench_.rooms().search.search(bench_.fresh(agent), std::move(request)));
  };
  const auto ticket = engagement(0);

  EXPECT_EQ(code_of(search({}, "c0@example.org")), Code::forbidden);
  EXPECT_EQ(must(search(ticket, "c0@example.org")).records.size(), 1u);
  EXPECT_EQ(must(search(ticket, "c1@example.org")).records.size(), 0u)
      << "other customers are not found under it";
}

TEST_P(AppGrants, hold_at_their_hours_only) {
  auto grant = RoomsBench::grant();
  grant.hours = {"mon-fri 08:00-18:00"};  // the clock stands at Monday, 09:30
  const auto agent = desk(grant);

  EXPECT_EQ(seen(agent, 0), "clear");
  bench_.clock().advance(std::chrono::hours(9));
  EXPECT_EQ(seen(agent, 0), "masked");
  bench_.clock().advance(std::chrono::hours(14));
  EXPECT_EQ(seen(agent, 0), "clear");
  bench_.clock().advance(std::chrono::days(4));
  EXPECT_EQ(seen(agent, 0), "masked") << "a Saturday";
}

TEST_P(AppGrants, hold_in_their_networks_only) {
  auto grant = RoomsBench::grant();
  grant.networks = {"192.0.2.0/24"};
  bench_.put_role("desk", {grant});
  const auto key = bench_.make_key("desk");

  EXPECT_EQ(seen(bench_.sign_in(key.api_key, "192.0.2.7"), 0), "clear");
  EXPECT_EQ(seen(bench_.sign_in(key.api_key, "198.51.100.7"), 0), "masked");
  EXPECT_EQ(seen(bench_.sign_in(key.api_key, ""), 0), "masked");
}

TEST_P(AppGrants, that_are_observed_count_what_they_would_refuse_and_hold_afterwards) {
  auto grant = RoomsBench::grant();
  grant.engagements = {"ticket"};
  grant.observe_until = bench_.clock().now() + std::chrono::days(7);
  const auto agent = desk(grant);

  EXPECT_EQ(seen(agent, 0), "clear");
  EXPECT_TRUE(bench_.last_entry().contains(R"("operation":"access.would_refuse")"));
  EXPECT_EQ(seen(agent, 1), "clear");
  EXPECT_EQ(seen(agent, 0, engagement(0)), "clear");

  auto counts = observed();
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts[0].role, "desk");
  EXPECT_EQ(counts[0].rule, "engagement");
  EXPECT_EQ(counts[0].count, 2);
  EXPECT_EQ(bench_.entries_with("access.would_refuse"), 2);
  bench_.clock().advance(std::chrono::days(7));
  EXPECT_EQ(seen(agent, 0), "masked");
}

TEST_P(AppGrants, whose_budget_is_observed_count_and_let_pass) {
  auto grant = RoomsBench::grant();
  grant.budget = access::Budget{.per_hour = 1};
  grant.observe_until = bench_.clock().now() + std::chrono::days(7);
  const auto agent = desk(grant);

  EXPECT_EQ(seen(agent, 0), "clear");
  EXPECT_TRUE(observed().empty());
  EXPECT_EQ(seen(agent, 1), "clear");

  auto counts = observed();
  ASSERT_EQ(counts.size(), 1u);
  EXPECT_EQ(counts[0].rule, "budget");
  EXPECT_EQ(counts[0].count, 1);
  bench_.clock().advance(std::chrono::days(7));
  EXPECT_EQ(seen(agent, 0), "clear");
  EXPECT_EQ(seen(agent, 1), "exhausted budget.key.per_hour") << "now it holds";
}

TEST_P(AppGrants, hold_for_payment_data_from_the_first_day) {
  auto grant = RoomsBench::grant();
  grant.classes = {access::FieldClass::personal, access::FieldClass::payment};
  grant.engagements = {"ticket"};
  grant.budget = access::Budget{.per_hour = 1};
  grant.observe_until = bench_.clock().now() + std::chrono::days(7);
  const auto agent = desk(grant);

  EXPECT_EQ(seen(agent, 0), "clear");
  EXPECT_EQ(seen(agent, 0, {}, {}, "iban"), "masked");
  EXPECT_EQ(seen(agent, 0, engagement(0), {}, "iban"), "clear");
  EXPECT_EQ(seen(agent, 1, engagement(1), {}, "iban"), "exhausted budget.key.per_hour");
  EXPECT_EQ(seen(agent, 1, engagement(1)), "clear");
}

TEST_P(AppGrants, are_enforced_or_dropped_by_their_owner_before_the_time_is_over) {
  auto grant = RoomsBench::grant();
  grant.engagements = {"ticket"};
  grant.observe_until = bench_.clock().now() + std::chrono::days(7);
  auto role = bench_.put_role("desk", {grant});
  const auto agent = bench_.caller("desk");
  auto longer = grant;
  longer.observe_until = bench_.clock().now() + std::chrono::days(13);

  auto again = bench_.run(
      bench_.rooms().admin.put_role(bench_.owner(), {.role = "desk",
                                                     .doc = {},
                                                     .permissions = {"records.*"},
                                                     .grants = {longer},
                                                     .if_match = std::to_string(role.version)}));
  EXPECT_EQ(code_of(again), Code::conflict) << "it cannot be observed for longer";
  grant.observe_until.reset();
  role = bench_.put_role("desk", {grant}, std::to_string(role.version));
  EXPECT_EQ(seen(agent, 0), "masked") << "enforced";
  grant.engagements.clear();
  bench_.put_role("desk", {grant}, std::to_string(role.version));
  EXPECT_EQ(seen(agent, 0), "clear") << "dropped";
}

TEST_P(AppGrants, are_explained_with_the_condition_that_is_missing) {
  auto grant = RoomsBench::grant();
  grant.engagements = {"ticket"};
  grant.networks = {"192.0.2.0/24"};
  const auto agent = desk(grant);
  PersonalFields fields;
  access::Api api({bench_.rooms().admin, bench_.rooms().access, bench_.rooms().cache,
                   bench_.rooms().context.journal, bench_.clock(), fields, bench_.rooms().budgets});
  auto explained = [&](std::optional<std::string> kind, std::optional<std::string> address) {
    return must(bench_.run(api.explain(bench_.fresh(agent), {.operation = "records.reveal",
                                                             .collection = "customers",
                                                             .field = "email",
                                                             .purpose = "support",
                                                             .on_behalf_of = {},
                                                             .key = {},
                                                             .engagement = std::move(kind),
                                                             .address = std::move(address)})));
  };

  EXPECT_EQ(explained({}, {}).reason, "engagement");
  EXPECT_EQ(explained("ticket", "198.51.100.1").reason, "network");
  EXPECT_EQ(explained("ticket", {}).view, access::View::clear);
  EXPECT_FALSE(explained({}, {}).text.empty());
}

}  // namespace
}  // namespace holdfast::app
