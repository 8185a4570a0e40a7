#include "vault/records/opening.h"

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultOpening : public Vault {
 protected:
  const Caller agent_{.principal = "key_a"};
  const journal::Event& last() { return bench_.journal().events.back(); }
  std::size_t events() { return bench_.journal().events.size(); }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultOpening, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultOpening, shows_what_was_asked_for_and_records_it_first) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"first_name", "Ann"}});

  auto revealed = must(bench_.reveal(made.record, {"email"}));

  EXPECT_EQ(shown(revealed.values, "email"), "ann@example.org");
  EXPECT_EQ(shown(revealed.values, "first_name"), "-");
  EXPECT_EQ(last().activity, "records.reveal");
  EXPECT_TRUE(last().opened);
  EXPECT_EQ(last().purpose, "support");
  EXPECT_EQ(last().collection, "customers");
  EXPECT_EQ(last().fields, std::vector<std::string>{"email"});
  ASSERT_EQ(last().touches.size(), 1u);
  EXPECT_EQ(last().touches[0].subject, made.subject);
}

TEST_P(VaultOpening, shows_nothing_that_it_cannot_record) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().fail = true;

  auto single = bench_.reveal(made.record, {"email"});
  auto batch =
      bench_.run(bench_.opening().reveal_batch({}, {{made.record}, {"email"}, "support", {}}));
  auto compared = bench_.verify(made.record, "email", "ann@example.org");
  auto found = bench_.find({{"email", "ann@example.org"}});

  EXPECT_EQ(code_of(single), Code::unavailable);
  EXPECT_EQ(code_of(batch), Code::unavailable);
  EXPECT_EQ(code_of(compared), Code::unavailable);
  EXPECT_EQ(code_of(found), Code::unavailable);
}

TEST_P(VaultOpening, shows_nothing_when_the_reply_of_the_journal_is_lost) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().lose_replies = true;

  EXPECT_EQ(code_of(bench_.reveal(made.record, {"email"})), Code::unavailable);
}

struct ViewCase {
  std::string what;
  FakePermits::Rule rule;
  std::string purpose, person;
  std::string shown, refused;    // value of the field `email`, reason of its refusal
  Code failed = Code::internal;  // internal: it does not
};

TEST_P(VaultOpening, follows_the_view_that_was_granted) {
  auto made = bench_.create("ext:4711", {{"email", "wilma@example.org"}});
  const ViewCase cases[] = {
      {"clear", {"key_a", "email", View::clear, "support"}, "support", "", "wilma@example.org", ""},
      {"clear for another purpose",
       {"key_a", "email", View::clear, "fraud_check"},
       "support",
       "",
       "w•••@example.org",
       ""},
      {"verify is no sight",
       {"key_a", "email", View::verify, "support"},
       "support",
       "",
       "w•••@example.org",
       ""},
      {"masked", {"key_a", "email", View::masked}, "support", "", "w•••@example.org", ""},
      {"none", {"key_a", "phone", View::clear}, "support", "", "-", "forbidden", Code::forbidden},
      {"a purpose that nobody declared",
       {"key_a", "email", View::clear},
       "curiosity",
       "",
       "-",
       "",
       Code::invalid},
      {"a person is needed",
       {"key_a", "email", View::clear, "support", true},
       "support",
       "",
       "w•••@example.org",
       ""},
      {"a person is named",
       {"key_a", "email", View::clear, "support", true},
       "support",
       "staff:17",
       "wilma@example.org",
       ""},
  };

  for (const auto& one : cases) {
    SCOPED_TRACE(one.what);
    bench_.permits().rules = {one.rule};
    auto person = one.person.empty() ? std::nullopt : std::optional(one.person);

    auto revealed = bench_.reveal(made.record, {"email"}, one.purpose, agent_, person);

    if (one.failed != Code::internal) {
      EXPECT_EQ(code_of(revealed), one.failed);
      continue;
    }
    ASSERT_TRUE(revealed);
    EXPECT_EQ(shown(revealed->values, "email"), one.shown);
    EXPECT_EQ(refusal(revealed->refused, "email"), one.refused);
    EXPECT_EQ(last().opened, one.shown == "wilma@example.org");
  }
}

TEST_P(VaultOpening, records_a_refusal_as_such) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});

  auto refused = bench_.reveal(made.record, {"email"}, "support", agent_);

  ASSERT_EQ(code_of(refused), Code::forbidden);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_EQ(last().reason, "forbidden");
  EXPECT_FALSE(last().opened);
  EXPECT_EQ(last().touches.at(0).subject, made.subject);
}

TEST_P(VaultOpening,
       records_that_a_purpose_or_a_person_was_refused_but_not_what_was_written_there) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.permits().rules = {{"key_alone"}};
  auto count = events();

  auto no_purpose = bench_.reveal(made.record, {"email"}, "ann_personally");
  EXPECT_EQ(code_of(no_purpose), Code::invalid);
  EXPECT_EQ(last().reason, "invalid");
  EXPECT_EQ(last().purpose, "");
  auto no_person =
      bench_.reveal(made.record, {"email"}, "support", {.principal = "key_alone"}, "staff:17");
  EXPECT_EQ(code_of(no_person), Code::forbidden);
  EXPECT_EQ(last().reason, "forbidden");
  EXPECT_EQ(events(), count + 2);
}

TEST_P(VaultOpening, keeps_a_field_to_its_own_purposes) {
  auto made = bench_.create("ext:4711", {{"note", "rings twice"}});

  auto for_support = must(bench_.reveal(made.record, {"note"}, "support"));
  auto for_fraud = must(bench_.reveal(made.record, {"note"}, "fraud_check"));

  EXPECT_EQ(shown(for_support.values, "note"), "rings twice");
  EXPECT_EQ(shown(for_fraud.values, "note"), "•••");
  EXPECT_EQ(for_fraud.masked, std::vector<std::string>{"note"});
  EXPECT_FALSE(last().opened);
}

TEST_P(VaultOpening, lists_what_it_did_not_show) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"phone", "030 1234567"}});
  bench_.permits().rules = {{"key_a", "email", View::clear}};

  auto revealed = must(
      bench_.reveal(made.record, {"email", "phone", "shoe_size", "birthday"}, "support", agent_));

  EXPECT_EQ(shown(revealed.values, "email"), "ann@example.org");
  EXPECT_EQ(refusal(revealed.refused, "phone"), "forbidden");
  EXPECT_EQ(refusal(revealed.refused, "shoe_size"), "unknown_field");
  for (const auto& [name, value] : last().facts)
    EXPECT_TRUE(name != "refused_fields" || !std::get<std::string>(value).contains("shoe_size"))
        << "what is no field's name could be a value";
  EXPECT_EQ(shown(revealed.values, "birthday"), "-");
}

TEST_P(VaultOpening, opens_many_records_in_one_entry) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto nobody = RecordId::make(bench_.clock().now());
  auto before = events();

  auto revealed = bench_(bench_.opening().reveal_batch(
      {}, {{bob.record, nobody, ann.record}, {"email"}, "support", {}}));

  ASSERT_EQ(revealed.records.size(), 2u);
  EXPECT_EQ(shown(revealed.records[0].values, "email"), "bob@example.org");
  EXPECT_EQ(shown(revealed.records[1].values, "email"), "ann@example.org");
  EXPECT_EQ(revealed.missing, std::vector{nobody});
  EXPECT_EQ(events(), before + 1);
  EXPECT_EQ(last().touches.size(), 2u);
}

TEST_P(VaultOpening, says_of_each_record_of_a_batch_whether_it_was_opened) {
  auto open = bench_.create("ext:1", {{"email", "ann@example.org"}, {"phone", "+15551110000"}});
  auto shut = bench_.create("ext:2", {{"email", "bob@example.org"}});
  bench_(bench_.subjects().restrict({}, {"ext:2", Ground::unlawful, "by letter"}));
  bench_.permits().rules = {{"key_a", "email", View::clear}, {"key_a", "phone", View::masked}};

  bench_(bench_.opening().reveal_batch(
      agent_, {{open.record, shut.record}, {"email", "phone"}, "support", {}}));

  const auto event = last();
  EXPECT_TRUE(event.opened);
  EXPECT_EQ(event.fields, std::vector<std::string>{"email"})
      << "of the other only a mask was shown";
  ASSERT_EQ(event.touches.size(), 2u);
  for (const auto& touch : event.touches) EXPECT_EQ(touch.unopened, touch.subject == shut.subject);
}

TEST_P(VaultOpening, refuses_a_batch_that_says_nothing_or_says_it_twice) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto batch = [&](std::vector<RecordId> records, std::vector<std::string> fields) {
    return code_of(bench_.run(
        bench_.opening().reveal_batch({}, {std::move(records), std::move(fields), "support", {}})));
  };

  EXPECT_EQ(batch({made.record, made.record}, {"email"}), Code::invalid);
  EXPECT_EQ(batch({}, {"email"}), Code::invalid);
  EXPECT_EQ(batch({made.record}, {}), Code::invalid);
}

TEST_P(VaultOpening, takes_no_field_twice) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});

  auto revealed = bench_.reveal(made.record, {"email", "phone", "email"});

  ASSERT_EQ(code_of(revealed), Code::invalid) << "an answer has no name twice";
  EXPECT_EQ(revealed.error().field.text(), "fields");
}

TEST_P(VaultOpening, shows_a_customer_only_what_is_their_own) {
  auto own = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto other = bench_.create("ext:4712", {{"email", "bob@example.org"}});
  auto as = [&](RecordId record, std::optional<std::string> person) {
    return bench_.reveal(record, {"email"}, "self_service", {}, std::move(person));
  };

  EXPECT_EQ(shown(must(as(own.record, "customer:4711")).values, "email"), "ann@example.org");
  EXPECT_EQ(code_of(as(other.record, "customer:4711")), Code::forbidden);
  EXPECT_EQ(code_of(as(own.record, "customer:4713")), Code::forbidden);
  EXPECT_EQ(code_of(as(own.record, "staff:4711")), Code::forbidden);
  EXPECT_EQ(code_of(as(own.record, std::nullopt)), Code::forbidden);
}

TEST_P(VaultOpening, finds_for_a_customer_only_what_is_their_own) {
  bench_.create("ext:4711", {{"last_name", "Smith"}});
  bench_.create("ext:4712", {{"last_name", "Smith"}});

  auto found = must(bench_.find({{"last_name", "Smith"}}, {}, "self_service", "customer:4711"));

  EXPECT_EQ(found.records.size(), 1u);
}

TEST_P(VaultOpening, compares_without_showing) {
  auto made = bench_.create(
      "ext:4711",
      {{"email", "Ann@Example.org"}, {"last_name", "Ångström"}, {"phone", "+49 (0)30 1234567"}});

  EXPECT_TRUE(must(bench_.verify(made.record, "email", "ann@example.org")).matches);
  EXPECT_TRUE(last().opened) << "whoever asked knows the value";
  EXPECT_TRUE(must(bench_.verify(made.record, "last_name", "angstrom")).matches);
  EXPECT_TRUE(must(bench_.verify(made.record, "phone", "0049301234567")).matches);
  EXPECT_FALSE(must(bench_.verify(made.record, "email", "bob@example.org")).matches);
  EXPECT_FALSE(last().opened);
}

TEST_P(VaultOpening, never_finds_nothing_equal_to_something) {
  auto made = bench_.create(
      "ext:4711", {{"prefs", R"({"size":"M"})"}, {"first_name", "´"}, {"phone", "030 1234567"}});

  EXPECT_FALSE(must(bench_.verify(made.record, "prefs", R"({"size":"L"})")).matches);
  EXPECT_FALSE(must(bench_.verify(made.record, "prefs", "")).matches);
  EXPECT_TRUE(must(bench_.verify(made.record, "prefs", R"({"size":"M"})")).matches);
  EXPECT_FALSE(must(bench_.verify(made.record, "first_name", "`")).matches);
  EXPECT_FALSE(must(bench_.verify(made.record, "phone", "")).matches);
  EXPECT_FALSE(must(bench_.verify(made.record, "birthday", "")).matches)
      << "there is no such value";
}

TEST_P(VaultOpening, takes_five_wrong_values_a_day) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"phone", "030 1234567"}});
  auto twin = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  for (int i = 0; i < 5; ++i)
    ASSERT_FALSE(must(bench_.verify(i % 2 ? made.record : twin.record, "email",
                                    "x" + std::to_string(i) + "@example.org"))
                     .matches);
  FakePermits::Rule all{"key_b"};
  bench_.permits().rules = {all};

  EXPECT_EQ(code_of(bench_.verify(made.record, "email", "ann@example.org")), Code::exhausted);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_EQ(code_of(bench_.verify(made.record, "email", "ann@example.org", {.principal = "key_b"})),
            Code::exhausted)
      << "counted over all callers";
  EXPECT_FALSE(code_of(bench_.verify(made.record, "phone", "030 1234567"))) << "by field";
  bench_.clock().advance(std::chrono::hours(24));
  EXPECT_TRUE(must(bench_.verify(made.record, "email", "ann@example.org")).matches);
}

TEST_P(VaultOpening, takes_five_wrong_values_when_they_come_at_once) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  test::RunContext context;
  std::vector<Task<Result<Verified>>> tries;
  for (int i = 0; i < 20; ++i)
    tries.push_back(bench_.opening().verify(
        {}, {made.record, "email", Secret::copy("x@example.org"), "support", {}}));

  auto answers = context.run_all(std::move(tries));

  auto wrong = std::ranges::count_if(answers, [](const auto& one) { return one && !one->matches; });
  auto spent = std::ranges::count_if(
      answers, [](const auto& one) { return code_of(one) == Code::exhausted; });
  auto refusals = std::ranges::count(bench_.journal().events, journal::Outcome::refused,
                                     &journal::Event::outcome);
  EXPECT_EQ(wrong, 5);
  EXPECT_EQ(spent, 15);
  EXPECT_EQ(refusals, 15) << "each is recorded";
}

TEST_P(VaultOpening, gives_no_answer_to_a_right_value_behind_five_wrong_ones) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    for (int i = 0; i < 5; ++i)
      must(co_await bench_.opening().verify(
          {}, {made.record, "email", Secret::copy("x@example.org"), "support", {}}));
  };

  auto right = bench_.verify(made.record, "email", "ann@example.org");

  EXPECT_EQ(code_of(right), Code::exhausted) << "guesses offered at once are guesses too";
}

TEST_P(VaultOpening, forgets_the_wrong_values_of_yesterday) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  ASSERT_FALSE(must(bench_.verify(ann.record, "email", "x@example.org")).matches);

  bench_.clock().advance(std::chrono::hours(24));
  ASSERT_FALSE(must(bench_.verify(bob.record, "email", "x@example.org")).matches);

  EXPECT_EQ(bench_.raw().number("select count(*) from vault_wrong_values"), 1);
}

TEST_P(VaultOpening, compares_only_for_those_who_may) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.permits().rules = {{"key_a", "email", View::masked}};

  EXPECT_EQ(code_of(bench_.verify(made.record, "email", "ann@example.org", agent_)),
            Code::forbidden);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  bench_.permits().rules = {{"key_a", "email", View::verify}};
  EXPECT_TRUE(must(bench_.verify(made.record, "email", "ann@example.org", agent_)).matches);
}

TEST_P(VaultOpening, finds_by_what_is_equal_under_the_fields_rules) {
  auto ann = bench_.create("ext:1", {{"email", "Wilma@Example.org"}, {"last_name", "Müller"}});
  bench_.create("ext:2", {{"email", "bob@example.org"}, {"last_name", "Muller"}});

  auto by_email = must(bench_.find({{"email", " wilma@example.ORG "}}));
  auto by_name = must(bench_.find({{"last_name", "MULLER"}}));
  auto by_both = must(bench_.find({{"last_name", "muller"}, {"email", "wilma@example.org"}}));
  auto nobody = must(bench_.find({{"email", "cas@example.org"}}));

  ASSERT_EQ(by_email.records.size(), 1u);
  EXPECT_EQ(by_email.records[0].record, ann.record);
  EXPECT_EQ(shown(by_email.records[0].values, "email"), "W•••@Example.org") << "results are masked";
  EXPECT_EQ(by_name.records.size(), 2u);
  EXPECT_EQ(by_both.records.size(), 1u);
  EXPECT_TRUE(nobody.records.empty());
  EXPECT_FALSE(by_name.more);
}

TEST_P(VaultOpening, says_that_more_was_found_than_is_shown) {
  for (int i = 0; i < 25; ++i) bench_.create("ext:" + std::to_string(i), {{"last_name", "Smith"}});

  auto found = must(bench_.find({{"last_name", "smith"}}));

  EXPECT_EQ(found.records.size(), 20u);
  EXPECT_TRUE(found.more);
}

TEST_P(VaultOpening, finds_a_rare_value_among_many_that_share_a_common_one) {
  for (int batch = 0; batch < 2; ++batch) {
    CreateRecords many{.collection = "customers",
                       .subject = {},
                       .slot = {},
                       .values = {},
                       .records = {},
                       .idempotency_key = {}};
    for (int i = 0; i < 600; ++i)
      many.records.push_back(
          {"ext:" + std::to_string(batch * 1000 + i), {}, values({{"last_name", "Smith"}})});
    bench_(bench_.records().create({}, std::move(many)));
    bench_.clock().advance(Millis{1});
  }
  bench_.create("ext:last", {{"last_name", "Smith"}, {"member", "m1"}});

  auto found = must(bench_.find({{"last_name", "smith"}, {"member", "m1"}}));

  EXPECT_EQ(found.records.size(), 1u);
  EXPECT_FALSE(found.more);
}

TEST_P(VaultOpening, refuses_searches_that_cannot_work) {
  bench_.permits().rules = {{"key_a", "*", View::masked}};

  EXPECT_EQ(code_of(bench_.find({{"first_name", "Ann"}})), Code::invalid) << "no index";
  EXPECT_EQ(code_of(bench_.find({{"shoe_size", "44"}})), Code::invalid);
  EXPECT_EQ(code_of(bench_.find({})), Code::invalid);
  EXPECT_EQ(code_of(bench_.find({{"email", "  "}})), Code::invalid);
  EXPECT_EQ(code_of(bench_.find({{"email", std::nullopt}})), Code::invalid);
  EXPECT_EQ(code_of(bench_.find({{"email", "ann@example.org"}}, agent_)), Code::forbidden);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
}

TEST_P(VaultOpening, leaves_out_values_that_are_past_their_time) {
  auto made = bench_.create("ext:4711", {{"last_ip", "203.0.113.9"}, {"first_name", "Ann"}});
  bench_.clock().advance(std::chrono::days(29));
  ASSERT_EQ(bench_.opened(made.record, "last_ip"), "203.0.113.9");

  bench_.clock().advance(std::chrono::days(1));

  EXPECT_EQ(bench_.opened(made.record, "last_ip"), "expired");
  EXPECT_EQ(bench_.opened(made.record, "first_name"), "Ann");
  auto masked_record = bench_(bench_.records().get({}, {made.record}));
  EXPECT_EQ(shown(masked_record.values, "last_ip"), "-");
  EXPECT_FALSE(must(bench_.verify(made.record, "last_ip", "203.0.113.9")).matches);
}

TEST_P(VaultOpening, counts_a_keep_time_from_the_last_update_where_it_says_so) {
  auto made = bench_.create("ext:4711", {{"last_ip", "203.0.113.9"}});
  bench_.clock().advance(std::chrono::days(29));
  bench_(bench_.records().update({}, {made.record, values({{"first_name", "Ann"}}), {}, {}}));

  bench_.clock().advance(std::chrono::days(29));

  EXPECT_EQ(bench_.opened(made.record, "last_ip"), "203.0.113.9");
}

TEST_P(VaultOpening, asks_again_when_the_schema_changed_under_it) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto generation = bench_(bench_.journal().generation(MonoTime::max()));
  auto spec = customers();
  spec.fields.push_back(field("nickname", FieldType::name));
  bench_(bench_.declarations().put({}, spec));

  auto revealed = bench_.reveal(made.record, {"email"}, "support", {.generation = generation});

  EXPECT_EQ(code_of(revealed), Code::stale);
}

}  // namespace
}  // namespace holdfast::vault
