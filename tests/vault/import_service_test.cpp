#include "vault/import/service.h"

#include <algorithm>

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

/// A body that comes in pieces of one size.
class Body final : public http::BodyReader {
 public:
  explicit Body(std::string text, std::size_t piece = 1000)
      : text_(std::move(text)), piece_(piece) {}
  std::function<Task<void>()> between;  // once, before the second piece
  std::size_t cut_off_at = SIZE_MAX;

  Task<Result<std::string_view>> next() override {
    if (at_ > 0 && between) co_await std::exchange(between, nullptr)();
    if (at_ >= cut_off_at) co_return Error(Code::invalid, "the body was cut off");
    auto out = std::string_view(text_).substr(at_, piece_);
    at_ += out.size();
    co_return out;
  }
  std::uint64_t size() const override { return text_.size(); }
  std::string_view type() const override { return "text/csv"; }
  std::size_t taken() const { return at_; }

 private:
  std::string text_;
  std::size_t piece_, at_ = 0;
};

constexpr std::string_view kMapping =
    R"({"collection":"customers","external_id":"id","fields":{"email":"mail","first_name":"name"}})";

std::string table(int rows, const std::string& domain = "example.org") {
  std::string out = "id,mail,name\n";
  for (int i = 1; i <= rows; ++i)
    out += std::to_string(i) + ",c" + std::to_string(i) + "@" + domain + ",Ann " +
           std::to_string(i) + "\n";
  return out;
}

const std::string kShopifyExport =
    "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address "
    "Company,Default Address Address1,Default Address Address2,Default Address City,Default "
    "Address Province Code,Default Address Country Code,Default Address Zip,Default Address "
    "Phone,Phone,Accepts SMS Marketing,Total Spent,Total Orders,Note,Tax Exempt,Tags\n"
    "'4471,Ann,Lee,ann@example.org,yes,,1 High St,,Leeds,ENG,GB,'LS1 "
    "1AA,,'+442079460000,no,10.00,1,,no,vip\n";

class VaultImports : public Vault {
 protected:
  Result<ImportReport> import(Body& body, std::string mapping = std::string(kMapping),
                              Caller caller = {}) {
    return bench_.run(
        bench_.imports().create(std::move(caller), {{}, std::move(mapping), {}}, body));
  }
  Result<ImportReport> import(std::string text) {
    Body body(std::move(text));
    return import(body);
  }
  std::int64_t rows(const std::string& table_name) {
    return bench_.raw().number("select count(*) from " + table_name);
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultImports, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultImports, seal_every_row_and_can_be_found) {
  auto report = must(import(table(1200)));

  EXPECT_EQ(report.state, ImportState::done);
  EXPECT_EQ(report.rows, 1200);
  EXPECT_EQ(report.customers, 1200);
  EXPECT_EQ(report.created, 1200);
  EXPECT_EQ(report.refused, 0);
  auto found = must(bench_.find({{"email", "C777@example.org"}}));
  ASSERT_EQ(found.records.size(), 1u);
  EXPECT_EQ(bench_.opened(found.records[0].record, "first_name"), "Ann 777");
  EXPECT_EQ(bench_(bench_.imports().get({}, {report.import})).created, 1200);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultImports, give_each_batch_ids_of_its_own_time) {
  Body body(table(1200), 25'000);
  body.between = [this]() -> Task<void> {
    bench_.clock().advance(std::chrono::minutes(5));
    co_return;
  };

  must(import(body));

  auto late = bench_.raw().number(
      "select count(*) from vault_records where created_ms > (select min(created_ms) from "
      "vault_records)");
  auto out_of_order = bench_.raw().number(
      "select count(*) from vault_records late, vault_records early "
      "where late.created_ms > early.created_ms and late.id < early.id");
  EXPECT_GT(late, 0);
  EXPECT_LT(late, 1200);
  EXPECT_EQ(out_of_order, 0);
}

TEST_P(VaultImports, write_nothing_more_for_a_key_that_ended) {
  Body body(table(1200), 25'000);
  body.between = [this]() -> Task<void> {
    bench_.permits().ended.insert("system");
    co_return;
  };

  auto done = import(body);

  EXPECT_EQ(code_of(done), Code::unauthenticated);
  EXPECT_LT(rows("vault_records"), 1200);
}

TEST_P(VaultImports, over_an_invented_customer_are_no_alarm) {
  auto canary = must(bench_.run(bench_.canaries().plant({}, {.collection = "customers",
                                                             .locale = Locale::de,
                                                             .external_id = "7777",
                                                             .email = {},
                                                             .email_domain = "post.example.org",
                                                             .slot = {},
                                                             .without_records = false})));

  auto report = must(import("id,mail,name\n7777,new@example.org,Ann\n"));

  EXPECT_EQ(report.customers, 0) << "the customer was there";
  EXPECT_EQ(report.created + report.updated, 1);
  EXPECT_TRUE(bench_.alarms().seen.empty());
  must(bench_.reveal(*canary.record, {"email"}));
  EXPECT_EQ(bench_.alarms().seen.size(), 1u) << "it is one still";
}

TEST_P(VaultImports, name_the_fields_that_a_collection_of_another_preset_lacks) {
  Body body(kShopifyExport);

  auto refused = bench_.run(bench_.imports().create({}, {Preset::shopify, {}, {}}, body));

  ASSERT_FALSE(refused);  // the bench declares `customers` by itself
  EXPECT_EQ(refused.error().code, Code::conflict);
  EXPECT_GT(refused.error().also.size(), 2u);
  EXPECT_TRUE(refused.error().field.text().starts_with("customers."));
  for (const auto& one : refused.error().also)
    EXPECT_TRUE(one.field.text().starts_with("customers."));
  EXPECT_EQ(rows("vault_records"), 0);
}

TEST_P(VaultImports, rows_of_one_customer_under_two_names_follow_each_other) {
  must(import("id,mail,name\n1,ann@example.org,Ann\n2,guest@example.org,Anna\n"));
  bench_(bench_.subjects().merge({}, {"ext:1", "ext:2", {}}));

  auto report =
      must(import("id,mail,name\n1,a@example.org,Ann\n3,bob@example.org,Bob\n"
                  "2,b@example.org,Anna\n"));

  EXPECT_EQ(report.refused, 0);
  EXPECT_EQ(report.updated, 2);
  EXPECT_EQ(report.created, 1);
  EXPECT_TRUE(must(bench_.find({{"email", "a@example.org"}})).records.empty());
  auto last = must(bench_.find({{"email", "b@example.org"}})).records;
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(bench_.opened(last[0].record, "first_name"), "Anna");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultImports, run_again_change_nothing) {
  must(import(table(700)));

  auto again = must(import(table(700)));

  EXPECT_EQ(again.customers, 0);
  EXPECT_EQ(again.created, 0);
  EXPECT_EQ(again.unchanged, 700);
  EXPECT_EQ(rows("vault_records"), 700);
}

TEST_P(VaultImports, run_again_take_over_what_changed) {
  must(import(table(5)));

  auto again = must(import(table(6, "example.com")));

  EXPECT_EQ(again.updated, 5);
  EXPECT_EQ(again.created, 1);
  EXPECT_EQ(must(bench_.find({{"email", "c3@example.com"}})).records.size(), 1u);
  EXPECT_TRUE(must(bench_.find({{"email", "c3@example.org"}})).records.empty());
}

TEST_P(VaultImports, that_were_cut_off_can_be_run_again) {
  Body cut(table(3000));
  cut.cut_off_at = 40'000;
  ASSERT_FALSE(import(cut));
  auto after = rows("vault_records");

  auto again = must(import(table(3000)));

  EXPECT_GT(after, 0) << "what went in before stays";
  EXPECT_LT(after, 3000);
  EXPECT_EQ(again.created, 3000 - after);
  EXPECT_EQ(rows("vault_records"), 3000);
  EXPECT_EQ(rows("vault_subjects"), 3000);
}

TEST_P(VaultImports, take_card_numbers_where_they_are_switched_on_and_never_a_verification_code) {
  bench_(bench_.cards().switch_on({}, {"SAQ D", {}}));
  CollectionSpec wallet{.collection = "wallet", .doc = {}, .fields = {}, .if_match = {}};
  wallet.fields = {field("pan", FieldType::card_number),
                   field("cvc", FieldType::card_verification)};
  bench_(bench_.declarations().put({}, std::move(wallet)));
  Body body("id,number,code\n1,4242424242424242,\n2,4242424242424241,\n3,5555555555554444,123\n");

  auto report = must(import(
      body,
      R"({"collection":"wallet","external_id":"id","fields":{"pan":"number","cvc":"code"}})"));

  EXPECT_EQ(report.created, 1);
  EXPECT_EQ(report.refused, 2);
  EXPECT_EQ(rows("vault_records"), 1);
}

TEST_P(VaultImports, list_refused_rows_and_take_the_others) {
  auto report =
      must(import("id,mail,name,shoe\n1,ann@example.org,Ann,44\n2,nobody,Bob,45\n3,cas@example."
                  "org\n,d@example.org,Dee,1\n4,\"e@example.org\",Eve,2\n"));

  EXPECT_EQ(report.created, 2);
  EXPECT_EQ(report.refused, 3);
  ASSERT_EQ(report.refusals.size(), 3u);
  auto by_line = report.refusals;
  std::ranges::sort(by_line, {}, &RefusedRow::line);
  EXPECT_EQ(by_line[0].line, 3);
  EXPECT_EQ(by_line[0].column, 3);
  EXPECT_EQ(by_line[0].field, "email");
  EXPECT_EQ(by_line[1].line, 4);
  EXPECT_EQ(by_line[2].line, 5);
  EXPECT_EQ(report.unknown_columns, std::vector<std::string>{"shoe"});
}

TEST_P(VaultImports, see_a_customer_who_comes_twice_as_one) {
  std::string text = "id,mail,name\n";
  for (int i = 0; i < 1500; ++i)
    text += std::to_string(i % 100) + ",c" + std::to_string(i) + "@example.org,Ann\n";

  auto report = must(import(text));

  EXPECT_EQ(report.customers, 100);
  EXPECT_EQ(rows("vault_subjects"), 100);
  EXPECT_EQ(rows("vault_records"), 100);
  EXPECT_EQ(must(bench_.find({{"email", "c1499@example.org"}})).records.size(), 1u)
      << "the last one counts";
  EXPECT_TRUE(must(bench_.find({{"email", "c99@example.org"}})).records.empty());
  EXPECT_EQ(rows("vault_index"), 100);
}

TEST_P(VaultImports, go_on_when_the_policy_changes_meanwhile) {
  Body body(table(3000));
  auto generation = bench_(bench_.journal().generation(MonoTime::max()));
  body.between = [&]() -> Task<void> {
    must(
        co_await bench_.declarations().put_purpose({}, {"warranty", LegalBasis::contract, "", {}}));
  };

  auto report = must(import(body, std::string(kMapping), {.generation = generation}));

  EXPECT_EQ(report.created, 3000);
}

TEST_P(VaultImports, and_other_writers_get_along) {
  must(import(table(2000)));
  Body body(table(2000, "example.com"));
  body.between = [&]() -> Task<void> {
    bench_.journal().before_commit = [&]() -> Task<void> {
      for (int i = 1; i <= 5; ++i) {
        CreateRecords request{.collection = "customers",
                              .subject = "ext:" + std::to_string(i),
                              .slot = {},
                              .values = values({{"first_name", "Live " + std::to_string(i)}}),
                              .records = {},
                              .upsert = true,
                              .idempotency_key = {}};
        must(co_await bench_.records().create({}, std::move(request)));
      }
    };
    co_return;
  };

  auto report = import(body);

  ASSERT_TRUE(report) << report.error().text << ": a busy shop must not stop an import";
  EXPECT_EQ(report->updated, 2000);
  EXPECT_EQ(must(bench_.find({{"email", "c3@example.com"}})).records.size(), 1u);
}

TEST_P(VaultImports, and_an_erasure_get_along) {
  must(import(table(1000)));
  Body body(table(1000, "example.com"));
  body.between = [&]() -> Task<void> {
    bench_.journal().before_commit = [&]() -> Task<void> {
      must(co_await bench_.subjects().erase({}, {"ext:3", {}, {}}));
    };
    co_return;
  };

  auto report = import(body);

  ASSERT_TRUE(report) << report.error().text;
  EXPECT_EQ(report->updated, 999);
  EXPECT_EQ(report->customers, 1) << "who is in the file comes back as someone new";
}

TEST_P(VaultImports, refuse_a_row_whose_unique_value_is_anothers) {
  auto mapping = std::string(
      R"({"collection":"customers","external_id":"id","fields":{"member":"member","first_name":"name"}})");
  bench_.create("ext:0", {{"member", "M-0"}});
  Body first("id,member,name\n1,M-1,Ann\n2,M-2,Bob\n3,m-1,Cas\n4,M-0,Dee\n5,M-5,Eve\n");
  Body again("id,member,name\n1,M-1,Ann\n2,M-9,Bob\n6,M-5,Fay\n");

  auto report = must(import(first, mapping));
  auto second = must(import(again, mapping));

  EXPECT_EQ(report.created, 3);
  ASSERT_EQ(report.refusals.size(), 2u);
  EXPECT_EQ(report.refusals[0].line, 4);
  EXPECT_EQ(report.refusals[0].field, "member");
  EXPECT_EQ(report.refusals[1].line, 5);
  EXPECT_EQ(second.unchanged, 1);
  EXPECT_EQ(second.updated, 1);
  EXPECT_EQ(second.refused, 1);
  EXPECT_EQ(must(bench_.find({{"member", "m-9"}})).records.size(), 1u);
}

TEST_P(VaultImports, tell_of_no_unique_value_to_who_may_not_compare_it) {
  auto mapping =
      std::string(R"({"collection":"customers","external_id":"id","fields":{"member":"member"}})");
  bench_.create("ext:0", {{"member", "M-0"}});
  bench_.permits().rules = {{"key_masks", "*", View::masked}, {"key_shop", "*", View::verify}};
  const std::string tries = "id,member\nmine,M-1\nmine,M-0\nmine,M-2\n";
  Body blind(tries), seeing(tries);

  auto refused = import(blind, mapping, {.principal = "key_masks"});

  EXPECT_EQ(code_of(refused), Code::forbidden);
  EXPECT_EQ(refused.error().field.text(), "member");
  EXPECT_EQ(rows("vault_records"), 1) << "nothing went in";
  EXPECT_EQ(bench_.journal().events.back().outcome, journal::Outcome::refused);
  EXPECT_EQ(bench_.journal().events.back().fields, std::vector<std::string>{"member"});
  EXPECT_EQ(must(import(seeing, mapping, {.principal = "key_shop"})).refused, 1);
}

TEST_P(VaultImports, refuse_what_they_cannot_start) {
  auto code = [&](std::string mapping, std::string text) {
    Body body(std::move(text));
    return code_of(import(body, std::move(mapping)));
  };

  EXPECT_EQ(
      code(R"({"collection":"suppliers","external_id":"id","fields":{"email":"mail"}})", table(1)),
      Code::not_found);
  EXPECT_EQ(
      code(R"({"collection":"customers","external_id":"id","fields":{"shoe":"mail"}})", table(1)),
      Code::invalid);
  EXPECT_EQ(code("{", table(1)), Code::invalid);
  Body body(table(1));
  EXPECT_EQ(code_of(bench_.run(bench_.imports().create({}, {{}, {}, {}}, body))), Code::invalid);
  EXPECT_EQ(code_of(bench_.run(
                bench_.imports().create({}, {Preset::shopify, std::string(kMapping), {}}, body))),
            Code::invalid);
  EXPECT_EQ(code_of(bench_.run(bench_.imports().create(
                {}, {Preset::shopify, {}, ImportFormat::json_lines}, body))),
            Code::invalid);
}

TEST_P(VaultImports, whose_header_does_not_fit_take_nothing) {
  auto report = import("number,mail\n1,ann@example.org\n");

  ASSERT_TRUE(report);
  EXPECT_EQ(report->state, ImportState::failed);
  EXPECT_FALSE(report->failure.empty());
  EXPECT_EQ(rows("vault_records"), 0);
}

TEST_P(VaultImports, by_a_preset_declare_what_they_need_if_they_may) {
  bench_(bench_.declarations().remove({}, {"customers", {}}));
  Body refused(kShopifyExport), taken(kShopifyExport), strange(kShopifyExport), empty("");

  auto wrong = bench_(bench_.imports().create({}, {Preset::woocommerce, {}, {}}, strange));
  auto nothing = bench_(bench_.imports().create({}, {Preset::shopify, {}, {}}, empty));
  EXPECT_EQ(wrong.state, ImportState::failed);
  EXPECT_EQ(nothing.created, 0);
  EXPECT_EQ(rows("vault_collections"), 0) << "a file of another kind declares nothing";
  auto no = bench_.run(
      bench_.imports().create({.principal = "key_a"}, {Preset::shopify, {}, {}}, refused));
  auto yes = bench_(bench_.imports().create({}, {Preset::shopify, {}, {}}, taken));

  EXPECT_EQ(code_of(no), Code::forbidden);
  EXPECT_EQ(yes.customers, 1);
  EXPECT_EQ(yes.refused, 0);
  EXPECT_EQ(must(bench_.find({{"email", "ann@example.org"}})).records.size(), 1u);
}

TEST_P(VaultImports, by_a_preset_keep_no_more_than_a_header_and_a_row_before_the_first_row) {
  bench_(bench_.declarations().remove({}, {"customers", {}}));
  const auto header = kShopifyExport.substr(0, kShopifyExport.find('\n') + 1);
  const auto row = kShopifyExport.substr(header.size());
  Body near(header + std::string(2 << 20, '\n') + row, 16'384);
  Body far(header + std::string(8 << 20, '\n') + row, 16'384);

  auto refused = bench_.run(bench_.imports().create({}, {Preset::shopify, {}, {}}, far));
  EXPECT_EQ(rows("vault_collections"), 0);
  auto taken = bench_(bench_.imports().create({}, {Preset::shopify, {}, {}}, near));

  EXPECT_EQ(code_of(refused), Code::invalid);
  EXPECT_LT(far.taken(), 3u << 20);
  EXPECT_EQ(taken.customers, 1);
}

}  // namespace
}  // namespace holdfast::vault
