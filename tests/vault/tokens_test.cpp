#include "vault/tokens/service.h"

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultTokens : public Vault {
 protected:
  static CreateTokens of(std::string subject, Named named) {
    return {.subject = std::move(subject),
            .collection = "customers",
            .values = values(named),
            .items = {},
            .idempotency_key = {}};
  }
  Result<CreatedTokens> create(CreateTokens request) {
    return bench_.run(bench_.tokens().create({}, std::move(request)));
  }
  Result<RevealedTokens> reveal(std::vector<std::string> tokens, std::string purpose = "support",
                                Caller caller = {}) {
    return bench_.run(
        bench_.tokens().reveal(std::move(caller), {std::move(tokens), std::move(purpose), {}}));
  }
  std::string token(std::string subject, std::string field, std::string value) {
    return must(create(of(std::move(subject), {{std::move(field), std::move(value)}})))
        .items[0]
        .tokens[0]
        .second.token;
  }
  static std::string literal(test::RawSql& raw, const std::string& token) {
    return raw.literal(TokenId::parse(token)->bytes());
  }
  static std::string reason(const RevealedTokens& revealed, const std::string& token) {
    for (const auto& one : revealed.refused)
      if (one.token == token) return one.reason;
    return "";
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultTokens, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultTokens, stand_for_one_value_each_and_come_with_its_mask) {
  auto made =
      must(create(of("ext:4711", {{"email", "wilma@example.org"}, {"phone", "030 1234567"}})));

  ASSERT_EQ(made.items.size(), 1u);
  ASSERT_EQ(made.items[0].tokens.size(), 2u);
  const auto& [name, email] = made.items[0].tokens[0];
  EXPECT_EQ(name, "email");
  EXPECT_EQ(email.mask, "w•••@example.org");
  auto revealed = must(reveal({email.token}));
  EXPECT_EQ(shown(revealed.values, email.token), "wilma@example.org");
  EXPECT_EQ(revealed.values.entries.size(), 1u);
  EXPECT_EQ(bench_.opened(*made.items[0].record, "phone"), "030 1234567")
      << "the record is a record like others";
}

TEST_P(VaultTokens, of_several_customers_are_made_at_once) {
  CreateTokens request{
      .subject = {}, .collection = {}, .values = {}, .items = {}, .idempotency_key = {}};
  request.items.push_back({"ext:1", "customers", values({{"email", "ann@example.org"}})});
  request.items.push_back({"ext:2", "customers", values({{"email", "bob@example.org"}})});
  request.items.push_back({"ext:1", "customers", values({{"email", "ann@example.com"}})});

  auto made = must(create(std::move(request)));

  ASSERT_EQ(made.items.size(), 3u);
  EXPECT_EQ(made.items[0].subject, made.items[2].subject);
  EXPECT_NE(made.items[0].subject, made.items[1].subject);
  EXPECT_NE(made.items[0].record, made.items[2].record);
}

TEST_P(VaultTokens, that_cannot_be_made_are_named_with_their_place) {
  auto place_of = [&](std::string subject, std::string collection, Named named) {
    CreateTokens request{
        .subject = {}, .collection = {}, .values = {}, .items = {}, .idempotency_key = {}};
    request.items.push_back({"ext:1", "customers", values({{"email", "ann@example.org"}})});
    request.items.push_back({std::move(subject), std::move(collection), values(named)});
    auto refused = create(std::move(request));
    return refused ? "" : refused.error().field.text();
  };

  EXPECT_EQ(place_of("ext:2", "customers", {{"email", "nobody"}}), "items[1].values.email");
  EXPECT_EQ(place_of("ext:2", "suppliers", {{"email", "a@example.org"}}), "items[1].collection");
  EXPECT_EQ(place_of("2", "customers", {{"email", "a@example.org"}}), "items[1].subject");
  EXPECT_EQ(place_of("ext:2", "customers", {{"email", std::nullopt}}), "items[1].values.email");
  auto both = of("ext:3", {});
  both.items.push_back({"ext:1", "customers", values({{"email", "ann@example.org"}})});
  auto refused = create(std::move(both));
  ASSERT_EQ(code_of(refused), Code::invalid) << "whose would it be?";
  EXPECT_EQ(refused.error().field.text(), "subject");
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_tokens"), 0);
}

TEST_P(VaultTokens, asked_for_twice_under_one_key_are_the_same) {
  auto first = of("ext:4711", {{"email", "ann@example.org"}});
  first.idempotency_key = "cart-9";
  auto again = of("ext:4711", {{"email", "ann@example.org"}});
  again.idempotency_key = "cart-9";

  auto made = must(create(std::move(first)));
  auto repeated = must(create(std::move(again)));

  EXPECT_EQ(made.items[0].tokens[0].second.token, repeated.items[0].tokens[0].second.token);
  EXPECT_FALSE(repeated.items[0].tokens[0].second.mask)
      << "answers kept for repeats hold nothing of a value";
  bench_(bench_.tokens().remove({}, {{made.items[0].tokens[0].second.token}}));
  auto late = of("ext:4711", {{"email", "ann@example.org"}});
  late.idempotency_key = "cart-9";
  EXPECT_EQ(code_of(create(std::move(late))), Code::gone);
}

TEST_P(VaultTokens, open_by_purpose_and_list_what_did_not) {
  auto email = token("ext:1", "email", "ann@example.org");
  auto note = token("ext:1", "note", "rings twice");
  auto phone = token("ext:2", "phone", "030 1234567");
  auto nothing = TokenId::make(bench_.clock().now()).text();
  bench_.permits().rules = {{"key_a", "email", View::clear}, {"key_a", "note", View::clear}};

  auto revealed =
      must(reveal({email, note, phone, nothing}, "fraud_check", {.principal = "key_a"}));

  EXPECT_EQ(shown(revealed.values, email), "ann@example.org");
  EXPECT_EQ(shown(revealed.values, note), "•••");
  EXPECT_EQ(revealed.masked, std::vector{note});
  EXPECT_EQ(reason(revealed, phone), "forbidden");
  EXPECT_EQ(reason(revealed, nothing), "not_found");
}

TEST_P(VaultTokens, show_nothing_that_cannot_be_recorded) {
  auto email = token("ext:1", "email", "ann@example.org");
  bench_.journal().fail = true;

  EXPECT_EQ(code_of(reveal({email})), Code::unavailable);
  EXPECT_EQ(code_of(create(of("ext:1", {{"email", "bob@example.org"}}))), Code::unavailable);
}

TEST_P(VaultTokens, that_do_not_open_are_refused_and_recorded) {
  auto email = token("ext:1", "email", "ann@example.org");

  EXPECT_EQ(code_of(reveal({email}, "support", {.principal = "key_a"})), Code::forbidden);
  EXPECT_EQ(bench_.journal().events.back().outcome, journal::Outcome::refused);
  EXPECT_EQ(code_of(reveal({email}, "curiosity")), Code::invalid);
  EXPECT_EQ(code_of(reveal({})), Code::invalid);
}

TEST_P(VaultTokens, are_deleted_alone) {
  auto made = must(create(of("ext:1", {{"email", "ann@example.org"}})));
  auto email = made.items[0].tokens[0].second.token;

  auto gone =
      bench_(bench_.tokens().remove({}, {{email, TokenId::make(bench_.clock().now()).text()}}));

  EXPECT_EQ(gone.deleted, 1);
  EXPECT_EQ(reason(must(reveal({email})), email), "not_found");
  EXPECT_EQ(bench_.opened(*made.items[0].record, "email"), "ann@example.org");
}

TEST_P(VaultTokens, go_with_their_record) {
  auto made = must(create(of("ext:1", {{"email", "ann@example.org"}})));

  bench_(bench_.records().remove({}, {*made.items[0].record, {}}));

  EXPECT_EQ(bench_.raw().number("select count(*) from vault_tokens"), 0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultTokens, written_by_another_hand_open_nothing) {
  auto own = must(create(of("ext:1", {{"email", "ann@example.org"}}))).items[0];
  auto other = must(create(of("ext:2", {{"email", "bob@example.org"}}))).items[0];
  auto raw = bench_.raw();
  auto forged = TokenId::make(bench_.clock().now());
  raw.run("insert into vault_tokens (id, subject, record, field, created_ms, mac) select " +
          raw.literal(forged.bytes()) +
          ", subject, record, field, created_ms, mac from vault_tokens where id = " +
          literal(raw, own.tokens[0].second.token));
  raw.run("update vault_tokens set record = " + raw.literal(other.record->bytes()) +
          ", subject = " + raw.literal(other.subject.bytes()) +
          " where id = " + literal(raw, own.tokens[0].second.token));

  EXPECT_EQ(code_of(reveal({forged.text()})), Code::corrupt) << "a new row";
  EXPECT_EQ(code_of(reveal({own.tokens[0].second.token})), Code::corrupt)
      << "a row bent to another record";
  EXPECT_EQ(
      shown(must(reveal({other.tokens[0].second.token})).values, other.tokens[0].second.token),
      "bob@example.org");
  auto report = bench_.state();
  EXPECT_EQ(report.unrecorded_total, 1);
  EXPECT_EQ(report.changed_total, 1);
}

TEST_P(VaultTokens, moved_to_another_field_of_the_record_open_nothing) {
  auto made =
      must(create(of("ext:1", {{"email", "ann@example.org"}, {"phone", "030 1234567"}}))).items[0];
  auto raw = bench_.raw();
  raw.run("update vault_tokens set field = 4 where id = " +
          literal(raw, made.tokens[0].second.token));

  EXPECT_EQ(code_of(reveal({made.tokens[0].second.token})), Code::corrupt);
}

}  // namespace
}  // namespace holdfast::vault
