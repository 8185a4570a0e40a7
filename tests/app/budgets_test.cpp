// Budgets where they are spent: openings through all rooms, on both databases.
#include "app/rooms_bench.h"

namespace holdfast::app {
namespace {

using access::Budget;

/// What a download sends.
struct Sent final : http::BodyWriter {
  std::string text;
  Task<Result<void>> start(std::string_view) override { co_return Result<void>(); }
  Task<Result<void>> write(std::string_view bytes) override {
    text += bytes;
    co_return Result<void>();
  }
  bool closing() const override { return false; }
};

/// "clear" or "withheld", as the copy has the customer's email, or the code of the refusal with its
/// place.
std::string exported(RoomsBench& bench, const Caller& caller, SubjectId subject,
                     std::optional<std::string> person = {}) {
  Sent sent;
  auto done = bench.run(
      bench.rooms().subjects.export_all(bench.fresh(caller),
                                        {.subject = subject.text(),
                                         .purpose = person ? "self_service" : "subject_request",
                                         .format = {},
                                         .on_behalf_of = person},
                                        sent));
  if (done) return sent.text.contains("@example.org") ? "clear" : "withheld";
  EXPECT_EQ(sent.text, "") << "nothing leaves that is refused";
  return std::string(code_name(done.error().code)) + ' ' + done.error().field.text();
}

class AppBudgets : public AllRooms {
 protected:
  Caller desk(Budget budget) {
    auto grant = RoomsBench::grant();
    grant.budget = budget;
    bench_.put_role("desk", {grant});
    return bench_.caller("desk");
  }
  std::int64_t used(const std::string& account, std::int64_t span) {
    return bench_.raw().number(
        "select coalesce(sum(used), 0) from access_budgets where account = '" + account +
        "' and span = " + std::to_string(span));
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, AppBudgets, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(AppBudgets, count_different_customers_and_not_openings) {
  auto made = bench_.customers(4);
  const auto agent = desk({.per_hour = 3});

  for (int round = 0; round < 3; ++round)
    for (int i = 0; i < 3; ++i) EXPECT_EQ(bench_.seen(agent, made[i].record), "clear");
  EXPECT_EQ(bench_.seen(agent, made[3].record), "exhausted budget.key.per_hour");
  EXPECT_EQ(bench_.seen(agent, made[0].record), "clear") << "who was opened may be opened again";
}

TEST_P(AppBudgets, refuse_with_the_time_at_which_they_free_and_keep_to_it) {
  auto made = bench_.customers(3);
  const auto agent = desk({.per_hour = 2});
  bench_.seen(agent, made[0].record);
  bench_.clock().advance(std::chrono::minutes(20));
  bench_.seen(agent, made[1].record);
  const auto now = bench_.clock().now();

  auto refused = bench_.reveal(agent, made[2].record);

  ASSERT_EQ(code_of(refused), Code::exhausted);
  ASSERT_TRUE(refused.error().free_at);
  const auto wait = *refused.error().free_at - now;
  EXPECT_GE(wait, std::chrono::minutes(40));
  EXPECT_LE(wait, std::chrono::minutes(41));
  const auto entry = bench_.last_entry();
  EXPECT_TRUE(entry.contains(R"("status":"refused","status_code":"budget")")) << entry;
  EXPECT_TRUE(entry.contains(R"("budget":"key","budget_free_ms":)")) << entry;
  bench_.clock().advance(std::chrono::duration_cast<Millis>(wait) - Millis(1));
  EXPECT_EQ(bench_.seen(agent, made[2].record), "exhausted budget.key.per_hour");
  bench_.clock().advance(Millis(1));
  EXPECT_EQ(bench_.seen(agent, made[2].record), "clear");
}

TEST_P(AppBudgets, slide_with_the_last_opening_so_that_no_hour_holds_more) {
  auto made = bench_.customers(4);
  const auto agent = desk({.per_hour = 2});
  bench_.seen(agent, made[0].record);
  bench_.seen(agent, made[1].record);
  bench_.clock().advance(std::chrono::minutes(50));
  EXPECT_EQ(bench_.seen(agent, made[0].record), "clear");
  bench_.clock().advance(std::chrono::minutes(20));

  // Customer 1 has left the hour; customer 0 was opened again within it.
  EXPECT_EQ(bench_.seen(agent, made[2].record), "clear");
  EXPECT_EQ(bench_.seen(agent, made[3].record), "exhausted budget.key.per_hour");
}

TEST_P(AppBudgets, hold_by_the_day_where_the_hour_has_room) {
  auto made = bench_.customers(4);
  const auto agent = desk({.per_hour = 2, .per_day = 3});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(bench_.seen(agent, made[i].record), "clear");
    bench_.clock().advance(std::chrono::hours(2));
  }

  EXPECT_EQ(bench_.seen(agent, made[3].record), "exhausted budget.key.per_day");
  bench_.clock().advance(std::chrono::hours(19));
  EXPECT_EQ(bench_.seen(agent, made[3].record), "clear");
}

TEST_P(AppBudgets, survive_a_restart) {
  auto made = bench_.customers(2);
  const auto agent = desk({.per_hour = 1});
  bench_.seen(agent, made[0].record);

  bench_.reopen();

  EXPECT_EQ(bench_.seen(agent, made[1].record), "exhausted budget.key.per_hour");
}

TEST_P(AppBudgets, are_spent_exactly_when_64_race) {
  auto made = bench_.customers(64);
  const auto agent = desk({.per_hour = 10});
  auto other_process = bench_.another();
  std::vector<Task<Result<vault::RevealedRecord>>> tasks;
  for (int i = 0; i < 64; ++i) {
    vault::RevealRecord request{
        .record = made[i].record, .fields = {"email"}, .purpose = "support", .on_behalf_of = {}};
    auto& rooms = i % 2 == 0 ? bench_.rooms() : *other_process;
    tasks.push_back(rooms.opening.reveal(agent, std::move(request)));
  }

  auto all = bench_.run_all(std::move(tasks));

  int shown = 0;
  for (const auto& one : all) {
    shown += one.has_value();
    EXPECT_TRUE(one || one.error().code == Code::exhausted) << one.error().text;
  }
  EXPECT_EQ(shown, 10);
  EXPECT_EQ(used(agent.principal, 3'600), 10);
  EXPECT_EQ(bench_.entries_with(R"("opened":true)"), 10) << "what was refused was not opened";
}

TEST_P(AppBudgets, count_a_person_over_all_keys) {
  auto made = bench_.customers(3);
  const auto first = desk({.per_hour = 2, .key_per_hour = 100});
  const auto second = bench_.caller("desk");
  EXPECT_EQ(bench_.seen(first, made[0].record, "staff:17"), "clear");
  EXPECT_EQ(bench_.seen(second, made[1].record, "staff:17"), "clear");

  EXPECT_EQ(bench_.seen(second, made[2].record, "staff:17"), "exhausted budget.person.per_hour");
  EXPECT_EQ(bench_.seen(first, made[2].record, "staff:17"), "exhausted budget.person.per_hour");
  EXPECT_EQ(bench_.seen(first, made[2].record, "staff:18"), "clear");
}

TEST_P(AppBudgets, hold_for_a_key_that_names_one_person_after_another) {
  auto made = bench_.customers(4);
  const auto agent = desk({.per_hour = 2, .key_per_hour = 3});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(bench_.seen(agent, made[i].record, "staff:" + std::to_string(i)), "clear");

  EXPECT_EQ(bench_.seen(agent, made[3].record, "staff:9"), "exhausted budget.key.per_hour");
}

TEST_P(AppBudgets, are_not_filled_by_rotating_the_key) {
  auto made = bench_.customers(2);
  auto grant = RoomsBench::grant();
  grant.budget = Budget{.per_hour = 1};
  bench_.put_role("desk", {grant});
  auto key = bench_.make_key("desk");
  EXPECT_EQ(bench_.seen(bench_.sign_in(key.api_key), made[0].record), "clear");

  auto next = must(bench_.run(bench_.rooms().admin.rotate_key(
      bench_.owner(), {.key = key.info.key, .idempotency_key = {}, .if_match = {}})));

  EXPECT_EQ(bench_.seen(bench_.sign_in(next.api_key), made[1].record),
            "exhausted budget.key.per_hour");
}

TEST_P(AppBudgets, charge_what_a_search_matched) {
  auto made = bench_.customers(3);
  const auto agent = desk({.per_hour = 2});
  auto search = [&](int which) {
    vault::SearchRecords request{
        .collection = "customers", .q = {}, .purpose = "support", .limit = {}, .on_behalf_of = {}};
    request.q.entries.push_back(
        {{"email", Secret::copy("c" + std::to_string(which) + "@example.org"), false}, false});
    return bench_.run(bench_.rooms().search.search(agent, std::move(request)));
  };

  EXPECT_EQ(must(search(0)).records.size(), 1u);
  EXPECT_EQ(must(search(7)).records.size(), 0u) << "what matches nobody costs nothing";
  EXPECT_EQ(must(search(1)).records.size(), 1u);
  EXPECT_EQ(code_of(search(2)), Code::exhausted);
}

TEST_P(AppBudgets, end_a_search_that_grows_a_beginning_character_by_character) {
  vault::CollectionSpec spec{.collection = "people", .doc = {}, .fields = {}, .if_match = {}};
  spec.fields.push_back(
      {.name = "last_name", .type = vault::FieldType::name, .index = vault::IndexKind::prefix});
  must(bench_.run(bench_.rooms().declarations.put(bench_.owner(), std::move(spec))));
  for (int i = 0; i < 5; ++i) {
    vault::CreateRecords made{.collection = "people", .subject = "ext:p" + std::to_string(i)};
    made.values.entries.push_back(
        {{"last_name", Secret::copy("Mil" + std::string(1, static_cast<char>('a' + i))), false},
         false});
    must(bench_.run(bench_.rooms().records.create(bench_.owner(), std::move(made))));
    bench_.clock().advance(Millis(1));  // records are found in the order of their ids
  }
  const auto agent = bench_.fresh(desk({.per_hour = 3}));
  auto search = [&](std::string beginning) {
    vault::SearchRecords request{.collection = "people", .q = {}, .purpose = "support"};
    request.limit = 1;
    request.q.entries.push_back({{"last_name", Secret::copy(beginning), false}, false});
    return bench_.run(bench_.rooms().search.search(agent, std::move(request)));
  };

  EXPECT_EQ(must(search("mil")).records.size(), 1u);
  EXPECT_EQ(must(search("mila")).records.size(), 1u) << "the same customer";
  EXPECT_EQ(must(search("milb")).records.size(), 1u);
  EXPECT_EQ(must(search("milc")).records.size(), 1u);
  EXPECT_EQ(code_of(search("mild")), Code::exhausted);
  EXPECT_EQ(code_of(search("mile")), Code::exhausted);
  EXPECT_EQ(code_of(search("milb")), Code::exhausted) << "spent, whomever it would find";
}

/// A stolen key of the desk that asks after the budget is spent, or nearly: nothing about anybody
/// else can be read from what is refused and what is not.
TEST_P(AppBudgets, tell_nothing_of_anybody_by_refusing_a_search) {
  must(bench_.run(bench_.rooms().declarations.put(
      bench_.owner(), {.collection = "people",
                       .doc = {},
                       .fields = {{.name = "last_name",
                                   .type = vault::FieldType::name,
                                   .index = vault::IndexKind::prefix},
                                  {.name = "born", .type = vault::FieldType::date}},
                       .if_match = {}})));
  for (int i = 0; i < 4; ++i) {
    vault::CreateRecords made{.collection = "people", .subject = "ext:p" + std::to_string(i)};
    for (auto [field, value] : {std::pair("last_name", "Miller"), {"born", "1980-02-03"}})
      made.values.entries.push_back({{field, Secret::copy(value), false}, false});
    must(bench_.run(bench_.rooms().records.create(bench_.owner(), std::move(made))));
    bench_.clock().advance(Millis(1));
  }
  const auto agent = bench_.fresh(desk({.per_hour = 3}));
  auto search = [&](std::string name, std::string born_after, bool sorted = false) {
    vault::SearchRecords request{.collection = "people", .q = {}, .purpose = "support"};
    request.q.entries.push_back({{"last_name", Secret::copy(name), false}, false});
    request.filter.push_back({"born", vault::FilterOp::gt, born_after});
    if (sorted) request.sort = vault::Sort{"created", {}};
    return bench_.run(bench_.rooms().search.search(agent, std::move(request)));
  };

  EXPECT_EQ(must(search("mil", "1990-01-01")).records.size(), 0u);
  for (bool sorted : {false, true}) {
    auto page = must(search("mil", "1970-01-01", sorted));
    EXPECT_EQ(page.records.size(), 3u) << "as many as fit in, not a refusal that tells of a fourth";
    EXPECT_TRUE(page.more) << "also where there is nobody more";
    if (!sorted) bench_.clock().advance(std::chrono::hours(2));
  }

  std::vector<std::string> answers;
  for (auto [name, born] :
       {std::pair("mil", "1970-01-01"), {"mil", "1990-01-01"}, {"xyz", "1970-01-01"}}) {
    auto refused = search(name, born);
    ASSERT_EQ(code_of(refused), Code::exhausted) << name << ' ' << born;
    ASSERT_TRUE(refused.error().free_at);
    answers.push_back(refused.error().field.text() + ' ' +
                      std::to_string(to_ms(*refused.error().free_at)));
    EXPECT_TRUE(bench_.last_entry().contains(R"("status":"refused","status_code":"budget")"));
  }
  EXPECT_EQ(answers, std::vector(3, answers[0]));
  EXPECT_EQ(used(agent.principal, 3'600), 3);
}

/// A caller who may only compare: whether a guess is right does not decide whether it is refused.
TEST_P(AppBudgets, are_used_up_by_whom_a_search_compared_whatever_it_found) {
  must(bench_.run(bench_.rooms().declarations.put(
      bench_.owner(), {.collection = "people",
                       .doc = {},
                       .fields = {{.name = "last_name",
                                   .type = vault::FieldType::name,
                                   .index = vault::IndexKind::exact},
                                  {.name = "born", .type = vault::FieldType::date}},
                       .if_match = {}})));
  for (int i = 0; i < 4; ++i) {
    vault::CreateRecords made{.collection = "people", .subject = "ext:p" + std::to_string(i)};
    const std::string born = i == 0 ? "1980-02-03" : "1970-01-01";
    for (const auto& [field, value] :
         {std::pair<std::string, std::string>("last_name", "Miller"), {"born", born}})
      made.values.entries.push_back({{field, Secret::copy(value), false}, false});
    must(bench_.run(bench_.rooms().records.create(bench_.owner(), std::move(made))));
    bench_.clock().advance(Millis(1));
  }
  auto grant = RoomsBench::grant();
  grant.view = access::View::verify;
  grant.budget = Budget{.per_hour = 1};
  bench_.put_role("guesser", {grant});
  auto search = [&](const Caller& caller, std::string name, std::string born) {
    vault::SearchRecords request{.collection = "people", .q = {}, .purpose = "support"};
    request.q.entries.push_back({{"last_name", Secret::copy(name), false}, false});
    request.filter.push_back({"born", vault::FilterOp::eq, born});
    return bench_.run(bench_.rooms().search.search(caller, std::move(request)));
  };

  for (bool right : {false, true}) {
    const auto caller = bench_.fresh(bench_.caller("guesser"));
    auto first = search(caller, "Miller", right ? "1980-02-03" : "1980-02-04");
    EXPECT_EQ(must(std::move(first)).records.size(), right ? 1u : 0u);
    EXPECT_EQ(used(caller.principal, 3'600), right ? 1 : 4) << "who was compared is counted";
    if (!right)
      EXPECT_GT(bench_.raw().number("select count(*) from vault_wrong_values where wrong > 0"), 0)
          << "and the guess, too";
    for (auto name : {"Miller", "Nobody"})
      for (auto born : {"1980-02-03", "1980-02-04"})
        EXPECT_EQ(code_of(search(caller, name, born)), Code::exhausted) << name << ' ' << born;
  }
}

TEST_P(AppBudgets, have_room_for_one_more_where_nobody_is_charged) {
  auto made = bench_.customers(1);
  const auto agent = bench_.fresh(desk({.per_hour = 1}));
  auto& budgets = bench_.rooms().budgets;
  auto charge_nobody = [&] {
    auto charge = must(bench_.run(budgets.charge(agent, {}, {}, budgets.all_owed(agent))));
    return bench_.run(
        bench_.log().commit(agent, std::move(charge.changes), {.activity = "records.search"}));
  };

  EXPECT_TRUE(charge_nobody());
  bench_.seen(agent, made[0].record);
  auto refused = charge_nobody();
  ASSERT_EQ(code_of(refused), Code::exhausted);
  EXPECT_EQ(refused.error().field.text(), "budget.key.per_hour");
}

/// All of them pass the first look, before any of them is charged.
TEST_P(AppBudgets, show_one_customer_to_searches_that_race) {
  auto made = bench_.customers(8);
  const auto agent = desk({.per_hour = 1});
  std::vector<Task<Result<vault::FoundRecords>>> tasks;
  for (int i = 0; i < 16; ++i) {
    vault::SearchRecords request{.collection = "customers", .q = {}, .purpose = "support"};
    request.q.entries.push_back(
        {{"email", Secret::copy("c" + std::to_string(i) + "@example.org"), false}, false});
    tasks.push_back(bench_.rooms().search.search(agent, std::move(request)));
  }

  auto all = bench_.run_all(std::move(tasks));

  std::size_t found = 0;
  for (const auto& one : all) {
    if (!one) EXPECT_EQ(code_of(one), Code::exhausted);
    if (one) found += one->records.size();
  }
  EXPECT_LE(found, 1u);
  EXPECT_LE(used(agent.principal, 3'600), 1);
}

/// A stolen key of the shop's backend that asks for one customer's own copy after another.
TEST_P(AppBudgets, end_a_loop_of_exports) {
  auto made = bench_.customers(3);
  auto grant = RoomsBench::grant();
  grant.purposes = {"self_service"};
  grant.budget = Budget{.per_hour = 2};
  must(bench_.run(bench_.rooms().admin.put_role(
      bench_.owner(),
      {.role = "shop", .doc = {}, .permissions = {"subjects.export"}, .grants = {grant}})));
  const auto shop = bench_.sign_in(bench_.make_key("shop", {"customer"}).api_key);

  EXPECT_EQ(exported(bench_, shop, made[0].subject, "customer:4000"), "clear");
  EXPECT_EQ(exported(bench_, shop, made[0].subject, "customer:4000"), "clear") << "the same one";
  EXPECT_EQ(exported(bench_, shop, made[1].subject, "customer:4001"), "clear");
  EXPECT_EQ(exported(bench_, shop, made[2].subject, "customer:4002"),
            "exhausted budget.key.per_hour");
  const auto entry = bench_.last_entry();
  EXPECT_TRUE(entry.contains(R"("status":"refused","status_code":"budget")")) << entry;
}

TEST_P(AppBudgets, tell_what_an_export_would_be_refused_for_under_observation) {
  auto made = bench_.customers(2);
  auto grant = RoomsBench::grant();
  grant.purposes = {"subject_request"};
  grant.budget = Budget{.per_hour = 1};
  grant.observe_until = bench_.clock().now() + std::chrono::days(7);
  must(bench_.run(bench_.rooms().admin.put_role(
      bench_.owner(),
      {.role = "copies", .doc = {}, .permissions = {"subjects.export"}, .grants = {grant}})));
  const auto agent = bench_.caller("copies");

  EXPECT_EQ(exported(bench_, agent, made[0].subject), "clear");
  EXPECT_EQ(bench_.entries_with("access.would_refuse"), 0);
  EXPECT_EQ(exported(bench_, agent, made[1].subject), "clear");
  EXPECT_EQ(bench_.entries_with("access.would_refuse"), 1);
}

TEST_P(AppBudgets, take_a_batch_as_a_whole_or_not_at_all) {
  auto made = bench_.customers(5);
  const auto agent = desk({.per_hour = 4});
  auto batch = [&](std::size_t count) {
    std::vector<RecordId> ids;
    for (std::size_t i = 0; i < count; ++i) ids.push_back(made[i].record);
    return bench_.run(bench_.rooms().opening.reveal_batch(agent, {.records = std::move(ids),
                                                                  .fields = {"email"},
                                                                  .purpose = "support",
                                                                  .on_behalf_of = {}}));
  };

  auto too_many = batch(5);
  ASSERT_EQ(code_of(too_many), Code::exhausted);
  EXPECT_FALSE(too_many.error().free_at) << "so many never fit";
  EXPECT_EQ(used(agent.principal, 3'600), 0) << "nothing of it was counted";
  EXPECT_EQ(must(batch(4)).records.size(), 4u);
  EXPECT_EQ(code_of(batch(5)), Code::exhausted);
}

TEST_P(AppBudgets, are_not_touched_by_masks_and_refusals) {
  auto made = bench_.customers(1);
  const auto agent = desk({.per_hour = 1});

  bench_.seen(agent, made[0].record, {}, {}, "iban");
  must(bench_.run(bench_.rooms().records.get(agent, {made[0].record})));

  EXPECT_EQ(bench_.raw().number("select count(*) from access_budgets"), 0);
}

TEST_P(AppBudgets, touch_no_row_where_nobody_has_one) {
  auto made = bench_.customers(1);
  bench_.put_role("free", {RoomsBench::grant()});
  const auto agent = bench_.caller("free");

  EXPECT_EQ(bench_.seen(agent, made[0].record, "staff:17"), "clear");

  EXPECT_EQ(bench_.raw().number("select count(*) from access_budgets"), 0);
  EXPECT_EQ(bench_.raw().number("select count(*) from access_budget_uses"), 0);
}

TEST_P(AppBudgets, get_nothing_from_a_clock_that_is_set_back) {
  auto made = bench_.customers(3);
  const auto agent = desk({.per_hour = 2});
  bench_.seen(agent, made[0].record);
  bench_.seen(agent, made[1].record);

  bench_.clock().set_now(bench_.clock().now() - std::chrono::hours(5));
  EXPECT_EQ(bench_.seen(agent, made[2].record), "exhausted budget.key.per_hour");
  EXPECT_EQ(bench_.seen(agent, made[0].record), "clear");
  bench_.clock().set_now(bench_.clock().now() + std::chrono::minutes(62));

  // Neither do openings that seemed to lie in the future hold for longer than an hour.
  EXPECT_EQ(bench_.seen(agent, made[2].record), "clear");
}

TEST_P(AppBudgets, charge_who_opens_an_engagement) {
  auto made = bench_.customers(2);
  const auto agent = desk({.per_hour = 1});
  auto open = [&](int which) {
    return bench_.run(
        bench_.rooms().engagements.open(agent, {.subject = made[which].subject.text(),
                                                .kind = "ticket",
                                                .reference = "T-" + std::to_string(which),
                                                .assignee = {},
                                                .life = {},
                                                .on_behalf_of = {},
                                                .idempotency_key = {}}));
  };

  EXPECT_FALSE(code_of(open(0)));
  EXPECT_EQ(code_of(open(1)), Code::exhausted);
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_engagements"), 1);
}

TEST_P(AppBudgets, show_their_use) {
  auto made = bench_.customers(2);
  const auto agent = desk({.per_hour = 5, .key_per_hour = 9});
  bench_.seen(agent, made[0].record, "staff:17");
  bench_.seen(agent, made[1].record, "staff:17");

  auto uses = must(bench_.run(bench_.rooms().budgets.uses({}, MonoTime::max())));

  ASSERT_EQ(uses.size(), 2u);
  EXPECT_EQ(uses[0].account, agent.principal);
  EXPECT_EQ(uses[0].hour, 2);
  EXPECT_TRUE(uses[1].account.starts_with("per_"));
  EXPECT_EQ(uses[1].hour, 2);
  EXPECT_EQ(must(bench_.run(bench_.rooms().budgets.uses("key_none", MonoTime::max()))).size(), 0u);
}

TEST_P(AppBudgets, forget_what_has_left_the_window) {
  auto made = bench_.customers(2);
  const auto agent = desk({.per_hour = 5, .per_day = 5});
  bench_.seen(agent, made[0].record);
  bench_.clock().advance(std::chrono::hours(2));
  bench_.seen(agent, made[1].record);

  EXPECT_EQ(must(bench_.run(bench_.rooms().budgets.sweep(MonoTime::max()))), 0)
      << "the charge has dropped it already";
  bench_.clock().advance(std::chrono::hours(30));
  EXPECT_EQ(must(bench_.run(bench_.rooms().budgets.sweep(MonoTime::max()))), 3);

  EXPECT_EQ(bench_.raw().number("select count(*) from access_budgets"), 0);
  EXPECT_EQ(bench_.seen(agent, made[0].record), "clear");
  EXPECT_EQ(used(agent.principal, 3'600), 1);
}

/// Two roles of one key: the counts are the principal's, the limits the grants'.
TEST_P(AppBudgets, of_the_larger_grant_count_where_both_show_it) {
  auto made = bench_.customers(3);
  auto small = RoomsBench::grant(), large = RoomsBench::grant();
  small.budget = Budget{.per_hour = 1};
  large.budget = Budget{.per_hour = 2};
  bench_.put_role("desk", {small, large});
  const auto agent = bench_.caller("desk");

  EXPECT_EQ(bench_.seen(agent, made[0].record), "clear");
  EXPECT_EQ(bench_.seen(agent, made[1].record), "clear");
  EXPECT_EQ(bench_.seen(agent, made[2].record), "exhausted budget.key.per_hour");
}

class AppCeiling : public testing::TestWithParam<db::Database::Kind> {
 protected:
  RoomsBench bench_{GetParam(), {.per_hour = 3, .per_day = 0}};
};
INSTANTIATE_TEST_SUITE_P(Databases, AppCeiling, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(AppCeiling, holds_over_all_principals_the_owner_too) {
  auto made = bench_.customers(4);
  bench_.put_role("free", {RoomsBench::grant()});
  const auto one = bench_.caller("free"), two = bench_.caller("free");
  EXPECT_EQ(bench_.seen(one, made[0].record), "clear");
  EXPECT_EQ(bench_.seen(two, made[1].record), "clear");
  EXPECT_EQ(bench_.seen(two, made[0].record), "clear");
  EXPECT_EQ(bench_.seen(bench_.owner(), made[2].record), "clear");

  EXPECT_EQ(bench_.seen(bench_.owner(), made[3].record), "exhausted budget.store.per_hour");
  EXPECT_EQ(bench_.seen(one, made[3].record), "exhausted budget.store.per_hour");
}

TEST_P(AppCeiling, counts_what_is_exported) {
  auto made = bench_.customers(4);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(exported(bench_, bench_.owner(), made[i].subject), "clear");

  EXPECT_EQ(exported(bench_, bench_.owner(), made[3].subject), "exhausted budget.store.per_hour");
  EXPECT_EQ(exported(bench_, bench_.owner(), made[0].subject), "clear");
}

}  // namespace
}  // namespace holdfast::app
