#include "vault/records/service.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultRecords : public Vault {
 protected:
  static CreateRecords one(Named named) {
    return {.collection = "customers",
            .subject = "ext:4711",
            .slot = {},
            .values = values(named),
            .records = {},
            .idempotency_key = {}};
  }
  static NewRecord item(std::string subject, Named named, std::optional<std::string> slot = {}) {
    return {std::move(subject), std::move(slot), values(named)};
  }
  Result<CreatedRecords> create(CreateRecords request) {
    return bench_.run(bench_.records().create({}, std::move(request)));
  }
  Result<MaskedRecord> get(RecordId record, Caller caller = {}) {
    return bench_.run(bench_.records().get(std::move(caller), {record}));
  }
  Result<MaskedRecord> update(RecordId record, Named named, std::string if_match = {}) {
    return bench_.run(
        bench_.records().update({}, {record, values(named), {}, std::move(if_match)}));
  }
  std::int64_t rows(const std::string& table) {
    return bench_.raw().number("select count(*) from " + table);
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultRecords, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultRecords, come_back_masked) {
  auto made =
      bench_.create("ext:4711", {{"email", "Wilma@example.org"}, {"birthday", "1990-12-31"}});

  auto shown_record = must(get(made.record));

  EXPECT_EQ(shown_record.subject, made.subject);
  EXPECT_EQ(shown_record.version, 1);
  EXPECT_EQ(shown(shown_record.values, "email"), "W•••@example.org");
  EXPECT_EQ(shown(shown_record.values, "birthday"), "1990");
  EXPECT_EQ(bench_.journal().events.back().activity, "records.get");
  EXPECT_FALSE(bench_.journal().events.back().opened) << "a look at masks opens nothing";
}

TEST_P(VaultRecords, of_one_customer_share_the_customer) {
  auto first = bench_.create("ext:4711", {{"first_name", "Ann"}});
  auto second = bench_.create("ext:4711", {{"first_name", "Anna"}});
  auto by_id = bench_.create(first.subject.text(), {{"first_name", "Anne"}});

  EXPECT_EQ(first.subject, second.subject);
  EXPECT_EQ(first.subject, by_id.subject);
  EXPECT_EQ(rows("vault_subjects"), 1);
  EXPECT_EQ(rows("vault_subject_keys"), 1);
}

TEST_P(VaultRecords, name_every_wrong_value_at_once) {
  auto refused = create(one({{"email", "nobody"},
                             {"shoe_size", "44"},
                             {"birthday", "31.12.1990"},
                             {"first_name", "Ann"}}));

  ASSERT_EQ(code_of(refused), Code::invalid);
  EXPECT_EQ(refused.error().field.text(), "values.email");
  ASSERT_EQ(refused.error().also.size(), 2u);
  EXPECT_EQ(refused.error().also[0].field.text(), "values.shoe_size");
  EXPECT_EQ(refused.error().also[1].field.text(), "values.birthday");
  EXPECT_EQ(rows("vault_subjects"), 0);
}

TEST_P(VaultRecords, of_a_batch_go_in_together_or_not_at_all) {
  CreateRecords good{.collection = "customers",
                     .subject = {},
                     .slot = {},
                     .values = {},
                     .records = {},
                     .idempotency_key = {}};
  good.records.push_back(item("ext:1", {{"first_name", "Ann"}}));
  good.records.push_back(item("ext:2", {{"first_name", "Bob"}}));
  good.records.push_back(item("ext:1", {{"first_name", "Ann again"}}));
  CreateRecords bad{.collection = "customers",
                    .subject = {},
                    .slot = {},
                    .values = {},
                    .records = {},
                    .idempotency_key = {}};
  bad.records.push_back(item("ext:3", {{"first_name", "Cas"}}));
  bad.records.push_back(item("ext:4", {{"email", "no"}}));

  auto made = must(create(std::move(good)));
  auto refused = create(std::move(bad));

  ASSERT_EQ(made.records.size(), 3u);
  EXPECT_EQ(made.records[0].subject, made.records[2].subject);
  EXPECT_NE(made.records[0].subject, made.records[1].subject);
  ASSERT_EQ(code_of(refused), Code::invalid);
  EXPECT_EQ(refused.error().field.text(), "records[1].values.email");
  EXPECT_EQ(rows("vault_records"), 3);
  EXPECT_EQ(rows("vault_subjects"), 2);
}

TEST_P(VaultRecords, are_refused_when_the_request_contradicts_itself) {
  auto both = one({{"first_name", "Ann"}});
  both.records.push_back(item("ext:1", {{"first_name", "Ann"}}));
  auto neither = one({});
  auto nobody = one({{"first_name", "Ann"}});
  nobody.subject = {};
  nobody.upsert = true;
  auto odd_slot = one({{"first_name", "Ann"}});
  odd_slot.slot = "Main Slot";
  auto odd_subject = one({{"first_name", "Ann"}});
  odd_subject.subject = "4711";
  auto nowhere = one({{"first_name", "Ann"}});
  nowhere.collection = "suppliers";
  CreateRecords twice{.collection = "customers",
                      .subject = {},
                      .slot = {},
                      .values = {},
                      .records = {},
                      .idempotency_key = {}};
  twice.records.push_back(item("ext:1", {{"first_name", "Ann"}}, "main"));
  twice.records.push_back(item("ext:1", {{"first_name", "Bob"}}, "main"));
  struct Case {
    CreateRecords request;
    Code code;
    std::string field;
  };
  std::vector<Case> cases;
  cases.push_back({std::move(both), Code::invalid, "values"});
  cases.push_back({std::move(neither), Code::invalid, "values"});
  cases.push_back({std::move(nobody), Code::invalid, "subject"});
  cases.push_back({std::move(odd_slot), Code::invalid, "slot"});
  cases.push_back({std::move(odd_subject), Code::invalid, "subject"});
  cases.push_back({std::move(nowhere), Code::not_found, "collection"});
  cases.push_back({std::move(twice), Code::invalid, "slot"});

  for (auto& one_case : cases) {
    auto refused = create(std::move(one_case.request));

    ASSERT_EQ(code_of(refused), one_case.code) << one_case.field;
    EXPECT_EQ(refused.error().field.text(), one_case.field);
  }
  EXPECT_EQ(rows("vault_records"), 0);
}

TEST_P(VaultRecords, of_an_unknown_customer_id_are_not_made) {
  auto request = one({{"first_name", "Ann"}});
  request.subject = SubjectId::make(bench_.clock().now()).text();

  EXPECT_EQ(code_of(create(std::move(request))), Code::not_found);
}

TEST_P(VaultRecords, are_upserted_by_the_shops_own_id) {
  auto first = one({{"email", "ann@example.org"}, {"first_name", "Ann"}});
  first.upsert = true;
  auto again = one({{"email", "ann@example.com"}});
  again.upsert = true;
  auto same = one({{"email", "ann@example.com"}});
  same.upsert = true;

  auto made = must(create(std::move(first))).records.front();
  auto changed = must(create(std::move(again))).records.front();
  auto unchanged = must(create(std::move(same))).records.front();

  EXPECT_TRUE(made.created);
  EXPECT_FALSE(changed.created);
  EXPECT_EQ(changed.record, made.record);
  EXPECT_EQ(changed.version, 2);
  EXPECT_EQ(unchanged.version, 2);
  EXPECT_EQ(bench_.opened(made.record, "email"), "ann@example.com");
  EXPECT_EQ(bench_.opened(made.record, "first_name"), "Ann") << "what was not named stays";
  EXPECT_TRUE(must(bench_.find({{"email", "ann@example.org"}})).records.empty())
      << "the old index term is gone";
}

TEST_P(VaultRecords, share_no_slot) {
  bench_.create("ext:4711", {{"first_name", "Ann"}}, "home");
  auto request = one({{"first_name", "Bob"}});
  request.slot = "home";

  auto refused = create(std::move(request));

  ASSERT_EQ(code_of(refused), Code::conflict);
  EXPECT_EQ(refused.error().field.text(), "slot");
}

TEST_P(VaultRecords, share_no_unique_value) {
  bench_.create("ext:1", {{"member", "M-1"}});
  auto request = one({{"member", " m-1 "}});

  EXPECT_EQ(code_of(create(std::move(request))), Code::conflict);
}

TEST_P(VaultRecords, tell_of_unique_values_five_times_a_day_to_who_may_not_compare_them) {
  for (int i = 0; i < 7; ++i)
    bench_.create("ext:" + std::to_string(i), {{"member", "M-" + std::to_string(i)}});
  auto mine = bench_.create("ext:mine", {{"member", "M-99"}});
  auto tried = [&](const std::string& principal, int i) {
    return code_of(bench_.run(bench_.records().update(
        {.principal = principal},
        {mine.record, values({{"member", "M-" + std::to_string(i)}}), {}, {}})));
  };
  bench_.permits().rules = {{"key_masks", "*", View::masked}, {"key_shop", "*", View::verify}};

  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(tried("key_masks", i), Code::conflict);
    EXPECT_EQ(bench_.journal().events.back().outcome, journal::Outcome::refused);
    EXPECT_EQ(bench_.journal().events.back().reason, "value_taken");
    EXPECT_EQ(bench_.journal().events.back().fields, std::vector<std::string>{"member"});
  }
  EXPECT_EQ(tried("key_masks", 5), Code::exhausted);
  EXPECT_EQ(tried("key_masks", 98), Code::exhausted) << "the same for one that nobody has";
  for (int i = 0; i < 7; ++i) EXPECT_EQ(tried("key_shop", i), Code::conflict);
  bench_.clock().advance(std::chrono::hours{24});
  EXPECT_EQ(tried("key_masks", 5), Code::conflict);
  EXPECT_EQ(tried("key_masks", 98), std::nullopt);
}

TEST_P(VaultRecords, tell_of_no_further_unique_value_when_many_are_tried_at_once) {
  constexpr int kTries = 40;  // every second one of a value that somebody has
  std::vector<RecordId> mine;
  for (int i = 0; i < kTries; ++i) {
    if (i % 2 == 0)
      bench_.create("ext:" + std::to_string(i), {{"member", "M-" + std::to_string(i)}});
    mine.push_back(bench_.create("ext:mine-" + std::to_string(i), {{"note", "x"}}).record);
  }
  bench_.permits().rules = {{"key_masks", "*", View::masked}};
  auto at_once = [&](const std::string& prefix) {
    std::vector<Task<Result<MaskedRecord>>> tasks;
    for (int i = 0; i < kTries; ++i)
      tasks.push_back(bench_.records().update({.principal = "key_masks"},
                                              {mine[static_cast<std::size_t>(i)],
                                               values({{"member", prefix + std::to_string(i)}}),
                                               {},
                                               {}}));
    return bench_.run_all(std::move(tasks));
  };
  auto recorded = [&](std::string_view reason) {
    return std::ranges::count(bench_.journal().events, reason, &journal::Event::reason);
  };

  auto answers = at_once("M-");

  int told = 0, exhausted = 0;
  for (int i = 0; i < kTries; ++i) {
    const auto& answer = answers[static_cast<std::size_t>(i)];
    if (answer) {
      EXPECT_EQ(i % 2, 1);
      continue;
    }
    told += answer.error().code == Code::conflict;
    if (answer.error().code != Code::exhausted) continue;
    exhausted += 1;
    EXPECT_TRUE(answer.error().text.starts_with("this key may not compare"))
        << "the answer that a value of nobody gets, too";
  }
  EXPECT_EQ(told, 5);
  EXPECT_EQ(recorded("value_taken"), 5);
  EXPECT_GE(exhausted, kTries / 2 - 5);
  EXPECT_EQ(recorded("exhausted"), exhausted) << "refused before the value was looked at";
  bench_.clock().advance(std::chrono::hours{24});
  for (const auto& answer : at_once("N-")) EXPECT_TRUE(answer) << "who tells nothing only waits";
}

TEST_P(VaultRecords, wait_for_who_is_about_to_commit_a_unique_value) {
  if (GetParam() == db::Database::Kind::sqlite) return;  // it has one writer
  auto raw = bench_.raw();
  raw.run("begin");
  raw.run("select 1 from vault_unique_turn for update");
  std::atomic<bool> done = false;
  std::jthread later([&] {
    (void)create(one({{"member", "M-1"}}));
    done = true;
  });
  bool waits = false;
  while (!waits && !done)
    waits = raw.number(
                "select count(*) from pg_stat_activity where pg_backend_pid() = "
                "any(pg_blocking_pids(pid))") > 0;
  raw.run("commit");
  later.join();

  EXPECT_TRUE(waits);
  EXPECT_EQ(code_of(create(one({{"member", "M-1"}}))), Code::conflict);
}

TEST_P(VaultRecords, take_a_unique_value_that_a_restore_left_without_its_record) {
  bench_.create("ext:1", {{"member", "M-1"}});
  bench_.raw().run("delete from vault_records");

  EXPECT_TRUE(create(one({{"member", "M-1"}})));
}

TEST_P(VaultRecords, repeated_are_not_answered_by_what_another_request_made) {
  auto first = [&](std::string name, std::string key) {
    auto request = one({{"first_name", std::move(name)}});
    request.idempotency_key = std::move(key);
    return create(std::move(request));
  };
  must(first("Ann", "order-17"));
  must(first("Bob", "order-18"));

  bench_.raw().run(
      "update vault_idempotency set answer = (select max(answer) from vault_idempotency)");

  int answered = 0;
  for (auto [name, key] : {std::pair("Ann", "order-17"), {"Bob", "order-18"}}) {
    auto repeated = first(name, key);
    answered += repeated.has_value();
    if (!repeated) EXPECT_EQ(code_of(repeated), Code::conflict);
  }
  EXPECT_EQ(answered, 1) << "the one whose answer it is";
  EXPECT_EQ(rows("vault_records"), 2);
}

TEST_P(VaultRecords, repeated_under_one_key_are_made_once) {
  auto first = one({{"first_name", "Ann"}});
  first.idempotency_key = "order-17";
  auto again = one({{"first_name", "Ann"}});
  again.idempotency_key = "order-17";
  auto other = one({{"first_name", "Bob"}});
  other.idempotency_key = "order-17";
  auto stranger = one({{"first_name", "Bob"}});
  stranger.idempotency_key = "order-17";

  auto made = must(create(std::move(first)));
  auto repeated = must(create(std::move(again)));

  EXPECT_EQ(made.records[0].record, repeated.records[0].record);
  EXPECT_EQ(code_of(create(std::move(other))), Code::conflict)
      << "another request under the same key";
  EXPECT_FALSE(
      code_of(bench_.run(bench_.records().create({.principal = "key_b"}, std::move(stranger)))))
      << "keys are each caller's own";
  EXPECT_EQ(rows("vault_records"), 2);
}

TEST_P(VaultRecords, whose_reply_was_lost_are_found_again_by_their_key) {
  auto first = one({{"first_name", "Ann"}});
  first.idempotency_key = "order-17";
  auto again = one({{"first_name", "Ann"}});
  again.idempotency_key = "order-17";
  bench_.journal().lose_replies = true;
  ASSERT_EQ(code_of(create(std::move(first))), Code::unavailable);
  bench_.journal().lose_replies = false;

  auto repeated = must(create(std::move(again)));

  EXPECT_EQ(bench_.opened(repeated.records[0].record, "first_name"), "Ann");
  EXPECT_EQ(rows("vault_records"), 1);
}

TEST_P(VaultRecords, may_be_made_anew_under_a_key_of_yesterday) {
  auto first = one({{"first_name", "Ann"}});
  first.idempotency_key = "order-17";
  auto later = one({{"first_name", "Bob"}});
  later.idempotency_key = "order-17";
  must(create(std::move(first)));

  bench_.clock().advance(std::chrono::hours(24));

  EXPECT_FALSE(code_of(create(std::move(later))));
  EXPECT_EQ(rows("vault_idempotency"), 1);
}

TEST_P(VaultRecords, answers_kept_for_repeats_go_after_a_day) {
  auto first = one({{"first_name", "Ann"}});
  first.idempotency_key = "order-17";
  auto later = one({{"first_name", "Bob"}});
  later.idempotency_key = "order-18";
  must(create(std::move(first)));

  bench_.clock().advance(std::chrono::hours(24));
  must(create(std::move(later)));

  EXPECT_EQ(rows("vault_idempotency"), 1);
}

TEST_P(VaultRecords, answers_kept_for_repeats_hold_no_values) {
  auto request = one({{"first_name", "Wilhelmina"}});
  request.idempotency_key = "order-17";

  must(create(std::move(request)));

  auto answer = bench_.raw().text("select answer from vault_idempotency");
  EXPECT_EQ(answer.find("Wilhelmina"), std::string::npos);
  EXPECT_NE(answer.find("rec_"), std::string::npos);
}

TEST_P(VaultRecords, change_in_part) {
  auto made = bench_.create(
      "ext:4711",
      {{"email", "ann@example.org"}, {"first_name", "Ann"}, {"phone", "+49 30 1234567"}});

  auto changed = must(update(made.record, {{"first_name", "Anna"}, {"phone", std::nullopt}}, "1"));

  EXPECT_EQ(changed.version, 2);
  EXPECT_EQ(bench_.opened(made.record, "first_name"), "Anna");
  EXPECT_EQ(bench_.opened(made.record, "email"), "ann@example.org");
  EXPECT_EQ(bench_.opened(made.record, "phone"), "-");
  EXPECT_EQ(bench_.journal().events.at(bench_.journal().events.size() - 4).fields,
            (std::vector<std::string>{"first_name", "phone"}));
}

TEST_P(VaultRecords, change_only_from_the_version_that_was_read) {
  auto made = bench_.create("ext:4711", {{"first_name", "Ann"}});
  must(update(made.record, {{"first_name", "Anna"}}, "1"));

  EXPECT_EQ(code_of(update(made.record, {{"first_name", "Bob"}}, "1")), Code::conflict);
  EXPECT_EQ(code_of(update(made.record, {{"first_name", "Bob"}}, "one")), Code::invalid);
  EXPECT_EQ(code_of(bench_.run(bench_.records().remove({}, {made.record, "1"}))), Code::conflict);
  EXPECT_EQ(bench_.opened(made.record, "first_name"), "Anna");
}

TEST_P(VaultRecords, lose_no_update_that_came_between) {
  auto made = bench_.create("ext:4711", {{"first_name", "Ann"}, {"phone", "030 1234567"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    must(co_await bench_.records().update(
        {}, {made.record, values({{"phone", "040 7654321"}}), {}, {}}));
  };

  auto second = update(made.record, {{"first_name", "Anna"}});

  EXPECT_EQ(code_of(second), Code::conflict);
  EXPECT_EQ(bench_.opened(made.record, "phone"), "040 7654321");
  EXPECT_EQ(bench_.opened(made.record, "first_name"), "Ann");
}

TEST_P(VaultRecords, that_a_duty_holds_of_an_erased_customer_are_not_deleted_by_hand) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"tax_id", "DE123456789"}});
  must(bench_.erase("ext:4711"));

  auto gone = bench_.run(bench_.records().remove({}, {made.record, {}}));

  EXPECT_EQ(code_of(gone), Code::gone);
  auto shown_now = must(bench_.reveal(made.record, {"tax_id"}, "accounting"));
  EXPECT_EQ(shown(shown_now.values, "tax_id"), "DE123456789");
}

TEST_P(VaultRecords, whose_customer_is_erased_meanwhile_are_not_deleted) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"tax_id", "DE123456789"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    must(co_await bench_.subjects().erase({}, {.subject = "ext:4711", .groups = {}, .reason = {}}));
  };

  auto gone = bench_.run(bench_.records().remove({}, {made.record, {}}));

  EXPECT_FALSE(gone);
  auto shown_now = must(bench_.reveal(made.record, {"tax_id"}, "accounting"));
  EXPECT_EQ(shown(shown_now.values, "tax_id"), "DE123456789");
}

TEST_P(VaultRecords, that_are_deleted_are_gone_with_their_index) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"member", "M-1"}});

  auto gone = bench_.run(bench_.records().remove({}, {made.record, {}}));

  ASSERT_TRUE(gone);
  EXPECT_EQ(code_of(get(made.record)), Code::not_found);
  EXPECT_EQ(rows("vault_index"), 0);
  EXPECT_FALSE(code_of(create(one({{"member", "M-1"}}))));
}

TEST_P(VaultRecords, are_listed_page_by_page) {
  std::vector<RecordId> made;
  for (int i = 0; i < 5; ++i) {
    made.push_back(bench_.create("ext:" + std::to_string(i % 2), {{"first_name", "Ann"}}).record);
    bench_.clock().advance(Millis{1});
  }
  auto list = [&](std::optional<std::string> subject, std::optional<std::string> after) {
    return bench_(
        bench_.records().list({}, {"customers", std::move(subject), 2, std::move(after)}));
  };
  std::vector<RecordId> all, of_one;

  std::optional<std::string> after;
  do {
    auto page = list({}, after);
    for (const auto& one : page.records) all.push_back(one.record);
    after = page.next;
  } while (after);
  do {
    auto page = list("ext:0", after);
    for (const auto& one : page.records) of_one.push_back(one.record);
    after = page.next;
  } while (after);

  EXPECT_EQ(all, made);
  EXPECT_EQ(of_one, (std::vector{made[0], made[2], made[4]}));
  EXPECT_EQ(code_of(bench_.run(bench_.records().list({}, {"customers", {}, 2, "tok_1"}))),
            Code::invalid);
}

TEST_P(VaultRecords, are_not_made_when_they_cannot_be_recorded) {
  auto made = bench_.create("ext:4711", {{"first_name", "Ann"}});
  bench_.journal().fail = true;

  EXPECT_EQ(code_of(create(one({{"first_name", "Bob"}}))), Code::unavailable);
  EXPECT_EQ(code_of(update(made.record, {{"first_name", "Bob"}})), Code::unavailable);
  EXPECT_EQ(code_of(get(made.record)), Code::unavailable);
  EXPECT_EQ(code_of(bench_.run(bench_.records().remove({}, {made.record, {}}))), Code::unavailable);
  bench_.journal().fail = false;
  EXPECT_EQ(rows("vault_records"), 1);
  EXPECT_EQ(bench_.opened(made.record, "first_name"), "Ann");
}

TEST_P(VaultRecords, stay_through_a_restart_and_agree_with_the_journal) {
  auto made =
      bench_.create("ext:4711", {{"email", "ann@example.org"}, {"prefs", R"({"size":"M"})"}});
  must(update(made.record, {{"first_name", "Ann"}}));

  bench_.reopen();

  EXPECT_EQ(bench_.opened(made.record, "email"), "ann@example.org");
  EXPECT_EQ(bench_.opened(made.record, "prefs"), R"({"size":"M"})");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultRecords, are_out_of_reach_while_the_server_is_locked) {
  auto made = bench_.create("ext:4711", {{"first_name", "Ann"}});
  auto held = bench_.keys().get();
  bench_.keys().set({});

  EXPECT_EQ(code_of(get(made.record)), Code::locked);
  EXPECT_EQ(code_of(create(one({{"first_name", "Bob"}}))), Code::locked);
  EXPECT_EQ(code_of(bench_.reveal(made.record, {"first_name"})), Code::locked);
  bench_.keys().set(held);
}

}  // namespace
}  // namespace holdfast::vault
