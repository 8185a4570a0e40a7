#include "access/admin.h"

#include <gtest/gtest.h>

#include "access/access_bench.h"
#include "access/store.h"
#include "journal/noted.h"

namespace holdfast::access {
namespace {

using std::chrono::days;
using std::chrono::hours;

std::string text_of(const NewKey& key) {
  return std::string(key.api_key.expose_text());
}

const Grant kDesk = {.collection = "orders",
                     .classes = {FieldClass::personal},
                     .view = View::clear,
                     .purposes = {"support"}};

PutRole desk(std::string if_match = {}) {
  return {.role = "desk",
          .permissions = {"records.get", "records.reveal"},
          .grants = {kDesk},
          .if_match = std::move(if_match)};
}

TEST(AccessBootstrap, makes_an_owner_key_for_a_week) {
  AccessBench bench;

  EXPECT_TRUE(bench.owner.rights->owner());
  bench.clock.advance(days(7));
  EXPECT_FALSE(bench.sign_in(bench.owner_key));
}

TEST(AccessCreateKey, records_the_key_and_never_its_secret) {
  AccessBench bench;
  auto made = bench.make_key({.name = "storefront", .roles = {"service", "service"}});

  EXPECT_EQ(made.info.roles, std::vector<std::string>{"service"});
  EXPECT_EQ(made.info.created_by, bench.owner.principal);
  EXPECT_EQ(made.info.expires, bench.clock.now() + days(90));
  EXPECT_EQ(made.info.state, KeyState::live);
  const auto events = bench.journal->events("api_keys.create");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].event.touches.size(), 2u) << "the key and the manifest";
  const auto secret = text_of(made).substr(21, 43);
  EXPECT_EQ(to_json(made.info).find(secret), std::string::npos);
  for (const auto& row :
       bench.must(bench.run(read_authority(bench.journal->reader(), MonoTime::max()))))
    EXPECT_EQ(row.content.find(secret), std::string::npos);
}

TEST(AccessCreateKey, changes_nothing_that_it_cannot_record) {
  AccessBench bench;
  bench.journal->fail = true;
  EXPECT_EQ(bench.run(bench.admin().create_key(bench.owner, {.name = "x", .roles = {"support"}}))
                .error()
                .code,
            Code::unavailable);
  bench.journal->fail = false;

  EXPECT_EQ(bench.must(bench.run(bench.api().list_keys(bench.owner, {}))).keys.size(), 1u);
}

TEST(AccessCreateKey, refuses_a_role_that_does_not_exist) {
  AccessBench bench;

  auto made =
      bench.run(bench.admin().create_key(bench.owner, {.name = "x", .roles = {"aaa", "support"}}));

  EXPECT_EQ(made.error().code, Code::not_found);
  EXPECT_EQ(made.error().field.text(), "roles[0]");
}

TEST(AccessCreateKey, makes_one_key_for_one_idempotency_key) {
  AccessBench bench;
  const CreateKey spec{.name = "x", .roles = {"support"}, .idempotency_key = "once"};
  auto first = bench.run(bench.admin().create_key(bench.owner, spec));
  ASSERT_TRUE(first);

  auto again = bench.run(bench.admin().create_key(bench.owner, spec));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::conflict);
  EXPECT_EQ(again.error().field.text(), first->info.key);

  bench.clock.advance(hours(24));
  EXPECT_TRUE(bench.run(bench.admin().create_key(bench.owner, spec)));
}

TEST(AccessCreateKey, is_settled_by_its_idempotency_key_when_the_reply_was_lost) {
  AccessBench bench;
  const CreateKey spec{.name = "x", .roles = {"support"}, .idempotency_key = "once"};
  bench.journal->lose_replies = 1;
  ASSERT_EQ(bench.run(bench.admin().create_key(bench.owner, spec)).error().code, Code::unavailable);

  EXPECT_EQ(bench.run(bench.admin().create_key(bench.owner, spec)).error().code, Code::conflict);
  EXPECT_EQ(bench.must(bench.run(bench.api().list_keys(bench.owner, {}))).keys.size(), 2u);
}

// ── no escalation

struct Escalation : testing::Test {
  AccessBench bench;

  void refused(const Result<NewKey>& made, std::string_view field, std::string_view activity) {
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::forbidden);
    EXPECT_EQ(made.error().field.text(), field);
    const auto events = bench.journal->events(activity);
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.back().event.outcome, journal::Outcome::refused);
    EXPECT_EQ(events.back().event.reason, "escalation");
  }
};

TEST_F(Escalation, no_key_gives_a_role_that_has_more_than_it) {
  auto admin = bench.caller_with({.roles = {"admin"}});

  for (std::string role : {"owner", "support", "privacy", "service", "fulfilment"})
    refused(bench.run(bench.admin().create_key(admin, {.name = "x", .roles = {role}})), "roles",
            "api_keys.create");
  EXPECT_TRUE(bench.run(bench.admin().create_key(admin, {.name = "x", .roles = {"auditor"}})));
  EXPECT_TRUE(bench.run(bench.admin().create_key(admin, {.name = "x", .roles = {"admin"}})));
}

TEST_F(Escalation, a_narrowed_key_makes_only_keys_as_narrow) {
  auto narrow = bench.caller_with({.roles = {"owner"}, .scopes = {"api_keys.*", "journal.*"}});

  refused(bench.run(bench.admin().create_key(narrow, {.name = "x", .roles = {"owner"}})), "roles",
          "api_keys.create");
  EXPECT_TRUE(bench.run(bench.admin().create_key(
      narrow, {.name = "x", .roles = {"owner"}, .scopes = {"journal.list"}})));
}

TEST_F(Escalation, no_key_makes_one_that_outlives_it) {
  auto admin = bench.caller_with({.roles = {"admin"}, .expires_in = "1 days"});

  refused(bench.run(bench.admin().create_key(
              admin, {.name = "x", .roles = {"auditor"}, .expires_in = "2 days"})),
          "expires_in", "api_keys.create");
  auto made = bench.run(bench.admin().create_key(admin, {.name = "x", .roles = {"auditor"}}));
  ASSERT_TRUE(made);
  EXPECT_LE(made->info.expires, bench.clock.now() + std::chrono::hours(24));
}

TEST_F(Escalation, no_key_gives_kinds_of_persons_or_networks_beyond_its_own) {
  auto admin =
      bench.caller_with({.roles = {"admin"}, .networks = {"192.0.2.0/24"}, .acts_for = {"staff"}});
  auto ask = [&](CreateKey spec) {
    spec.name = "x";
    spec.roles = {"auditor"};
    return bench.run(bench.admin().create_key(admin, std::move(spec)));
  };

  EXPECT_TRUE(ask({.networks = {"192.0.2.7"}, .acts_for = {"staff"}}));
  refused(ask({.networks = {"192.0.2.7"}, .acts_for = {"customer"}}), "acts_for",
          "api_keys.create");
  refused(ask({}), "networks", "api_keys.create");
  refused(ask({.networks = {"192.0.0.0/16"}}), "networks", "api_keys.create");
}

TEST_F(Escalation, nobody_gets_a_stronger_keys_secret_by_rotating_it) {
  auto admin = bench.caller_with({.roles = {"admin"}});

  refused(bench.run(bench.admin().rotate_key(admin, {.key = bench.owner.principal})), "roles",
          "api_keys.rotate");
}

TEST_F(Escalation, nobody_puts_more_into_a_role_than_they_have) {
  auto admin = bench.caller_with({.roles = {"admin"}});
  auto own = desk();
  own.permissions = {"records.get"};

  EXPECT_EQ(bench.run(bench.admin().put_role(admin, own)).error().code, Code::forbidden);
  EXPECT_EQ(bench.journal->events("roles.put").back().event.reason, "escalation");
  own.grants[0].view = View::masked;
  own.grants[0].purposes.clear();
  EXPECT_TRUE(bench.run(bench.admin().put_role(admin, own)));
}

TEST_F(Escalation, no_role_makes_a_key_with_others_stronger_than_who_puts_it) {
  const PutRole reader{.role = "reader", .permissions = {"records.reveal"}};
  const PutRole empty{.role = "desk"};
  bench.must(bench.run(bench.admin().put_role(bench.owner, reader)));
  auto put = bench.must(bench.run(bench.admin().put_role(bench.owner, empty)));
  auto wide = desk(std::to_string(put.version));
  wide.permissions.clear();
  auto narrow = bench.caller_with({.roles = {"owner"}, .scopes = {"roles.put"}});
  auto clerk = bench.make_key({.roles = {"desk", "reader"}});

  auto more = bench.run(bench.admin().put_role(narrow, wide));

  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Code::forbidden);
  EXPECT_EQ(bench.journal->events("roles.put").back().event.reason, "escalation");
  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = clerk.info.key})));
  EXPECT_TRUE(bench.run(bench.admin().put_role(narrow, wide))) << "nobody gains anything by it";
}

TEST_F(Escalation, only_an_owner_gives_a_key_a_longer_life_by_rotating_it) {
  auto admin = bench.caller_with({.roles = {"admin"}, .expires_in = "1 days"});
  auto rotate = [&](Caller caller, std::string life) {
    return bench.run(bench.admin().rotate_key(
        std::move(caller), {.key = admin.principal, .expires_in = std::move(life)}));
  };

  refused(rotate(admin, "366 days"), "expires_in", "api_keys.rotate");
  EXPECT_TRUE(rotate(admin, "1 days"));
  EXPECT_TRUE(rotate(bench.owner, "366 days"));
}

TEST_F(Escalation, nobody_gets_a_key_that_outlives_their_own_by_rotating_anothers) {
  auto brief = bench.caller_with({.roles = {"admin"}, .expires_in = "1 days"});
  auto other = bench.make_key({.roles = {"admin"}, .expires_in = "90 days"});
  auto rotate = [&](std::optional<std::string> life) {
    return bench.run(
        bench.admin().rotate_key(brief, {.key = other.info.key, .expires_in = std::move(life)}));
  };

  refused(rotate({}), "expires_in", "api_keys.rotate");
  refused(rotate("2 days"), "expires_in", "api_keys.rotate");
  EXPECT_TRUE(rotate("12 h")) << "no longer than one's own";
}

TEST_F(Escalation, rights_that_have_ended_meanwhile_count_no_more) {
  auto made = bench.make_key({.roles = {"admin"}});
  auto admin = bench.must(bench.sign_in(text_of(made)));
  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = made.info.key})));

  EXPECT_EQ(
      bench.run(bench.admin().create_key(admin, {.name = "x", .roles = {"auditor"}})).error().code,
      Code::unauthenticated);
}

// ── rotating and revoking

TEST(AccessRotate, gives_a_new_key_and_lets_the_old_one_work_until_the_overlap_is_over) {
  AccessBench bench;
  auto old = bench.make_key({.roles = {"service"}, .acts_for = {"staff"}, .expires_in = "30 days"});
  bench.clock.advance(days(5));

  auto next =
      bench.run(bench.admin().rotate_key(bench.owner, {.key = old.info.key, .overlap = "2 h"}));

  ASSERT_TRUE(next);
  EXPECT_EQ(next->info.replaces, old.info.key);
  EXPECT_EQ(next->info.acts_for, old.info.acts_for);
  EXPECT_EQ(next->info.expires, bench.clock.now() + days(30));
  EXPECT_TRUE(bench.sign_in(text_of(old)));
  EXPECT_TRUE(bench.sign_in(text_of(*next)));
  bench.clock.advance(hours(2));
  EXPECT_FALSE(bench.sign_in(text_of(old)));
  EXPECT_TRUE(bench.sign_in(text_of(*next)));
}

TEST(AccessRotate, does_not_make_the_old_key_live_longer) {
  AccessBench bench;
  auto old = bench.make_key({.roles = {"service"}, .expires_in = "1 h"});

  ASSERT_TRUE(bench.run(bench.admin().rotate_key(bench.owner, {.key = old.info.key})));
  bench.clock.advance(hours(1));

  EXPECT_FALSE(bench.sign_in(text_of(old)));
  EXPECT_EQ(bench.run(bench.admin().rotate_key(bench.owner, {.key = old.info.key})).error().code,
            Code::conflict);
}

TEST(AccessRevoke, is_in_the_afterlog_before_it_is_done) {
  AccessBench bench;
  auto made = bench.make_key({.roles = {"support"}});

  auto revoked = bench.run(bench.admin().revoke_key(bench.owner, {.key = made.info.key}));

  ASSERT_TRUE(revoked);
  EXPECT_EQ(revoked->state, KeyState::revoked);
  const auto outside = bench.journal->afterlogged();
  ASSERT_EQ(outside.size(), 1u);
  EXPECT_EQ(outside[0].kind, "api_key.revoked");
  EXPECT_EQ(as_text(outside[0].id), made.info.key);
  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = made.info.key})));
  EXPECT_EQ(bench.journal->events("api_keys.revoke").size(), 1u) << "a second time is nothing";
}

TEST(AccessRevoke, spares_the_last_live_owner_key) {
  AccessBench bench;
  auto narrowed = bench.make_key({.roles = {"owner"}, .scopes = {"records.*"}});
  auto ended = bench.make_key({.roles = {"owner"}, .expires_in = "1 h"});
  bench.clock.advance(hours(1));

  auto refused = bench.run(bench.admin().revoke_key(bench.owner, {.key = bench.owner.principal}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::conflict);
  EXPECT_TRUE(bench.journal->afterlogged().empty());

  bench.make_key({.roles = {"owner"}});
  EXPECT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = bench.owner.principal})));
}

TEST(AccessRevoke, of_each_other_leaves_one_of_two_owners) {
  AccessBench bench;
  auto second = bench.caller_with({.roles = {"owner"}});
  Process other(*bench.journal, bench.keys, bench.clock);
  ASSERT_TRUE(bench.run(other.cache.refresh(MonoTime::max())));

  std::vector<Task<Result<ApiKey>>> race;
  race.push_back(bench.admin().revoke_key(bench.owner, {.key = second.principal}));
  race.push_back(other.admin.revoke_key(second, {.key = bench.owner.principal}));
  auto done = bench.context.run_all(std::move(race));

  EXPECT_EQ(done[0].has_value() + done[1].has_value(), 1);
  const auto& lost = done[0] ? done[1] : done[0];
  EXPECT_EQ(lost.error().code, Code::unauthenticated) << lost.error().text;
  // Nor does the next start revoke the other: what was refused is taken back.
  std::vector<journal::AfterlogEntry> lines;
  for (auto& one : bench.journal->afterlogged()) lines.push_back({one.kind, one.id, {}});
  EXPECT_EQ(journal::without_taken_back(lines).size(), 1u);
}

TEST(AccessRestore, revokes_what_the_afterlog_names_or_everything) {
  AccessBench bench;
  auto one = bench.make_key({.roles = {"support"}}), two = bench.make_key({.roles = {"support"}});

  EXPECT_EQ(bench.must(bench.run(bench.admin().revoke_after_restore(
                std::vector<std::string>{one.info.key, "key_000000000000"}, {}))),
            1);
  EXPECT_FALSE(bench.sign_in(text_of(one)));
  EXPECT_TRUE(bench.sign_in(text_of(two)));

  EXPECT_EQ(bench.must(bench.run(bench.admin().revoke_after_restore({}, Time::max()))), 2);
  EXPECT_FALSE(bench.sign_in(text_of(two)));
  EXPECT_FALSE(bench.sign_in(bench.owner_key));
}

TEST(AccessRestore, ends_keys_that_were_rotated_after_the_backup) {
  AccessBench bench;
  auto old = bench.make_key({.roles = {"service"}, .expires_in = "90 days"});
  auto lines = [&] {
    std::vector<Bytes> out;
    for (auto& one : bench.journal->afterlogged())
      if (one.kind == kKeyEnds) out.push_back(one.id);
    return out;
  };
  ASSERT_TRUE(
      bench.run(bench.admin().rotate_key(bench.owner, {.key = old.info.key, .overlap = "2 h"})));
  ASSERT_EQ(lines().size(), 1u);
  EXPECT_EQ(bench.must(bench.run(bench.admin().end_rotated(lines()))), 0) << "it ends then already";

  // What a restore brings back: the key as it was, with more time left than the line gives it.
  auto noted = lines();
  for (auto at = noted[0].end() - 8; at != noted[0].end(); ++at) *at = 0;
  EXPECT_EQ(bench.must(bench.run(bench.admin().end_rotated(noted))), 1);
  EXPECT_EQ(bench.must(bench.run(bench.admin().end_rotated(noted))), 0) << "once";
  EXPECT_FALSE(bench.sign_in(text_of(old)));
  noted[0].pop_back();
  EXPECT_EQ(bench.run(bench.admin().end_rotated(noted)).error().code, Code::corrupt);
}

TEST(AccessRestore, suspends_roles_that_were_narrowed_after_the_backup) {
  AccessBench bench;
  auto put = [&](PutRole spec) {
    return bench.must(bench.run(bench.admin().put_role(bench.owner, spec)));
  };
  auto lines = [&] {
    std::vector<Bytes> out;
    for (auto& one : bench.journal->afterlogged())
      if (one.kind == kRoleNarrowed) out.push_back(one.id);
    return out;
  };
  auto next = [&](PutRole spec, const Role& before) {
    bench.clock.advance(std::chrono::minutes(1));
    spec.if_match = std::to_string(before.version);
    return put(std::move(spec));
  };
  auto role = put(desk());
  auto wider = desk();
  wider.permissions.push_back("subjects.get");
  role = next(wider, role);
  EXPECT_TRUE(lines().empty()) << "nothing was taken away";

  auto narrower = wider;
  narrower.grants.clear();
  role = next(narrower, role);
  ASSERT_EQ(lines().size(), 1u);

  EXPECT_EQ(bench.must(bench.run(bench.admin().suspend_roles(lines(), {}))), 0)
      << "it is as narrow";
  // What a restore brings back: the role as it was, from before the line.
  auto noted = lines();
  noted[0].back() += 1;
  const auto holder = bench.make_key({.roles = {role.role}});
  auto permitted = [&] {
    return bench.must(bench.sign_in(text_of(holder))).rights->may("records.get");
  };
  EXPECT_TRUE(permitted());
  EXPECT_EQ(bench.must(bench.run(bench.admin().suspend_roles(noted, {}))), 1);
  EXPECT_EQ(bench.must(bench.run(bench.admin().suspend_roles(noted, {}))), 0) << "once";
  EXPECT_FALSE(permitted());
  auto listed = bench.must(bench.run(bench.api().get_role(bench.owner, {role.role})));
  EXPECT_TRUE(listed.suspended);
  EXPECT_EQ(listed.permissions, role.permissions) << "what it was is still to be seen";
  EXPECT_FALSE(next(wider, listed).suspended);
  EXPECT_TRUE(permitted());
  EXPECT_EQ(bench.must(bench.run(bench.admin().suspend_roles(noted, {}))), 0) << "put again";
  noted[0].pop_back();
  EXPECT_EQ(bench.run(bench.admin().suspend_roles(noted, {})).error().code, Code::corrupt);
}

TEST(AccessRestore, suspends_every_own_role_that_missing_lines_may_have_named) {
  AccessBench bench;
  auto put = [&](std::string name) {
    bench.clock.advance(std::chrono::minutes(1));
    auto spec = desk();
    spec.role = std::move(name);
    return bench.must(bench.run(bench.admin().put_role(bench.owner, spec)));
  };
  const auto first = put("first");
  put("second");
  const auto both = bench.make_key({.roles = {"first", "second", "auditor"}});
  const auto only = bench.make_key({.roles = {"first"}});
  auto may = [&](std::string_view operation) {
    return bench.must(bench.sign_in(text_of(both))).rights->may(operation);
  };
  EXPECT_EQ(bench.must(bench.run(bench.admin().suspend_roles({}, *first.updated))), 1);
  EXPECT_TRUE(may("records.get")) << "by the second";
  EXPECT_EQ(bench.must(bench.run(bench.admin().suspend_roles({}, Time::max()))), 1);
  EXPECT_FALSE(may("records.get"));
  const auto admin = bench.caller_with({.roles = {"admin"}});
  EXPECT_EQ(bench.run(bench.admin().create_key(admin, {.name = "later", .roles = {"first"}}))
                .error()
                .code,
            Code::forbidden)
      << "it gives more when it is put again";
  EXPECT_EQ(bench.run(bench.admin().rotate_key(admin, {.key = only.info.key})).error().code,
            Code::forbidden);
  const auto why = bench.must(bench.run(
      bench.api().explain(bench.owner, {.operation = "records.get", .key = both.info.key})));
  EXPECT_TRUE(why.text.contains("Its role first is suspended")) << why.text;
  EXPECT_TRUE(may("journal.list")) << "built-in roles are as the program has them";
  EXPECT_EQ(bench.must(bench.run(bench.admin().suspend_roles({}, Time::max()))), 0) << "once";
}

TEST(AccessKeys, that_ended_long_ago_are_dropped_when_others_are_made) {
  AccessBench bench;
  auto old = bench.make_key({.roles = {"support"}, .expires_in = "1 h"});
  bench.clock.advance(days(401));
  auto owner = bench.must(bench.run(bench.admin().bootstrap_owner_key("access.recover")));
  bench.owner = bench.must(bench.sign_in(owner.expose_text()));

  bench.make_key({.roles = {"support"}});

  EXPECT_EQ(bench.run(bench.api().get_key(bench.owner, {old.info.key})).error().code,
            Code::not_found);
  bench.restart();
  EXPECT_TRUE(bench.sign_in(owner.expose_text()));
  EXPECT_TRUE(bench.process->notices.seen.empty());
}

// ── roles

TEST(AccessRoles, work_as_soon_as_they_are_put) {
  AccessBench bench;
  auto put = bench.run(bench.admin().put_role(bench.owner, desk()));
  ASSERT_TRUE(put);
  auto clerk = bench.caller_with({.roles = {"desk"}});
  Question question{.operation = "records.reveal",
                    .collection = "orders",
                    .field = "email",
                    .field_class = FieldClass::personal,
                    .purpose = "support"};
  EXPECT_EQ(decide(*clerk.rights, question).view, View::clear);

  auto less = desk(std::to_string(put->version));
  less.grants[0].view = View::verify;
  auto second = bench.run(bench.admin().put_role(bench.owner, less));

  ASSERT_TRUE(second);
  EXPECT_GT(second->version, put->version);
  clerk = bench.must(bench.run(bench.service().renewed(clerk)));
  EXPECT_EQ(decide(*clerk.rights, question).view, View::verify);
}

TEST(AccessRoles, are_replaced_only_by_who_has_read_them) {
  AccessBench bench;
  auto version = bench.must(bench.run(bench.admin().put_role(bench.owner, desk()))).version;
  auto put = [&](std::string if_match) {
    return bench.run(bench.admin().put_role(bench.owner, desk(std::move(if_match))));
  };

  EXPECT_EQ(put("").error().code, Code::conflict);
  EXPECT_EQ(put("x").error().code, Code::invalid);
  EXPECT_EQ(put(std::to_string(version + 1)).error().code, Code::conflict);
  EXPECT_TRUE(put(std::to_string(version)));
  EXPECT_TRUE(put("*"));
}

TEST(AccessRoles, that_are_built_in_cannot_be_changed) {
  AccessBench bench;
  auto spec = desk("*");
  spec.role = "support";

  EXPECT_EQ(bench.run(bench.admin().put_role(bench.owner, spec)).error().code, Code::conflict);
  EXPECT_EQ(bench.run(bench.admin().delete_role(bench.owner, {.role = "support"})).error().code,
            Code::conflict);
}

TEST(AccessRoles, that_live_keys_hold_are_not_deleted_and_the_keys_are_named) {
  AccessBench bench;
  ASSERT_TRUE(bench.run(bench.admin().put_role(bench.owner, desk())));
  auto held = bench.make_key({.roles = {"desk"}});

  auto refused = bench.run(bench.admin().delete_role(bench.owner, {.role = "desk"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::conflict);
  ASSERT_EQ(refused.error().also.size(), 1u);
  EXPECT_EQ(refused.error().also[0].field.text(), held.info.key);

  ASSERT_TRUE(bench.run(bench.admin().revoke_key(bench.owner, {.key = held.info.key})));
  EXPECT_TRUE(bench.run(bench.admin().delete_role(bench.owner, {.role = "desk"})));
  EXPECT_EQ(bench.run(bench.admin().delete_role(bench.owner, {.role = "desk"})).error().code,
            Code::not_found);
}

TEST(AccessRoles, permit_only_what_this_server_has) {
  AccessBench bench;
  bench.admin().know_operations({"records.get"});

  auto put = bench.run(bench.admin().put_role(bench.owner, desk()));

  EXPECT_EQ(put.error().code, Code::invalid);
  EXPECT_EQ(put.error().field.text(), "permissions[1]");
}

TEST(AccessAdmin, decides_again_when_somebody_else_changed_the_policy) {
  AccessBench bench;
  Process other(*bench.journal, bench.keys, bench.clock);

  std::vector<Task<Result<NewKey>>> race;
  for (auto* process : {bench.process.get(), &other})
    race.push_back(process->admin.create_key(bench.owner, {.name = "x", .roles = {"support"}}));
  auto made = bench.context.run_all(std::move(race));

  for (const auto& one : made) {
    ASSERT_TRUE(one) << one.error().text;
    EXPECT_TRUE(bench.sign_in(one->api_key.expose_text()));
  }
  bench.restart();
  EXPECT_TRUE(bench.sign_in(text_of(*made[0])));
  EXPECT_TRUE(bench.process->notices.seen.empty());
}

TEST(AccessAdmin, does_nothing_for_a_caller_that_is_no_key) {
  AccessBench bench;

  EXPECT_EQ(bench.run(bench.admin().create_key(Caller{}, {.name = "x", .roles = {"support"}}))
                .error()
                .code,
            Code::unauthenticated);
}

}  // namespace
}  // namespace holdfast::access
