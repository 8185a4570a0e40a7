#include "vault/canaries/service.h"

#include <set>

#include "vault/policy.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultCanaries : public Vault {
 protected:
  const Caller agent_{.principal = "key_agent"};

  void SetUp() override {
    bench_.permits().rules = {{"key_agent"}};
    ann_ = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"phone", "030 1234567"}});
  }
  Result<PlantedCanary> plant(std::optional<std::string> external = {},
                              bool without_records = false, Locale locale = Locale::de) {
    return bench_.run(bench_.canaries().plant({}, {.collection = "customers",
                                                   .locale = locale,
                                                   .external_id = std::move(external),
                                                   .email = {},
                                                   .email_domain = "post.example.org",
                                                   .slot = {},
                                                   .without_records = without_records}));
  }
  const journal::Event& last() { return bench_.journal().events.back(); }
  std::vector<std::string>& alarms() { return bench_.alarms().seen; }

  CreatedRecord ann_;
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultCanaries, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultCanaries, raise_the_alarm_when_they_are_opened_and_nobody_else_does) {
  auto canary = must(plant());

  auto real = must(bench_.reveal(ann_.record, {"email"}, "support", agent_));
  EXPECT_FALSE(last().alarm);
  auto opened = must(bench_.reveal(*canary.record, {"email"}, "support", agent_));

  EXPECT_TRUE(last().alarm);
  EXPECT_EQ(last().activity, "records.reveal");
  EXPECT_EQ(alarms(), std::vector{"key_agent records.reveal " + opened.event.text()});
  EXPECT_EQ(shown(opened.values, "email"), shown(canary.values, "email"));
  EXPECT_EQ(opened.masked, real.masked);
  EXPECT_EQ(opened.refused.size(), real.refused.size()) << "the answer says nothing of it";
}

TEST_P(VaultCanaries, raise_the_alarm_by_every_way_of_opening) {
  auto canary = must(plant("7777"));
  auto email = shown(canary.values, "email");
  auto tokens = bench_(bench_.tokens().create({}, {.subject = "ext:7777",
                                                   .collection = "customers",
                                                   .values = values({{"phone", "030 1234567"}}),
                                                   .items = {},
                                                   .idempotency_key = {}}));

  must(bench_.find({{"email", email}}, agent_));
  EXPECT_EQ(alarms().size(), 1u);
  bench_(bench_.opening().reveal_batch(agent_, {.records = {ann_.record, *canary.record},
                                                .fields = {"email"},
                                                .purpose = "support",
                                                .on_behalf_of = {}}));
  EXPECT_EQ(alarms().size(), 2u);
  must(bench_.verify(*canary.record, "email", "x@example.org", agent_));
  EXPECT_EQ(alarms().size(), 3u);
  bench_(bench_.tokens().reveal(agent_, {.tokens = {tokens.items[0].tokens[0].second.token},
                                         .purpose = "support",
                                         .on_behalf_of = {}}));
  EXPECT_EQ(alarms().size(), 4u);
  must(bench_.find({{"email", "ann@example.org"}}, agent_));
  EXPECT_EQ(alarms().size(), 4u);
}

TEST_P(VaultCanaries, are_silent_where_nothing_is_opened) {
  auto canary = must(plant("7777"));

  bench_(bench_.records().get(agent_, {*canary.record}));
  bench_(bench_.records().list(
      agent_, {.collection = "customers", .subject = {}, .limit = {}, .after = {}}));
  bench_(bench_.subjects().get(agent_, {"ext:7777"}));
  bench_.permits().rules = {{"key_agent", "*", View::masked}};
  must(bench_.reveal(*canary.record, {"email"}, "support", agent_));
  bench_.permits().rules = {};
  EXPECT_EQ(code_of(bench_.reveal(*canary.record, {"email"}, "support", agent_)), Code::forbidden);
  EXPECT_TRUE(bench_.state().good());
  must(bench_.swept());
  must(bench_.erase("ext:7777"));

  EXPECT_TRUE(alarms().empty());
  auto list = bench_(bench_.canaries().list({}, {}));
  ASSERT_EQ(list.canaries.size(), 1u);
  EXPECT_EQ(list.canaries[0].state, CanaryState::erased);
}

TEST_P(VaultCanaries, are_not_shown_when_the_alarm_cannot_be_recorded) {
  auto canary = must(plant());
  bench_.journal().fail = true;

  EXPECT_EQ(code_of(bench_.reveal(*canary.record, {"email"}, "support", agent_)),
            Code::unavailable);
  EXPECT_TRUE(alarms().empty());
}

TEST_P(VaultCanaries, are_known_after_a_restart_and_to_other_nodes_by_the_generation) {
  auto canary = must(plant());

  bench_.reopen();

  must(bench_.reveal(*canary.record, {"email"}, "support", agent_));
  EXPECT_EQ(alarms().size(), 1u);
}

TEST_P(VaultCanaries, decided_under_an_older_policy_are_decided_again) {
  auto generation = must(bench_.run(bench_.log().generation(MonoTime::max())));
  auto canary = must(plant());
  Caller before = agent_;
  before.generation = generation;

  EXPECT_EQ(code_of(bench_.reveal(*canary.record, {"email"}, "support", before)), Code::stale);
  EXPECT_TRUE(alarms().empty());
}

TEST_P(VaultCanaries, cannot_be_told_in_the_database_or_by_their_records) {
  auto canary = must(plant("7777"));
  auto raw = bench_.raw();
  auto sealed = raw.bytes("select sealed from vault_canaries");
  auto mark = raw.bytes("select mark from vault_canaries");

  EXPECT_FALSE(as_text(sealed).contains(canary.subject.text()));
  EXPECT_FALSE(std::ranges::equal(mark, canary.subject.bytes()));
  // The event of the planting names no customer; the customer was made like any other.
  for (const auto& event : bench_.journal().events) {
    if (event.activity == "canaries.plant") {
      for (const auto& touch : event.touches) EXPECT_FALSE(touch.subject);
    }
    for (const auto& touch : event.touches)
      if (touch.subject == canary.subject) {
        EXPECT_EQ(event.activity, "records.create");
      }
  }
  auto one = bench_(bench_.records().get(agent_, {*canary.record}));
  EXPECT_EQ(one.subject, canary.subject);
  EXPECT_TRUE(one.hidden.empty());
}

TEST_P(VaultCanaries, that_were_taken_out_of_the_database_are_missed) {
  must(plant());
  must(plant());

  bench_.raw().run(
      "delete from vault_canaries where mark = (select mark from vault_canaries limit 1)");

  auto state = bench_.state();
  ASSERT_EQ(state.missing.size(), 1u);
  EXPECT_EQ(state.missing[0].kind, "canaries");
}

TEST_P(VaultCanaries, that_somebody_else_wrote_are_none) {
  must(plant());
  bench_.raw().run("update vault_canaries set sealed = " + bench_.raw().literal(Bytes(600, 1)));
  bench_.reopen();

  auto list = bench_(bench_.canaries().list({}, {}));

  EXPECT_EQ(list.canaries.size(), 0u);
  EXPECT_EQ(list.damaged, 1);
  EXPECT_EQ(bench_.state().changed_total, 1);
}

TEST_P(VaultCanaries, are_filled_by_the_shops_connector_when_it_wants_to) {
  auto canary = must(plant("8888", true));
  EXPECT_FALSE(canary.record);

  auto made = bench_.create("ext:8888", {{"email", shown(canary.values, "email")}}, "main");

  EXPECT_EQ(made.subject, canary.subject);
  must(bench_.reveal(made.record, {"email"}, "support", agent_));
  EXPECT_EQ(alarms().size(), 1u);
}

TEST_P(VaultCanaries, take_no_other_customers_place_and_no_strangers_mailbox) {
  EXPECT_EQ(code_of(plant("4711")), Code::conflict);
  auto without = bench_.run(bench_.canaries().plant({}, {.collection = "customers",
                                                         .locale = Locale::fr,
                                                         .external_id = {},
                                                         .email = {},
                                                         .email_domain = {},
                                                         .slot = {}}));
  EXPECT_EQ(code_of(without), Code::invalid);
  EXPECT_EQ(without.error().field.text(), "email_domain");
  auto broken = bench_.run(bench_.canaries().plant({}, {.collection = "customers",
                                                        .locale = Locale::fr,
                                                        .external_id = {},
                                                        .email = {},
                                                        .email_domain = "not a domain",
                                                        .slot = {}}));
  EXPECT_EQ(code_of(broken), Code::invalid);
  EXPECT_EQ(broken.error().field.text(), "email_domain");
  EXPECT_EQ(bench_(bench_.canaries().list({}, {})).canaries.size(), 0u);
}

TEST_P(VaultCanaries, have_the_shape_of_a_record_that_is_there) {
  CollectionSpec guests{.collection = "guests", .doc = {}, .fields = {}, .if_match = {}};
  guests.fields = {field("email", FieldType::email), field("last_name", FieldType::name),
                   field("phone", FieldType::phone), field("optin", FieldType::text),
                   field("note", FieldType::text)};
  guests.fields[3].field_class = FieldClass::plain;
  bench_(bench_.declarations().put({}, guests));
  auto invent_one = [&] {
    return bench_(bench_.canaries().plant({}, {.collection = "guests",
                                               .locale = Locale::de,
                                               .external_id = {},
                                               .email = {},
                                               .email_domain = "post.example.org",
                                               .slot = {}}));
  };
  auto before = invent_one();
  EXPECT_EQ(before.external_id.size(), 6u);
  EXPECT_NE(shown(before.values, "phone"), "-");
  CreateRecords request{.collection = "guests",
                        .subject = "ext:52001731",
                        .slot = "main",
                        .values = values({{"email", "bob@example.org"},
                                          {"last_name", "Lee"},
                                          {"optin", "yes"},
                                          {"note", "rings twice"}}),
                        .records = {},
                        .idempotency_key = {}};
  bench_(bench_.records().create({}, std::move(request)));

  auto canary = invent_one();

  EXPECT_EQ(canary.external_id.size(), 8u);
  EXPECT_EQ(shown(canary.values, "optin"), "yes");
  EXPECT_NE(shown(canary.values, "last_name"), "-");
  EXPECT_EQ(shown(canary.values, "phone"), "-") << "the shop has none";
  EXPECT_EQ(shown(canary.values, "note"), "-") << "somebody's own words";
  EXPECT_EQ(bench_(bench_.records().get(agent_, {*canary.record})).slot, "main");
  EXPECT_EQ(bench_.opened(*canary.record, "optin"), "yes");
}

TEST_P(VaultCanaries, are_listed_with_what_the_shop_calls_them) {
  auto first = must(plant("7777", false, Locale::gb));
  bench_.clock().advance(Millis(5));
  auto second = must(plant());

  auto list = bench_(bench_.canaries().list({}, {})).canaries;

  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].subject, first.subject);
  EXPECT_EQ(list[0].external_id, "7777");
  EXPECT_EQ(list[0].locale, "gb");
  EXPECT_EQ(list[0].state, CanaryState::planted);
  EXPECT_EQ(list[1].external_id, second.external_id);
}

TEST(CanaryInvention, passes_for_a_customer_in_every_country) {
  auto collection = must(declare(customers(), 1, Time{}));
  collection.fields.push_back(
      {.id = 90, .name = "address1", .type = FieldType::address_line, .max_bytes = 200});
  collection.fields.push_back(
      {.id = 91, .name = "postal_code", .type = FieldType::postal_code, .max_bytes = 20});
  collection.fields.push_back(
      {.id = 92, .name = "country", .type = FieldType::country, .max_bytes = 2});
  collection.fields.push_back(
      {.id = 93, .name = "region", .type = FieldType::address_line, .max_bytes = 200});
  std::set<std::string> people;

  for (std::size_t locale = 0; locale < enum_names(Locale{}).size(); ++locale)
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
      const auto person = invent(static_cast<Locale>(locale), seed);
      const auto same = invent(static_cast<Locale>(locale), seed);
      people.insert(person.first_name + person.last_name + person.street + person.postal_code);
      EXPECT_EQ(person.phone, same.phone);
      EXPECT_EQ(person.mailbox, same.mailbox);
      auto values = values_of(collection, person, person.mailbox + "@post.example.org");
      for (const auto& name : {"email", "first_name", "last_name", "phone", "birthday", "address1",
                               "postal_code", "country"})
        EXPECT_NE(shown(values, name), "-") << name;
      EXPECT_EQ(shown(values, "region"), person.region);
      for (const auto& entry : values.entries) {
        auto checked = checked_value(*collection.find(entry.name), entry.value.expose_text());
        EXPECT_TRUE(checked) << entry.name << ' ' << entry.value.expose_text();
      }
    }

  EXPECT_GT(people.size(), 2'400u) << "they are hardly ever the same";
}

}  // namespace
}  // namespace holdfast::vault
