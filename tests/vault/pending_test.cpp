#include "vault/tokens/pending.h"

#include "vault/tokens/service.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultPending : public Vault {
 protected:
  SealingKey key() { return bench_(bench_.tokens().sealing_key({}, {})); }
  std::string sealed(std::string_view subject, std::string_view field, std::string_view value) {
    return must(seal_pending(key(), {"customers", field, subject}, value));
  }
  static CreateTokens of(std::string subject, Named named) {
    return {.subject = std::move(subject),
            .collection = "customers",
            .values = values(named),
            .items = {},
            .idempotency_key = {}};
  }
  void rotate(bool at_once) {
    bench_.clock().advance(Millis(1));  // ids sort by time
    bench_(bench_.rotations().rotate({}, {KeyKind::sealing, at_once}));
    while (bench_(bench_.rotations().step()) != Rotations::Pace::idle) {
    }
  }
  Result<CreatedTokens> exchange(CreateTokens request, Caller caller = {}) {
    return bench_.run(bench_.tokens().exchange(std::move(caller), std::move(request)));
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultPending, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultPending, tokens_are_exchanged_for_real_ones) {
  auto pending = sealed("ext:4711", "email", "wilma@example.org");
  ASSERT_EQ(pending.find("wilma"), std::string::npos);

  auto made = must(exchange(of("ext:4711", {{"email", pending}})));

  ASSERT_EQ(made.items.size(), 1u);
  EXPECT_EQ(made.items[0].tokens[0].second.mask, "w•••@example.org");
  EXPECT_EQ(bench_.journal().events.back().activity, "tokens.exchange");
  EXPECT_EQ(bench_.opened(*made.items[0].record, "email"), "wilma@example.org");
}

TEST_P(VaultPending, tokens_give_one_record_however_often_they_are_sent) {
  auto pending = sealed("ext:4711", "email", "wilma@example.org");

  auto first = must(exchange(of("ext:4711", {{"email", pending}})));
  auto again = must(exchange(of("ext:4711", {{"email", pending}})));

  EXPECT_EQ(again.items[0].tokens[0].second.token, first.items[0].tokens[0].second.token);
  EXPECT_EQ(again.items[0].record, first.items[0].record);
}

TEST_P(VaultPending, tokens_open_only_where_they_were_sealed_for) {
  auto pending = sealed("ext:4711", "email", "wilma@example.org");
  auto of_other_store = key();
  of_other_store.store = std::string(32, '0');
  auto foreign =
      must(seal_pending(of_other_store, {"customers", "email", "ext:4711"}, "a@b.example"));
  auto changed = pending;
  changed[60] = changed[60] == 'A' ? 'B' : 'A';

  for (auto& [subject, field, text] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"ext:4712", "email", pending},
           {"ext:4711", "phone", pending},
           {"ext:4711", "email", foreign},
           {"ext:4711", "email", changed},
           {"ext:4711", "email", pending.substr(0, 20)},
           {"ext:4711", "email", pending + "!"},
           {"ext:4711", "email", "wilma@example.org"}}) {
    auto refused = exchange(of(subject, {{field, text}}));

    ASSERT_EQ(code_of(refused), Code::invalid) << text;
    EXPECT_EQ(refused.error().field.text(), "items[0].values." + field);
  }
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_subjects"), 0);
}

TEST_P(VaultPending, tokens_hold_what_fits_the_field_and_nothing_else) {
  auto refused = exchange(of("ext:1", {{"email", sealed("ext:1", "email", "no address")}}));

  ASSERT_EQ(code_of(refused), Code::invalid);
  EXPECT_EQ(refused.error().field.text(), "items[0].values.email");
}

TEST_P(VaultPending, tokens_are_no_values) {
  auto pending = sealed("ext:4711", "email", "wilma@example.org");

  for (auto field : {"email", "first_name"}) {
    auto made = bench_.run(bench_.tokens().create({}, of("ext:4711", {{field, pending}})));
    ASSERT_FALSE(made) << field;
    EXPECT_EQ(made.error().code, Code::invalid) << field;
    EXPECT_NE(made.error().text.find("tokens.exchange"), std::string_view::npos) << field;
  }
  EXPECT_TRUE(bench_.run(bench_.tokens().create({}, of("ext:4711", {{"first_name", "pnd_"}}))));
}

TEST_P(VaultPending, tokens_show_no_mask_to_who_may_not_see_it) {
  auto made = must(exchange(of("ext:1", {{"email", sealed("ext:1", "email", "ann@example.org")}}),
                            {.principal = "key_queue"}));

  EXPECT_FALSE(made.items[0].tokens[0].second.mask);
}

TEST_P(VaultPending, tokens_open_under_the_key_before_until_it_is_destroyed) {
  auto old = sealed("ext:1", "email", "ann@example.org");
  const auto before = key();
  rotate(false);

  EXPECT_EQ(key().key_id, before.key_id + 1);
  EXPECT_NE(key().public_key, before.public_key);
  must(exchange(of("ext:1", {{"email", old}})));
  auto late = sealed("ext:2", "email", "bob@example.org");
  rotate(true);
  EXPECT_EQ(code_of(exchange(of("ext:2", {{"email", late}}))), Code::gone);
}

TEST(PendingTokens, are_not_sealed_with_what_is_no_key) {
  const crypto::KeySet keys(crypto::Keyring::make(from_ms(0)));
  const auto good = PendingTokens::sealing_key(keys);
  const PendingPlace place{"customers", "email", "ext:1"};
  auto other_suite = good, short_key = good, zero = good, no_store = good;
  other_suite.suite = "DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM";
  short_key.public_key.pop_back();
  zero.public_key = base64url(Bytes(32, 0));
  no_store.store = "4711";

  EXPECT_TRUE(seal_pending(good, place, "ann@example.org"));
  EXPECT_TRUE(seal_pending(good, place, std::string(49'000, 'a')));
  auto long_value = seal_pending(good, place, std::string(65'536, 'a'));
  ASSERT_FALSE(long_value);
  EXPECT_EQ(long_value.error().code, Code::too_large);
  for (const auto& bad : {other_suite, short_key, zero, no_store}) {
    auto refused = seal_pending(bad, place, "ann@example.org");
    ASSERT_FALSE(refused);
    EXPECT_FALSE(refused.error().field.empty());
  }
}

}  // namespace
}  // namespace holdfast::vault
