#include "vault/import/presets.h"

#include <gtest/gtest.h>

#include <string>

#include "vault/case_lines.h"
#include "vault/import/row_source.h"
#include "vault/policy.h"

namespace holdfast::vault {
namespace {

std::string at(Place place) {
  return std::to_string(place.line) + ':' + std::to_string(place.column);
}

std::string text_of(const ImportRow& row) {
  std::string out = "row " + at(row.place) + ' ' + row.external_id + '\n';
  for (const auto& record : row.records) {
    out += "  " + record.collection + " [" + record.key + "]\n";
    for (std::size_t i = 0; i < record.values.size(); ++i)
      out += "    " + record.values[i].first + " = " + record.values[i].second + "  @" +
             at(record.places[i]) + '\n';
  }
  return out;
}

/// What comes out of a file, as text.
std::string read_all(RowSource source, std::string_view file, std::size_t size = 1000) {
  std::string out;
  for (auto event = source.next(); event != ReadEvent::end; event = source.next()) {
    if (event == ReadEvent::more) {
      if (file.empty()) source.finish();
      source.feed(file.substr(0, size));
      file.remove_prefix(std::min(size, file.size()));
    } else if (event == ReadEvent::row) {
      out += text_of(source.row());
    } else {
      const auto& refusal = source.refusal();
      out += (event == ReadEvent::failed ? "failed " : "refused ") + at(refusal.place) + ' ' +
             std::string(refusal.reason) +
             (refusal.field.empty() ? "" : " (" + refusal.field.text() + ')') + '\n';
    }
    if (event == ReadEvent::failed) return out;
  }
  out += "shape " + source.columns().shape + '\n';
  out += "unknown " + std::to_string(source.columns().unknown_count) + '\n';
  for (const auto& name : source.columns().unknown) out += "  " + name + '\n';
  for (const auto& left : source.columns().left_out)
    out += "left out " + left.column + ": " + std::string(left.reason) + '\n';
  return out;
}

struct PresetFile {
  Preset preset;
  std::string file;
};
void PrintTo(const PresetFile& param, std::ostream* out) {
  *out << param.file;
}

class ImportPresets : public testing::TestWithParam<PresetFile> {};

TEST_P(ImportPresets, read_what_the_shop_exports) {
  auto expected = test::case_text("import/" + GetParam().file + ".expected");

  auto read =
      read_all(RowSource::of(GetParam().preset), test::case_text("import/" + GetParam().file));

  EXPECT_EQ(read, expected);
}

TEST_P(ImportPresets, fill_only_fields_that_their_collections_have) {
  auto collections = collections_of(GetParam().preset);

  for (const auto& shape : shapes_of(GetParam().preset))
    for (const auto& rule : shape.rules) {
      const auto& name = shape.records.at(rule.record).collection;
      auto spec = std::ranges::find(collections, name, &CollectionSpec::collection);
      ASSERT_NE(spec, collections.end()) << name;
      EXPECT_NE(std::ranges::find(spec->fields, rule.field, &FieldSpec::name), spec->fields.end())
          << name << '.' << rule.field;
    }
}

INSTANTIATE_TEST_SUITE_P(Files, ImportPresets,
                         testing::Values(PresetFile{Preset::shopify, "shopify.csv"},
                                         PresetFile{Preset::shopify, "shopify_reordered.csv"},
                                         PresetFile{Preset::shopify, "shopify_wrong_header.csv"},
                                         PresetFile{Preset::shopify, "shopify_twice.csv"},
                                         PresetFile{Preset::shopify, "shopify_ids.csv"},
                                         PresetFile{Preset::magento, "magento_customers.csv"},
                                         PresetFile{Preset::magento, "magento_addresses.csv"},
                                         PresetFile{Preset::woocommerce, "woocommerce_report.csv"},
                                         PresetFile{Preset::woocommerce, "woocommerce_users.csv"},
                                         PresetFile{Preset::vendure, "vendure.jsonl"},
                                         PresetFile{Preset::medusa, "medusa.jsonl"}));

TEST(ImportPreset, collections_can_be_declared_as_they_are) {
  for (std::size_t i = 0; i < enum_names(Preset{}).size(); ++i)
    for (const auto& spec : collections_of(static_cast<Preset>(i))) {
      auto declared = declare(spec, 1, Time{});

      ASSERT_TRUE(declared) << enum_names(Preset{})[i] << ' ' << declared.error().field.text();
    }
}

TEST(ImportPreset, values_fit_their_fields) {
  std::vector<Collection> collections;
  for (const auto& spec : collections_of(Preset::shopify))
    collections.push_back(*declare(spec, 1, Time{}));
  auto source = RowSource::of(Preset::shopify);
  source.feed(test::case_text("import/shopify.csv"));
  ASSERT_EQ(source.next(), ReadEvent::row);

  for (const auto& record : source.row().records)
    for (const auto& [name, value] : record.values) {
      auto collection = std::ranges::find(collections, record.collection, &Collection::name);
      const auto* field = collection->find(name);
      ASSERT_TRUE(field) << name;
      EXPECT_TRUE(checked_value(*field, value)) << name;
    }
}

TEST(ImportPreset, keeps_tax_ids_under_the_legal_keep_group) {
  for (auto preset : {Preset::magento})
    for (const auto& spec : collections_of(preset))
      for (const auto& field : spec.fields)
        EXPECT_EQ(field.keep_group, field.type == FieldType::tax_id ? "legal" : "account")
            << field.name;
}

TEST(ImportPreset, reports_at_most_a_hundred_unknown_columns_and_nothing_unprintable) {
  std::string header = "Customer ID,\"bad\x1b[31m\nname\"," + std::string(300, 'x');
  for (int i = 0; i < 500; ++i) header += ",column " + std::to_string(i);
  auto source = RowSource::of(Preset::shopify);
  source.feed(header + "\n");

  source.next();

  EXPECT_EQ(source.columns().unknown_count, 502u);
  EXPECT_EQ(source.columns().unknown.size(), 100u);
  EXPECT_EQ(source.columns().unknown[0], "bad?[31m?name");
  EXPECT_EQ(source.columns().unknown[1], std::string(64, 'x'));
}

TEST(ImportPreset, remembers_a_bounded_number_of_unknown_members) {
  auto source = RowSource::of(Preset::medusa);
  for (int row = 0; row < 50; ++row) {
    std::string line = "{\"id\": \"1\"";
    for (int i = 0; i < 100; ++i) line += ", \"m" + std::to_string(row * 100 + i) + "\": 1";
    source.feed(line + "}\n");
  }

  while (source.next() == ReadEvent::row) {
  }

  EXPECT_LE(source.columns().unknown_count, 1000u);
  EXPECT_EQ(source.columns().unknown.size(), 100u);
}

TEST(ImportPreset, refuses_ids_that_are_no_ids) {
  auto source = RowSource::of(Preset::shopify);
  source.feed("Customer ID,Email\n" + std::string(257, '1') +
              ",a@example.org\n\"1\x07\",b@b.org\n");

  EXPECT_EQ(source.next(), ReadEvent::refused);
  EXPECT_EQ(source.refusal().reason, "a customer id longer than 256 bytes");
  EXPECT_EQ(source.next(), ReadEvent::refused);
  EXPECT_EQ(source.refusal().reason, "a customer id with control characters");
}

}  // namespace
}  // namespace holdfast::vault
