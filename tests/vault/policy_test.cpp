#include "vault/policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/described.h"
#include "vault/case_lines.h"

namespace holdfast::vault {
namespace {

using test::case_files;
using test::case_lines;

constexpr Time kNow{Millis{1'700'000'000'000}};
constexpr Time kLater{Millis{1'800'000'000'000}};

/// "policy/good_email.txt" is of type email.
FieldType type_in(const std::string& file) {
  auto from = file.find('_') + 1;
  auto name = file.substr(from, file.rfind('.') - from);
  auto names = enum_names(FieldType{});
  auto at = std::ranges::find(names, name);
  EXPECT_NE(at, names.end()) << file;
  return static_cast<FieldType>(at - names.begin());
}

template <class E>
E enum_value(std::string_view name) {
  auto names = enum_names(E{});
  return static_cast<E>(std::ranges::find(names, name) - names.begin());
}

CollectionSpec spec_of(const std::string& fields) {
  auto body = R"({"fields":)" + fields + "}";
  std::pair<std::string, std::string> path[] = {{"collection", "customers"}};
  auto spec = parse_described<CollectionSpec>({.body = body, .path = path});
  EXPECT_TRUE(spec) << fields << (spec ? "" : spec.error().text);
  return spec ? *spec : CollectionSpec{};
}

Field field_of(FieldType type) {
  CollectionSpec spec{.collection = "customers"};
  spec.fields.push_back({.name = "field", .type = type});
  auto declared = declare(spec, 1, kNow, true);
  EXPECT_TRUE(declared);
  return declared->fields.front();
}

std::string places(const Error& error) {
  std::string out = error.field.text();
  for (const auto& also : error.also) out += ' ' + also.field.text();
  return out;
}

// ── values

TEST(VaultValues, are_stored_in_one_form_indexed_by_one_term_and_masked_by_their_type) {
  for (const auto& file : case_files("policy", "good_")) {
    if (file.ends_with("good_declare.txt")) continue;
    auto field = field_of(type_in(file));
    for (const auto& line : case_lines(file)) {
      SCOPED_TRACE(line.where);
      ASSERT_EQ(line.parts.size(), 4u);

      auto stored = checked_value(field, line.parts[0]);

      ASSERT_TRUE(stored) << stored.error().text;
      EXPECT_EQ(stored->expose_text(), line.parts[1]);
      EXPECT_EQ(index_term(field, line.parts[0]).expose_text(), line.parts[2]);
      EXPECT_EQ(index_term(field, stored->expose_text()).expose_text(), line.parts[2]);
      EXPECT_EQ(masked(field, stored->expose_text()), line.parts[3]);
    }
  }
}

TEST(VaultValues, are_stable_once_stored) {
  for (const auto& file : case_files("policy", "good_")) {
    if (file.ends_with("good_declare.txt")) continue;
    auto field = field_of(type_in(file));
    for (const auto& line : case_lines(file)) {
      SCOPED_TRACE(line.where);

      auto again = checked_value(field, line.parts[1]);

      ASSERT_TRUE(again) << again.error().text;
      EXPECT_EQ(again->expose_text(), line.parts[1]);
    }
  }
}

TEST(VaultValues, are_refused_when_they_are_not_what_their_type_says) {
  for (const auto& file : case_files("policy", "fail_")) {
    if (file.ends_with("fail_declare.txt")) continue;
    auto field = field_of(type_in(file));
    for (const auto& line : case_lines(file)) {
      SCOPED_TRACE(line.where);
      ASSERT_EQ(line.parts.size(), 2u);

      auto stored = checked_value(field, line.parts[0]);

      ASSERT_FALSE(stored);
      EXPECT_EQ(code_name(stored.error().code), line.parts[1]);
    }
  }
}

TEST(VaultValues, have_a_length_that_is_counted_in_bytes_of_the_stored_form) {
  auto field = field_of(FieldType::text);
  field.max_bytes = 6;

  EXPECT_TRUE(checked_value(field, "  äöü \n"));
  EXPECT_TRUE(checked_value(field,
                            "a\xcc\x88"
                            "öü"));
  EXPECT_EQ(checked_value(field, "äöüx").error().code, Code::too_large);
  EXPECT_EQ(checked_value(field, std::string(kMaxValueBytes + 1, ' ')).error().code,
            Code::too_large);
}

TEST(VaultValues, of_every_type_may_be_as_long_as_the_type_says_and_no_longer) {
  auto field = field_of(FieldType::text);
  field.max_bytes = kMaxValueBytes;

  EXPECT_TRUE(checked_value(field, std::string(kMaxValueBytes, 'x')));
  EXPECT_EQ(checked_value(field, std::string(kMaxValueBytes + 1, 'x')).error().code,
            Code::too_large);
  auto email =
      "@" + std::string(60, 'b') + "." + std::string(60, 'c') + "." + std::string(60, 'd') + ".org";
  EXPECT_TRUE(checked_value(field_of(FieldType::email), std::string(64, 'a') + email));
  EXPECT_FALSE(checked_value(field_of(FieldType::email), std::string(64, 'a') + email + "g.org"));
}

TEST(VaultValues, of_cards_are_refused_while_card_data_is_off) {
  Field field{.type = FieldType::card_number, .max_bytes = 100};

  auto stored = checked_value(field, "4242424242424242");

  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, Code::invalid);
}

/// Where a declaration is refused with card data switched on; empty when it is taken.
std::string card_places(const std::string& fields) {
  auto declared = declare(spec_of(fields), 1, kNow, true);
  return declared ? "" : places(declared.error());
}

TEST(VaultValues, of_card_verification_are_codes_and_go_into_no_record) {
  auto field = field_of(FieldType::card_verification);

  EXPECT_EQ(checked_code(field, "123")->expose_text(), "123");
  EXPECT_EQ(checked_code(field, "1234")->expose_text(), "1234");
  for (std::string wrong : {"", "12", "12345", "12a", "1 2 3", "１２３"})
    EXPECT_FALSE(checked_code(field, wrong)) << wrong;
  auto kept = checked_value(field, "123");
  ASSERT_FALSE(kept);
  EXPECT_NE(kept.error().text.find("tokens.create"), std::string_view::npos);
  EXPECT_EQ(masked(field, "123"), "•••");
  field.cards_on = false;
  EXPECT_FALSE(checked_code(field, "123"));
}

TEST(VaultDeclarations, of_cards_are_of_their_own_class_mask_and_index) {
  EXPECT_EQ(card_places(R"([{"name":"pan","type":"card_number","mask":"last4"},
      {"name":"expiry","type":"card_expiry"},{"name":"cvc","type":"card_verification"}])"),
            "");
  for (std::string index : {"exact", "unique", "prefix", "substring"})
    EXPECT_EQ(card_places(R"([{"name":"pan","type":"card_number","index":")" + index + "\"}]"),
              "fields[0].index")
        << index;
  EXPECT_EQ(card_places(R"([{"name":"pan","type":"card_number","class":"plain","mask":"none"}])"),
            "fields[0].class fields[0].mask");
  EXPECT_EQ(card_places(R"([{"name":"e","type":"card_expiry","index":"unique"}])"),
            "fields[0].index");
  EXPECT_EQ(card_places(R"([{"name":"c","type":"card_verification","index":"unique"}])"),
            "fields[0].index");
  EXPECT_EQ(card_places(R"([{"name":"c","type":"card_verification","token":{"shape":"tok"}}])"),
            "fields[0].token");
}

TEST(VaultDeclarations, of_tokens_fit_the_type_and_have_what_their_shape_needs) {
  auto token = [](std::string type, std::string token) {
    return card_places(R"([{"name":"a","type":")" + type + R"(","token":)" + token + "}]");
  };

  EXPECT_EQ(token("text", R"({"shape":"digits","deterministic":"subject"})"), "");
  EXPECT_EQ(token("name", R"({"shape":"pattern","pattern":"N-[0-9]{8}"})"), "");
  EXPECT_EQ(token("card_number", R"({"shape":"card"})"), "");
  EXPECT_EQ(token("card_number", R"({"shape":"card","deterministic":"field"})"),
            "fields[0].token.deterministic")
      << "six and four digits are shown: the rest could be tried";
  EXPECT_EQ(token("json", "{}"), "");
  EXPECT_EQ(token("name", R"({"shape":"digits"})"), "fields[0].token.shape");
  EXPECT_EQ(card_places(R"([{"name":"a","type":"text","max_bytes":5,"token":{"shape":"digits"}}])"),
            "fields[0].token.shape")
      << "no value could get one";
  EXPECT_EQ(token("card_number", R"({"shape":"digits"})"), "fields[0].token.shape")
      << "digits could be a card number";
  EXPECT_EQ(token("card_number", R"({"shape":"pattern","pattern":"4[0-9]{15}"})"),
            "fields[0].token.shape")
      << "and so could one token in ten of this pattern";
  EXPECT_EQ(token("card_number", R"({"shape":"tok"})"), "");
  EXPECT_EQ(token("card_expiry", R"({"shape":"pattern","pattern":"E-[0-9]{8}"})"), "");
  EXPECT_EQ(token("text", R"({"shape":"email"})"), "fields[0].token.shape");
  EXPECT_EQ(token("text", R"({"shape":"card"})"), "fields[0].token.shape");
  EXPECT_EQ(token("text", R"({"shape":"pattern"})"), "fields[0].token.pattern");
  EXPECT_EQ(token("text", R"({"shape":"pattern","pattern":"[0-9]{3}"})"),
            "fields[0].token.pattern");
  EXPECT_EQ(token("text", R"({"pattern":"[0-9]{8}"})"), "fields[0].token.pattern");
  EXPECT_EQ(token("country", R"({"deterministic":"field"})"), "fields[0].token.deterministic");
}

TEST(VaultDeclarations, say_what_an_index_and_equal_tokens_tell) {
  auto leaks = [](const std::string& field) {
    auto declared = declare(spec_of("[" + field + "]"), 1, kNow, true);
    return leaks_of(declared->fields.front());
  };

  EXPECT_EQ(leaks(R"({"name":"a","type":"text"})"), "");
  EXPECT_NE(leaks(R"({"name":"a","type":"text","index":"unique"})").find("equal value"),
            std::string::npos);
  EXPECT_NE(leaks(R"({"name":"a","type":"text","token":{"deterministic":"subject"}})")
                .find("one customer gave the same value again"),
            std::string::npos);
  EXPECT_NE(leaks(R"({"name":"a","type":"text","token":{"deterministic":"field"}})")
                .find("which customers share a value"),
            std::string::npos);
}

TEST(VaultDeclarations, may_change_how_new_tokens_look_while_records_exist) {
  auto old = declare(spec_of(R"([{"name":"a","type":"text"}])"), 1, kNow);

  auto next = evolve(*old, spec_of(R"([{"name":"a","type":"text","token":{"shape":"digits"}}])"),
                     true, kLater);

  ASSERT_TRUE(next);
  EXPECT_EQ(next->version, 2);
  EXPECT_EQ(next->fields[0].token->deterministic, TokenScope::none);
  auto same = evolve(*next, spec_of(R"([{"name":"a","type":"text","token":{"shape":"digits"}}])"),
                     true, kLater);
  EXPECT_EQ(same->version, 2);
}

TEST(VaultIndexTerms, complete_national_numbers_by_the_calling_code) {
  auto field = field_of(FieldType::phone);
  for (const auto& line : case_lines("policy/calling_codes.txt")) {
    SCOPED_TRACE(line.where);

    auto term = index_term(field, line.parts[0], line.parts[1]);

    EXPECT_EQ(term.expose_text(), line.parts[2]);
  }
}

TEST(VaultIndexTerms, are_empty_where_nothing_is_left) {
  EXPECT_TRUE(index_term(field_of(FieldType::email), "").empty());
  EXPECT_TRUE(index_term(field_of(FieldType::email), "\xff").empty());
  EXPECT_TRUE(index_term(field_of(FieldType::name), " \t ").empty());
  EXPECT_TRUE(index_term(field_of(FieldType::phone), "none").empty());
  EXPECT_TRUE(index_term(field_of(FieldType::ip), "none").empty());
  EXPECT_TRUE(index_term(field_of(FieldType::json), "{}").empty());
}

TEST(VaultMasks, show_no_more_than_a_quarter_and_of_short_values_nothing) {
  for (const auto& line : case_lines("policy/masks.txt")) {
    SCOPED_TRACE(line.where);
    Field field{.type = enum_value<FieldType>(line.parts[0]),
                .mask = enum_value<Mask>(line.parts[1])};

    EXPECT_EQ(masked(field, line.parts[2]), line.parts[3]);
  }
}

TEST(VaultMasks, say_nothing_of_the_length) {
  Field field{.type = FieldType::name};

  EXPECT_EQ(masked(field, "Anna"), masked(field, std::string("A") + std::string(200, 'x')));
}

// ── declarations

TEST(VaultDeclare, takes_what_is_in_order) {
  for (const auto& line : case_lines("policy/good_declare.txt")) {
    auto declared = declare(spec_of(line.parts[0]), 7, kNow);

    ASSERT_TRUE(declared) << line.where << ' ' << declared.error().text << places(declared.error());
    EXPECT_EQ(declared->id, 7u);
    EXPECT_EQ(declared->version, 1u);
  }
}

TEST(VaultDeclare, names_every_violation_at_its_place) {
  for (const auto& line : case_lines("policy/fail_declare.txt")) {
    SCOPED_TRACE(line.where);

    auto declared = declare(spec_of(line.parts[0]), 1, kNow);

    ASSERT_FALSE(declared);
    EXPECT_EQ(declared.error().code, Code::invalid);
    EXPECT_EQ(places(declared.error()), line.parts[1]);
    EXPECT_NE(declared.error().text.find(line.parts[2]), std::string_view::npos)
        << declared.error().text;
  }
}

TEST(VaultDeclare, fills_in_what_was_left_out) {
  auto declared = declare(spec_of(R"([{"name":"email","type":"email"},{"name":"note","type":"text",
                 "keep":{"duration":"1 year"}}])"),
                          1, kNow);

  ASSERT_TRUE(declared);
  const auto& email = declared->fields[0];
  EXPECT_EQ(email.id, 1);
  EXPECT_EQ(email.since, 1u);
  EXPECT_EQ(email.field_class, FieldClass::personal);
  EXPECT_EQ(email.mask, Mask::type_default);
  EXPECT_EQ(email.index, IndexKind::none);
  EXPECT_EQ(email.keep_group, "account");
  EXPECT_EQ(email.max_bytes, 254u);
  EXPECT_EQ(declared->fields[1].id, 2);
  EXPECT_EQ(declared->fields[1].keep->from, KeepFrom::created);
  EXPECT_EQ(declared->created, kNow);
}

TEST(VaultDeclare, refuses_a_collection_name_and_a_doc_that_are_none) {
  auto spec = spec_of(R"([{"name":"a","type":"text"}])");
  spec.collection = "Customers";
  spec.doc = std::string(1001, 'x');

  auto declared = declare(spec, 1, kNow);

  ASSERT_FALSE(declared);
  EXPECT_EQ(places(declared.error()), "collection doc");
}

TEST(VaultDeclare, lists_at_most_twenty_violations) {
  CollectionSpec spec{.collection = "customers"};
  for (int i = 0; i < 50; ++i) spec.fields.push_back({.name = "BAD"});

  auto declared = declare(spec, 1, kNow);

  ASSERT_FALSE(declared);
  EXPECT_EQ(declared.error().also.size(), 19u);
}

TEST(VaultDeclare, takes_200_fields_and_not_201) {
  CollectionSpec spec{.collection = "customers"};
  for (int i = 0; i < 200; ++i) spec.fields.push_back({.name = "f" + std::to_string(i)});
  EXPECT_TRUE(declare(spec, 1, kNow));

  spec.fields.push_back({.name = "one_more"});

  EXPECT_EQ(declare(spec, 1, kNow).error().field.text(), "fields");
}

// ── changes

void expect_outcome(const std::string& expected, const Collection& old, const CollectionSpec& spec,
                    bool has_data) {
  SCOPED_TRACE(has_data ? "with records" : "without records");

  auto next = evolve(old, spec, has_data, kLater);

  if (expected.starts_with("conflict ")) {
    ASSERT_FALSE(next);
    EXPECT_EQ(next.error().code, Code::conflict);
    EXPECT_EQ(places(next.error()), expected.substr(9));
    return;
  }
  ASSERT_TRUE(next) << next.error().text;
  EXPECT_EQ(next->version, expected == "same" ? old.version : old.version + 1);
  EXPECT_EQ(next->updated, expected == "same" ? old.updated : kLater);
  EXPECT_EQ(next->created, old.created);
  for (const auto& field : next->fields)
    if (const auto* was = old.find(field.name)) EXPECT_EQ(field.id, was->id);
}

TEST(VaultEvolve, refuses_what_would_lose_data_and_takes_the_rest) {
  for (const auto& line : case_lines("policy/evolve.txt")) {
    SCOPED_TRACE(line.where);
    ASSERT_EQ(line.parts.size(), 4u);
    auto old = declare(spec_of(line.parts[0]), 3, kNow);
    ASSERT_TRUE(old) << old.error().text;

    expect_outcome(line.parts[2], *old, spec_of(line.parts[1]), true);
    expect_outcome(line.parts[3], *old, spec_of(line.parts[1]), false);
  }
}

TEST(VaultEvolve, never_gives_an_id_twice) {
  auto first =
      declare(spec_of(R"([{"name":"a","type":"text"},{"name":"b","type":"text"}])"), 1, kNow);
  auto second = evolve(*first, spec_of(R"([{"name":"a","type":"text"}])"), false, kLater);

  auto third = evolve(
      *second, spec_of(R"([{"name":"a","type":"text"},{"name":"b","type":"text"}])"), true, kLater);

  ASSERT_TRUE(third);
  EXPECT_EQ(third->find("a")->id, 1);
  EXPECT_EQ(third->find("b")->id, 3);
  EXPECT_EQ(third->find("b")->since, 3u);
  EXPECT_EQ(third->find("a")->since, 1u);
}

TEST(VaultEvolve, dates_a_shape_from_the_version_that_changed_it) {
  auto first =
      declare(spec_of(R"([{"name":"a","type":"text"},{"name":"b","type":"text"}])"), 1, kNow);

  auto second = evolve(
      *first, spec_of(R"([{"name":"a","type":"email"},{"name":"b","type":"text","mask":"last4"}])"),
      false, kLater);

  ASSERT_TRUE(second);
  EXPECT_EQ(second->find("a")->since, 2u);
  EXPECT_EQ(second->find("b")->since, 1u);
}

TEST(VaultEvolve, keeps_the_name_of_the_collection) {
  auto old = declare(spec_of(R"([{"name":"a","type":"text"}])"), 1, kNow);
  auto spec = spec_of(R"([{"name":"a","type":"text"}])");
  spec.collection = "clients";

  auto next = evolve(*old, spec, false, kLater);

  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().field.text(), "collection");
}

TEST(VaultEvolve, refuses_what_declare_refuses) {
  auto old = declare(spec_of(R"([{"name":"a","type":"text"}])"), 1, kNow);

  auto next = evolve(*old, spec_of(R"([{"name":"a","type":"card_number"}])"), false, kLater);

  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Code::invalid);
}

}  // namespace
}  // namespace holdfast::vault
