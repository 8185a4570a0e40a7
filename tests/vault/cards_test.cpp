// Card data: off until it is switched on, and what holds for it then.
#include "vault/cards.h"

#include <set>

#include "vault/formats.h"
#include "vault/tokens/service.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kPan = "4242424242424242";

CollectionSpec wallet() {
  CollectionSpec out{.collection = "wallet", .doc = {}, .fields = {}, .if_match = {}};
  out.fields = {field("pan", FieldType::card_number), field("expiry", FieldType::card_expiry),
                field("cvc", FieldType::card_verification),
                field("holder", FieldType::name, IndexKind::exact)};
  out.fields[0].token = TokenSpec{TokenShape::card, {}, TokenScope::none};
  return out;
}

class VaultCards : public Vault {
 protected:
  void switch_on() { bench_(bench_.cards().switch_on({}, {"SAQ D", "we charge by phone"})); }
  void declare_wallet() {
    switch_on();
    bench_(bench_.declarations().put({}, wallet()));
  }
  Result<CreatedTokens> create(Named named, std::string subject = "ext:1", std::string key = {}) {
    return bench_.run(bench_.tokens().create({}, {.subject = std::move(subject),
                                                  .collection = "wallet",
                                                  .values = values(named),
                                                  .items = {},
                                                  .idempotency_key = std::move(key)}));
  }
  std::string handle(std::string code = "123", std::string subject = "ext:1") {
    return must(create({{"cvc", std::move(code)}}, std::move(subject)))
        .items[0]
        .tokens[0]
        .second.token;
  }
  /// The value, or why not.
  std::string opened(const std::string& token, Caller caller = {}) {
    auto revealed = bench_.run(bench_.tokens().reveal(std::move(caller), {{token}, "support", {}}));
    if (!revealed) return std::string(code_name(revealed.error().code));
    for (const auto& one : revealed->refused)
      if (one.token == token) return one.reason;
    return shown(revealed->values, token);
  }
  RecordId card_record(std::string pan = std::string(kPan), std::string subject = "ext:1") {
    CreateRecords request{
        .collection = "wallet",
        .subject = std::move(subject),
        .slot = {},
        .values = values({{"pan", std::move(pan)}, {"expiry", "09/29"}, {"holder", "Ann Example"}}),
        .records = {},
        .idempotency_key = {}};
    return bench_(bench_.records().create({}, std::move(request))).records.front().record;
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultCards, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultCards, are_off_until_the_owner_accepts_what_it_means) {
  auto before = bench_(bench_.cards().status({}, {}));
  auto declared = bench_.run(bench_.declarations().put({}, wallet()));
  auto vague = bench_.run(bench_.cards().switch_on({}, {"yes", {}}));

  EXPECT_FALSE(before.on);
  EXPECT_NE(before.consequence.find("SAQ D"), std::string::npos);
  EXPECT_NE(before.advice.find("gateway's own fields"), std::string::npos);
  EXPECT_EQ(code_of(declared), Code::invalid);
  EXPECT_EQ(code_of(vague), Code::invalid);
  EXPECT_NE(vague.error().text.find("SAQ A to SAQ D"), std::string_view::npos);
  EXPECT_FALSE(bench_(bench_.cards().status({}, {})).on);
}

TEST_P(VaultCards, are_switched_on_by_an_event_and_once) {
  auto on = bench_(bench_.cards().switch_on({}, {"SAQ D", "we charge by phone"}));
  auto event = bench_.journal().events.back();
  auto again = bench_(bench_.cards().switch_on({}, {"SAQ D", {}}));

  EXPECT_TRUE(on.on && on.event);
  EXPECT_EQ(event.activity, "cards.switch_on");
  EXPECT_EQ(event.note, "we charge by phone");
  EXPECT_FALSE(again.event);
  bench_(bench_.declarations().put({}, wallet()));
  EXPECT_EQ(bench_(bench_.cards().status({}, {})).fields,
            (std::vector<std::string>{"wallet.pan", "wallet.expiry", "wallet.cvc"}));
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultCards, switched_off_take_nothing_new_and_still_open_what_is_held) {
  declare_wallet();
  auto token = must(create({{"pan", std::string(kPan)}})).items[0].tokens[0].second.token;

  bench_(bench_.cards().switch_off({}, {}));

  EXPECT_EQ(code_of(create({{"pan", "5555555555554444"}})), Code::invalid);
  EXPECT_EQ(code_of(create({{"cvc", "123"}})), Code::invalid);
  EXPECT_EQ(opened(token), kPan);
  EXPECT_EQ(bench_.journal().events.back().activity, "tokens.reveal");
  bench_(bench_.cards().switch_on({}, {"SAQ D", {}}));
  EXPECT_TRUE(create({{"pan", "5555555555554444"}}));
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultCards, are_not_switched_on_by_a_row_of_another_hand) {
  auto raw = bench_.raw();
  raw.run(
      "insert into vault_switches (name, version, declared, mac) values ('cards', 1, "
      "'{\"on\":true}', " +
      raw.literal(Bytes(32, 1)) + ")");
  bench_.reopen();

  EXPECT_EQ(code_of(bench_.run(bench_.cards().status({}, {}))), Code::corrupt);
  EXPECT_EQ(code_of(bench_.run(bench_.declarations().put({}, wallet()))), Code::corrupt);
}

TEST_P(VaultCards, are_shown_by_issuer_number_and_last_four_to_those_who_may) {
  declare_wallet();
  auto record = card_record();
  bench_.permits().rules = {{"key_masks", "*", View::masked}, {"key_other", "holder"}};

  auto masks = bench_.run(bench_.records().get({.principal = "key_masks"}, {record}));
  auto nothing = bench_.run(bench_.records().get({.principal = "key_other"}, {record}));

  EXPECT_EQ(shown(masks->values, "pan"), "424242•••4242");
  EXPECT_EQ(shown(masks->values, "expiry"), "•••");
  EXPECT_EQ(shown(nothing->values, "pan"), "-");
  EXPECT_EQ(bench_.opened(record, "expiry"), "2029-09");
}

TEST_P(VaultCards, have_tokens_that_keep_six_and_four_and_are_no_card_numbers) {
  declare_wallet();

  auto made = must(create({{"pan", "4242 4242 4242 4242"}, {"holder", "Ann Example"}}));

  const auto& view = made.items[0].tokens[0].second;
  EXPECT_EQ(view.mask, "424242•••4242");
  EXPECT_EQ(view.token.size(), 16u);
  EXPECT_TRUE(view.token.starts_with("424242") && view.token.ends_with("4242"));
  EXPECT_FALSE(passes_luhn(view.token));
  EXPECT_EQ(opened(view.token), kPan);
}

TEST_P(VaultCards, of_few_free_tokens_get_each_once_and_then_none) {
  switch_on();
  auto spec = wallet();
  spec.fields[0].index = IndexKind::none;
  bench_(bench_.declarations().put({}, std::move(spec)));
  std::string pan = "500000000000";  // twelve digits leave two to draw
  while (!passes_luhn(pan)) ++pan.back();
  std::set<std::string> seen;
  std::optional<Code> ended;

  for (int i = 0; i < 100 && !ended; ++i) {
    auto made = create({{"pan", pan}});
    ended = code_of(made);
    if (made) EXPECT_TRUE(seen.insert(made->items[0].tokens[0].second.token).second);
  }

  EXPECT_EQ(ended, Code::exhausted);
  EXPECT_GT(seen.size(), 40u);
  EXPECT_LE(seen.size(), 90u);
}

TEST_P(VaultCards, are_compared_for_no_person_and_searched_for_nobody) {
  declare_wallet();
  auto record = card_record();
  auto verify = [&](std::optional<std::string> person, Caller caller = {}) {
    return bench_.run(bench_.opening().verify(
        std::move(caller), {record, "pan", Secret::copy(kPan), "support", std::move(person)}));
  };
  auto search = [&](SearchRecords request) {
    request.collection = "wallet";
    request.purpose = "support";
    return code_of(bench_.search({}, std::move(request)));
  };
  bench_.permits().rules = {{"staff_1", "*"}};

  EXPECT_TRUE(must(verify({})).matches);
  EXPECT_EQ(code_of(verify("staff:17")), Code::forbidden);
  EXPECT_EQ(code_of(verify("customer:1")), Code::forbidden);
  EXPECT_EQ(code_of(verify({}, {.principal = "staff_1"})), Code::forbidden);
  EXPECT_EQ(bench_.journal().events.back().outcome, journal::Outcome::refused);
  EXPECT_EQ(search({.q = values({{"pan", std::string(kPan)}})}), Code::invalid);
  EXPECT_EQ(search({.q = values({{"holder", "Ann Example"}}),
                    .filter = {{"pan", FilterOp::eq, std::string(kPan)}}}),
            Code::invalid);
  EXPECT_EQ(search({.q = values({{"holder", "Ann Example"}})}), std::nullopt);
}

// ── verification codes

TEST_P(VaultCards, verification_codes_are_read_once_and_leave_no_row) {
  declare_wallet();
  auto made = must(create({{"cvc", "123"}}));
  const auto& view = made.items[0].tokens[0].second;

  EXPECT_TRUE(view.token.starts_with("cvc_node_"));
  EXPECT_EQ(view.mask, "•••");
  EXPECT_FALSE(made.items[0].record);
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_records"), 0);
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_tokens"), 0);
  EXPECT_EQ(opened(view.token), "123");
  EXPECT_TRUE(bench_.journal().events.back().opened);
  EXPECT_EQ(bench_.journal().events.back().fields, std::vector<std::string>{"cvc"});
  EXPECT_EQ(bench_.journal().events.back().touches.front().subject, made.items[0].subject);
  EXPECT_EQ(opened(view.token), "read_or_expired");
}

TEST_P(VaultCards, verification_codes_come_beside_the_tokens_of_a_card) {
  declare_wallet();

  auto made = must(create({{"pan", std::string(kPan)}, {"cvc", "123"}, {"expiry", "09/29"}}));

  ASSERT_EQ(made.items[0].tokens.size(), 3u);
  EXPECT_EQ(made.items[0].tokens[2].first, "cvc");
  EXPECT_EQ(opened(made.items[0].tokens[0].second.token), kPan);
  EXPECT_EQ(opened(made.items[0].tokens[2].second.token), "123");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultCards, verification_codes_end_after_fifteen_minutes_by_either_clock) {
  declare_wallet();
  auto first = handle();
  bench_.clock().advance(kCodeLife - Millis(1));
  auto second = handle();
  EXPECT_EQ(opened(first), "123");
  bench_.clock().advance(kCodeLife);
  EXPECT_EQ(opened(second), "read_or_expired");

  auto third = handle();
  bench_.clock().set_mono(bench_.clock().mono() + kCodeLife);
  EXPECT_EQ(opened(third), "read_or_expired") << "the wall clock stood still";
  auto fourth = handle();
  bench_.clock().set_now(bench_.clock().now() - Millis{86'400'000});
  EXPECT_EQ(opened(fourth), "read_or_expired") << "the wall clock was set back";
}

TEST_P(VaultCards, verification_codes_are_taken_nowhere_else) {
  declare_wallet();
  auto record = card_record();
  CreateRecords request{.collection = "wallet",
                        .subject = "ext:1",
                        .slot = {},
                        .values = values({{"cvc", "123"}}),
                        .records = {},
                        .idempotency_key = {}};

  auto made = bench_.run(bench_.records().create({}, std::move(request)));
  auto changed =
      bench_.run(bench_.records().update({}, {record, values({{"cvc", "123"}}), {}, {}}));

  EXPECT_EQ(code_of(made), Code::invalid);
  EXPECT_NE(made.error().text.find("tokens.create"), std::string_view::npos);
  EXPECT_EQ(code_of(changed), Code::invalid);
  EXPECT_EQ(code_of(create({{"cvc", "12x"}})), Code::invalid);
  EXPECT_EQ(code_of(create({{"cvc", std::nullopt}})), Code::invalid);
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_records"), 1);
}

TEST_P(VaultCards, verification_codes_open_only_to_those_who_may_and_stay_until_then) {
  declare_wallet();
  auto token = handle();
  bench_.permits().rules = {{"key_masks", "*", View::masked}, {"key_verify", "*", View::verify}};

  EXPECT_EQ(opened(token, {.principal = "key_masks"}), "forbidden");
  EXPECT_EQ(opened(token, {.principal = "key_verify"}), "forbidden");
  EXPECT_EQ(bench_.journal().events.back().outcome, journal::Outcome::refused);
  EXPECT_EQ(opened(token), "123");
}

TEST_P(VaultCards, verification_codes_are_not_shown_when_that_cannot_be_recorded) {
  declare_wallet();
  auto token = handle();
  bench_.journal().fail = true;

  EXPECT_EQ(opened(token), "unavailable");
  EXPECT_EQ(code_of(create({{"cvc", "456"}})), Code::unavailable);
  EXPECT_EQ(bench_.tokens().codes().size(), 1u) << "the second was not kept";
  bench_.journal().fail = false;

  EXPECT_EQ(opened(token), "123");
}

TEST_P(VaultCards, verification_codes_of_an_erased_customer_are_gone) {
  declare_wallet();
  auto token = handle();

  must(bench_.erase("ext:1"));

  EXPECT_EQ(opened(token), "erased");
  EXPECT_EQ(bench_.tokens().codes().size(), 0u);
}

TEST_P(VaultCards, verification_codes_are_in_no_fingerprint_of_a_request) {
  declare_wallet();
  auto first = must(create({{"cvc", "123"}}, "ext:1", "pay-1"));

  auto again = create({{"cvc", "999"}}, "ext:1", "pay-1");

  ASSERT_TRUE(again) << "another code is not another request: nothing was made of it";
  EXPECT_EQ(again->items[0].tokens[0].second.token, first.items[0].tokens[0].second.token);
  EXPECT_EQ(bench_.tokens().codes().size(), 1u);
}

TEST_P(VaultCards, verification_codes_name_their_node_and_are_forgotten_at_a_restart) {
  declare_wallet();
  auto token = handle();
  auto elsewhere = "cvc_other-node_" + token.substr(token.size() - 26);

  EXPECT_EQ(opened(elsewhere), "other_node");
  bench_.reopen();
  EXPECT_EQ(opened(token), "read_or_expired");
  EXPECT_EQ(opened("cvc_node_"), "not_found");
  EXPECT_EQ(opened("cvc__" + token.substr(token.size() - 26)), "not_found");
}

TEST_P(VaultCards, verification_codes_can_be_deleted_unread) {
  declare_wallet();
  auto token = handle();

  EXPECT_EQ(bench_(bench_.tokens().remove({}, {{token}})).deleted, 1);
  EXPECT_EQ(opened(token), "read_or_expired");
}

TEST(CardCodes, are_held_up_to_ten_thousand) {
  test::FakeClock clock;
  Codes codes("Shop.Example", clock);
  for (int i = 0; i < 10'000; ++i)
    ASSERT_TRUE(codes.put(SubjectId::make(clock.now()), 1, 1, Secret::copy("123")));

  auto refused = codes.put(SubjectId::make(clock.now()), 1, 1, Secret::copy("123"));

  EXPECT_EQ(code_of(refused), Code::exhausted);
  clock.advance(kCodeLife);
  auto taken = codes.put(SubjectId::make(clock.now()), 1, 1, Secret::copy("123"));
  ASSERT_TRUE(taken) << "those past their time make room";
  EXPECT_EQ(Codes::node_of(*taken), "shop-example");
  EXPECT_EQ(codes.size(), 1u);
  codes.clear();
  EXPECT_FALSE(codes.take(*taken));
}

TEST_P(VaultCards, verification_codes_count_against_budgets_and_stay_when_those_are_spent) {
  declare_wallet();
  auto code = handle();
  bench_.budgets().counting = true;
  bench_.budgets().full = true;

  EXPECT_EQ(opened(code), "exhausted");
  EXPECT_EQ(bench_.journal().events.back().reason, "budget");
  bench_.budgets().full = false;

  EXPECT_EQ(opened(code), "123");
  ASSERT_EQ(bench_.budgets().charged.size(), 2u);
  EXPECT_EQ(bench_.budgets().charged.back().size(), 1u) << "the one customer";
  EXPECT_EQ(opened(code), "read_or_expired");
}

TEST_P(VaultCards, verification_codes_open_under_an_engagement_of_their_customer_alone) {
  declare_wallet();
  auto code = handle();
  handle("321", "ext:2");
  bench_(bench_.engagements().put_kind({}, {"charge", "", "1 hours", {"cvc"}, {}}));
  int number = 0;
  auto engagement = [&](std::string subject) {
    return bench_(bench_.engagements().open({.principal = "key_shop"},
                                            {.subject = std::move(subject),
                                             .kind = "charge",
                                             .reference = "C-" + std::to_string(++number),
                                             .assignee = {},
                                             .life = {},
                                             .on_behalf_of = {},
                                             .idempotency_key = {}}))
        .engagement.text();
  };
  auto read = [&](std::string under) {
    return bench_.run(bench_.tokens().reveal({}, {.tokens = {code},
                                                  .purpose = "support",
                                                  .on_behalf_of = {},
                                                  .engagement = std::move(under)}));
  };
  auto foreign = engagement("ext:2"), mine = engagement("ext:1");

  auto refused = read(foreign);
  EXPECT_EQ(code_of(refused), Code::forbidden);
  EXPECT_EQ(refused.error().field.text(), "engagement");
  EXPECT_EQ(bench_.journal().events.back().reason, "engagement");

  bench_.journal().before_commit = [&]() -> Task<void> {
    (void)must(co_await bench_.engagements().close({.principal = "key_shop"},
                                                   {*EngagementId::parse(mine), {}}));
  };
  EXPECT_EQ(code_of(read(mine)), Code::forbidden) << "it ended at this moment";
  EXPECT_EQ(shown(must(read(engagement("ext:1"))).values, code), "123");
}

TEST_P(VaultCards, verification_codes_keep_to_what_the_customer_decided) {
  declare_wallet();
  auto code = handle();
  auto reveal = [&](std::string purpose) {
    return bench_.run(bench_.tokens().reveal({}, {{code}, std::move(purpose), {}}));
  };
  bench_(bench_.subjects().object({}, {"ext:1", "fraud_check", false, {}, {}}));
  bench_(bench_.subjects().restrict({}, {"ext:1", Ground::unlawful, "by letter"}));

  for (auto [purpose, why] : {std::pair("support", "is restricted"),
                              {"fraud_check", "objected"},
                              {"marketing", "consent"}}) {
    auto refused = reveal(purpose);
    EXPECT_EQ(code_of(refused), Code::forbidden) << purpose;
    EXPECT_NE(refused.error().text.find(why), std::string_view::npos) << purpose;
    EXPECT_EQ(bench_.journal().events.back().outcome, journal::Outcome::refused) << purpose;
  }
  bench_(bench_.subjects().unrestrict({}, {"ext:1", "settled"}));
  EXPECT_EQ(code_of(reveal("fraud_check")), Code::forbidden);
  EXPECT_EQ(opened(code), "123") << "it stayed to be read";
}

TEST_P(VaultCards, verification_codes_of_a_guest_open_for_the_account_that_they_became) {
  declare_wallet();
  card_record(std::string(kPan), "ext:1");
  auto code = handle("123", "ext:guest-9"), second = handle("456", "ext:guest-9");
  bench_(bench_.subjects().merge({}, {"ext:1", "ext:guest-9", {}}));
  auto as = [&](std::string person) {
    return bench_.run(
        bench_.tokens().reveal({}, {{code}, "self_service", "customer:" + std::move(person)}));
  };

  EXPECT_EQ(code_of(as("2")), Code::forbidden);
  EXPECT_EQ(shown(must(as("1")).values, code), "123");
  auto account = bench_(bench_.subjects().get({}, {"ext:1"})).subject;
  EXPECT_EQ(bench_.journal().events.back().touches.front().subject, account);
  must(bench_.erase("ext:1"));
  EXPECT_EQ(opened(second), "erased");
}

TEST_P(VaultCards, verification_codes_of_a_canary_raise_the_alarm) {
  declare_wallet();
  auto canary = bench_(bench_.canaries().plant({}, {.collection = "customers",
                                                    .locale = Locale::de,
                                                    .external_id = {},
                                                    .email = {},
                                                    .email_domain = "post.example.org",
                                                    .slot = {}}));
  auto code = handle("123", canary.subject.text());

  EXPECT_EQ(opened(code), "123");

  EXPECT_EQ(bench_.alarms().seen.size(), 1u);
}

TEST_P(VaultCards, are_masked_in_the_copy_that_a_customer_gets) {
  declare_wallet();
  bench_.create("ext:1", {{"email", "ann@example.org"}});
  card_record();
  struct Copy final : http::BodyWriter {
    std::string text;
    Task<Result<void>> start(std::string_view) override { co_return Result<void>(); }
    Task<Result<void>> write(std::string_view bytes) override {
      text += bytes;
      co_return Result<void>();
    }
    bool closing() const override { return false; }
  } copy;

  must(bench_.run(bench_.subjects().export_all(
      {}, {"ext:1", "subject_request", ExportFormat::json, {}}, copy)));

  EXPECT_NE(copy.text.find("ann@example.org"), std::string::npos);
  EXPECT_EQ(copy.text.find(kPan), std::string::npos);
  EXPECT_NE(copy.text.find("424242•••4242"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::vault
