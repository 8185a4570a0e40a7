#include "vault/import/mapping.h"

#include <gtest/gtest.h>

#include <string>

#include "vault/case_lines.h"
#include "vault/import/row_source.h"
#include "vault/policy.h"

namespace holdfast::vault {
namespace {

constexpr std::string_view kMapping =
    R"({"external_id": "Kundennummer", "collection": "customers", "key": "Nr",
        "fields": {"email": "e-mail", "last_name": "Nachname"}, "delimiter": ";"})";

Mapping mapping_of(std::string_view json) {
  auto mapping = parse_json_as<Mapping>(json);
  EXPECT_TRUE(mapping) << (mapping ? "" : mapping.error().text);
  return mapping ? *mapping : Mapping{};
}

std::string places(const Error& error) {
  std::string out = error.field.text();
  for (const auto& also : error.also) out += ' ' + also.field.text();
  return out;
}

TEST(ImportMapping, takes_the_columns_that_it_names) {
  auto source = RowSource::of(mapping_of(kMapping), ImportFormat::csv);
  ASSERT_TRUE(source) << source.error().text;
  source->feed(test::case_text("import/mapping.csv"));

  ASSERT_EQ(source->next(), ReadEvent::row);

  ASSERT_EQ(source->row().external_id, "4711");
  ASSERT_EQ(source->row().records.size(), 1u);
  const auto& record = source->row().records[0];
  EXPECT_EQ(record.collection, "customers");
  EXPECT_EQ(record.key, "a1");
  EXPECT_EQ(record.values[0], (std::pair<std::string, std::string>("email", "ann@example.org")));
  EXPECT_EQ(record.values[1], (std::pair<std::string, std::string>("last_name", "Berg")));
  EXPECT_EQ(record.places[0], (Place{2, 6}));
}

TEST(ImportMapping, gives_a_row_without_values_as_an_id_without_records) {
  auto source = RowSource::of(mapping_of(kMapping), ImportFormat::csv);
  source->feed(test::case_text("import/mapping.csv"));
  source->next();

  ASSERT_EQ(source->next(), ReadEvent::row);

  EXPECT_EQ(source->row().external_id, "4712");
  EXPECT_TRUE(source->row().records.empty());
}

TEST(ImportMapping, reads_members_of_members_in_json_lines) {
  auto mapping = mapping_of(
      R"({"external_id": "nr", "collection": "customers",
          "fields": {"city": "home.city", "age": "age", "extra": "extra"}})");
  auto source = RowSource::of(mapping, ImportFormat::json_lines);
  source->feed(
      "{\"nr\": 17, \"home\": {\"city\": \"Köln\"}, \"age\": 40, \"extra\": {\"b\": 1, "
      "\"a\": []}, \"more\": 1}\n");

  ASSERT_EQ(source->next(), ReadEvent::row);

  EXPECT_EQ(source->row().external_id, "17");
  const auto& values = source->row().records.at(0).values;
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[0].second, "Köln");
  EXPECT_EQ(values[1].second, "40");
  EXPECT_EQ(values[2].second, R"({"a":[],"b":1})");
  EXPECT_EQ(source->columns().unknown, (std::vector<std::string>{"more"}));
}

TEST(ImportMapping, says_which_of_its_columns_a_header_lacks) {
  struct Case {
    std::string header, place;
  };
  for (const auto& [header, place] :
       {Case{"E-Mail;Nachname;Nr", "external_id"}, Case{"Kundennummer;Nachname;Nr", "fields.email"},
        Case{"Kundennummer;E-Mail;Nr", "fields.last_name"},
        Case{"Kundennummer;E-Mail;Nachname", "key"}}) {
    auto source = RowSource::of(mapping_of(kMapping), ImportFormat::csv);
    source->feed(header + "\n1;2;3\n");

    EXPECT_EQ(source->next(), ReadEvent::failed);

    EXPECT_EQ(source->refusal().reason, "the header has no such column");
    EXPECT_EQ(source->refusal().field.text(), place);
    EXPECT_EQ(source->next(), ReadEvent::failed);
  }
}

TEST(ImportMapping, is_refused_with_all_that_is_wrong_in_it) {
  Mapping mapping{.external_id = " ",
                  .collection = "Customers",
                  .fields = {{"email", ""}, {"Last Name", "Nachname"}},
                  .key = "",
                  .delimiter = "#"};

  auto shape = shape_of(mapping);

  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().code, Code::invalid);
  EXPECT_EQ(places(shape.error()), "external_id collection fields.email fields.? key delimiter");
}

TEST(ImportMapping, without_fields_is_refused) {
  auto shape = shape_of({.external_id = "id", .collection = "customers"});

  ASSERT_FALSE(shape);
  EXPECT_EQ(places(shape.error()), "fields");
}

TEST(ImportMapping, with_unknown_members_does_not_parse) {
  auto mapping = parse_json_as<Mapping>(
      R"({"external_id": "id", "collection": "c", "fields": {"a": "b"}, "columns": {}})");

  ASSERT_FALSE(mapping);
}

TEST(ImportMapping, names_the_fields_that_the_collection_lacks) {
  CollectionSpec spec{.collection = "customers"};
  spec.fields.push_back({.name = "email", .type = FieldType::email});
  auto collection = declare(spec, 1, Time{});

  auto checked = check_fields(mapping_of(kMapping), *collection);

  ASSERT_FALSE(checked);
  EXPECT_EQ(places(checked.error()), "fields.last_name");
}

}  // namespace
}  // namespace holdfast::vault
