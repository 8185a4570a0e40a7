// Tokens with a shape of their own, and those that equal values share.
#include <algorithm>
#include <set>

#include "vault/tokens/service.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

FieldSpec with_token(FieldSpec spec, TokenShape shape, TokenScope scope = TokenScope::none,
                     std::optional<std::string> pattern = {}) {
  spec.token = TokenSpec{shape, std::move(pattern), scope};
  return spec;
}

CollectionSpec shop() {
  CollectionSpec out{.collection = "shop", .doc = {}, .fields = {}, .if_match = {}};
  out.fields = {
      with_token(field("number", FieldType::text), TokenShape::digits),
      with_token(field("phone", FieldType::phone), TokenShape::digits, TokenScope::subject),
      with_token(field("email", FieldType::email), TokenShape::email, TokenScope::field),
      with_token(field("code", FieldType::text), TokenShape::pattern, TokenScope::none,
                 "KD-[0-9]{8}"),
      with_token(field("plain", FieldType::text), TokenShape::tok, TokenScope::subject),
      with_token(field("shared", FieldType::text), TokenShape::tok, TokenScope::field)};
  out.fields[4].keep = Keep{"30 days", KeepFrom::created};
  return out;
}

class TokenTexts : public Vault {
 protected:
  TokenTexts() { bench_(bench_.declarations().put({}, shop())); }

  Result<CreatedTokens> create(std::string subject, Named named, std::string key = {}) {
    return bench_.run(bench_.tokens().create({}, {.subject = std::move(subject),
                                                  .collection = "shop",
                                                  .values = values(named),
                                                  .items = {},
                                                  .idempotency_key = std::move(key)}));
  }
  CreatedToken one(std::string subject, Named named) {
    return std::move(must(create(std::move(subject), named)).items.front());
  }
  std::string token(std::string subject, std::string name, std::string value) {
    return one(std::move(subject), {{std::move(name), std::move(value)}}).tokens[0].second.token;
  }
  Result<RevealedTokens> reveal(std::vector<std::string> tokens, std::string purpose = "support",
                                std::optional<std::string> person = {}, Caller caller = {}) {
    return bench_.run(bench_.tokens().reveal(
        std::move(caller), {std::move(tokens), std::move(purpose), std::move(person)}));
  }
  /// The value, or why not.
  std::string opened(const std::string& token, std::string purpose = "support",
                     std::optional<std::string> person = {}) {
    auto revealed = reveal({token}, std::move(purpose), std::move(person));
    if (!revealed) return std::string(code_name(revealed.error().code));
    for (const auto& one : revealed->refused)
      if (one.token == token) return one.reason;
    return shown(revealed->values, token);
  }
  std::int64_t rows(const std::string& table) {
    return bench_.raw().number("select count(*) from " + table);
  }
  void rotate_token_key() {
    auto next = bench_.keys().get()->ring.with_new(crypto::KeyUse::token, bench_.clock().now());
    bench_.keys().set(std::make_shared<const crypto::KeySet>(std::move(next)));
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, TokenTexts, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(TokenTexts, have_the_shape_that_their_field_declares_and_open_by_it) {
  auto made =
      one("ext:1", {{"number", "4711000000"}, {"code", "secret"}, {"email", "a@b.example"}});

  auto number = made.tokens[0].second.token, code = made.tokens[1].second.token,
       email = made.tokens[2].second.token;
  EXPECT_EQ(number.size(), 10u);
  EXPECT_EQ(number.find_first_not_of("0123456789"), std::string::npos);
  EXPECT_TRUE(code.starts_with("KD-"));
  EXPECT_TRUE(email.ends_with(".invalid"));
  EXPECT_EQ(made.tokens[2].second.mask, "•••@b.example");
  EXPECT_EQ(opened(number), "4711000000");
  EXPECT_EQ(opened(code), "secret");
  EXPECT_EQ(opened(email), "a@b.example");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, open_in_one_request_with_those_written_as_ids) {
  auto number = token("ext:1", "number", "4711000000"), plain = token("ext:2", "plain", "one");

  auto revealed = must(reveal({number, plain, number, "４７１１", "KD-00000000"}));

  EXPECT_EQ(revealed.values.entries.size(), 2u);
  EXPECT_EQ(shown(revealed.values, number), "4711000000");
  EXPECT_EQ(shown(revealed.values, plain), "one");
  EXPECT_EQ(revealed.refused.size(), 2u);
}

TEST_P(TokenTexts, differ_each_time_where_no_scope_is_declared) {
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i) seen.insert(token("ext:1", "number", "4711000000"));

  EXPECT_EQ(seen.size(), 20u);
  for (const auto& each : seen) EXPECT_EQ(opened(each), "4711000000");
}

TEST_P(TokenTexts, need_a_value_that_is_long_enough) {
  auto refused = create("ext:1", {{"number", "12345"}});

  EXPECT_EQ(code_of(refused), Code::invalid);
  EXPECT_EQ(refused.error().field.text(), "items[0].values.number");
  EXPECT_EQ(rows("vault_tokens"), 0);
}

TEST_P(TokenTexts, come_again_for_a_repeated_request_and_are_not_kept_in_the_clear) {
  auto made = must(create("ext:1", {{"number", "4711000000"}, {"plain", "x"}}, "cart-1"));

  auto again = must(create("ext:1", {{"number", "4711000000"}, {"plain", "x"}}, "cart-1"));

  auto text = made.items[0].tokens[0].second.token;
  EXPECT_EQ(again.items[0].tokens[0].second.token, text);
  EXPECT_EQ(again.items[0].tokens[1].second.token, made.items[0].tokens[1].second.token);
  EXPECT_EQ(rows("vault_records"), 1);
  EXPECT_EQ(bench_.raw().text("select answer from vault_idempotency").find(text),
            std::string::npos);
  EXPECT_EQ(code_of(create("ext:1", {{"number", "4711000001"}}, "cart-1")), Code::conflict);
}

TEST_P(TokenTexts, of_a_repeated_request_are_gone_when_they_were_deleted_or_erased) {
  auto text =
      must(create("ext:1", {{"number", "4711000000"}}, "a")).items[0].tokens[0].second.token;
  must(create("ext:2", {{"number", "4711000000"}}, "b"));

  bench_(bench_.tokens().remove({}, {{text}}));
  must(bench_.erase("ext:2"));

  EXPECT_EQ(code_of(create("ext:1", {{"number", "4711000000"}}, "a")), Code::gone);
  EXPECT_EQ(code_of(create("ext:2", {{"number", "4711000000"}}, "b")), Code::gone);
}

TEST_P(TokenTexts, of_equal_values_of_a_customer_are_the_same) {
  auto first = one("ext:1", {{"phone", "030 1234567"}, {"plain", "x"}});

  auto second = one("ext:1", {{"phone", "030 1234567"}, {"plain", "x"}, {"number", "1234567"}});
  auto third = one("ext:1", {{"phone", "030 1234567"}});

  EXPECT_EQ(second.tokens[0].second.token, first.tokens[0].second.token);
  EXPECT_EQ(second.tokens[1].second.token, first.tokens[1].second.token);
  EXPECT_EQ(second.tokens[0].second.record, first.record);
  EXPECT_EQ(second.tokens[0].second.mask, first.tokens[0].second.mask);
  EXPECT_NE(second.record, first.record) << "for what is new";
  EXPECT_FALSE(third.record) << "nothing is new";
  EXPECT_EQ(rows("vault_records"), 2);
  EXPECT_NE(token("ext:2", "phone", "030 1234567"), first.tokens[0].second.token);
  EXPECT_NE(token("ext:1", "phone", "030 1234568"), first.tokens[0].second.token);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, of_equal_values_in_one_request_are_the_same) {
  CreateTokens request{
      .subject = {}, .collection = {}, .values = {}, .items = {}, .idempotency_key = {}};
  for (const auto* subject : {"ext:1", "ext:1", "ext:2"})
    request.items.push_back(
        {subject, "shop", values({{"phone", "030 1234567"}, {"email", "a@b.example"}})});

  auto made = must(bench_.run(bench_.tokens().create({}, std::move(request)))).items;

  auto text = [&](std::size_t item, std::size_t at) { return made[item].tokens[at].second.token; };
  EXPECT_EQ(text(0, 0), text(1, 0));
  EXPECT_NE(text(0, 0), text(2, 0));
  EXPECT_EQ(text(0, 1), text(1, 1));
  EXPECT_EQ(text(0, 1), text(2, 1)) << "this field shares tokens";
  EXPECT_FALSE(made[1].record);
  EXPECT_EQ(rows("vault_tokens"), 4);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, that_customers_share_open_and_live_for_each_of_them) {
  auto first = one("ext:1", {{"email", "a@b.example"}, {"shared", "one"}});
  bench_.clock().advance(Millis{1});
  auto second = one("ext:2", {{"email", "a@b.example"}, {"shared", "one"}});
  auto email = first.tokens[0].second.token, shared = first.tokens[1].second.token;

  EXPECT_EQ(second.tokens[0].second.token, email);
  EXPECT_EQ(second.tokens[1].second.token, shared);
  EXPECT_TRUE(shared.starts_with("tok_"));
  EXPECT_EQ(rows("vault_records"), 2) << "each has a record of their own";
  EXPECT_EQ(opened(email), "a@b.example");
  EXPECT_EQ(bench_.journal().events.back().touches.front().subject, second.subject);

  must(bench_.erase("ext:1"));

  EXPECT_EQ(opened(email), "a@b.example");
  EXPECT_EQ(opened(shared), "one");
  EXPECT_EQ(token("ext:3", "email", "a@b.example"), email) << "the second has it still";
  must(bench_.erase("ext:2"));
  must(bench_.erase("ext:3"));
  EXPECT_EQ(opened(email), "not_found");
  EXPECT_NE(token("ext:4", "email", "a@b.example"), email) << "nobody is left who had it";
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, that_customers_share_open_the_callers_own_for_self_service) {
  auto email = token("ext:1", "email", "a@b.example");
  auto second = one("ext:2", {{"email", "a@b.example"}});
  one("ext:3", {{"email", "a@b.example"}});
  auto foreign = token("ext:3", "number", "4711000000");

  EXPECT_EQ(opened(email, "self_service", "customer:2"), "a@b.example");
  EXPECT_EQ(bench_.journal().events.back().touches.front().subject, second.subject);
  EXPECT_EQ(opened(foreign, "self_service", "customer:2"), "forbidden");
  EXPECT_EQ(opened(email, "self_service", "customer:9"), "forbidden");
}

TEST_P(TokenTexts, go_for_everybody_who_shares_them_when_deleted) {
  auto email = token("ext:1", "email", "a@b.example");
  token("ext:2", "email", "a@b.example");
  auto number = token("ext:2", "number", "4711000000");

  auto gone = bench_(bench_.tokens().remove({}, {{email, number, "KD-00000000"}}));

  EXPECT_EQ(gone.deleted, 3);
  EXPECT_EQ(opened(email), "not_found");
  EXPECT_EQ(opened(number), "not_found");
  EXPECT_EQ(rows("vault_records"), 3) << "records stay";
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, follow_their_record_and_stand_for_no_value_that_it_lost) {
  auto made = one("ext:1", {{"plain", "old"}});
  auto text = made.tokens[0].second.token;
  bench_(bench_.records().update({}, {*made.record, values({{"plain", "new"}}), {}, {}}));

  auto again = token("ext:1", "plain", "old");

  EXPECT_EQ(opened(text), "new");
  EXPECT_NE(again, text);
  EXPECT_EQ(opened(again), "old");
  EXPECT_EQ(token("ext:1", "plain", "old"), again);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, are_new_when_the_value_is_past_its_keep_time) {
  auto text = token("ext:1", "plain", "x");
  bench_.clock().advance(Millis{31LL * 86'400'000});

  auto again = token("ext:1", "plain", "x");

  EXPECT_NE(again, text);
  EXPECT_EQ(opened(text), "expired");
  EXPECT_EQ(opened(again), "x");
}

TEST_P(TokenTexts, of_a_value_that_was_taken_out_say_so) {
  auto made = one("ext:1", {{"number", "4711000000"}, {"code", "x"}});
  auto number = made.tokens[0].second.token;

  bench_(bench_.records().update({}, {*made.record, values({{"number", std::nullopt}}), {}, {}}));

  EXPECT_EQ(opened(number), "removed");
}

TEST_P(TokenTexts, made_at_the_same_moment_for_equal_values_are_one) {
  one("ext:1", {{"code", "the customer exists"}});
  for (std::string name : {"phone", "email", "shared"}) {
    std::string value = name == "email" ? "race@b.example" : "030 7654321";
    std::string other;
    bench_.journal().before_commit = [&]() -> Task<void> {
      auto made = co_await bench_.tokens().create({}, {.subject = "ext:1",
                                                       .collection = "shop",
                                                       .values = values({{name, value}}),
                                                       .items = {},
                                                       .idempotency_key = {}});
      other = must(std::move(made)).items[0].tokens[0].second.token;
    };

    auto mine = token("ext:1", name, value);

    EXPECT_FALSE(other.empty());
    EXPECT_EQ(mine, other) << name;
  }
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, shared_at_the_same_moment_by_two_customers_are_one) {
  one("ext:1", {{"code", "x"}});
  one("ext:2", {{"code", "x"}});
  std::string other;
  bench_.journal().before_commit = [&]() -> Task<void> {
    auto made = co_await bench_.tokens().create({}, {.subject = "ext:2",
                                                     .collection = "shop",
                                                     .values = values({{"email", "a@b.example"}}),
                                                     .items = {},
                                                     .idempotency_key = {}});
    other = must(std::move(made)).items[0].tokens[0].second.token;
  };

  EXPECT_EQ(token("ext:1", "email", "a@b.example"), other);
  EXPECT_EQ(opened(other), "a@b.example");
}

TEST_P(TokenTexts, of_an_older_key_are_found_when_it_rolled) {
  auto number = token("ext:1", "number", "4711000000");
  auto phone = token("ext:1", "phone", "030 1234567");
  auto email = token("ext:1", "email", "a@b.example");
  rotate_token_key();

  EXPECT_EQ(opened(number), "4711000000");
  EXPECT_EQ(token("ext:1", "phone", "030 1234567"), phone);
  EXPECT_EQ(token("ext:2", "email", "a@b.example"), email);
  EXPECT_EQ(opened(email), "a@b.example");
  EXPECT_EQ(token("ext:2", "email", "a@b.example"), email) << "now under the new key too";
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, are_not_opened_by_the_id_of_their_row) {
  token("ext:1", "number", "4711000000");
  auto id = TokenId::from(bench_.raw().bytes("select id from vault_tokens"));

  EXPECT_EQ(opened(id->text()), "not_found");
  EXPECT_EQ(bench_(bench_.tokens().remove({}, {{id->text()}})).deleted, 0);
}

TEST_P(TokenTexts, open_nothing_when_their_rows_were_swapped_or_changed) {
  auto mine = one("ext:1", {{"number", "4711000000"}, {"phone", "030 1234567"}});
  auto other = one("ext:2", {{"number", "4711000001"}, {"phone", "030 7654321"}});
  auto raw = bench_.raw();
  auto of = [&](const CreatedToken& made, int field) {
    return "subject = " + raw.literal(made.subject.bytes()) +
           " and field = " + std::to_string(field);
  };
  auto cell = [&](const std::string& column, const std::string& where) {
    return raw.bytes("select " + column + " from vault_tokens where " + where);
  };
  auto mine_term = cell("text_term", of(mine, 1));
  auto other_sealed = cell("text_sealed", of(other, 1));
  auto other_value = cell("value_term", of(other, 2));

  raw.run("update vault_tokens set text_term = " + raw.literal(to_bytes("gone")) + " where " +
          of(mine, 1));
  raw.run("update vault_tokens set text_term = " + raw.literal(mine_term) + " where " +
          of(other, 1));
  EXPECT_EQ(opened(mine.tokens[0].second.token), "corrupt") << "the other customer's row";
  EXPECT_EQ(bench_.state().changed_total, 2);

  raw.run("update vault_tokens set value_term = null where " + of(other, 2));
  raw.run("update vault_tokens set value_term = " + raw.literal(other_value) + " where " +
          of(mine, 2));
  EXPECT_EQ(code_of(create("ext:2", {{"phone", "030 7654321"}})), Code::corrupt)
      << "another value's token";
  raw.run("update vault_tokens set text_sealed = " + raw.literal(other_sealed) + " where " +
          of(mine, 2));
  EXPECT_EQ(opened(mine.tokens[1].second.token), "corrupt");
  EXPECT_EQ(bench_.state().changed_total, 4);
}

TEST_P(TokenTexts, with_a_changed_mac_are_reported_and_open_nothing) {
  auto text = token("ext:1", "number", "4711000000");
  auto raw = bench_.raw();
  raw.run("update vault_tokens set mac = " + raw.literal(Bytes(16, 0)));

  EXPECT_EQ(opened(text), "corrupt");
  EXPECT_EQ(bench_.state().changed_total, 1);
}

TEST_P(TokenTexts, come_a_thousand_at_once_and_no_more_than_ten_thousand_values) {
  CreateTokens request{
      .subject = {}, .collection = {}, .values = {}, .items = {}, .idempotency_key = {}};
  for (int i = 0; i < 1000; ++i)
    request.items.push_back({"ext:" + std::to_string(i % 50), "shop",
                             values({{"number", std::to_string(1'000'000 + i)},
                                     {"phone", "030 " + std::to_string(1'000'000 + i % 10)}})});
  auto made = must(bench_.run(bench_.tokens().create({}, std::move(request))));

  std::set<std::string> numbers, phones;
  for (const auto& item : made.items) {
    numbers.insert(item.tokens[0].second.token);
    phones.insert(item.tokens[1].second.token);
  }
  EXPECT_EQ(numbers.size(), 1000u);
  EXPECT_EQ(phones.size(), 50u) << "each customer gave one number again and again";
  auto revealed = must(reveal({numbers.begin(), numbers.end()}));
  EXPECT_EQ(revealed.values.entries.size(), 1000u);

  CreateTokens more{
      .subject = {}, .collection = {}, .values = {}, .items = {}, .idempotency_key = {}};
  for (int i = 0; i < 2001; ++i)
    more.items.push_back({"ext:1", "shop",
                          values({{"number", "1234567"},
                                  {"phone", "030 1234567"},
                                  {"email", "a@b.example"},
                                  {"code", "x"},
                                  {"plain", "x"}})});
  EXPECT_EQ(code_of(bench_.run(bench_.tokens().create({}, std::move(more)))), Code::too_large);
}

TEST_P(TokenTexts, leave_nothing_when_they_cannot_be_recorded) {
  bench_.journal().fail = true;

  EXPECT_EQ(code_of(create("ext:1", {{"number", "4711000000"}})), Code::unavailable);
  EXPECT_EQ(rows("vault_tokens"), 0);
  EXPECT_EQ(rows("vault_records"), 0);
}

TEST_P(TokenTexts, stay_out_of_the_journal) {
  auto number = token("ext:1", "number", "4711000000");
  opened(number);

  for (const auto& event : bench_.journal().events)
    for (const auto& [key, fact] : event.facts)
      if (const auto* text = std::get_if<std::string>(&fact)) {
        EXPECT_EQ(text->find(number), std::string::npos);
        EXPECT_EQ(text->find("4711000000"), std::string::npos);
      }
  EXPECT_EQ(bench_.journal().events.back().fields, std::vector<std::string>{"number"});
}

// ── with what else happens to a customer

/// A field of a keep group that nothing else is in.
CollectionSpec gifts() {
  CollectionSpec out{.collection = "gifts", .doc = {}, .fields = {}, .if_match = {}};
  out.fields = {field("greeting", FieldType::text),
                with_token(field("card", FieldType::text), TokenShape::pattern, TokenScope::subject,
                           "GC-[0-9]{8}")};
  out.fields[1].keep_group = "vouchers";
  return out;
}

TEST_P(TokenTexts, of_a_guest_open_for_the_account_that_they_became) {
  const Named all = {{"number", "4711000000"}, {"phone", "030 1112222"},
                     {"email", "a@b.example"}, {"code", "x"},
                     {"plain", "equal"},       {"shared", "equal"}};
  auto account = one("ext:1", all), guest = one("ext:guest-9", all), other = one("ext:2", all);
  bench_(bench_.subjects().merge({}, {"ext:1", "ext:guest-9", {}}));

  for (const auto* made : {&account, &guest, &other})
    for (const auto& [name, view] : made->tokens) {
      auto value = std::ranges::find(all, name, &Named::value_type::first)->second;
      EXPECT_EQ(opened(view.token), value) << name;
    }
  for (const auto& [name, view] : guest.tokens)
    EXPECT_NE(opened(view.token, "self_service", "customer:guest-9"), "forbidden") << name;
  EXPECT_EQ(opened(guest.tokens[0].second.token, "self_service", "customer:2"), "forbidden");
  auto again = one("ext:guest-9", all);
  EXPECT_EQ(again.subject, account.subject);
  for (std::size_t i : {1u, 2u, 4u, 5u})
    EXPECT_EQ(again.tokens[i].second.token, account.tokens[i].second.token) << all.begin()[i].first;
  EXPECT_TRUE(bench_.state().good());

  bench_.reopen();
  EXPECT_EQ(opened(guest.tokens[3].second.token), "x");
  must(bench_.erase("ext:1"));
  EXPECT_EQ(opened(guest.tokens[0].second.token), "not_found");
  EXPECT_EQ(opened(other.tokens[2].second.token), "a@b.example");
  EXPECT_EQ(rows("vault_tokens"), 6) << "the other customer's";
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, follow_a_guest_into_keep_groups_that_the_account_did_not_have) {
  bench_(bench_.declarations().put({}, gifts()));
  token("ext:1", "code", "x");
  auto made = bench_(
      bench_.tokens().create({}, {.subject = "ext:guest-9",
                                  .collection = "gifts",
                                  .values = values({{"greeting", "hello"}, {"card", "secret"}}),
                                  .items = {},
                                  .idempotency_key = {}}));
  auto card = made.items[0].tokens[1].second.token;
  bench_(bench_.records().update(
      {}, {*made.items[0].record, values({{"card", std::nullopt}}), {}, {}}));

  bench_(bench_.subjects().merge({}, {"ext:1", "ext:guest-9", {}}));

  EXPECT_EQ(opened(card), "removed") << "its text was moved without a value";
  EXPECT_EQ(bench_.raw().number("select count(*) from vault_subject_keys where keep_group = "
                                "'vouchers'"),
            2);
  bench_(bench_.records().update({}, {*made.items[0].record, values({{"card", "again"}}), {}, {}}));
  EXPECT_EQ(opened(card), "again");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, of_a_guest_and_the_account_for_one_value_both_stay) {
  auto first = token("ext:0", "email", "a@b.example");
  auto account = token("ext:1", "email", "a@b.example");
  auto guest = token("ext:guest-9", "email", "a@b.example");
  ASSERT_EQ(account, guest);
  bench_(bench_.subjects().merge({}, {"ext:1", "ext:guest-9", {}}));
  bench_(bench_.subjects().merge({}, {"ext:1", "ext:0", {}}));

  EXPECT_EQ(rows("vault_tokens"), 3);
  EXPECT_EQ(opened(first), "a@b.example");
  EXPECT_EQ(opened(first, "self_service", "customer:1"), "a@b.example");
  EXPECT_EQ(token("ext:1", "email", "a@b.example"), first);
  EXPECT_EQ(token("ext:2", "email", "a@b.example"), first);
  EXPECT_EQ(bench_(bench_.tokens().remove({}, {{first}})).deleted, 4);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, of_a_guest_who_is_merged_at_the_same_moment_are_refused) {
  token("ext:1", "number", "4711000000");
  auto guest = one("ext:guest-9", {{"number", "4711000001"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    (void)must(co_await bench_.subjects().merge({}, {"ext:1", "ext:guest-9", {}}));
  };

  EXPECT_EQ(code_of(create("ext:guest-9", {{"number", "4711000002"}})), Code::gone);

  EXPECT_TRUE(create("ext:guest-9", {{"number", "4711000002"}})) << "by then the account's";
  EXPECT_EQ(rows("vault_subjects"), 2);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, keep_to_what_the_customer_decided) {
  auto made = one("ext:1", {{"number", "4711000000"}, {"email", "a@b.example"}});
  auto number = made.tokens[0].second.token, email = made.tokens[1].second.token;
  auto open_one = token("ext:2", "number", "4711000009");

  EXPECT_EQ(opened(number, "marketing"), "forbidden") << "without consent";
  bench_(bench_.subjects().object({}, {"ext:1", "fraud_check", false, {}, {}}));
  EXPECT_EQ(opened(email, "fraud_check"), "forbidden");
  bench_(bench_.subjects().restrict({}, {"ext:1", Ground::unlawful, "by letter"}));
  EXPECT_EQ(opened(number), "forbidden");
  auto both = must(reveal({number, open_one}));

  ASSERT_EQ(both.refused.size(), 1u);
  EXPECT_EQ(both.refused[0].token, number);
  EXPECT_EQ(both.refused[0].reason, "restricted");
  EXPECT_EQ(shown(both.values, open_one), "4711000009");
  EXPECT_EQ(opened(number, "self_service", "customer:1"), "4711000000");
}

TEST_P(TokenTexts, go_with_the_keep_group_of_their_field_even_without_a_value) {
  bench_(bench_.declarations().put({}, gifts()));
  auto made = bench_(
      bench_.tokens().create({}, {.subject = "ext:1",
                                  .collection = "gifts",
                                  .values = values({{"greeting", "hello"}, {"card", "secret"}}),
                                  .items = {},
                                  .idempotency_key = {}}));
  auto greeting = made.items[0].tokens[0].second.token, card = made.items[0].tokens[1].second.token;
  bench_(bench_.records().update(
      {}, {*made.items[0].record, values({{"card", std::nullopt}}), {}, {}}));

  auto erased = must(bench_.erase("ext:1", {"vouchers"}));

  EXPECT_EQ(erased.tokens, 1);
  EXPECT_EQ(erased.values, 0);
  EXPECT_EQ(opened(card), "not_found");
  EXPECT_EQ(opened(greeting), "hello");
  EXPECT_EQ(rows("vault_tokens"), 1);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, go_with_the_sweep_past_their_keep_time) {
  auto made = one("ext:1", {{"number", "4711000000"}, {"plain", "x"}});
  one("ext:2", {{"plain", "x"}});
  bench_.clock().advance(Millis{31LL * 86'400'000});

  auto swept = must(bench_.swept());

  EXPECT_EQ(swept.tokens, 2);
  EXPECT_EQ(opened(made.tokens[0].second.token), "4711000000");
  EXPECT_EQ(opened(made.tokens[1].second.token), "not_found");
  EXPECT_EQ(rows("vault_tokens"), 1);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, of_the_erased_and_the_merged_stay_so_after_a_restore) {
  auto gone = one("ext:1", {{"number", "4711000000"}, {"email", "a@b.example"}});
  auto guest = one("ext:guest-9", {{"phone", "030 1112222"}, {"email", "g@b.example"}});
  auto account = one("ext:2", {{"number", "4711000001"}});
  auto yesterday = bench_.backup();
  must(bench_.erase("ext:1"));
  bench_(bench_.subjects().merge({}, {"ext:2", "ext:guest-9", {}}));

  bench_.restore(yesterday);
  auto again = bench_(bench_.subjects().replay(bench_.log().afterlog_entries(), true));

  EXPECT_EQ(again.erased, 1);
  EXPECT_EQ(again.merged, 1);
  for (const auto& [name, view] : gone.tokens) EXPECT_EQ(opened(view.token), "not_found") << name;
  EXPECT_EQ(opened(guest.tokens[0].second.token), "030 1112222");
  EXPECT_EQ(opened(guest.tokens[1].second.token, "self_service", "customer:2"), "g@b.example");
  EXPECT_EQ(opened(account.tokens[0].second.token), "4711000001");
  EXPECT_EQ(rows("vault_tokens"), 3);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(TokenTexts, are_counted_by_the_key_that_finds_them) {
  token("ext:1", "number", "4711000000");
  rotate_token_key();
  token("ext:1", "number", "4711000001");
  token("ext:1", "shared", "x");
  bench_(bench_.tokens().create({}, {.subject = "ext:1",
                                     .collection = "customers",
                                     .values = values({{"phone", "030 1112222"}}),
                                     .items = {},
                                     .idempotency_key = {}}));

  auto report = bench_(bench_.reports().key_versions({}, {}));

  EXPECT_EQ(report.tokens, 4);
  ASSERT_EQ(report.token_keys.size(), 2u);
  EXPECT_EQ(report.token_keys[0].key, 1);
  EXPECT_EQ(report.token_keys[0].tokens, 1);
  EXPECT_EQ(report.token_keys[1].tokens, 2);
  EXPECT_TRUE(std::ranges::any_of(report.keys, [](const RingKey& key) {
    return key.use == "token" && key.key == 2 && key.active;
  }));
}

}  // namespace
}  // namespace holdfast::vault
