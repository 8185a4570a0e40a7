// Customers' rights against a real database and journal: what they close, for whom, and that
// neither the database nor a restore can open it again.
#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "vault/subjects/afterlog.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

/// What a download sends.
class Sink final : public http::BodyWriter {
 public:
  std::string type, text;
  bool gone = false;
  Task<Result<void>> start(std::string_view media) override {
    type = media;
    co_return Result<void>();
  }
  Task<Result<void>> write(std::string_view bytes) override {
    if (gone) co_return Error(Code::unavailable, "the client went away");
    text += bytes;
    co_return Result<void>();
  }
  bool closing() const override { return false; }
};

class VaultRights : public Vault {
 protected:
  Result<StandingView> restrict(std::string subject, Ground ground = Ground::accuracy_contested) {
    return bench_.run(bench_.subjects().restrict({}, {std::move(subject), ground, "by letter"}));
  }
  Result<StandingView> unrestrict(std::string subject) {
    return bench_.run(bench_.subjects().unrestrict({}, {std::move(subject), "told on the phone"}));
  }
  Result<StandingView> object(std::string subject, std::string purpose, bool lifted = false,
                              Caller caller = {}, std::optional<std::string> person = {}) {
    return bench_.run(bench_.subjects().object(
        std::move(caller),
        {std::move(subject), std::move(purpose), lifted, {}, std::move(person)}));
  }
  Result<StandingView> agree(std::string subject, std::string purpose = "marketing",
                             bool withdrawn = false, Caller caller = {},
                             std::optional<std::string> person = {}) {
    return bench_.run(bench_.subjects().consent(
        std::move(caller),
        {std::move(subject), std::move(purpose), withdrawn,
         withdrawn ? std::nullopt : std::optional<std::string>("box ticked"), std::move(person)}));
  }
  Result<MergedSubjects> merge(std::string into, std::string from) {
    return bench_.run(bench_.subjects().merge({}, {std::move(into), std::move(from), {}}));
  }
  Replayed replay(bool older = true) {
    return bench_(bench_.subjects().replay(bench_.log().afterlog_entries(), older));
  }

  /// A value in the clear for a purpose, or why not.
  std::string open(RecordId record, std::string purpose, std::string field = "email") {
    auto shown_for = bench_.reveal(record, {field}, purpose);
    if (!shown_for) return std::string(code_name(shown_for.error().code));
    auto reason = refusal(shown_for->refused, field);
    return reason.empty() ? shown(shown_for->values, field) : reason;
  }
  std::string token(std::string subject, std::string field, std::string value) {
    return bench_(bench_.tokens().create({}, {.subject = std::move(subject),
                                              .collection = "customers",
                                              .values = values({{field, value}}),
                                              .items = {},
                                              .idempotency_key = {}}))
        .items[0]
        .tokens[0]
        .second.token;
  }
  std::string open_token(std::string token, std::string purpose = "support") {
    auto revealed = bench_.run(bench_.tokens().reveal({}, {{token}, std::move(purpose), {}}));
    if (!revealed) return std::string(code_name(revealed.error().code));
    return revealed->refused.empty() ? shown(revealed->values, token) : revealed->refused[0].reason;
  }
  std::string of(SubjectId subject) {
    return " where id = " + bench_.raw().literal(subject.bytes());
  }
  std::string exported(std::string subject, ExportFormat format = ExportFormat::json,
                       std::string purpose = "subject_request", Caller caller = {},
                       std::optional<std::string> person = {}) {
    Sink sink;
    auto done = bench_.run(bench_.subjects().export_all(
        std::move(caller), {std::move(subject), std::move(purpose), format, std::move(person)},
        sink));
    return done ? sink.text : std::string(code_name(done.error().code));
  }
  void engage(std::string subject, std::string reference) {
    bench_(bench_.engagements().open({}, {.subject = std::move(subject),
                                          .kind = "ticket",
                                          .reference = std::move(reference),
                                          .assignee = {},
                                          .life = {},
                                          .on_behalf_of = {},
                                          .idempotency_key = {}}));
  }
  const journal::Event& last() { return bench_.journal().events.back(); }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultRights, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

// ── consent and objection

TEST_P(VaultRights, a_purpose_that_rests_on_consent_is_closed_without_it) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  EXPECT_EQ(open(made.record, "marketing"), "forbidden");
  EXPECT_EQ(last().outcome, journal::Outcome::refused);

  auto agreed = must(agree("ext:4711"));

  EXPECT_EQ(agreed.purposes.at(0).consent, Consent::given);
  EXPECT_EQ(open(made.record, "marketing"), "ann@example.org");
  must(agree("ext:4711", "marketing", true));
  EXPECT_EQ(open(made.record, "marketing"), "forbidden");
  EXPECT_EQ(open(made.record, "support"), "ann@example.org");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRights, consent_needs_evidence_and_a_declared_purpose) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto code = [&](ConsentSubject request) {
    return code_of(bench_.run(bench_.subjects().consent({}, std::move(request))));
  };

  EXPECT_EQ(code({"ext:4711", "marketing", false, {}, {}}), Code::invalid);
  EXPECT_EQ(code({"ext:4711", "marketing", false, "", {}}), Code::invalid);
  EXPECT_EQ(code({"ext:4711", "curiosity", false, "x", {}}), Code::invalid);
  EXPECT_EQ(code({"ext:4712", "marketing", false, "x", {}}), Code::not_found);
  EXPECT_EQ(code_of(agree("ext:4711", "marketing", true)), std::nullopt)
      << "to withdraw is as easy as can be";
}

TEST_P(VaultRights, an_objection_closes_its_purpose_until_it_is_lifted) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});

  must(object("ext:4711", "fraud_check"));

  EXPECT_EQ(open(made.record, "fraud_check"), "forbidden");
  EXPECT_EQ(open(made.record, "support"), "ann@example.org");
  auto batch = bench_(bench_.opening().reveal_batch(
      {}, {{made.record, bench_.create("ext:2", {{"email", "b@example.org"}}).record},
           {"email"},
           "fraud_check",
           {}}));
  EXPECT_EQ(refusal(batch.records.at(0).refused, "email"), "objected") << "listed, never silent";
  EXPECT_EQ(shown(batch.records.at(1).values, "email"), "b@example.org");
  must(object("ext:4711", "fraud_check", true));
  EXPECT_EQ(open(made.record, "fraud_check"), "ann@example.org");
  EXPECT_EQ(code_of(object("ext:4711", "fraud_check", true)), Code::conflict);
}

TEST_P(VaultRights, an_objection_is_only_against_what_the_law_lets_one_object_to) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});

  EXPECT_EQ(code_of(object("ext:4711", "order_fulfilment")), Code::conflict);
  EXPECT_EQ(code_of(object("ext:4711", "accounting")), Code::conflict);
  EXPECT_EQ(code_of(object("ext:4711", "legal_claims")), Code::conflict);
  EXPECT_EQ(code_of(object("ext:4711", "marketing")), std::nullopt);
  EXPECT_EQ(code_of(object("ext:4711", "curiosity")), Code::invalid);
}

TEST_P(VaultRights, an_objection_takes_consent_back_and_consent_an_objection) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(agree("ext:4711"));
  must(object("ext:4711", "marketing"));
  must(object("ext:4711", "marketing", true));
  EXPECT_EQ(open(made.record, "marketing"), "forbidden") << "the consent is gone with it";

  must(object("ext:4711", "marketing"));
  must(agree("ext:4711"));

  EXPECT_EQ(open(made.record, "marketing"), "ann@example.org");
}

TEST_P(VaultRights, consent_that_nothing_rests_on_is_taken_back_only_where_it_was_given) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});

  auto refused = agree("ext:4711", "support", true);
  EXPECT_EQ(code_of(refused), Code::conflict) << "support is open as before";
  EXPECT_EQ(refused.error().field.text(), "purpose");

  must(restrict("ext:4711"));
  bench_.clock().advance(Millis(5));
  must(agree("ext:4711", "support"));
  EXPECT_EQ(open(made.record, "support"), "ann@example.org");
  must(agree("ext:4711", "support", true));
  EXPECT_EQ(open(made.record, "support"), "forbidden");
}

TEST_P(VaultRights, customers_decide_about_themselves_only) {
  auto ann = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.create("ext:4712", {{"email", "bob@example.org"}});
  bench_.permits().rules = {{"key_shop"}};
  Caller shop{.principal = "key_shop"};

  EXPECT_EQ(code_of(agree("ext:4712", "marketing", false, shop, "customer:4711")), Code::forbidden);
  EXPECT_EQ(last().activity, "subjects.consent");
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_EQ(code_of(object("ext:4712", "fraud_check", false, shop, "customer:4711")),
            Code::forbidden);
  EXPECT_EQ(code_of(agree("ext:4711", "marketing", false, shop, "customer:nobody")),
            Code::forbidden);
  EXPECT_EQ(
      code_of(agree("ext:4711", "marketing", false, {.principal = "key_alone"}, "customer:4711")),
      Code::forbidden);
  must(agree("ext:4711", "marketing", false, shop, "customer:4711"));
  EXPECT_EQ(open(ann.record, "marketing"), "ann@example.org");
}

// ── restriction

TEST_P(VaultRights, a_restriction_closes_all_but_what_the_law_leaves_open) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"member", "M-1"}});
  auto held = token("ext:4711", "phone", "030 1234567");
  auto view = must(restrict("ext:4711"));

  EXPECT_TRUE(view.restricted);
  EXPECT_EQ(open(made.record, "support"), "forbidden");
  EXPECT_EQ(last().reason, "forbidden");
  EXPECT_EQ(open(made.record, "accounting"), "ann@example.org");
  EXPECT_EQ(open(made.record, "legal_claims"), "ann@example.org");
  EXPECT_EQ(open(made.record, "subject_request"), "ann@example.org");
  EXPECT_EQ(open_token(held), "forbidden");
  EXPECT_EQ(code_of(bench_.verify(made.record, "email", "ann@example.org")), Code::forbidden);
  EXPECT_TRUE(must(bench_.find({{"member", "M-1"}})).records.empty());
  auto masked = bench_(bench_.records().get({}, {made.record}));
  EXPECT_TRUE(masked.restricted);
  EXPECT_TRUE(masked.values.entries.empty()) << "a mask is a use too";
  EXPECT_TRUE(bench_(bench_.subjects().get({}, {"ext:4711"})).restricted);

  must(unrestrict("ext:4711"));

  EXPECT_EQ(open(made.record, "support"), "ann@example.org");
  EXPECT_EQ(open_token(held), "030 1234567");
  EXPECT_EQ(code_of(unrestrict("ext:4711")), Code::conflict);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRights, a_restriction_lets_in_what_the_customer_agrees_to_afterwards) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(agree("ext:4711"));
  bench_.clock().advance(Millis{1000});
  must(restrict("ext:4711"));
  EXPECT_EQ(open(made.record, "marketing"), "forbidden") << "they agreed before";

  bench_.clock().advance(Millis{1000});
  must(agree("ext:4711"));

  EXPECT_EQ(open(made.record, "marketing"), "ann@example.org");
  EXPECT_EQ(open(made.record, "support"), "forbidden");
}

TEST_P(VaultRights, of_restricted_customers_nothing_is_changed_but_put_right) {
  auto made =
      bench_.create("ext:4711", {{"email", "ann@example.org"}, {"last_name", "Le"}}, "main");
  auto held = token("ext:4711", "phone", "030 1234567");
  must(restrict("ext:4711"));
  CreateRecords upsert{.collection = "customers",
                       .subject = "ext:4711",
                       .slot = "main",
                       .values = values({{"last_name", "Lo"}}),
                       .records = {},
                       .upsert = true,
                       .idempotency_key = {}};

  EXPECT_EQ(code_of(bench_.run(
                bench_.records().update({}, {made.record, values({{"last_name", "Lo"}}), {}, {}}))),
            Code::conflict);
  EXPECT_EQ(code_of(bench_.run(bench_.records().create({}, std::move(upsert)))), Code::conflict);
  EXPECT_EQ(code_of(bench_.run(bench_.records().remove({}, {made.record, {}}))), Code::conflict);
  EXPECT_EQ(code_of(bench_.erase("ext:4711")), Code::conflict);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_TRUE(bench_.run(bench_.records().create({}, {.collection = "customers",
                                                      .subject = "ext:4711",
                                                      .slot = {},
                                                      .values = values({{"first_name", "Ann"}}),
                                                      .records = {},
                                                      .idempotency_key = {}})))
      << "storing is no use";
  auto right = bench_(bench_.subjects().rectify(
      {}, {"ext:4711", made.record, values({{"last_name", "Lee"}}), {}, "passport seen"}));
  EXPECT_EQ(right.version, 2);
  EXPECT_EQ(right.changed, std::vector<std::string>{"last_name"});
  must(unrestrict("ext:4711"));
  EXPECT_EQ(open(made.record, "support", "last_name"), "Lee");
  EXPECT_EQ(open_token(held), "030 1234567") << "tokens stay what they are";
}

TEST_P(VaultRights, another_customers_record_is_not_put_right) {
  bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto rectify = [&](std::optional<std::int64_t> version, Named named, std::string subject) {
    return code_of(bench_.run(bench_.subjects().rectify(
        {}, {std::move(subject), bob.record, values(named), version, {}})));
  };

  EXPECT_EQ(rectify({}, {{"email", "eve@example.org"}}, "ext:1"), Code::not_found);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_EQ(rectify(7, {{"email", "eve@example.org"}}, "ext:2"), Code::conflict);
  EXPECT_EQ(rectify({}, {{"email", "no email"}}, "ext:2"), Code::invalid);
  EXPECT_EQ(rectify({}, {}, "ext:2"), Code::invalid);
  EXPECT_EQ(open(bob.record, "support"), "bob@example.org");
}

TEST_P(VaultRights, a_value_of_a_held_customer_is_put_right_but_not_taken_out) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  bench_.fake_holds().on = true;
  Values gone;
  gone.entries.push_back({{"email", Secret(), false}, true});
  auto rectify = [&](Values change) {
    return code_of(bench_.run(
        bench_.subjects().rectify({}, {"ext:1", made.record, std::move(change), {}, {}})));
  };

  EXPECT_EQ(rectify(std::move(gone)), Code::conflict);
  EXPECT_EQ(last().reason, "held");
  EXPECT_EQ(open(made.record, "support"), "ann@example.org");
  EXPECT_EQ(rectify(values({{"email", "ann@example.net"}})), std::nullopt);
}

TEST_P(VaultRights, an_import_leaves_restricted_customers_as_they_are) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}}, "main");
  must(restrict("ext:4711"));
  auto before = bench_.raw().bytes("select sealed from vault_records where id = " +
                                   bench_.raw().literal(made.record.bytes()));
  class Body final : public http::BodyReader {
   public:
    Task<Result<std::string_view>> next() override {
      co_return std::exchange(text_, std::string_view());
    }
    std::uint64_t size() const override { return 0; }
    std::string_view type() const override { return "text/csv"; }

   private:
    std::string_view text_ = "id,mail\n4711,eve@example.org\n4712,bob@example.org\n";
  } body;

  auto report = bench_(bench_.imports().create(
      {}, {{}, R"({"external_id":"id","collection":"customers","fields":{"email":"mail"}})", {}},
      body));

  EXPECT_EQ(report.refused, 1);
  EXPECT_EQ(report.created, 1);
  EXPECT_EQ(bench_.raw().bytes("select sealed from vault_records where id = " +
                               bench_.raw().literal(made.record.bytes())),
            before);
}

// ── the row in the database

TEST_P(VaultRights, a_standing_emptied_in_the_database_opens_nothing) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto other = bench_.create("ext:4712", {{"email", "bob@example.org"}});
  must(restrict("ext:4711"));
  auto raw = bench_.raw();
  auto clean = raw.bytes("select standing from vault_subjects" + of(other.subject));
  auto mac = raw.bytes("select mac from vault_subjects" + of(other.subject));

  raw.run("update vault_subjects set standing = " + raw.literal(clean) + of(made.subject));
  EXPECT_EQ(open(made.record, "support"), "corrupt");
  raw.run("update vault_subjects set standing = " + raw.literal(clean) +
          ", mac = " + raw.literal(mac) + of(made.subject));
  EXPECT_EQ(open(made.record, "support"), "corrupt") << "another customer's";
  raw.run("update vault_subjects set standing = null, mac = null" + of(made.subject));
  EXPECT_EQ(open(made.record, "support"), "corrupt");
  EXPECT_EQ(code_of(bench_.run(bench_.records().get({}, {made.record}))), Code::corrupt);
  auto report = bench_.state();
  EXPECT_EQ(report.changed_total, 1);
  raw.run("delete from vault_subjects" + of(made.subject));
  EXPECT_EQ(open(made.record, "support"), "corrupt") << "without any row";
  EXPECT_EQ(open(other.record, "support"), "bob@example.org");
}

TEST_P(VaultRights, an_older_standing_put_back_is_named) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto raw = bench_.raw();
  auto standing = raw.bytes("select standing from vault_subjects" + of(made.subject));
  auto mac = raw.bytes("select mac from vault_subjects" + of(made.subject));
  must(restrict("ext:4711"));
  ASSERT_TRUE(bench_.state().good());

  raw.run("update vault_subjects set version = 1, standing = " + raw.literal(standing) +
          ", mac = " + raw.literal(mac) + of(made.subject));

  auto report = bench_.state();
  ASSERT_EQ(report.changed.size(), 1u);
  EXPECT_EQ(report.changed[0].kind, "subjects");
}

TEST_P(VaultRights, a_decision_changed_or_taken_out_is_named) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(agree("ext:4711"));
  ASSERT_TRUE(bench_.state().good());

  bench_.raw().run("update vault_decisions set at_ms = at_ms - 1");
  EXPECT_EQ(bench_.state().changed_total, 1);
  bench_.raw().run("delete from vault_decisions");
  EXPECT_EQ(bench_.state().missing_total, 1);
}

TEST_P(VaultRights, an_alias_bent_in_the_database_leads_nowhere) {
  auto ann = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:4712", {{"email", "bob@example.org"}});
  auto raw = bench_.raw();
  raw.run("update vault_subjects set merged_into = " + raw.literal(ann.subject.bytes()) +
          of(bob.subject));

  auto own = bench_.reveal(ann.record, {"email"}, "self_service", {}, "customer:4712");

  EXPECT_EQ(code_of(own), Code::corrupt);
  EXPECT_EQ(code_of(bench_.run(bench_.subjects().get({}, {"ext:4712"}))), Code::corrupt);
}

TEST_P(VaultRights, an_external_id_moved_to_another_customer_opens_nothing) {
  auto ann = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:4712", {{"email", "bob@example.org"}});
  auto raw = bench_.raw();
  auto term = raw.bytes("select external_term from vault_subjects" + of(bob.subject));
  raw.run("update vault_subjects set external_term = null" + of(bob.subject));
  raw.run("update vault_subjects set external_term = " + raw.literal(term) + of(ann.subject));

  EXPECT_EQ(code_of(bench_.reveal(ann.record, {"email"}, "self_service", {}, "customer:4712")),
            Code::corrupt);
}

// ── history

TEST_P(VaultRights, the_history_of_an_invented_customer_raises_the_alarm_and_is_counted) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(agree("ext:4711"));
  bench_(bench_.canaries().plant({}, {.collection = "customers",
                                      .locale = Locale::de,
                                      .external_id = "7777",
                                      .email = {},
                                      .email_domain = "post.example.org",
                                      .slot = {}}));
  must(agree("ext:7777"));

  bench_(bench_.subjects().standing({}, {"ext:4711"}));
  EXPECT_TRUE(bench_.alarms().seen.empty());
  bench_(bench_.subjects().standing({}, {"ext:7777"}));
  EXPECT_EQ(bench_.alarms().seen.size(), 1u);

  bench_.budgets().counting = bench_.budgets().full = true;
  EXPECT_EQ(code_of(bench_.run(bench_.subjects().standing({}, {"ext:4711"}))), Code::exhausted);
  EXPECT_EQ(bench_.budgets().charged.back(), std::vector{made.subject});
}

TEST_P(VaultRights, the_history_tells_every_decision_with_its_evidence) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(agree("ext:4711"));
  bench_.clock().advance(Millis{5});
  must(restrict("ext:4711"));

  auto history = bench_(bench_.subjects().standing({}, {"ext:4711"}));

  ASSERT_EQ(history.decisions.size(), 2u);
  EXPECT_EQ(history.decisions[0].decided, "restricted");
  EXPECT_EQ(history.decisions[0].evidence->expose_text(), "by letter");
  EXPECT_EQ(history.decisions[1].decided, "consent_given");
  EXPECT_EQ(history.decisions[1].purpose, "marketing");
  EXPECT_EQ(history.decisions[1].evidence->expose_text(), "box ticked");
  EXPECT_TRUE(last().opened) << "evidence is personal data";
  for (const auto& event : bench_.journal().events) {
    EXPECT_EQ(event.note.find("box ticked"), std::string::npos);
    for (const auto& [name, fact] : event.facts)
      if (const auto* text = std::get_if<std::string>(&fact)) {
        EXPECT_EQ(text->find("ticked"), std::string::npos) << name;
      }
  }
}

TEST_P(VaultRights, two_decisions_at_once_do_not_undo_each_other) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    must(co_await bench_.subjects().object({}, {"ext:4711", "fraud_check", false, {}, {}}));
  };

  EXPECT_EQ(code_of(agree("ext:4711")), Code::conflict);

  EXPECT_EQ(open(made.record, "fraud_check"), "forbidden");
  must(agree("ext:4711"));
  EXPECT_EQ(open(made.record, "fraud_check"), "forbidden");
}

TEST_P(VaultRights, what_cannot_be_recorded_is_not_decided) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().fail = true;

  EXPECT_EQ(code_of(restrict("ext:4711")), Code::unavailable);
  EXPECT_EQ(code_of(agree("ext:4711")), Code::unavailable);
  EXPECT_EQ(exported("ext:4711"), "unavailable");

  bench_.journal().fail = false;
  EXPECT_EQ(open(made.record, "support"), "ann@example.org");
}

// ── restore

TEST_P(VaultRights, decisions_outlive_a_restore) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto cas = bench_.create("ext:3", {{"email", "cas@example.org"}});
  must(agree("ext:3"));
  auto yesterday = bench_.backup();
  must(restrict("ext:1"));
  must(object("ext:2", "fraud_check"));
  must(agree("ext:3", "marketing", true));

  bench_.restore(yesterday);
  ASSERT_EQ(open(ann.record, "support"), "ann@example.org") << "before the replay it is undone";
  EXPECT_EQ(replay().decided, 3);

  EXPECT_EQ(open(ann.record, "support"), "forbidden");
  EXPECT_EQ(open(bob.record, "fraud_check"), "forbidden");
  EXPECT_EQ(open(cas.record, "marketing"), "forbidden");
  EXPECT_EQ(replay().decided, 0) << "a second replay finds nothing to do";
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRights, a_restriction_that_was_lifted_stays_lifted_after_a_restore) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto before = bench_.backup();
  must(restrict("ext:1"));
  auto meanwhile = bench_.backup();
  must(unrestrict("ext:1"));

  bench_.restore(meanwhile);
  replay();
  EXPECT_EQ(open(made.record, "support"), "ann@example.org");

  bench_.restore(before);
  replay();
  EXPECT_EQ(open(made.record, "support"), "ann@example.org");
  must(agree("ext:1"));
  bench_.reopen();
  EXPECT_EQ(replay().decided, 0) << "what came since stays";
  EXPECT_EQ(open(made.record, "marketing"), "ann@example.org");
}

TEST_P(VaultRights, a_decision_cut_off_before_its_commit_holds_at_the_next_start) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    throw std::runtime_error("the power fails here");
    co_return;
  };
  EXPECT_THROW((void)restrict("ext:1"), std::runtime_error);
  bench_.reopen();

  EXPECT_EQ(replay(false).decided, 1);

  EXPECT_EQ(open(made.record, "support"), "forbidden");
  EXPECT_EQ(replay(false).decided, 0);
}

// ── merge

TEST_P(VaultRights, a_guest_becomes_another_name_of_the_account) {
  auto account = bench_.create("ext:4711", {{"email", "ann@example.org"}}, "main");
  auto guest =
      bench_.create("ext:guest-9", {{"email", "ann@example.net"}, {"member", "M-1"}}, "main");
  auto held = token("ext:guest-9", "phone", "030 1234567");

  auto merged = must(merge("ext:4711", "ext:guest-9"));

  EXPECT_EQ(merged.subject, account.subject);
  EXPECT_EQ(merged.merged, guest.subject);
  EXPECT_EQ(merged.records, 2);
  ASSERT_EQ(merged.renamed.size(), 1u) << "both had a slot `main`";
  EXPECT_EQ(merged.renamed[0].record, guest.record);
  EXPECT_EQ(merged.renamed[0].slot, "main_2");
  EXPECT_EQ(open(account.record, "support"), "ann@example.org");
  EXPECT_EQ(open(guest.record, "support"), "ann@example.net");
  EXPECT_EQ(open_token(held), "030 1234567");
  EXPECT_EQ(must(bench_.find({{"member", "M-1"}})).records.at(0).subject, account.subject);
  auto by_guest = bench_(bench_.subjects().get({}, {"ext:guest-9"}));
  EXPECT_EQ(by_guest.subject, account.subject);
  EXPECT_EQ(by_guest.aliases, std::vector{guest.subject});
  EXPECT_EQ(by_guest.records.size(), 3u);
  EXPECT_EQ(bench_(bench_.subjects().get({}, {guest.subject.text()})).subject, account.subject);
  EXPECT_EQ(code_of(merge("ext:4711", "ext:guest-9")), Code::conflict) << "they are one already";
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRights, an_alias_takes_new_records_for_the_account) {
  auto account = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto guest = bench_.create("ext:guest-9", {{"email", "ann@example.net"}});
  must(merge("ext:4711", "ext:guest-9"));

  auto by_external = bench_.create("ext:guest-9", {{"first_name", "Ann"}});
  auto by_id = bench_.create(guest.subject.text(), {{"last_name", "Lee"}});
  auto held = token("ext:guest-9", "letter", "weekly");

  EXPECT_EQ(by_external.subject, account.subject);
  EXPECT_EQ(by_id.subject, account.subject);
  EXPECT_EQ(open_token(held), "weekly");
  EXPECT_EQ(open(by_id.record, "support", "last_name"), "Lee");
  auto own =
      must(bench_.reveal(by_id.record, {"last_name"}, "self_service", {}, "customer:guest-9"));
  EXPECT_EQ(shown(own.values, "last_name"), "Lee");
}

TEST_P(VaultRights, names_of_names_lead_straight_to_the_customer) {
  bench_.create("ext:a", {{"email", "a@example.org"}});
  auto b = bench_.create("ext:b", {{"email", "b@example.org"}});
  auto c = bench_.create("ext:c", {{"email", "c@example.org"}});
  must(merge("ext:b", "ext:a"));

  must(merge("ext:c", "ext:b"));

  EXPECT_EQ(bench_(bench_.subjects().get({}, {"ext:a"})).subject, c.subject);
  EXPECT_EQ(bench_(bench_.subjects().get({}, {"ext:c"})).aliases.size(), 2u);
  EXPECT_EQ(open(b.record, "support"), "b@example.org");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRights, a_merge_that_was_refused_is_not_done_at_the_next_start) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto guest = bench_.create("ext:guest-9", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    must(co_await bench_.subjects().restrict(
        {}, {.subject = "ext:guest-9", .ground = Ground::needed_for_claims, .note = {}}));
  };

  EXPECT_EQ(code_of(merge("ext:4711", "ext:guest-9")), Code::conflict);

  EXPECT_EQ(replay(false).merged, 0);
  EXPECT_EQ(bench_(bench_.subjects().get({}, {"ext:guest-9"})).subject, guest.subject);
}

TEST_P(VaultRights, a_decision_that_was_refused_is_not_made_at_the_next_start) {
  auto ann = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(bench_.run(bench_.subjects().restrict(
      {}, {.subject = "ext:4711", .ground = Ground::needed_for_claims, .note = {}})));
  const Caller revoked{.generation = 77};

  EXPECT_EQ(code_of(bench_.run(bench_.subjects().unrestrict(revoked, {"ext:4711", {}}))),
            Code::stale);

  EXPECT_EQ(replay(false).decided, 0);
  EXPECT_EQ(open(ann.record, "support"), "forbidden") << "still restricted";
}

TEST_P(VaultRights, a_merge_is_refused_for_the_erased_the_restricted_and_the_held) {
  bench_.create("ext:a", {{"email", "a@example.org"}});
  auto gone = bench_.create("ext:b", {{"email", "b@example.org"}});
  bench_.create("ext:c", {{"email", "c@example.org"}});
  must(bench_.erase("ext:b"));
  must(restrict("ext:c"));

  EXPECT_EQ(code_of(merge("ext:a", gone.subject.text())), Code::gone);
  EXPECT_EQ(code_of(merge(gone.subject.text(), "ext:a")), Code::gone);
  EXPECT_EQ(code_of(merge("ext:a", "ext:c")), Code::conflict);
  EXPECT_EQ(code_of(merge("ext:c", "ext:a")), Code::conflict);
  EXPECT_EQ(code_of(merge("ext:a", "ext:a")), Code::conflict);
  EXPECT_EQ(code_of(merge("ext:a", "ext:nobody")), Code::not_found);
  must(unrestrict("ext:c"));
  bench_.fake_holds().on = true;
  EXPECT_EQ(code_of(merge("ext:a", "ext:c")), Code::conflict);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
}

TEST_P(VaultRights, decisions_of_a_guest_go_with_them) {
  auto account = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.create("ext:guest-9", {{"email", "ann@example.net"}});
  must(object("ext:guest-9", "fraud_check"));
  must(agree("ext:4711"));

  must(merge("ext:4711", "ext:guest-9"));

  EXPECT_EQ(open(account.record, "fraud_check"), "forbidden");
  EXPECT_EQ(open(account.record, "marketing"), "ann@example.org");
  EXPECT_EQ(bench_(bench_.subjects().standing({}, {"ext:4711"})).decisions.size(), 2u);
}

TEST_P(VaultRights, a_record_added_while_its_customer_was_merged_is_not_lost) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.create("ext:guest-9", {{"email", "ann@example.net"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    CreateRecords request{.collection = "customers",
                          .subject = "ext:guest-9",
                          .slot = {},
                          .values = values({{"first_name", "Ann"}}),
                          .records = {},
                          .idempotency_key = {}};
    must(co_await bench_.records().create({}, std::move(request)));
  };

  EXPECT_EQ(code_of(merge("ext:4711", "ext:guest-9")), Code::conflict);
  EXPECT_EQ(must(merge("ext:4711", "ext:guest-9")).records, 2);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRights, a_merge_outlives_a_restore_and_a_power_failure) {
  auto account = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto guest = bench_.create("ext:guest-9", {{"email", "ann@example.net"}});
  auto yesterday = bench_.backup();
  bench_.journal().before_commit = [&]() -> Task<void> {
    throw std::runtime_error("the power fails here");
    co_return;
  };
  EXPECT_THROW((void)merge("ext:4711", "ext:guest-9"), std::runtime_error);
  bench_.reopen();
  EXPECT_EQ(replay().merged, 1) << "made good at the next start";
  must(object("ext:guest-9", "fraud_check"));

  bench_.restore(yesterday);
  auto again = replay();

  EXPECT_EQ(again.merged, 1);
  EXPECT_EQ(again.decided, 1);
  EXPECT_EQ(bench_(bench_.subjects().get({}, {"ext:guest-9"})).subject, account.subject);
  EXPECT_EQ(open(guest.record, "support"), "ann@example.net");
  EXPECT_EQ(open(guest.record, "fraud_check"), "forbidden");
  auto none = replay();
  EXPECT_EQ(none.merged + none.decided, 0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRights, an_erased_account_takes_its_names_along_also_after_a_restore) {
  auto account = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto guest = bench_.create("ext:guest-9", {{"email", "ann@example.net"}});
  auto yesterday = bench_.backup();
  must(merge("ext:4711", "ext:guest-9"));
  must(agree("ext:4711"));
  must(bench_.erase("ext:guest-9"));
  EXPECT_EQ(code_of(bench_.run(bench_.subjects().get({}, {"ext:guest-9"}))), Code::not_found);
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_subject_keys"), 0);
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_decisions"), 0);
  EXPECT_EQ(
      bench_.raw().number("select count(*) from vault_subjects where external_term is not null"),
      0);
  EXPECT_TRUE(bench_.state().good());

  bench_.restore(yesterday);
  auto again = replay();

  EXPECT_EQ(again.merged, 1);
  EXPECT_EQ(again.erased, 1);
  EXPECT_EQ(open(account.record, "support"), "not_found");
  EXPECT_EQ(open(guest.record, "support"), "not_found");
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_subject_keys"), 0);
}

// ── erasing

TEST_P(VaultRights, a_legal_hold_forbids_to_erase) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.fake_holds().on = true;

  EXPECT_EQ(code_of(bench_.erase("ext:4711")), Code::conflict);

  EXPECT_EQ(last().activity, "subjects.erase");
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_EQ(open(made.record, "support"), "ann@example.org");
  bench_.fake_holds().on = false;
  EXPECT_TRUE(bench_.erase("ext:4711"));
}

TEST_P(VaultRights, an_erasure_is_stated_so_that_others_can_check_it) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}});
  EXPECT_EQ(code_of(bench_.run(bench_.subjects().erasure({}, {"ext:4711"}))), Code::not_found);
  auto erased = must(bench_.erase("ext:4711"));
  bench_.epochs().epoch = {bench_.clock().now() + Millis{86'400'000}, {}};

  auto statement = bench_(bench_.subjects().erasure({}, {made.subject.text()}));

  auto json = to_json(statement);
  EXPECT_TRUE(is_erasure(json));
  auto proved = must(verify_erasure(json, bench_.log().verifier()));
  EXPECT_EQ(proved.said.subject, made.subject);
  EXPECT_EQ(proved.said.erasure, erased.event);
  EXPECT_EQ(proved.said.groups, (std::vector<std::string>{"account", "marketing"}));
  ASSERT_EQ(proved.said.steps.size(), 4u);
  EXPECT_EQ(proved.said.steps[0].state, StepState::done);
  EXPECT_EQ(proved.said.steps[2].state, StepState::not_scheduled);
  EXPECT_EQ(proved.said.steps[3].state, StepState::planned);
  EXPECT_EQ(json.find("4711"), std::string::npos);
}

TEST_P(VaultRights, the_statement_of_an_erasure_names_what_a_duty_still_holds) {
  auto made = bench_.create(
      "ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}, {"tax_id", "DE123456789"}});
  auto state = [&] { return bench_(bench_.subjects().erasure({}, {made.subject.text()})); };
  must(bench_.erase("ext:4711", {"marketing"}));
  auto partly = state();
  ASSERT_TRUE(partly.said.held);
  ASSERT_EQ(partly.said.held->size(), 2u);
  EXPECT_EQ(partly.said.held->at(0).group, "account");
  EXPECT_FALSE(partly.said.held->at(0).until) << "nobody asked for it";
  auto erased = must(bench_.erase("ext:4711"));

  auto statement = state();

  auto proved = must(verify_erasure(to_json(statement), bench_.log().verifier()));
  ASSERT_TRUE(proved.said.held);
  ASSERT_EQ(proved.said.held->size(), 1u);
  EXPECT_EQ(proved.said.held->at(0).group, "legal");
  EXPECT_EQ(proved.said.held->at(0).until, erased.held.at(0).until);
  statement.said.held.reset();
  EXPECT_EQ(code_of(verify_erasure(to_json(statement), bench_.log().verifier())), Code::corrupt);

  bench_.clock().set_now(erased.held.at(0).until);
  must(bench_.erase(made.subject.text()));
  EXPECT_FALSE(state().said.held);
  EXPECT_FALSE(to_json(state().said).contains("held"))
      << "a statement without it is worded, and hashed, as before there was such a member";
}

TEST_P(VaultRights, a_statement_that_was_changed_proves_nothing) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto other = bench_.create("ext:2", {{"email", "bob@example.org"}});
  must(bench_.erase("ext:1"));
  must(bench_.erase("ext:2"));
  auto good = bench_(bench_.subjects().erasure({}, {made.subject.text()}));
  auto theirs = bench_(bench_.subjects().erasure({}, {other.subject.text()}));
  auto code = [&](auto change) {
    auto bad = good;
    change(bad);
    return code_of(verify_erasure(to_json(bad), bench_.log().verifier()));
  };

  EXPECT_EQ(code([](auto&) {}), std::nullopt);
  EXPECT_EQ(code([&](auto& bad) { bad.said.subject = other.subject; }), Code::corrupt);
  EXPECT_EQ(code([](auto& bad) { bad.said.erased += Millis{1}; }), Code::corrupt);
  EXPECT_EQ(code([](auto& bad) { bad.said.groups.push_back("legal"); }), Code::corrupt);
  EXPECT_EQ(code([](auto& bad) { bad.said.steps[3].state = StepState::done; }), Code::corrupt);
  EXPECT_EQ(code([](auto& bad) { bad.said.steps.pop_back(); }), Code::corrupt);
  EXPECT_EQ(code([&](auto& bad) { bad.erasure = theirs.erasure; }), Code::corrupt);
  EXPECT_EQ(code([&](auto& bad) { bad.statement = theirs.statement; }), Code::corrupt);
  EXPECT_EQ(code([&](auto& bad) { bad.said = theirs.said; }), Code::corrupt);
  EXPECT_EQ(code([](auto& bad) { std::swap(bad.erasure, bad.statement); }), Code::corrupt);
  EXPECT_EQ(code([](auto& bad) { bad.format = "x"; }), Code::invalid);
  EXPECT_EQ(code_of(verify_erasure(to_json(good), "example.org+00000000+AAAA")), Code::corrupt);
  EXPECT_EQ(code_of(verify_erasure("{}", std::nullopt)), Code::invalid);
}

// ── export

TEST_P(VaultRights, an_export_holds_everything_and_is_recorded_first) {
  bench_.create("ext:4711",
                {{"email", "ann@example.org"},
                 {"note", "rings twice"},
                 {"prefs", R"({"size":"M"})"},
                 {"tax_id", "DE123456789"}},
                "main");
  bench_.create("ext:guest-9", {{"phone", "030 1234567"}});
  must(merge("ext:4711", "ext:guest-9"));
  must(agree("ext:4711"));
  must(bench_.find({{"email", "ann@example.org"}}));
  engage("ext:4711", "T-2026-17");

  auto text = exported("ext:4711");

  EXPECT_EQ(last().activity, "subjects.export");
  EXPECT_TRUE(last().opened);
  EXPECT_EQ(last().purpose, "subject_request");
  auto parsed = parse_json(text);
  ASSERT_TRUE(parsed) << text;
  const auto& object = parsed->as_object();
  EXPECT_EQ(object.at("external_ids").as_array().size(), 2u) << "the guest's too";
  ASSERT_EQ(object.at("records").as_array().size(), 2u);
  for (auto held :
       {"ann@example.org", "rings twice", R"({"size":"M"})", "DE123456789", "030 1234567",
        "guest-9", "box ticked", "T-2026-17", "kept_until", "legal_obligation"})
    EXPECT_NE(text.find(held), std::string::npos) << held;
  EXPECT_FALSE(object.at("accesses").as_array().empty()) << "this export at least";
}

TEST_P(VaultRights, an_export_to_read_shows_hostile_values_as_text) {
  bench_.create("ext:4711", {{"note", "<script>alert(1)</script>"}});

  auto text = exported("ext:4711", ExportFormat::html);

  EXPECT_TRUE(text.starts_with("<!DOCTYPE html>"));
  EXPECT_TRUE(text.ends_with("</html>\n"));
  EXPECT_EQ(text.find("<script"), std::string::npos);
  EXPECT_NE(text.find("&lt;script&gt;"), std::string::npos);
}

TEST_P(VaultRights, an_export_is_for_a_request_or_for_the_customer_alone) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.create("ext:4712", {{"email", "bob@example.org"}});
  bench_.permits().rules = {{"key_shop", "*", View::clear, "self_service", true},
                            {"key_mask", "*", View::masked}};
  Caller shop{.principal = "key_shop"};
  auto by = [&](std::string subject, std::string purpose, Caller caller,
                std::optional<std::string> person) {
    return exported(std::move(subject), ExportFormat::json, std::move(purpose), std::move(caller),
                    std::move(person));
  };

  EXPECT_EQ(by("ext:4711", "support", {}, {}), "invalid");
  EXPECT_EQ(by("ext:4712", "self_service", shop, "customer:4711"), "forbidden");
  EXPECT_EQ(by("ext:4711", "self_service", shop, "staff:17"), "forbidden");
  EXPECT_EQ(by("ext:4711", "self_service", shop, {}), "forbidden");
  EXPECT_EQ(by("ext:4711", "subject_request", shop, "staff:17"), "forbidden");
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_EQ(by("ext:4711", "subject_request", {.principal = "key_mask"}, {}), "forbidden");
  EXPECT_NE(by("ext:4711", "self_service", shop, "customer:4711").find("ann@example.org"),
            std::string::npos);
}

TEST_P(VaultRights, an_export_is_charged_for_its_customer_and_refused_past_the_budget) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.create("ext:guest-9", {{"phone", "030 1234567"}});
  must(merge("ext:4711", "ext:guest-9"));
  bench_.budgets().counting = true;

  EXPECT_TRUE(parse_json(exported("ext:4711")));
  ASSERT_EQ(bench_.budgets().charged.size(), 1u);
  EXPECT_EQ(bench_.budgets().charged[0], std::vector{made.subject}) << "under one name";
  bench_.budgets().full = true;
  EXPECT_EQ(exported("ext:4711"), "exhausted");

  EXPECT_EQ(last().activity, "subjects.export");
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_EQ(last().reason, "budget");
  EXPECT_FALSE(last().opened);
}

TEST_P(VaultRights, an_export_of_an_invented_customer_raises_the_alarm) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_(bench_.canaries().plant({}, {.collection = "customers",
                                      .locale = Locale::de,
                                      .external_id = "7777",
                                      .email = {},
                                      .email_domain = "post.example.org",
                                      .slot = {}}));

  EXPECT_TRUE(parse_json(exported("ext:4711")));
  EXPECT_TRUE(bench_.alarms().seen.empty());
  EXPECT_TRUE(parse_json(exported("ext:7777")));

  EXPECT_TRUE(last().alarm);
  ASSERT_EQ(bench_.alarms().seen.size(), 1u);
  EXPECT_TRUE(bench_.alarms().seen[0].starts_with("system subjects.export evt_"));
}

TEST_P(VaultRights, an_export_shows_ids_and_evidence_to_who_sees_personal_fields) {
  auto spec = customers();
  spec.fields[6].field_class = FieldClass::plain;  // prefs
  bench_(bench_.declarations().put({}, std::move(spec)));
  auto made = bench_.create("ext:4711", {{"prefs", R"({"size":"M"})"}});
  must(agree("ext:4711"));
  engage("ext:4711", "T-2026-17");
  bench_.permits().rules = {
      {"key_mask", "*", View::masked}, {"key_plain", "prefs"}, {"key_phone", "phone"}};
  auto by = [&](std::string key) {
    return exported("ext:4711", ExportFormat::json, "subject_request",
                    {.principal = std::move(key)});
  };
  auto shows_texts = [](const std::string& text) {
    return text.contains(R"("4711")") && text.contains("box ticked") && text.contains("T-2026-17");
  };

  auto plain = by("key_plain");
  EXPECT_TRUE(plain.contains(R"("size":"M")")) << plain;
  EXPECT_TRUE(plain.contains(R"("external_ids":[])")) << plain;
  EXPECT_FALSE(plain.contains("box ticked")) << plain;
  EXPECT_TRUE(plain.contains(R"("kind":"ticket")")) << plain;
  EXPECT_FALSE(plain.contains("T-2026-17")) << plain;
  EXPECT_EQ(by("key_mask"), "forbidden");
  EXPECT_TRUE(shows_texts(by("key_phone"))) << "of a field that this customer does not have";
  EXPECT_TRUE(last().opened);
  EXPECT_TRUE(last().fields.empty());

  must(bench_.run(bench_.records().remove({}, {made.record, {}})));
  bench_.budgets().counting = true;
  for (auto key : {"key_mask", "key_plain", "key_none"}) {
    EXPECT_EQ(by(key), "forbidden") << key;
    EXPECT_EQ(last().outcome, journal::Outcome::refused);
    EXPECT_FALSE(last().opened);
  }
  EXPECT_TRUE(bench_.budgets().charged.empty());
  EXPECT_TRUE(shows_texts(by("key_phone"))) << "without any record, too";
  EXPECT_TRUE(last().opened);
  EXPECT_EQ(bench_.budgets().charged.size(), 1u);
}

TEST_P(VaultRights, an_export_of_who_was_erased_opens_nothing) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  engage("ext:4711", "T-2026-17");
  must(bench_.erase("ext:4711"));
  bench_.budgets().counting = true;

  auto text = exported(made.subject.text());

  EXPECT_EQ(last().activity, "subjects.export");
  EXPECT_FALSE(last().opened) << "the number went with the key";
  EXPECT_TRUE(bench_.budgets().charged.empty());
  EXPECT_TRUE(text.contains(R"("kind":"ticket")")) << text;
  EXPECT_FALSE(text.contains("T-2026-17")) << text;
}

TEST_P(VaultRights, an_export_holds_no_engagement_that_somebody_wrote_into_the_database) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  engage("ext:4711", "T-2026-17");
  bench_.raw().run("update vault_engagements set kind = 'order'");

  auto text = exported("ext:4711");

  EXPECT_TRUE(text.contains("ann@example.org"));
  EXPECT_TRUE(text.contains(R"("engagements":[])")) << text;
  EXPECT_FALSE(bench_.state().good());
}

TEST_P(VaultRights, an_export_of_a_damaged_value_says_so) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"first_name", "Ann"}});
  auto raw = bench_.raw();
  auto where = " where id = " + raw.literal(made.record.bytes());
  auto fields = must(unpack(raw.bytes("select sealed from vault_records" + where)));
  fields[0].sealed.back() ^= 1;
  raw.run("update vault_records set sealed = " + raw.literal(pack(fields)) + where);

  auto text = exported("ext:4711");

  EXPECT_NE(text.find(R"("shown":"damaged")"), std::string::npos);
  EXPECT_NE(text.find("Ann"), std::string::npos);
  EXPECT_TRUE(parse_json(text));
}

TEST_P(VaultRights, accesses_of_a_merged_customer_are_those_of_all_names) {
  auto account = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto guest = bench_.create("ext:guest-9", {{"email", "ann@example.net"}});
  must(bench_.reveal(guest.record, {"email"}));
  must(bench_.reveal(account.record, {"email"}));
  must(merge("ext:4711", "ext:guest-9"));

  auto list = bench_(bench_.subjects().accesses({}, {"ext:4711", {}, {}}));
  auto first = bench_(bench_.subjects().accesses({}, {"ext:4711", {}, 1}));
  auto rest = bench_(bench_.subjects().accesses({}, {"ext:4711", first.before, 1}));

  ASSERT_EQ(list.accesses.size(), 2u);
  EXPECT_GT(list.accesses[0].seq, list.accesses[1].seq);
  EXPECT_EQ(first.accesses.at(0).seq, list.accesses[0].seq);
  EXPECT_EQ(rest.accesses.at(0).seq, list.accesses[1].seq);
}

}  // namespace
}  // namespace holdfast::vault
