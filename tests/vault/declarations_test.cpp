#include "vault/declarations.h"

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultDeclarations : public Vault {
 protected:
  Result<CollectionView> put(CollectionSpec spec, Caller caller = {}) {
    return bench_.run(bench_.declarations().put(std::move(caller), std::move(spec)));
  }
  static CollectionSpec orders() {
    CollectionSpec out{.collection = "orders", .doc = {}, .fields = {}, .if_match = {}};
    out.fields = {field("street", FieldType::address_line)};
    return out;
  }
  std::uint64_t generation() { return bench_(bench_.journal().generation(MonoTime::max())); }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultDeclarations, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultDeclarations, take_effect_at_once_and_are_recorded) {
  auto before = generation();

  auto view = must(put(orders()));

  EXPECT_EQ(view.version, 1);
  EXPECT_EQ(generation(), before + 1);
  EXPECT_EQ(bench_.journal().events.back().activity, "collections.put");
  EXPECT_EQ(bench_(bench_.declarations().get({}, {"orders", {}})).fields.size(), 1u);
  EXPECT_EQ(bench_(bench_.declarations().list({}, {})).collections.size(), 2u);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultDeclarations, said_again_change_nothing) {
  auto before = generation();

  EXPECT_EQ(must(put(customers())).version, 1);
  EXPECT_EQ(generation(), before);
}

TEST_P(VaultDeclarations, grow_while_records_exist) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto spec = customers();
  spec.fields.push_back(field("nickname", FieldType::name, IndexKind::exact));

  auto view = must(put(spec));
  bench_(bench_.records().update({}, {made.record, values({{"nickname", "Annie"}}), {}, {}}));
  bench_.build_indexes();

  EXPECT_EQ(view.version, 2);
  EXPECT_EQ(bench_.opened(made.record, "email"), "ann@example.org")
      << "what was sealed before stays readable";
  EXPECT_EQ(bench_.opened(made.record, "nickname"), "Annie");
  EXPECT_EQ(must(bench_.find({{"nickname", "annie"}})).records.size(), 1u);
}

TEST_P(VaultDeclarations, lose_no_data) {
  bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto without = customers();
  without.fields.erase(without.fields.begin());
  auto other_group = customers();
  other_group.fields[0].keep_group = "marketing";

  auto refused = put(without);

  ASSERT_EQ(code_of(refused), Code::conflict);
  EXPECT_EQ(refused.error().field.text(), "fields.email");
  EXPECT_EQ(code_of(put(other_group)), Code::conflict);
}

TEST_P(VaultDeclarations, change_only_from_the_version_that_was_read) {
  auto grown = customers();
  grown.fields.push_back(field("nickname", FieldType::name));
  grown.if_match = "1";
  must(put(grown));
  grown.fields.push_back(field("title", FieldType::text));

  EXPECT_EQ(code_of(put(grown)), Code::conflict);
  auto fresh = orders();
  fresh.if_match = "1";
  EXPECT_EQ(code_of(put(fresh)), Code::conflict) << "there is none yet";
}

TEST_P(VaultDeclarations, are_refused_with_the_field) {
  auto spec = orders();
  spec.fields.push_back(field("Street Name", FieldType::text));
  spec.fields.push_back(field("pan", FieldType::card_number));
  auto unknown_purpose = orders();
  unknown_purpose.fields[0].purposes = {"curiosity"};

  auto refused = put(spec);
  auto no_purpose = put(unknown_purpose);

  ASSERT_EQ(code_of(refused), Code::invalid);
  EXPECT_EQ(refused.error().field.text(), "fields[1].name");
  ASSERT_EQ(refused.error().also.size(), 1u);
  EXPECT_EQ(refused.error().also[0].field.text(), "fields[2].type");
  ASSERT_EQ(code_of(no_purpose), Code::invalid);
  EXPECT_EQ(no_purpose.error().field.text(), "fields[0].purposes");
}

TEST_P(VaultDeclarations, made_by_two_at_once_do_not_mix) {
  bench_.journal().before_commit = [&]() -> Task<void> {
    auto other = orders();
    other.collection = "carts";
    must(co_await bench_.declarations().put({}, other));
  };

  auto second = put(orders());

  EXPECT_EQ(code_of(second), Code::conflict) << "both would have had the same number";
  EXPECT_FALSE(code_of(put(orders())));
}

TEST_P(VaultDeclarations, are_deleted_only_when_empty) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  auto remove = [&] { return bench_.run(bench_.declarations().remove({}, {"customers", {}})); };

  EXPECT_EQ(code_of(remove()), Code::conflict);
  bench_(bench_.records().remove({}, {made.record, {}}));
  EXPECT_FALSE(code_of(remove()));
  EXPECT_EQ(code_of(remove()), Code::not_found);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultDeclarations, of_purposes_are_removed_when_no_field_names_them) {
  auto put_purpose = [&](std::string name) {
    return bench_.run(bench_.declarations().put_purpose(
        {},
        {.name = std::move(name), .legal_basis = LegalBasis::contract, .doc = "", .version = {}}));
  };
  auto remove = [&](std::string name) {
    return bench_.run(bench_.declarations().remove_purpose({}, {std::move(name)}));
  };
  must(put_purpose("warranty"));
  auto naming = orders();
  naming.fields[0].purposes = {"warranty"};
  must(put(naming));
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  ASSERT_FALSE(code_of(bench_.reveal(made.record, {"email"}, "warranty")));

  auto named = remove("warranty");
  must(put(orders()));
  auto removed = remove("warranty");

  EXPECT_EQ(code_of(named), Code::conflict);
  EXPECT_EQ(named.error().field.text(), "orders.street");
  ASSERT_TRUE(removed);
  EXPECT_EQ(bench_.journal().events.back().activity, "purposes.delete");
  auto reveal = bench_.reveal(made.record, {"email"}, "warranty");
  EXPECT_EQ(code_of(reveal), Code::invalid);
  EXPECT_TRUE(reveal.error().text.contains("removed"));
  EXPECT_EQ(code_of(put(naming)), Code::invalid);
  EXPECT_EQ(code_of(put_purpose("warranty")), Code::conflict)
      << "consents that were given to the old one must not count for another";
  EXPECT_EQ(code_of(remove("warranty")), Code::gone);
  EXPECT_EQ(code_of(remove("curiosity")), Code::not_found);
  EXPECT_EQ(code_of(remove("support")), Code::conflict) << "built in";
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultDeclarations, never_give_a_number_twice) {
  auto first = must(put(orders()));
  bench_(bench_.declarations().remove({}, {"orders", {}}));

  auto second = must(put(orders()));

  EXPECT_NE(first.id, second.id) << "sealed values are bound to it";
}

TEST_P(VaultDeclarations, written_by_another_hand_are_refused) {
  auto made = bench_.create("ext:1", {{"note", "rings twice"}});
  bench_.close();
  auto raw = bench_.raw();
  raw.run(
      "update vault_collections set declared = replace(declared, '\"support\"', '\"marketing\"')");
  bench_.open();

  EXPECT_EQ(bench_.opened(made.record, "note"), "corrupt");
  EXPECT_EQ(code_of(bench_.run(bench_.declarations().list({}, {}))), Code::corrupt);
  EXPECT_EQ(bench_.state().changed_total, 1);
}

TEST_P(VaultDeclarations, copied_under_another_name_are_refused) {
  bench_.close();
  bench_.raw().run(
      "insert into vault_collections (id, name, version, declared, mac) "
      "select id + 1, 'copies', version, declared, mac from vault_collections");
  bench_.open();

  EXPECT_EQ(code_of(bench_.run(bench_.declarations().list({}, {}))), Code::corrupt);
  EXPECT_EQ(bench_.state().unrecorded_total, 1);
}

TEST_P(VaultDeclarations, of_purposes_open_what_they_name) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"}});
  ASSERT_EQ(code_of(bench_.reveal(made.record, {"email"}, "warranty")), Code::invalid);

  auto purpose = bench_(bench_.declarations().put_purpose(
      {}, {"warranty", LegalBasis::contract, "To repair what you bought.", {}}));
  auto changed = bench_(bench_.declarations().put_purpose(
      {}, {"warranty", LegalBasis::legitimate_interests, "To repair it.", {}}));

  EXPECT_EQ(purpose.version, 1);
  EXPECT_EQ(changed.version, 2);
  auto put_over = [&](std::int64_t version) {
    return code_of(bench_.run(bench_.declarations().put_purpose(
        {}, {"warranty", LegalBasis::legitimate_interests, "To repair it.", version})));
  };
  EXPECT_EQ(put_over(1), Code::conflict) << "somebody else changed it meanwhile";
  EXPECT_FALSE(put_over(2));
  EXPECT_FALSE(code_of(bench_.reveal(made.record, {"email"}, "warranty")));
  bench_.reopen();
  EXPECT_FALSE(code_of(bench_.reveal(made.record, {"email"}, "warranty")));
  bench_(bench_.declarations().put_purpose(
      {}, {"warranty", LegalBasis::consent, "To repair it, if you like.", {}}));
  EXPECT_EQ(code_of(bench_.reveal(made.record, {"email"}, "warranty")), Code::forbidden)
      << "from then on the customer must agree";
  EXPECT_EQ(code_of(bench_.run(
                bench_.declarations().put_purpose({}, {"support", LegalBasis::consent, "", {}}))),
            Code::conflict);
  EXPECT_EQ(code_of(bench_.run(
                bench_.declarations().put_purpose({}, {"Two Words", LegalBasis::consent, "", {}}))),
            Code::invalid);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultDeclarations, of_purposes_written_by_another_hand_are_refused) {
  bench_(bench_.declarations().put_purpose({}, {"warranty", LegalBasis::contract, "", {}}));
  bench_.close();
  bench_.raw().run("update vault_purposes set name = 'curiosity'");
  bench_.open();

  EXPECT_EQ(code_of(bench_.run(bench_.declarations().list_purposes({}, {}))), Code::corrupt);
}

}  // namespace
}  // namespace holdfast::vault
