#include "access/api.h"

#include <gtest/gtest.h>

#include <set>

#include "access/access_bench.h"

namespace holdfast::access {
namespace {

struct ApiTest : testing::Test {
  AccessBench bench;

  Result<http::Answer> call(std::string_view id, const Caller& caller, std::string_view body = {},
                            std::vector<std::pair<std::string, std::string>> path = {},
                            std::string_view if_match = {}) {
    for (auto& route : bench.api().routes()) {
      if (route.id != id) continue;
      return bench.run(route.run(
          {.caller = caller, .parts = {.body = body, .path = path}, .if_match = if_match}));
    }
    return Error(Code::not_found, "no such route");
  }
};

TEST_F(ApiTest, has_one_route_for_each_operation) {
  std::set<std::string_view> ids;
  std::set<std::string> places;
  for (const auto& route : bench.api().routes()) {
    ids.insert(route.id);
    places.insert(std::string(route.method) + ' ' + std::string(route.path));
  }

  EXPECT_EQ(ids.size(), bench.api().routes().size());
  EXPECT_EQ(places.size(), ids.size());
}

TEST_F(ApiTest, parses_its_own_examples) {
  for (const auto& route : bench.api().routes())
    for (const auto& example : route.examples) {
      std::vector<std::pair<std::string, std::string>> path;
      if (route.path.contains("{role}")) path = {{"role", "returns"}};
      if (route.path.contains("{key}")) path = {{"key", bench.owner.principal}};

      auto answer = call(route.id, bench.owner, example.body, path);

      EXPECT_TRUE(answer) << route.id << ' ' << answer.error().text << answer.error().field.text();
    }
}

TEST_F(ApiTest, shows_a_new_key_once) {
  auto created = call("api_keys.create", bench.owner, R"({"name":"shop","roles":["service"]})");
  ASSERT_TRUE(created);
  EXPECT_NE(created->json.find(R"("api_key":"hf_live_)"), std::string::npos) << created->json;
  EXPECT_FALSE(created->etag.empty());

  auto listed = call("api_keys.list", bench.owner);

  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->json.find("hf_"), std::string::npos);
  EXPECT_EQ(listed->json.find("digest"), std::string::npos);
}

TEST_F(ApiTest, refuses_unknown_members) {
  auto created = call("api_keys.create", bench.owner,
                      R"({"name":"shop","roles":["service"],"expires_at":"never"})");

  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().field.text(), "expires_at");
}

TEST_F(ApiTest, lists_keys_in_pages) {
  for (int i = 0; i < 4; ++i) bench.make_key({.roles = {"support"}});
  std::set<std::string> seen;
  ListKeys request{.limit = 2};
  int pages = 0;

  do {
    auto page = bench.must(bench.run(bench.api().list_keys(bench.owner, request)));
    for (const auto& key : page.keys) EXPECT_TRUE(seen.insert(key.key).second);
    request.after = page.next;
    ++pages;
  } while (request.after);

  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(pages, 3);
}

TEST_F(ApiTest, lists_built_in_roles_as_such) {
  PutRole own{.role = "aaa", .permissions = {"records.get"}};
  ASSERT_TRUE(bench.run(bench.admin().put_role(bench.owner, own)));

  auto list = bench.must(bench.run(bench.api().list_roles(bench.owner, {})));

  EXPECT_EQ(list.roles.size(), built_in_roles().size() + 1);
  EXPECT_TRUE(list.roles.front().built_in);
  EXPECT_EQ(list.roles.back().role, "aaa");
  EXPECT_FALSE(list.roles.back().built_in);
}

Grant clear(std::string collection, std::vector<std::string> fields) {
  return {.collection = std::move(collection),
          .fields = std::move(fields),
          .view = View::clear,
          .purposes = {"support"}};
}

TEST_F(ApiTest, says_which_names_of_a_role_nothing_declares) {
  using Names = std::optional<std::vector<std::string>>;
  auto put = [&](std::string name, std::vector<Grant> grants) {
    return bench.must(bench.run(
        bench.api().put_role(bench.owner, {.role = std::move(name), .grants = std::move(grants)})));
  };
  auto classes = clear("custmers", {});
  classes.classes = {FieldClass::personal};
  auto everywhere = clear("*", {"emial"});
  auto purpose = clear("customers", {"email"});
  purpose.purposes = {"support", "suport"};

  EXPECT_EQ(put("right", {clear("customers", {"email", "card"}), everywhere}).undeclared, Names());
  EXPECT_EQ(
      put("wrong", {clear("customers", {"email", "emial"}), classes, purpose, purpose}).undeclared,
      Names({"field customers.emial", "collection custmers", "purpose suport"}));
  EXPECT_EQ(bench.must(bench.run(bench.api().get_role(bench.owner, {"wrong"}))).undeclared,
            Names());
}

TEST_F(ApiTest, puts_a_role_also_while_nobody_knows_what_is_declared) {
  bench.process->fields.lost = true;

  auto put = bench.run(bench.api().put_role(
      bench.owner, {.role = "desk", .grants = {clear("customers", {"emial"})}}));

  EXPECT_FALSE(bench.must(std::move(put)).undeclared);
}

TEST_F(ApiTest, tells_who_one_is) {
  auto caller = bench.caller_with({.roles = {"support"}, .scopes = {"records.*"}});

  auto me = bench.must(bench.run(bench.api().whoami(caller, {})));

  EXPECT_EQ(me.key.key, caller.principal);
  EXPECT_EQ(me.permissions, caller.rights->permissions());
  EXPECT_TRUE(caller.rights->may("access.whoami"));
}

TEST_F(ApiTest, explains_nothing_that_there_is_not) {
  bench.admin().know_operations({"records.reveal"});
  auto refused = [&](Explain request) {
    auto explained = bench.run(bench.api().explain(bench.owner, std::move(request)));
    return explained ? std::string() : explained.error().field.text();
  };

  EXPECT_EQ(refused({.operation = "records.revel"}), "operation");
  EXPECT_EQ(refused({.operation = "records.reveal", .purpose = "suport"}), "purpose");
  EXPECT_EQ(refused({.operation = "records.reveal"}), "");
}

TEST_F(ApiTest, explains_a_decision) {
  auto caller = bench.caller_with({.roles = {"service"}, .acts_for = {"staff"}});
  auto explained = [&](Explain request) {
    return bench.must(bench.run(bench.api().explain(caller, std::move(request))));
  };
  const Explain email{.operation = "records.reveal",
                      .collection = "customers",
                      .field = "email",
                      .purpose = "support"};
  auto with_person = email;
  with_person.on_behalf_of = "staff:17";
  auto with_customer = email;
  with_customer.on_behalf_of = "customer:4711";

  EXPECT_EQ(explained(email).view, View::verify);
  EXPECT_EQ(explained(email).reason, "person");
  EXPECT_EQ(explained(with_person).view, View::clear);
  EXPECT_EQ(explained(with_customer).reason, "acts_for");
  EXPECT_FALSE(explained({.operation = "api_keys.create"}).allowed);
  EXPECT_TRUE(explained({.operation = "tokens.create"}).allowed);
}

TEST_F(ApiTest, explains_other_keys_only_to_who_may_see_them) {
  auto caller = bench.caller_with({.roles = {"support"}});
  const Explain request{.operation = "roles.put", .key = bench.owner.principal};

  EXPECT_EQ(bench.run(bench.api().explain(caller, request)).error().code, Code::forbidden);
  EXPECT_TRUE(bench.must(bench.run(bench.api().explain(bench.owner, request))).allowed);
}

TEST_F(ApiTest, asks_for_an_operation_or_a_whole_field) {
  auto code = [&](Explain request) {
    return bench.run(bench.api().explain(bench.owner, std::move(request))).error().code;
  };

  EXPECT_EQ(code({}), Code::invalid);
  EXPECT_EQ(code({.field = "email"}), Code::invalid);
  EXPECT_EQ(code({.operation = "x", .collection = "customers"}), Code::invalid);
  EXPECT_EQ(code({.collection = "no", .field = "email"}), Code::not_found);
}

}  // namespace
}  // namespace holdfast::access
