// Keys rotated under customers' rights: standings, evidence, requests and merged customers stay
// what they were, and nothing that Holdfast did not write gets a new key's word for it.
#include <algorithm>

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultRotationRights : public Vault {
 protected:
  CreatedRecord ann_, bob_, alias_;
  std::string token_;
  DemandId demand_{};

  void SetUp() override {
    ann_ = bench_.create("ext:1", {{"email", "ann@example.org"}, {"member", "M-1"}});
    bob_ = bench_.create("ext:2", {{"email", "bob@example.org"}, {"member", "M-2"}});
    alias_ = bench_.create("ext:3", {{"email", "ann@example.com"}, {"member", "M-3"}});
    token_ = bench_(bench_.tokens().create({}, {.subject = "ext:3",
                                                .collection = "customers",
                                                .values = values({{"phone", "030 7654321"}}),
                                                .items = {},
                                                .idempotency_key = {}}))
                 .items[0]
                 .tokens[0]
                 .second.token;
    agree("ext:1", "box ticked");
    agree("ext:3", "said on the phone");
    bench_(bench_.subjects().merge({}, {"ext:1", "ext:3", {}}));
    OpenRequest asked{.subject = "ext:2",
                      .kind = DemandKind::access,
                      .received = {},
                      .identity = IdentityCheck::account_login,
                      .text = Secret::copy("what do you hold of me?"),
                      .on_behalf_of = {},
                      .idempotency_key = {}};
    demand_ = bench_(bench_.requests().open({}, std::move(asked))).request;
    bench_(bench_.requests().answer({}, {.request = demand_,
                                         .outcome = DemandOutcome::granted,
                                         .event = {},
                                         .text = Secret::copy("sent as a letter")}));
    bench_(bench_.subjects().restrict({}, {"ext:2", Ground::unlawful, "by letter"}));
  }

  void agree(std::string subject, std::string evidence) {
    bench_(bench_.subjects().consent({}, {std::move(subject), "marketing", false, evidence, {}}));
  }
  RotationView rotate(KeyKind kind) {
    bench_.clock().advance(Millis(1));  // ids sort by time
    return bench_(bench_.rotations().rotate({}, {kind, true}));
  }
  int steps(int most = 1000) {
    int done = 0;
    while (done < most && bench_(bench_.rotations().step()) != Rotations::Pace::idle) ++done;
    return done;
  }
  RotationView last() { return bench_(bench_.rotations().progress({}, {})).rotations.back(); }
  static std::string name(KeyKind kind) {
    return std::string(enum_names(kind)[static_cast<std::size_t>(kind)]);
  }
  std::vector<std::string> evidence(std::string subject) {
    std::vector<std::string> out;
    for (const auto& one : bench_(bench_.subjects().standing({}, {std::move(subject)})).decisions)
      if (one.evidence) out.emplace_back(one.evidence->expose_text());
    std::ranges::sort(out);
    return out;
  }
  std::string open(RecordId record, std::string purpose) {
    auto shown_for = bench_.reveal(record, {"email"}, std::move(purpose));
    if (!shown_for) return std::string(code_name(shown_for.error().code));
    auto refused = refusal(shown_for->refused, "email");
    return refused.empty() ? shown(shown_for->values, "email") : refused;
  }

  void expect_all_well(const std::string& where) {
    EXPECT_EQ(open(ann_.record, "marketing"), "ann@example.org") << where;
    EXPECT_EQ(open(alias_.record, "marketing"), "ann@example.com") << where;
    EXPECT_EQ(open(bob_.record, "support"), "forbidden") << where << ": still restricted";
    EXPECT_EQ(evidence("ext:1"), (std::vector<std::string>{"box ticked", "said on the phone"}))
        << where;
    EXPECT_EQ(bench_(bench_.subjects().get({}, {"ext:3"})).subject, ann_.subject) << where;
    EXPECT_EQ(must(bench_.find({{"member", "M-3"}})).records.at(0).record, alias_.record) << where;
    EXPECT_TRUE(bench_(bench_.tokens().reveal({}, {{token_}, "marketing", {}})).refused.empty())
        << where;
    auto demand = bench_(bench_.requests().get({}, {demand_}));
    ASSERT_TRUE(demand.text && demand.answer) << where;
    EXPECT_EQ(demand.text->expose_text(), "what do you hold of me?") << where;
    EXPECT_EQ(demand.answer->expose_text(), "sent as a letter") << where;
    auto report = bench_.state();
    EXPECT_TRUE(report.good()) << where << ": " << report.changed_total << " changed, "
                               << report.unrecorded_total << " unrecorded, " << report.missing_total
                               << " missing"
                               << (report.changed.empty() ? "" : " " + report.changed[0].kind);
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultRotationRights, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultRotationRights, of_every_kind_leaves_standings_evidence_requests_and_aliases) {
  expect_all_well("before");
  for (auto kind : {KeyKind::epoch, KeyKind::subject, KeyKind::index, KeyKind::external,
                    KeyKind::authority, KeyKind::digest}) {
    rotate(kind);
    while (steps(1) == 1) {
      auto begun = last();
      if (begun.phase == RotationPhase::checking || begun.phase == RotationPhase::clearing)
        expect_all_well(name(kind) + " on the way");
    }

    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    expect_all_well(name(kind));
  }
  bench_.reopen();
  expect_all_well("after a restart");
}

TEST_P(VaultRotationRights, takes_decisions_requests_and_merges_between_any_two_steps) {
  int made = 100;
  bench_.rotation_settings.batch = 16;
  bench_.reopen();
  for (auto kind : {KeyKind::epoch, KeyKind::subject, KeyKind::index, KeyKind::external,
                    KeyKind::authority, KeyKind::digest}) {
    rotate(kind);
    std::vector<std::pair<std::string, RecordId>> merged;
    std::vector<DemandId> asked;
    do {
      auto number = std::to_string(++made);
      bench_.create("ext:a" + number, {{"email", "a" + number + "@example.org"}});
      auto second = bench_.create("ext:b" + number, {{"email", "b" + number + "@example.org"}});
      agree("ext:b" + number, "agreed " + number);
      bench_(bench_.subjects().merge({}, {"ext:a" + number, "ext:b" + number, {}}));
      merged.emplace_back(number, second.record);
      asked.push_back(bench_(bench_.requests().open({}, {.subject = "ext:b" + number,
                                                         .kind = DemandKind::access,
                                                         .received = {},
                                                         .identity = {},
                                                         .text = Secret::copy(number),
                                                         .on_behalf_of = {},
                                                         .idempotency_key = {}}))
                          .request);
      bench_(bench_.subjects().object({}, {"ext:b" + number, "fraud_check", false, {}, {}}));
      ASSERT_LT(made, 1000) << name(kind);
    } while (steps(1) == 1);

    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    for (std::size_t i = 0; i < merged.size(); ++i) {
      const auto& [number, record] = merged[i];
      EXPECT_EQ(open(record, "marketing"), "b" + number + "@example.org") << name(kind);
      EXPECT_EQ(evidence("ext:b" + number), std::vector<std::string>{"agreed " + number});
      auto found = must(bench_.find({{"email", "b" + number + "@example.org"}}));
      EXPECT_EQ(found.records.size(), 1u) << name(kind) << ' ' << number;
      auto demand = bench_(bench_.requests().get({}, {asked[i]}));
      EXPECT_EQ(demand.text->expose_text(), number) << name(kind);
    }
    expect_all_well(name(kind));
  }
}

TEST_P(VaultRotationRights, gives_no_mac_to_a_customers_row_that_holdfast_did_not_write) {
  auto raw = bench_.raw();
  const auto where = " where id = " + raw.literal(bob_.subject.bytes());
  const auto before = raw.bytes("select standing from vault_subjects" + where);
  const auto open_one = raw.bytes("select standing from vault_subjects where id = " +
                                  raw.literal(ann_.subject.bytes()));
  for (auto kind : {KeyKind::authority, KeyKind::external, KeyKind::subject}) {
    raw.run("update vault_subjects set standing = " + raw.literal(open_one) + where);

    rotate(kind);
    steps();

    EXPECT_EQ(last().phase, RotationPhase::stopped) << name(kind);
    EXPECT_EQ(last().refused_rows, std::vector<std::string>{"subjects " + bob_.subject.text()});
    EXPECT_EQ(open(bob_.record, "support"), "corrupt") << name(kind);
    EXPECT_EQ(open(ann_.record, "support"), "ann@example.org") << "others were moved";

    raw.run("update vault_subjects set standing = " + raw.literal(before) + where);
    rotate(kind);
    steps();
    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    expect_all_well(name(kind));
  }
}

TEST_P(VaultRotationRights, of_the_epoch_ends_what_was_sealed_before_a_merge) {
  auto raw = bench_.raw();
  const auto of_alias =
      " where subject = " + raw.literal(alias_.subject.bytes()) + " and keep_group = 'account'";
  const auto keys = raw.bytes("select wrapped from vault_subject_keys" + of_alias);
  rotate(KeyKind::epoch);
  steps();

  ASSERT_EQ(last().phase, RotationPhase::done);
  EXPECT_EQ(raw.number("select count(*) from vault_subject_keys" + of_alias), 1);
  EXPECT_EQ(raw.number("select count(*) from vault_subject_keys" + of_alias + " and key_id = 1"), 0)
      << "the key that old copies of the values are under is gone";
  EXPECT_NE(raw.bytes("select wrapped from vault_subject_keys" + of_alias), keys);
  EXPECT_EQ(evidence("ext:3").size(), 2u) << "what stays under the alias was sealed again";
}

TEST_P(VaultRotationRights, leaves_nothing_of_an_erased_customer_under_either_key) {
  rotate(KeyKind::external);
  while (last().phase < RotationPhase::checking) steps(1);
  must(bench_.erase("ext:3"));
  steps();

  ASSERT_EQ(last().phase, RotationPhase::done) << last().doing;
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_subjects where erased_ms is not null "
                                "and (external_term is not null or external_other is not null or "
                                "external_sealed is not null)"),
            0);
  EXPECT_EQ(code_of(bench_.run(bench_.subjects().get({}, {"ext:1"}))), Code::not_found);
  EXPECT_TRUE(bench_.state().good());
}

}  // namespace
}  // namespace holdfast::vault
