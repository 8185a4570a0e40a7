#include "vault/reports/service.h"

#include <algorithm>

#include "vault/reports/pages.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

constexpr Millis kDay{86'400'000};

/// What a download writes.
class TextWriter final : public http::BodyWriter {
 public:
  std::string type, text;
  Task<Result<void>> start(std::string_view as) override {
    type = as;
    co_return Result<void>();
  }
  Task<Result<void>> write(std::string_view bytes) override {
    text += bytes;
    co_return Result<void>();
  }
  bool closing() const override { return false; }
};

class VaultReports : public Vault {
 protected:
  Caller agent(std::string principal, std::string person = {}) {
    bench_.permits().rules.push_back({.principal = principal});
    return {.principal = std::move(principal), .on_behalf_of = std::move(person)};
  }
  void open(RecordId record, std::string field, Caller caller = {}) {
    must(bench_.reveal(record, {std::move(field)}, "support", std::move(caller)));
  }
  FieldUse use_of(const UnusedReport& report, std::string_view field) {
    for (const auto& one : report.fields)
      if (one.collection == "customers" && one.field == field) return one;
    return {};
  }
  MappedField mapped(const DataMap& map, std::string_view field) {
    for (const auto& one : map.collections.at(0).fields)
      if (one.field == field) return one;
    return {};
  }
  DataMap data_map() { return bench_(bench_.reports().data_map({}, {})); }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultReports, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultReports, map_a_merged_guest_as_no_customer_of_its_own) {
  bench_.create("ext:1", {{"email", "ann@example.org"}});
  bench_.create("ext:guest-9", {{"email", "ann@example.org"}});
  bench_(bench_.subjects().merge({}, {"ext:1", "ext:guest-9", {}}));

  auto merged = data_map();
  must(bench_.erase("ext:1"));
  auto erased = data_map();

  EXPECT_EQ(merged.customers, 1);
  EXPECT_EQ(merged.erased_customers, 0);
  EXPECT_EQ(erased.customers, 0);
  EXPECT_EQ(erased.erased_customers, 1);
}

TEST_P(VaultReports, map_what_is_held_exactly) {
  bench_.create("ext:1", {{"email", "ann@example.org"}, {"phone", "030 1234567"}});
  bench_.create("ext:2", {{"email", "bob@example.org"}});
  bench_(bench_.tokens().create({}, {.subject = "ext:2",
                                     .collection = "customers",
                                     .values = values({{"phone", "030 7654321"}}),
                                     .items = {},
                                     .idempotency_key = {}}));
  bench_.create("ext:3", {{"email", "eve@example.org"}});
  must(bench_.erase("ext:3"));

  auto map = data_map();

  EXPECT_EQ(map.customers, 2);
  EXPECT_EQ(map.erased_customers, 1);
  EXPECT_EQ(map.records, 3);
  EXPECT_EQ(map.values, 4);
  EXPECT_EQ(map.tokens, 1);
  EXPECT_EQ(mapped(map, "email").values, 2);
  EXPECT_EQ(mapped(map, "email").index, IndexKind::exact);
  EXPECT_EQ(mapped(map, "phone").values, 2);
  EXPECT_EQ(mapped(map, "phone").tokens, 1);
  EXPECT_EQ(mapped(map, "tax_id").keep, (Keep{"10 years", KeepFrom::created}));
  EXPECT_TRUE(std::ranges::any_of(map.purposes, [](const MappedPurpose& one) {
    return one.purpose == "marketing" && one.legal_basis == LegalBasis::consent;
  }));
}

TEST_P(VaultReports, count_over_more_than_one_page) {
  for (int i = 0; i < 620; ++i)
    bench_.create("ext:" + std::to_string(i), {{"email", std::to_string(i) + "@example.org"}});

  auto map = data_map();
  auto keys = bench_(bench_.reports().key_versions({}, {}));

  EXPECT_EQ(map.records, 620);
  EXPECT_EQ(map.customers, 620);
  EXPECT_EQ(keys.index_terms, 620);
  EXPECT_EQ(keys.external_ids, 620);
  ASSERT_EQ(keys.epochs.size(), 1u);
  EXPECT_EQ(keys.epochs[0].subject_keys, 620);
}

TEST_P(VaultReports, name_a_record_that_cannot_be_read_as_a_number_and_go_on) {
  auto bad = bench_.create("ext:1", {{"email", "ann@example.org"}});
  bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto raw = bench_.raw();
  raw.run("update vault_records set sealed = " + raw.literal(Bytes{9}) +
          " where id = " + raw.literal(bad.record.bytes()));

  auto map = data_map();

  EXPECT_EQ(map.damaged, 1);
  EXPECT_EQ(map.values, 1);
}

TEST_P(VaultReports, are_not_shown_when_they_cannot_be_recorded) {
  bench_.journal().fail = true;

  EXPECT_EQ(code_of(bench_.run(bench_.reports().data_map({}, {}))), Code::unavailable);
  EXPECT_EQ(code_of(bench_.run(bench_.reports().art30({}, {}))), Code::unavailable);
  EXPECT_EQ(code_of(bench_.run(bench_.reports().openings({}, {}))), Code::unavailable);
}

TEST_P(VaultReports, stop_at_the_callers_deadline) {
  bench_.create("ext:1", {{"email", "ann@example.org"}});
  Caller late{.deadline = bench_.clock().mono() - Millis(1)};

  EXPECT_EQ(code_of(bench_.run(bench_.reports().data_map(late, {}))), Code::unavailable);
}

TEST_P(VaultReports, name_what_is_collected_and_never_used) {
  auto made = bench_.create("ext:1", {{"email", "ann@example.org"},
                                      {"phone", "030 1234567"},
                                      {"first_name", "Ann"},
                                      {"birthday", "1990-01-02"}});
  bench_.clock().advance(100 * kDay);
  open(made.record, "phone");
  must(bench_.find({{"email", "ann@example.org"}}));
  must(bench_.verify(made.record, "first_name", "Eve"));
  TextWriter copy;
  must(bench_.run(bench_.subjects().export_all(
      {}, {"ext:1", "subject_request", ExportFormat::json, {}}, copy)));
  ASSERT_TRUE(copy.text.contains("1990-01-02")) << "a copy for the customer is no use";

  auto report = bench_(bench_.reports().unused({}, {}));

  EXPECT_EQ(use_of(report, "phone").opened, 1);
  EXPECT_EQ(use_of(report, "phone").last, bench_.clock().now());
  EXPECT_EQ(use_of(report, "email").searched, 1);
  EXPECT_FALSE(use_of(report, "email").unused);
  EXPECT_FALSE(use_of(report, "first_name").unused);
  EXPECT_TRUE(use_of(report, "birthday").unused);
  EXPECT_EQ(use_of(report, "birthday").values, 1);
  EXPECT_FALSE(use_of(report, "note").unused);  // no value of it is kept
  EXPECT_EQ(report.fields.front().field, "birthday");
}

TEST_P(VaultReports, look_only_at_the_period_asked_for) {
  auto made = bench_.create("ext:1", {{"phone", "030 1234567"}});
  open(made.record, "phone");
  bench_.clock().advance(100 * kDay);

  auto report = bench_(bench_.reports().unused({}, {}));

  EXPECT_TRUE(use_of(report, "phone").unused);
  auto longer = bench_(bench_.reports().unused({}, {bench_.clock().now() - 101 * kDay, {}}));
  EXPECT_FALSE(use_of(longer, "phone").unused);
}

TEST_P(VaultReports, do_not_count_a_refusal_as_a_use) {
  auto made = bench_.create("ext:1", {{"phone", "030 1234567"}});
  EXPECT_FALSE(bench_.reveal(made.record, {"phone"}, "support", {.principal = "key_nobody"}));

  auto report = bench_(bench_.reports().unused({}, {}));

  EXPECT_TRUE(use_of(report, "phone").unused);
}

TEST_P(VaultReports, say_who_opened_how_much) {
  auto ann = bench_.create("ext:1", {{"email", "ann@example.org"}, {"phone", "030 1234567"}});
  auto bob = bench_.create("ext:2", {{"email", "bob@example.org"}});
  auto key = agent("key_shop"), other = agent("key_other");
  open(ann.record, "email", key);
  open(ann.record, "phone", key);
  open(ann.record, "email", key);
  open(bob.record, "email", key);
  open(bob.record, "email", other);

  auto report = bench_(bench_.reports().openings({}, {}));

  EXPECT_EQ(report.events, 5);
  EXPECT_EQ(report.subjects, 2);
  ASSERT_EQ(report.actors.size(), 2u);
  EXPECT_EQ(report.actors[0].actor, "key_shop");
  EXPECT_EQ(report.actors[0].events, 4);
  EXPECT_EQ(report.actors[0].subjects, 2);
  EXPECT_EQ(report.actors[0].fields, 2);
  EXPECT_EQ(report.actors[0].purposes, (std::vector<std::string>{"support"}));
  EXPECT_EQ(report.actors[1].subjects, 1);
}

TEST_P(VaultReports, count_the_customers_inside_a_batch) {
  std::vector<RecordId> records;
  for (int i = 0; i < 5; ++i)
    records.push_back(bench_.create("ext:" + std::to_string(i), {{"phone", "030 1234567"}}).record);
  auto key = agent("key_shop");
  for (int times = 0; times < 60; ++times)
    bench_(bench_.opening().reveal_batch(key, {records, {"phone"}, "support", {}}));

  auto report = bench_(bench_.reports().openings({}, {}));

  ASSERT_EQ(report.actors.size(), 1u);
  EXPECT_EQ(report.actors[0].events, 60);
  EXPECT_EQ(report.actors[0].subjects, 5);
}

TEST_P(VaultReports, count_rows_under_each_epoch_and_say_which_keys_are_gone) {
  bench_.create("ext:1", {{"email", "ann@example.org"}, {"letter", "weekly"}});
  bench_.raw().run("update vault_subject_keys set epoch = 77 where keep_group = 'marketing'");

  auto report = bench_(bench_.reports().key_versions({}, {}));

  ASSERT_EQ(report.epochs.size(), 2u);
  EXPECT_EQ(report.epochs[0].subject_keys, 1);
  EXPECT_TRUE(report.epochs[0].held);
  EXPECT_TRUE(report.epochs[0].active);
  EXPECT_EQ(report.epochs[1].epoch, 77);
  EXPECT_EQ(report.epochs[1].subject_keys, 1);
  EXPECT_FALSE(report.epochs[1].held);
  EXPECT_EQ(report.values.size(), 1u);
  EXPECT_EQ(report.values[0].values, 2);
}

TEST_P(VaultReports, make_the_record_that_article_30_asks_for) {
  auto record = bench_(bench_.reports().art30({}, {}));

  EXPECT_EQ(record.controller.name, "Shop <GmbH>");
  EXPECT_EQ(record.missing.size(), 2u);  // address, and how to reach them
  auto support = std::ranges::find(record.activities, "support", &ProcessingActivity::purpose);
  ASSERT_NE(support, record.activities.end());
  auto note = std::ranges::find(support->fields, "note", &ProcessedField::field);
  ASSERT_NE(note, support->fields.end());
  auto marketing = std::ranges::find(record.activities, "marketing", &ProcessingActivity::purpose);
  ASSERT_NE(marketing, record.activities.end());
  EXPECT_EQ(std::ranges::find(marketing->fields, "note", &ProcessedField::field),
            marketing->fields.end());
  auto tax = std::ranges::find(support->fields, "tax_id", &ProcessedField::field);
  EXPECT_EQ(tax->time_limit, "10 years after it was collected");
}

TEST_P(VaultReports, write_pages_and_tables_for_people) {
  TextWriter page, table;

  must(bench_.run(bench_.reports().art30_page({}, {}, page)));
  must(bench_.run(bench_.reports().data_map_csv({}, {}, table)));

  EXPECT_EQ(page.type, "text/html; charset=utf-8");
  EXPECT_NE(page.text.find("Shop &lt;GmbH&gt;"), std::string::npos);
  EXPECT_EQ(page.text.find("<GmbH>"), std::string::npos);
  EXPECT_EQ(page.text.find("<script"), std::string::npos);
  EXPECT_EQ(table.type, "text/csv; charset=utf-8");
  EXPECT_NE(table.text.find("\"customers\",\"email\",\"email\",\"personal\",\"exact\""),
            std::string::npos);
}

TEST(ReportPages, keep_formulas_out_of_spreadsheets_and_quotes_whole) {
  DataMap map;
  map.collections.push_back({.collection = "=cmd()", .doc = {}, .fields = {{.field = "a\"b"}}});

  auto text = data_map_csv(map);

  EXPECT_NE(text.find("\"'=cmd()\",\"a\"\"b\","), std::string::npos);
}

}  // namespace
}  // namespace holdfast::vault
