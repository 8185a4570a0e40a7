#include "access/policy.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "access/declare.h"
#include "access/reference.h"

namespace holdfast::access {
namespace {

using Names = std::vector<std::string>;

std::filesystem::path cases(std::string_view name) {
  return std::filesystem::path(HOLDFAST_SOURCE_DIR) / "tests/cases/access" / name;
}

/// Lines that are neither empty nor comments, cut at tabs.
std::vector<Names> rows_of(std::string_view name) {
  std::ifstream file(cases(name));
  EXPECT_TRUE(file) << cases(name);
  std::vector<Names> out;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    auto& row = out.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, '\t');) row.push_back(cell == "-" ? "" : cell);
  }
  return out;
}

std::shared_ptr<const Rights> rights_of(std::string_view role, Names scopes = {}) {
  const Role* const one[] = {find_built_in(role)};
  EXPECT_NE(one[0], nullptr) << role;
  return Rights::compile(one, scopes);
}

template <class Enum>
Enum parsed(std::string_view name) {
  auto names = enum_names(Enum{});
  auto at = std::ranges::find(names, name);
  EXPECT_NE(at, names.end()) << name;
  return static_cast<Enum>(at - names.begin());
}

TEST(AccessDecide, answers_the_cases_of_the_built_in_roles) {
  for (const auto& row : rows_of("decide.tsv")) {
    ASSERT_EQ(row.size(), 8u);
    const auto rights = rights_of(row[0]);
    const Question question{.operation = row[1],
                            .collection = "customers",
                            .field = row[2],
                            .field_class = parsed<FieldClass>(row[3]),
                            .purpose = row[4],
                            .on_behalf_of = row[5]};

    const auto decision = decide(*rights, question);

    const auto line = row[0] + ' ' + row[1] + ' ' + row[2] + ' ' + row[4] + ' ' + row[5];
    EXPECT_EQ(enum_names(View{})[static_cast<std::size_t>(decision.view)], row[6]) << line;
    EXPECT_EQ(decision.reason, row[7]) << line;
    EXPECT_FALSE(explain(decision.reason).empty()) << decision.reason;
  }
}

// Which built-in role may use which operation. After a change on purpose, run once with
// HOLDFAST_REWRITE_CASES=1 and read the difference.
TEST(AccessMatrix, is_the_one_that_was_agreed) {
  std::string matrix = "# y: the role may use the operation.\noperation";
  for (const auto& role : built_in_roles()) matrix += '\t' + role.role;
  matrix += '\n';
  for (const auto& row : rows_of("operations.txt")) {
    matrix += row[0];
    for (const auto& role : built_in_roles())
      matrix += rights_of(role.role)->may(row[0]) ? "\ty" : "\t-";
    matrix += '\n';
  }
  if (std::getenv("HOLDFAST_REWRITE_CASES") != nullptr)
    std::ofstream(cases("matrix.tsv")) << matrix;

  std::ifstream file(cases("matrix.tsv"));
  std::stringstream agreed;
  agreed << file.rdbuf();

  EXPECT_EQ(agreed.str(), matrix);
}

TEST(AccessMatrix, has_an_operation_for_every_permission_of_a_built_in_role) {
  const auto operations = rows_of("operations.txt");

  for (const auto& role : built_in_roles())
    for (const auto& permission : role.permissions) {
      const bool used = std::ranges::any_of(
          operations, [&](const auto& row) { return reference::matches(permission, row[0]); });
      EXPECT_TRUE(used) << role.role << ' ' << permission;
      EXPECT_TRUE(is_permission(permission)) << permission;
    }
}

// ── random policies

/// Small alphabets, so that grants and questions meet often.
class Dice {
 public:
  explicit Dice(unsigned seed) : engine_(seed) {}

  unsigned below(unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(engine_); }
  bool chance(unsigned in) { return below(in) == 0; }
  std::string one_of(std::initializer_list<const char*> names) {
    return names.begin()[below(names.size())];
  }
  std::string operation() { return one_of({"a", "a.x", "a.y", "b.x", "b.y.z", "access.whoami"}); }
  std::string permission() {
    return one_of({"*", "a", "a.*", "a.x", "b.*", "b.x", "b.y.*", "c.*"});
  }
  std::string collection() { return one_of({"c1", "c2", "c3"}); }
  std::string field() { return one_of({"f1", "f2", "f3"}); }
  std::string purpose() { return one_of({"p1", "p2", "self_service"}); }
  std::string person() { return one_of({"", "staff:1", "customer:1", "customers:1"}); }

  Grant grant() {
    Grant out;
    out.collection = chance(3) ? "*" : collection();
    if (chance(2))
      for (unsigned i = below(2); i < 2; ++i) out.fields.push_back(field());
    else
      for (unsigned i = below(2); i < 2; ++i)
        out.classes.push_back(static_cast<FieldClass>(below(4)));
    out.view = static_cast<View>(1 + below(3));
    for (unsigned i = below(3); i < 2; ++i) out.purposes.push_back(chance(6) ? "*" : purpose());
    out.needs_person = chance(3);
    if (out.view > View::masked && chance(2)) conditions(out);
    return out;
  }
  void conditions(Grant& out) {
    if (chance(3))
      for (unsigned i = below(2); i < 2; ++i) out.engagements.push_back(kind());
    out.assignee = !out.engagements.empty() && chance(3);
    if (chance(4)) out.hours.push_back(one_of({"mon-wed 08:00-18:00", "sat-mon 20:00-06:00"}));
    if (chance(4))
      out.networks.push_back(one_of({"192.0.2.0/24", "192.0.2.0/28", "2001:db8::/32"}));
    if (chance(3)) {
      out.budget.emplace();
      if (chance(2)) out.budget->per_hour = 1 + below(3);
      if (chance(2) || !out.budget->per_hour) out.budget->per_day = 1 + below(3);
      if (chance(4)) out.budget->key_per_hour = 1 + below(3);
    }
    if (out.conditional() && chance(4)) out.observe_until = from_ms(below(3));
  }
  std::string kind() { return one_of({"k1", "k2", "k3"}); }
  int minute() { return static_cast<int>(below(10'081)) - 1; }
  std::vector<Role> roles() {
    std::vector<Role> out(below(4));
    for (auto& role : out) {
      for (unsigned i = below(3); i > 0; --i) role.permissions.push_back(permission());
      for (unsigned i = below(5); i > 0; --i) role.grants.push_back(grant());
    }
    return out;
  }
  Names scopes() {
    Names out(chance(2) ? 0 : below(3));
    for (auto& scope : out) scope = permission();
    return out;
  }

 private:
  std::mt19937 engine_;
};

struct Policy {
  std::vector<Role> roles;
  Names scopes;
  std::vector<const Role*> pointers;
  std::shared_ptr<const Rights> rights;

  explicit Policy(Dice& dice) : roles(dice.roles()), scopes(dice.scopes()) {
    for (const auto& role : roles) pointers.push_back(&role);
    rights = Rights::compile(pointers, scopes);
  }
};

/// A question with the strings that it looks at.
struct Asked {
  std::string operation, collection, field, purpose, person, engagement;
  FieldClass field_class;
  bool assignee;
  int minute;
  std::optional<Address> address;
  Time now;

  explicit Asked(Dice& dice)
      : operation(dice.chance(2) ? "" : dice.operation()),
        collection(dice.chance(8) ? "unknown" : dice.collection()),
        field(dice.chance(8) ? "unknown" : dice.field()),
        purpose(dice.chance(4)   ? ""
                : dice.chance(8) ? "*"
                                 : dice.purpose()),
        person(dice.person()),
        engagement(dice.chance(2) ? "" : dice.kind()),
        field_class(static_cast<FieldClass>(dice.below(4))),
        assignee(dice.chance(2)),
        minute(dice.minute()),
        address(dice.chance(4) ? std::nullopt
                               : parse_address(dice.one_of(
                                     {"192.0.2.7", "192.0.2.200", "2001:db8::1", "198.51.100.1"}))),
        now(from_ms(dice.below(3))) {}

  Question question() const {
    return {.operation = operation,
            .collection = collection,
            .field = field,
            .field_class = field_class,
            .purpose = purpose,
            .on_behalf_of = person,
            .engagement = engagement,
            .assignee = assignee,
            .minute_of_week = minute,
            .address = address ? &*address : nullptr,
            .now = now};
  }
};

TEST(AccessDecide, agrees_with_the_reference_on_random_policies) {
  Dice dice(20261123);
  std::map<View, int> seen;
  std::map<std::string, int> counted;

  for (int round = 0; round < 4'000; ++round) {
    const Policy policy(dice);
    for (int i = 0; i < 25; ++i) {
      const Asked asked(dice);
      const auto question = asked.question();
      const auto expected = reference::view(policy.pointers, policy.scopes, question);
      ++seen[expected];

      const auto decision = decide(*policy.rights, question);
      ASSERT_EQ(decision.view, expected) << "round " << round;
      const auto charged = reference::charged(policy.pointers, question, expected);
      ASSERT_EQ(decision.owed.charge && !decision.owed.watched, charged) << "round " << round;
      const auto refused = reference::would_refuse(policy.pointers, question, expected);
      ASSERT_EQ(decision.owed.unmet != Unmet::none, refused) << "round " << round;
      ASSERT_EQ(Owed::from(decision.owed.packed()), decision.owed);
      ++counted[charged ? "charged" : refused ? "observed" : "free"];
      ASSERT_EQ(policy.rights->may(asked.operation),
                reference::may(policy.pointers, policy.scopes, asked.operation))
          << asked.operation;
    }
  }

  for (auto view : {View::none, View::masked, View::verify, View::clear})
    EXPECT_GT(seen[view], 1'000) << "the dice are loaded";
  EXPECT_GT(counted["charged"], 150);
  EXPECT_GT(counted["observed"], 30);
}

TEST(AccessExcess, is_never_overlooked_on_random_policies) {
  Dice dice(7);
  int fine = 0;

  for (int round = 0; round < 20'000; ++round) {
    const Policy mine(dice), theirs(dice);
    if (!excess(*mine.rights, *theirs.rights).empty()) continue;
    fine += !theirs.roles.empty();
    for (int i = 0; i < 40; ++i) {
      const Asked asked(dice);
      const auto question = asked.question();

      // Fields and operations apart: a scope that is missing here would hide the field there.
      auto field = question;
      field.operation = {};
      const auto their = decide(*theirs.rights, field), my = decide(*mine.rights, field);
      ASSERT_LE(their.view, my.view);
      const bool i_pay = my.owed.charge && !my.owed.watched;
      const bool they_pay = their.owed.charge && !their.owed.watched;
      if (their.view == my.view && their.view > View::masked) {
        ASSERT_TRUE(they_pay || !i_pay);
      }
      ASSERT_LE(theirs.rights->may(asked.operation), mine.rights->may(asked.operation));
    }
  }

  EXPECT_GT(fine, 200);
}

TEST(AccessExcess, is_not_seen_in_ones_own_rights) {
  for (const auto& role : built_in_roles()) {
    const auto rights = rights_of(role.role);

    EXPECT_EQ(excess(*rights, *rights), "") << role.role;
    EXPECT_EQ(excess(*rights_of("owner"), *rights), "") << role.role;
    if (role.role != "owner") {
      EXPECT_EQ(excess(*rights, *rights_of("owner")), "permissions") << role.role;
    }
  }
}

TEST(AccessExcess, names_what_is_more) {
  const Role mine{.permissions = {"records.*"},
                  .grants = {{.collection = "orders",
                              .classes = {FieldClass::personal},
                              .view = View::clear,
                              .purposes = {"support"},
                              .needs_person = true}}};
  const Role* const my_roles[] = {&mine};
  const Names staff = {"staff"};
  const auto rights = Rights::compile(my_roles, {}, staff);
  auto asked = [&](Role role, Names kinds = {}) {
    const Role* const roles[] = {&role};
    return excess(*rights, *Rights::compile(roles, {}, kinds));
  };
  auto with = [&](auto change) {
    Role role = mine;
    change(role.grants[0]);
    return role;
  };

  EXPECT_EQ(asked(mine, {"staff"}), "");
  EXPECT_EQ(asked(mine, {"customer"}), "acts_for");
  EXPECT_EQ(asked({.permissions = {"records.get"}}), "");
  EXPECT_EQ(asked({.permissions = {"tokens.create"}}), "permissions");
  EXPECT_EQ(asked(with([](Grant& g) { g.view = View::verify; })), "");
  EXPECT_EQ(asked(with([](Grant& g) { g.needs_person = false; })), "grants");
  EXPECT_EQ(asked(with([](Grant& g) { g.collection = "*"; })), "grants");
  EXPECT_EQ(asked(with([](Grant& g) { g.purposes.push_back("marketing"); })), "grants");
  EXPECT_EQ(asked(with([](Grant& g) { g.purposes = {"*"}; })), "grants");
  EXPECT_EQ(asked(with([](Grant& g) { g.classes = {FieldClass::payment}; })), "grants");
  // Whether `email` is personal is not known here.
  EXPECT_EQ(asked(with([](Grant& g) {
              g.classes.clear();
              g.fields = {"email"};
            })),
            "grants");
}

TEST(AccessRights, are_narrowed_by_scopes) {
  const auto rights = rights_of("support", {"records.*", "journal.list", "tokens.reveal"});

  EXPECT_EQ(rights->permissions(),
            (Names{"access.whoami", "records.get", "records.list", "records.reveal",
                   "records.reveal_batch", "records.search", "records.verify", "tokens.reveal"}));
  EXPECT_FALSE(rights_of("owner", {"*"})->owner()) << "an owner key with scopes is narrowed";
  EXPECT_FALSE(rights_of("owner", {"records.*"})->may("api_keys.create"));
}

TEST(AccessExcess, holds_ones_own_conditions_and_tighter_ones) {
  const Role mine{.permissions = {},
                  .grants = {{.collection = "*",
                              .classes = {FieldClass::personal},
                              .view = View::clear,
                              .purposes = {"support"},
                              .engagements = {"ticket", "call"},
                              .budget = Budget{.per_hour = 20, .key_per_hour = 100},
                              .hours = {"mon-fri 08:00-18:00"},
                              .networks = {"192.0.2.0/24"}}}};
  const Role* const my_roles[] = {&mine};
  const auto rights = Rights::compile(my_roles);
  auto asked = [&](auto change) {
    Role role = mine;
    change(role.grants[0]);
    const Role* const roles[] = {&role};
    return excess(*rights, *Rights::compile(roles));
  };

  EXPECT_EQ(asked([](Grant&) {}), "");
  EXPECT_EQ(asked([](Grant& g) { g.engagements = {"call"}; }), "");
  EXPECT_EQ(asked([](Grant& g) { g.assignee = true; }), "");
  EXPECT_EQ(asked([](Grant& g) { g.budget->per_hour = 5; }), "");
  EXPECT_EQ(asked([](Grant& g) { g.budget->per_day = 5; }), "");
  EXPECT_EQ(asked([](Grant& g) { g.hours = {"tue 09:00-10:00"}; }), "");
  EXPECT_EQ(asked([](Grant& g) { g.networks = {"192.0.2.128/25"}; }), "");
  EXPECT_EQ(asked([](Grant& g) { g.engagements = {}; }), "grants");
  EXPECT_EQ(asked([](Grant& g) { g.engagements.push_back("order"); }), "grants");
  EXPECT_EQ(asked([](Grant& g) { g.budget->per_hour = 21; }), "grants");
  EXPECT_EQ(asked([](Grant& g) { g.budget->key_per_hour = 101; }), "grants");
  EXPECT_EQ(asked([](Grant& g) { g.budget.reset(); }), "grants");
  EXPECT_EQ(asked([](Grant& g) { g.hours = {"mon-sat 08:00-18:00"}; }), "grants");
  EXPECT_EQ(asked([](Grant& g) { g.hours = {}; }), "grants");
  EXPECT_EQ(asked([](Grant& g) { g.networks = {"192.0.0.0/16"}; }), "grants");
  EXPECT_EQ(asked([](Grant& g) { g.observe_until = from_ms(1); }), "grants");
}

TEST(AccessDecide, prefers_the_grant_that_charges_nothing_and_then_the_largest_budget) {
  auto grant = [](std::optional<Budget> budget) {
    return Grant{.collection = "*",
                 .classes = {FieldClass::personal},
                 .view = View::clear,
                 .purposes = {"support"},
                 .budget = budget};
  };
  auto rule = [&](std::vector<Grant> grants) {
    const Role role{.role = "r", .grants = std::move(grants)};
    const Role* const roles[] = {&role};
    const auto rights = Rights::compile(roles);
    const auto owed = decide(*rights, {.collection = "c", .field = "f", .purpose = "support"}).owed;
    return owed.charge ? static_cast<int>(rights->terms(owed.rule)->grant) : -1;
  };

  EXPECT_EQ(rule({grant(Budget{.per_hour = 5}), grant(Budget{.per_hour = 50})}), 1);
  EXPECT_EQ(rule({grant(Budget{.per_day = 5}), grant(Budget{.per_hour = 50})}), 0)
      << "without a limit by the hour it is the larger one";
  EXPECT_EQ(rule({grant(Budget{.per_hour = 5}), grant({})}), -1);
}

TEST(AccessDeclare, refuses_conditions_that_say_nothing_or_too_much) {
  Grant good{.collection = "*",
             .classes = {FieldClass::personal},
             .view = View::clear,
             .purposes = {"support"},
             .budget = Budget{.per_hour = 20}};
  auto wrong = [&](auto change, const Role* before = nullptr) {
    Grant grant = good;
    change(grant);
    auto role = declare_role({.role = "desk", .grants = {grant}}, {}, from_ms(0), before);
    return role ? std::string() : role.error().field.text();
  };
  const Time in_a_week = from_ms(0) + std::chrono::days(7);

  EXPECT_EQ(wrong([](Grant&) {}), "");
  EXPECT_EQ(wrong([](Grant& g) { g.budget = Budget{}; }), "grants[0].budget");
  EXPECT_EQ(wrong([](Grant& g) { g.assignee = true; }), "grants[0].assignee");
  EXPECT_EQ(wrong([](Grant& g) { g.hours = {"always"}; }), "grants[0].hours[0]");
  EXPECT_EQ(wrong([](Grant& g) { g.networks = {"192.0.2.1/24"}; }), "grants[0].networks[0]");
  EXPECT_EQ(wrong([](Grant& g) { g.engagements = {"Ticket"}; }), "grants[0].engagements[0]");
  EXPECT_EQ(wrong([](Grant& g) { g.view = View::masked; }), "grants[0].view");
  EXPECT_EQ(wrong([&](Grant& g) { g.observe_until = in_a_week; }), "");
  EXPECT_EQ(wrong([&](Grant& g) { g.observe_until = in_a_week + std::chrono::days(8); }),
            "grants[0].observe_until");
  EXPECT_EQ(wrong([&](Grant& g) {
              g.budget.reset();
              g.observe_until = in_a_week;
            }),
            "grants[0].observe_until");
  const Role enforced{.role = "desk", .grants = {good}};
  EXPECT_EQ(wrong([&](Grant& g) { g.observe_until = in_a_week; }, &enforced),
            "grants[0].observe_until")
      << "what holds already is not observed again";
  Role watched = enforced;
  watched.grants[0].observe_until = in_a_week;
  EXPECT_EQ(wrong([&](Grant& g) { g.observe_until = in_a_week; }, &watched), "");
  EXPECT_EQ(wrong([&](Grant& g) { g.observe_until = in_a_week + Millis(1); }, &watched),
            "grants[0].observe_until")
      << "nor for longer";
  EXPECT_EQ(wrong([](Grant&) {}, &watched), "") << "to enforce it is always possible";
}

TEST(AccessDeclare, names_every_violation_of_a_role) {
  PutRole spec{.role = "Desk",
               .permissions = {"records.*", "records", "records.**", "", "no.such"},
               .grants = {{.collection = "", .view = View::none},
                          {.collection = "orders",
                           .fields = {"a b"},
                           .view = View::clear,
                           .purposes = {"*", "Support"}},
                          {.collection = "*",
                           .fields = {"email"},
                           .classes = {FieldClass::plain},
                           .view = View::verify}}};
  const Names operations = {"records.get", "records"};

  auto role = declare_role(spec, operations, from_ms(0));

  ASSERT_FALSE(role);
  Names fields = {role.error().field.text()};
  for (const auto& more : role.error().also) fields.push_back(more.field.text());
  EXPECT_EQ(fields, (Names{"role", "permissions[2]", "permissions[3]", "permissions[4]",
                           "grants[0].collection", "grants[0].fields", "grants[0].view",
                           "grants[1].fields[0]", "grants[1].purposes[0]", "grants[1].purposes[1]",
                           "grants[2].fields", "grants[2].purposes"}));
}

TEST(AccessDeclare, names_every_violation_of_a_key) {
  CreateKey spec{.name = " x",
                 .roles = {},
                 .scopes = {"records.*", "?"},
                 .networks = {"192.0.2.0/24", "192.0.2.1/24", "2001:db8::/129"},
                 .acts_for = {"staff", "Staff", ""},
                 .expires_in = "2 years"};

  auto key = declare_key(spec, from_ms(0), {});

  ASSERT_FALSE(key);
  Names fields = {key.error().field.text()};
  for (const auto& more : key.error().also) fields.push_back(more.field.text());
  EXPECT_EQ(fields, (Names{"name", "roles", "scopes[1]", "acts_for[1]", "acts_for[2]",
                           "networks[1]", "networks[2]", "expires_in"}));
}

TEST(AccessPerson, is_a_kind_and_a_name) {
  EXPECT_EQ(person_kind("staff:17"), "staff");
  EXPECT_EQ(person_kind("customer:a.B_c-d@example.org"), "customer");
  for (std::string_view bad :
       {"", ":", "staff", "staff:", ":17", "Staff:17", "staff:a b", "staff:17:18", "sta1ff:1"})
    EXPECT_EQ(person_kind(bad), "") << bad;
  EXPECT_EQ(person_kind("staff:" + std::string(65, 'a')), "");
  EXPECT_EQ(person_kind(std::string(33, 'a') + ":1"), "");
}

}  // namespace
}  // namespace holdfast::access
