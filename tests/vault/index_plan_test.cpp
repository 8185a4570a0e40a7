#include "vault/index_plan.h"

#include <gtest/gtest.h>

#include <set>

#include "vault/index_terms.h"
#include "vault/policy.h"

namespace holdfast::vault {
namespace {

Field exact(FieldType type = FieldType::email) {
  return {.type = type, .index = IndexKind::exact, .max_bytes = 254};
}

TEST(VaultIndexPlan, leaves_at_least_two_rows_that_share_all_terms_by_chance) {
  for (std::int64_t rows : {4, 100, 1000, 65'536, 1'000'000, 20'000'000}) {
    auto left = rows >> total_bits(rows);

    EXPECT_GE(left, 2) << rows;
    EXPECT_LE(left, 4) << rows;
  }
  EXPECT_EQ(total_bits(0), 0);
  EXPECT_EQ(total_bits(3), 0);
}

TEST(VaultIndexPlan, shares_the_bits_among_the_indexes_of_a_collection) {
  EXPECT_EQ(planned_bits(exact(), 1'000'000, 1), 18);
  EXPECT_EQ(planned_bits(exact(), 1'000'000, 2), 9);
  EXPECT_EQ(planned_bits(exact(), 1'000'000, 1, 7), 7);
  EXPECT_EQ(planned_bits(exact(FieldType::date), 1'000'000, 1), 15) << "there are no more days";
  EXPECT_EQ(planned_bits(exact(), 0, 1), 0);
}

TEST(VaultIndexPlan, tells_skewed_values_from_even_ones) {
  EXPECT_FALSE(skewed({1'000'000, 1'300, 0}, 10)) << "977 expected, give or take";
  EXPECT_TRUE(skewed({1'000'000, 11'000, 0}, 10)) << "one surname in a hundred";
  EXPECT_FALSE(skewed({1'000'000, 1'000'000, 0}, 0)) << "all in one group show nothing";
  EXPECT_EQ(bits_for_skew({1'000'000, 10'977, 0}, 10), 8);
  EXPECT_EQ(bits_for_skew({1'000'000, 900, 0}, 10), 24);
}

TEST(VaultIndexPlan, resizes_what_tells_rows_apart_and_what_grew_too_large) {
  EXPECT_TRUE(resize_due(9, 8, 1000, 9));
  EXPECT_FALSE(resize_due(8, 8, 1000, 8));
  EXPECT_FALSE(resize_due(8, 9, 2000, 8)) << "one bit is not worth it";
  EXPECT_TRUE(resize_due(4, 14, 32'768, 4));
  EXPECT_FALSE(resize_due(8, 14, 32'768, 8)) << "128 to a group, fewer than the square root";
}

TEST(VaultIndexPlan, holds_a_consent_to_what_was_consented_to) {
  Field field = exact();
  field.consent = IndexConsent{10'000, 100, "key_a", {}};

  EXPECT_TRUE(consented(field, {20'000, 240, 0}));
  EXPECT_FALSE(consented(field, {20'000, 260, 0}));
  field.consent.reset();
  EXPECT_FALSE(consented(field, {20'000, 1, 0}));
}

TEST(VaultIndexPlan, serves_at_once_where_there_is_nothing_to_build) {
  Collection collection{.id = 1, .fields = {exact()}};

  EXPECT_TRUE(settle_indexes(collection, 0, 1, 7));
  EXPECT_FALSE(settle_indexes(collection, 0, 1, 8)) << "nothing is missing";
  ASSERT_NE(collection.fields[0].serving(), nullptr);
  auto first = collection.fields[0].serving()->number;
  EXPECT_TRUE(settle_indexes(collection, 5000, 2, 9)) << "another key";

  ASSERT_EQ(collection.fields[0].indexes.size(), 2u);
  EXPECT_EQ(collection.fields[0].serving()->number, first);
  EXPECT_FALSE(collection.fields[0].indexes[1].serving);
  collection.fields[0].index = IndexKind::none;
  EXPECT_TRUE(settle_indexes(collection, 5000, 2, 10));
  EXPECT_TRUE(collection.fields[0].indexes.empty());
}

// ── terms

class VaultTermsOfIndexes : public testing::Test {
 protected:
  BlindTerms terms(IndexKind kind, std::int64_t bits, std::int64_t number = 1) const {
    return {keys_, {.number = number, .kind = kind, .bits = bits, .key = 1}};
  }
  crypto::KeySet keys_{crypto::Keyring::make(from_ms(1))};
  RecordId one_ = RecordId::make(from_ms(1)), two_ = RecordId::make(from_ms(2));
};

TEST_F(VaultTermsOfIndexes, have_as_many_bits_as_the_index_says) {
  auto whole = terms(IndexKind::exact, 24).term("ann");
  auto cut = terms(IndexKind::exact, 19).term("ann");

  EXPECT_EQ(terms(IndexKind::exact, 0).term("ann").size(), 0u);
  EXPECT_EQ(whole.size(), 3u);
  EXPECT_EQ(cut.size(), 3u);
  EXPECT_EQ(cut[2] & 0x1F, 0);
  EXPECT_EQ(cut[2], whole[2] & 0xE0);
  EXPECT_EQ(terms(IndexKind::unique, 256).term("ann").size(), 32u);
}

TEST_F(VaultTermsOfIndexes, of_two_indexes_have_nothing_in_common) {
  EXPECT_NE(terms(IndexKind::unique, 256, 1).term("ann"),
            terms(IndexKind::unique, 256, 2).term("ann"));
  EXPECT_NE(terms(IndexKind::substring, 128, 1).grams("ann"),
            terms(IndexKind::substring, 128, 2).grams("ann"));
  EXPECT_FALSE(BlindTerms(keys_, {.number = 1, .kind = IndexKind::exact, .key = 99}).usable());
}

TEST_F(VaultTermsOfIndexes, are_told_apart_by_tags_that_differ_for_each_record) {
  auto exact = terms(IndexKind::exact, 8);

  EXPECT_EQ(exact.tag("ann", one_), exact.tag("ann", one_));
  EXPECT_NE(exact.tag("ann", one_), exact.tag("ann", two_));
  EXPECT_NE(exact.tag("ann", one_), exact.tag("bob", one_));
}

TEST_F(VaultTermsOfIndexes, of_parts_count_characters_and_not_bytes) {
  auto parts = terms(IndexKind::substring, 128);
  auto beginnings = terms(IndexKind::prefix, 128);

  EXPECT_EQ(parts.grams("øåæ").size(), 1u);
  EXPECT_EQ(parts.grams("øå").size(), 0u);
  EXPECT_EQ(parts.grams("aaaaa").size(), 1u) << "each once";
  EXPECT_EQ(parts.grams("abcd").size(), 2u);
  EXPECT_EQ(beginnings.grams("øåæø").size(), 2u);
  EXPECT_EQ(beginnings.grams("abcdefghijklmnop").size(), 6u);
  EXPECT_EQ(beginnings.grams_of_fragment("abcdefg").size(), 1u);
}

TEST_F(VaultTermsOfIndexes, every_byte_of_a_sealed_block_counts) {
  auto parts = terms(IndexKind::substring, 128);
  Bytes term(16, 1), block(8, 2);
  std::vector<Posting> entries = {{one_, 3, true}, {two_, 1, false}};
  const auto sealed = parts.seal_block(term, block, entries);

  EXPECT_EQ(*parts.open_block(term, block, sealed), entries);
  EXPECT_FALSE(parts.open_block(Bytes(16, 9), block, sealed));
  EXPECT_FALSE(parts.open_block(term, Bytes(8, 9), sealed));
  EXPECT_FALSE(terms(IndexKind::substring, 128, 2).open_block(term, block, sealed));
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    auto bent = sealed;
    bent[at] ^= 1;
    EXPECT_FALSE(parts.open_block(term, block, bent)) << at;
  }
}

TEST(VaultPostings, hold_what_was_said_last) {
  RecordId a{.uuid = {1}}, b{.uuid = {2}};

  auto left = resolved({{b, 1, true}, {a, 3, false}, {a, 2, true}, {a, 1, false}});
  auto back = resolved({{a, 3, false}, {a, 4, true}});
  auto same = resolved({{a, 3, false}, {a, 3, true}});

  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].record, b);
  EXPECT_EQ(back.size(), 1u);
  EXPECT_EQ(same.size(), 1u) << "lost and got again in one change";
}

TEST(VaultPostings, that_were_cut_off_or_bent_do_not_unpack) {
  auto packed = pack_postings(std::vector<Posting>{{RecordId{}, 1, true}});
  auto bent = packed;
  bent.back() = 2;

  EXPECT_TRUE(unpack_postings(packed));
  EXPECT_FALSE(unpack_postings(bent));
  for (std::size_t size = 0; size < packed.size(); ++size)
    EXPECT_FALSE(unpack_postings(BytesView(packed).first(size))) << size;
}

// ── fragments

TEST(VaultFragments, of_phones_meet_the_international_form) {
  Field phone{.type = FieldType::phone};
  auto from_start = [&](std::string_view text, std::string_view code = "49") {
    return std::string(index_fragment(phone, text, code, true).expose_text());
  };
  auto inside = [&](std::string_view text) {
    return std::string(index_fragment(phone, text, "49", false).expose_text());
  };

  EXPECT_EQ(from_start("030 12"), "+493012");
  EXPECT_EQ(from_start("+49 30"), "+4930");
  EXPECT_EQ(from_start("0049-30"), "+4930");
  EXPECT_EQ(from_start("030", "39"), "+39030") << "Italy keeps it";
  EXPECT_EQ(inside("0301"), "301");
  EXPECT_EQ(inside("123 45"), "12345");
  EXPECT_EQ(inside("+4930"), "+4930");
  EXPECT_EQ(inside("call me"), "");
}

TEST(VaultFragments, of_addresses_of_machines_may_be_parts) {
  Field ip{.type = FieldType::ip};

  EXPECT_EQ(index_fragment(ip, "203.0.", {}, true).expose_text(), "203.0.");
  EXPECT_EQ(index_fragment(ip, "2001:DB8", {}, true).expose_text(), "2001:db8");
  EXPECT_TRUE(index_fragment(ip, "localhost", {}, true).empty());
}

}  // namespace
}  // namespace holdfast::vault
