#include "vault/subjects/service.h"

#include <algorithm>

#include "vault/subjects/afterlog.h"
#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

class VaultSubjects : public Vault {
 protected:
  std::int64_t rows(const std::string& table) {
    return bench_.raw().number("select count(*) from " + table);
  }
  Replayed again(bool older) {
    return bench_(bench_.subjects().replay(bench_.log().afterlog_entries(), older));
  }
  SubjectView get(std::string subject) {
    return bench_(bench_.subjects().get({}, {std::move(subject)}));
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultSubjects, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultSubjects, are_shown_without_values) {
  auto made =
      bench_.create("ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}}, "main");

  auto view = get("ext:4711");

  EXPECT_EQ(view.subject, made.subject);
  EXPECT_TRUE(view.has_external_id);
  EXPECT_EQ(view.keep_groups, (std::vector<std::string>{"account", "marketing"}));
  ASSERT_EQ(view.records.size(), 1u);
  EXPECT_EQ(view.records[0].slot, "main");
  EXPECT_EQ(get(made.subject.text()).subject, made.subject);
}

TEST_P(VaultSubjects, are_written_one_way_or_the_other) {
  auto code = [&](std::string subject) {
    return code_of(bench_.run(bench_.subjects().get({}, {std::move(subject)})));
  };

  EXPECT_EQ(code("ext:4711"), Code::not_found);
  EXPECT_EQ(code(SubjectId::make(bench_.clock().now()).text()), Code::not_found);
  for (const auto* odd :
       {"", "4711", "ext:", "sub_", "rec_01h455vb4pex5vsknk084sn02q", "ext:a\nb", "ext:\xff"})
    EXPECT_EQ(code(odd), Code::invalid) << odd;
  EXPECT_EQ(code("ext:" + std::string(257, 'x')), Code::invalid);
}

TEST_P(VaultSubjects, that_are_erased_are_gone_for_good) {
  auto made = bench_.create(
      "ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}, {"member", "M-1"}});
  auto tokens = bench_(bench_.tokens().create({}, {.subject = "ext:4711",
                                                   .collection = "customers",
                                                   .values = values({{"phone", "030 1234567"}}),
                                                   .items = {},
                                                   .idempotency_key = {}}));
  bench_.create("ext:4712", {{"email", "bob@example.org"}});

  auto erased = must(bench_.erase("ext:4711"));

  EXPECT_EQ(erased.subject, made.subject);
  EXPECT_EQ(erased.erased, (std::vector<std::string>{"account", "marketing"}));
  EXPECT_TRUE(erased.held.empty());
  EXPECT_EQ(erased.records, 2);
  EXPECT_EQ(erased.values, 4);
  EXPECT_EQ(erased.tokens, 1);
  EXPECT_EQ(bench_.opened(made.record, "email"), "not_found");
  EXPECT_TRUE(must(bench_.find({{"email", "ann@example.org"}})).records.empty());
  EXPECT_EQ(must(bench_.find({{"email", "bob@example.org"}})).records.size(), 1u);
  EXPECT_EQ(rows("vault_records"), 1);
  EXPECT_EQ(rows("vault_tokens"), 0);
  EXPECT_EQ(rows("vault_index"), 1);
  EXPECT_EQ(rows("vault_subject_keys"), 1);
  EXPECT_EQ(
      bench_.raw().number("select count(*) from vault_subjects where external_term is not null"),
      1);
  auto view = get(made.subject.text());
  EXPECT_TRUE(view.erased);
  EXPECT_FALSE(view.has_external_id);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSubjects, are_erased_once) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(bench_.erase("ext:4711"));

  EXPECT_EQ(code_of(bench_.erase("ext:4711")), Code::not_found) << "the shop's id is forgotten too";
  EXPECT_EQ(code_of(bench_.erase(made.subject.text())), Code::gone);
}

TEST_P(VaultSubjects, take_nothing_new_after_they_were_erased) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"tax_id", "DE123456789"}});
  must(bench_.erase("ext:4711"));
  CreateRecords request{.collection = "customers",
                        .subject = made.subject.text(),
                        .slot = {},
                        .values = values({{"first_name", "Ann"}}),
                        .records = {},
                        .idempotency_key = {}};

  EXPECT_EQ(code_of(bench_.run(bench_.records().create({}, std::move(request)))), Code::gone);
  EXPECT_EQ(
      code_of(bench_.run(bench_.tokens().create({}, {.subject = made.subject.text(),
                                                     .collection = "customers",
                                                     .values = values({{"phone", "030 1234567"}}),
                                                     .items = {},
                                                     .idempotency_key = {}}))),
      Code::gone);
  EXPECT_EQ(code_of(bench_.run(bench_.records().update(
                {}, {made.record, values({{"first_name", "Ann"}}), {}, {}}))),
            Code::gone)
      << "what a duty holds does not grow";
}

TEST_P(VaultSubjects, may_come_back_as_someone_new) {
  auto before = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(bench_.erase("ext:4711"));

  auto after = bench_.create("ext:4711", {{"email", "ann@example.org"}});

  EXPECT_NE(before.subject, after.subject);
}

TEST_P(VaultSubjects, keep_what_a_duty_holds_until_its_date) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"tax_id", "DE123456789"}});
  auto born = bench_.clock().now();

  auto erased = must(bench_.erase("ext:4711"));

  ASSERT_EQ(erased.held.size(), 1u);
  EXPECT_EQ(erased.held[0].group, "legal");
  EXPECT_EQ(erased.held[0].until, born + *parse_duration("10 years"));
  EXPECT_EQ(erased.records, 0);
  auto duty = must(bench_.reveal(made.record, {"tax_id", "email"}, "accounting"));
  EXPECT_EQ(shown(duty.values, "tax_id"), "DE123456789");
  EXPECT_EQ(shown(duty.values, "email"), "-");
  EXPECT_EQ(code_of(bench_.reveal(made.record, {"tax_id"}, "support")), Code::forbidden)
      << "the rest is for its duty alone";
  EXPECT_EQ(code_of(bench_.erase(made.subject.text())), Code::gone);
  EXPECT_EQ(code_of(bench_.erase(made.subject.text(), {"legal"})), Code::conflict);
  EXPECT_TRUE(bench_.state().good());

  bench_.clock().set_now(born + *parse_duration("10 years"));
  auto rest = must(bench_.erase(made.subject.text()));
  EXPECT_EQ(rest.erased, std::vector<std::string>{"legal"});
  EXPECT_EQ(rows("vault_records"), 0);
  EXPECT_EQ(rows("vault_subject_keys"), 0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSubjects, owe_a_duty_that_counts_from_an_engagement_until_that_has_ended) {
  CollectionSpec invoices{.collection = "invoices", .doc = {}, .fields = {}, .if_match = {}};
  invoices.fields = {field("vat", FieldType::tax_id)};
  invoices.fields[0].keep_group = "legal";
  invoices.fields[0].keep = Keep{"100 days", KeepFrom::closed};
  bench_(bench_.declarations().put({}, invoices));
  CreateRecords request{.collection = "invoices",
                        .subject = "ext:4711",
                        .slot = {},
                        .values = values({{"vat", "DE123456789"}}),
                        .records = {},
                        .idempotency_key = {}};
  bench_(bench_.records().create({}, std::move(request)));
  const Caller shop{.principal = "key_shop"};
  const auto opened = bench_(bench_.engagements().open(shop, {.subject = "ext:4711",
                                                              .kind = "ticket",
                                                              .reference = "T-1",
                                                              .assignee = {},
                                                              .life = {},
                                                              .on_behalf_of = {},
                                                              .idempotency_key = {}}));
  bench_.clock().advance(std::chrono::days(5));
  EXPECT_EQ(code_of(bench_.erase("ext:4711", {"legal"})), Code::conflict) << "one is open";
  must(bench_.run(
      bench_.engagements().close(shop, {.engagement = opened.engagement, .reason = {}})));
  bench_.clock().advance(std::chrono::days(99));
  EXPECT_EQ(code_of(bench_.erase("ext:4711", {"legal"})), Code::conflict) << "closed on day 5";
  bench_.clock().advance(std::chrono::days(2));
  EngagementId meanwhile{};
  bench_.journal().before_commit = [&]() -> Task<void> {
    auto second = co_await bench_.engagements().open(shop, {.subject = "ext:4711",
                                                            .kind = "ticket",
                                                            .reference = "T-2",
                                                            .assignee = {},
                                                            .life = {},
                                                            .on_behalf_of = {},
                                                            .idempotency_key = {}});
    meanwhile = must(std::move(second)).engagement;
  };
  EXPECT_EQ(code_of(bench_.erase("ext:4711", {"legal"})), Code::conflict) << "opened meanwhile";
  must(bench_.run(bench_.engagements().close(shop, {.engagement = meanwhile, .reason = {}})));
  bench_.clock().advance(std::chrono::days(101));
  EXPECT_TRUE(bench_.erase("ext:4711", {"legal"}));
}

TEST_P(VaultSubjects, may_be_erased_in_part) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}});

  auto erased = must(bench_.erase("ext:4711", {"marketing"}));

  EXPECT_EQ(erased.erased, std::vector<std::string>{"marketing"});
  EXPECT_EQ(bench_.opened(made.record, "letter"), "-");
  EXPECT_EQ(bench_.opened(made.record, "email"), "ann@example.org");
  EXPECT_FALSE(get("ext:4711").erased);
  EXPECT_EQ(code_of(bench_.erase("ext:4711", {"marketing"})), Code::not_found);
  auto again =
      bench_.run(bench_.records().update({}, {made.record, values({{"letter", "daily"}}), {}, {}}));
  EXPECT_TRUE(again) << "the customer may change their mind";
}

TEST_P(VaultSubjects, without_an_id_of_the_shop_may_be_erased_in_part_too) {
  CreateRecords request{.collection = "customers",
                        .subject = {},
                        .slot = {},
                        .values = values({{"email", "guest@example.org"}, {"letter", "weekly"}}),
                        .records = {},
                        .idempotency_key = {}};
  auto made = bench_(bench_.records().create({}, std::move(request))).records[0];

  must(bench_.erase(made.subject.text(), {"marketing"}));

  EXPECT_FALSE(get(made.subject.text()).erased) << "the account is still there";
  EXPECT_EQ(bench_.opened(made.record, "email"), "guest@example.org");
  must(bench_.erase(made.subject.text()));
  EXPECT_TRUE(get(made.subject.text()).erased);
}

TEST_P(VaultSubjects, leave_nothing_behind_that_was_added_while_they_were_erased) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    CreateRecords request{.collection = "customers",
                          .subject = "ext:4711",
                          .slot = {},
                          .values = values({{"email", "ann@example.net"}, {"member", "M-1"}}),
                          .records = {},
                          .idempotency_key = {}};
    must(co_await bench_.records().create({}, std::move(request)));
  };

  auto erased = bench_.erase("ext:4711");

  if (!erased) {
    EXPECT_EQ(erased.error().code, Code::conflict);
    must(bench_.erase("ext:4711"));
  }
  EXPECT_EQ(rows("vault_records"), 0);
  EXPECT_EQ(rows("vault_index"), 0);
}

TEST_P(VaultSubjects, are_not_erased_when_that_cannot_be_recorded) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().fail = true;

  EXPECT_EQ(code_of(bench_.erase("ext:4711")), Code::unavailable);

  bench_.journal().fail = false;
  EXPECT_EQ(bench_.opened(made.record, "email"), "ann@example.org");
}

TEST_P(VaultSubjects, stay_erased_after_an_older_database_was_restored) {
  auto ann = bench_.create(
      "ext:4711", {{"email", "ann@example.org"}, {"tax_id", "DE123456789"}, {"letter", "weekly"}});
  auto bob = bench_.create("ext:4712", {{"email", "bob@example.org"}, {"letter", "weekly"}});
  auto cas = bench_.create("ext:4713", {{"email", "cas@example.org"}});
  auto yesterday = bench_.backup();
  must(bench_.erase("ext:4711"));
  must(bench_.erase("ext:4712", {"marketing"}));

  bench_.restore(yesterday);
  ASSERT_EQ(bench_.opened(ann.record, "email"), "ann@example.org")
      << "before the replay they are back";
  auto count = again(true);

  EXPECT_EQ(count.erased, 2);
  auto duty = must(bench_.reveal(ann.record, {"tax_id", "email"}, "accounting"));
  EXPECT_EQ(shown(duty.values, "email"), "-");
  EXPECT_EQ(shown(duty.values, "tax_id"), "DE123456789") << "what the duty held is still held";
  EXPECT_TRUE(get(ann.subject.text()).erased);
  EXPECT_EQ(bench_.opened(bob.record, "letter"), "-");
  EXPECT_EQ(bench_.opened(bob.record, "email"), "bob@example.org");
  EXPECT_EQ(bench_.opened(cas.record, "email"), "cas@example.org");
  EXPECT_EQ(again(true).erased, 0) << "a second replay finds nothing to do";
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSubjects, that_were_erased_and_are_not_in_the_data_lose_the_keys_that_came_along) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto yesterday = bench_.backup();
  const auto bob = bench_.create("ext:4712", {{"email", "bob@example.org"}, {"letter", "weekly"}});
  const auto guest = bench_.create("ext:guest-1", {{"email", "bob@example.org"}});
  const auto cas = bench_.create("ext:4713", {{"email", "cas@example.org"}, {"letter", "weekly"}});
  (void)bench_(bench_.subjects().merge({}, {"ext:4712", "ext:guest-1", {}}));
  must(bench_.erase("ext:4712"));
  must(bench_.erase("ext:4713", {"marketing"}));

  bench_.restore(yesterday);
  auto raw = bench_.raw();
  auto of = [&raw](SubjectId id) { return raw.literal(to_bytes(id.bytes())); };
  for (auto id : {bob.subject, guest.subject, cas.subject})
    for (const char* group : {"account", "marketing"})
      raw.run(
          "insert into vault_subject_keys (subject, keep_group, key_id, epoch, wrapped) values (" +
          of(id) + ", '" + group + "', 1, 1, " + raw.literal(Bytes(48, 7)) + ")");
  auto count = again(true);

  EXPECT_EQ(count.erased, 2);
  auto keys = [&](SubjectId id) {
    return raw.number("select count(*) from vault_subject_keys where subject = " + of(id));
  };
  EXPECT_EQ(keys(bob.subject), 0);
  EXPECT_EQ(keys(guest.subject), 0) << "who was merged into them went along";
  EXPECT_EQ(keys(cas.subject), 2) << "who lives may have given it again";
  EXPECT_EQ(again(true).erased, 0);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSubjects, whose_erasing_was_cut_off_are_erased_at_the_next_start) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    bench_.journal().fail = false;
    throw std::runtime_error("the power fails here");
    co_return;
  };
  EXPECT_THROW((void)bench_.erase("ext:4711"), std::runtime_error);
  bench_.reopen();
  ASSERT_EQ(bench_.opened(made.record, "email"), "ann@example.org");

  auto count = again(false);

  EXPECT_EQ(count.erased, 1);
  EXPECT_EQ(bench_.opened(made.record, "email"), "not_found");
  EXPECT_EQ(again(false).erased, 0);
}

TEST_P(VaultSubjects, whose_erasing_was_cut_off_stay_when_a_legal_hold_came_since) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    throw std::runtime_error("the power fails here");
    co_return;
  };
  EXPECT_THROW((void)bench_.erase("ext:4711"), std::runtime_error);
  bench_.reopen();
  bench_.fake_holds().on = true;

  auto count = again(false);

  EXPECT_EQ(count.erased, 0);
  EXPECT_EQ(count.held, 1);
  EXPECT_EQ(bench_.opened(made.record, "email"), "ann@example.org");
  EXPECT_EQ(again(true).erased, 0) << "it was never done, and its line is taken back";
  bench_.fake_holds().on = false;
  EXPECT_EQ(again(false).erased, 0) << "nobody asked again";
  EXPECT_EQ(bench_.opened(made.record, "email"), "ann@example.org");
}

TEST_P(VaultSubjects, whose_erasing_was_cut_off_and_whose_row_moved_on_are_never_erased_by_it) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    throw std::runtime_error("no answer comes");
    co_return;
  };
  EXPECT_THROW((void)bench_.erase("ext:4711"), std::runtime_error);
  must(bench_.run(bench_.subjects().restrict(
      {}, {.subject = "ext:4711", .ground = Ground::needed_for_claims, .note = {}})));
  bench_.reopen();

  EXPECT_EQ(again(false).erased, 0);

  EXPECT_EQ(again(true).erased, 0) << "a restore";
  EXPECT_FALSE(get(made.subject.text()).erased);
}

TEST_P(VaultSubjects, whose_erasing_was_cut_off_keep_what_a_duty_holds_since) {
  bench_.create("ext:4711", {{"email", "ann@example.org"}, {"tax_id", "DE123456789"}});
  bench_.clock().advance(std::chrono::days(365 * 20));
  bench_.journal().before_commit = [&]() -> Task<void> {
    throw std::runtime_error("no answer comes");
    co_return;
  };
  EXPECT_THROW((void)bench_.erase("ext:4711", {"legal"}), std::runtime_error);
  auto since = bench_.create("ext:4711", {{"tax_id", "DE987654321"}}, "second");
  bench_.reopen();

  auto count = again(false);

  EXPECT_EQ(count.held, 1);
  EXPECT_EQ(count.erased, 0);
  EXPECT_EQ(again(true).erased, 0);
  auto shown_now = must(bench_.reveal(since.record, {"tax_id"}, "accounting"));
  EXPECT_EQ(shown(shown_now.values, "tax_id"), "DE987654321");
}

TEST_P(VaultSubjects, whose_keys_are_gone_in_the_keys_file_leave_no_values_behind) {
  auto ann = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}});
  auto bob = bench_.create("ext:4712", {{"email", "bob@example.org"}, {"letter", "weekly"}});
  auto data = bench_.backup();
  must(bench_.erase("ext:4711"));
  must(bench_.erase("ext:4712", {"marketing"}));
  bench_.restore(data);
  // Old data joined with the newest keys: the wrapped keys of what was erased are not there.
  bench_.raw().run("delete from vault_subject_keys where subject = " +
                   bench_.raw().literal(ann.subject.bytes()) +
                   " or (keep_group = 'marketing' and subject = " +
                   bench_.raw().literal(bob.subject.bytes()) + ")");
  bench_.reopen();

  EXPECT_EQ(again(true).erased, 2);

  EXPECT_EQ(bench_.opened(ann.record, "letter"), "not_found") << "the record is gone as a whole";
  EXPECT_EQ(bench_.opened(bob.record, "letter"), "-");
  EXPECT_EQ(bench_.opened(bob.record, "email"), "bob@example.org");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSubjects, whose_part_was_not_there_to_erase_again_keep_what_comes_later) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  auto yesterday = bench_.backup();
  must(bench_.run(
      bench_.records().update({}, {made.record, values({{"letter", "weekly"}}), {}, {}})));
  must(bench_.erase("ext:4711", {"marketing"}));
  bench_.restore(yesterday);
  again(true);

  must(bench_.run(
      bench_.records().update({}, {made.record, values({{"letter", "daily"}}), {}, {}})));

  EXPECT_EQ(again(false).erased, 0);
  EXPECT_EQ(again(true).erased, 0);
  EXPECT_EQ(bench_.opened(made.record, "letter"), "daily");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSubjects, stay_erased_when_a_backup_of_what_was_left_by_a_restore_comes_back) {
  auto ann = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}});
  auto bob = bench_.create("ext:4712", {{"email", "bob@example.org"}, {"letter", "weekly"}});
  auto first = bench_.backup();
  auto agree = [&](std::string subject) {
    must(bench_.run(
        bench_.subjects().consent({}, {std::move(subject), "marketing", false, "box", {}})));
  };
  for (int times = 0; times < 3; ++times)
    for (const auto* one : {"ext:4711", "ext:4712"}) agree(one);
  auto second = bench_.backup();
  bench_.restore(first);
  again(true);
  must(bench_.erase("ext:4711"));
  must(bench_.erase("ext:4712", {"marketing"}));

  bench_.restore(second);
  auto count = again(true);

  EXPECT_EQ(count.erased, 2) << "their rows are of a later version, but of another database";
  EXPECT_TRUE(get(ann.subject.text()).erased);
  EXPECT_EQ(bench_.opened(bob.record, "letter"), "-");
  EXPECT_EQ(bench_.opened(bob.record, "email"), "bob@example.org");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSubjects, whose_row_somebody_wrote_get_no_mac_from_a_part_that_is_erased_again) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}});
  must(bench_.erase("ext:4711", {"marketing"}));
  must(bench_.run(bench_.subjects().restrict(
      {}, {.subject = "ext:4711", .ground = Ground::needed_for_claims, .note = {}})));
  bench_.raw().run("update vault_subjects set version = 1, standing = " +
                   bench_.raw().literal(encode_standing({})));
  bench_.reopen();

  EXPECT_EQ(again(false).erased, 0);

  EXPECT_FALSE(bench_.state().good());
  EXPECT_NE(bench_.opened(made.record, "email"), "ann@example.org");
}

TEST_P(VaultSubjects, whose_merging_was_cut_off_are_not_erased_with_whom_they_were_to_join) {
  auto account = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}});
  auto guest = bench_.create("ext:guest-9", {{"email", "bob@example.org"}});
  auto late = bench_.create("ext:guest-10", {{"email", "cas@example.org"}});
  auto cut_off = [&](std::string from) {
    bench_.journal().before_commit = [&]() -> Task<void> {
      throw std::runtime_error("no answer comes");
      co_return;
    };
    EXPECT_THROW((void)bench_.run(bench_.subjects().merge({}, {"ext:4711", std::move(from), {}})),
                 std::runtime_error);
  };
  cut_off("ext:guest-9");
  must(bench_.erase("ext:4711", {"marketing"}));
  must(bench_.run(
      bench_.records().update({}, {account.record, values({{"letter", "daily"}}), {}, {}})));
  EXPECT_EQ(again(false).merged, 1);
  EXPECT_EQ(bench_.opened(account.record, "letter"), "daily") << "it came after that was erased";
  cut_off("ext:guest-10");
  must(bench_.erase("ext:4711"));

  auto count = again(false);

  EXPECT_EQ(count.erased, 0);
  EXPECT_EQ(bench_.opened(late.record, "email"), "cas@example.org");
  EXPECT_EQ(bench_.opened(guest.record, "email"), "not_found") << "who was merged went with it";
  EXPECT_EQ(again(true).erased, 0) << "the line is taken back";
}

TEST_P(VaultSubjects, whom_a_development_build_erased_stay_erased_after_a_restore) {
  auto first = bench_.create("ext:4711", {{"email", "ann@example.org"}}).subject;
  auto second = bench_.create("ext:4712", {{"email", "bob@example.org"}}).subject;
  Bytes unversioned = to_bytes(first.bytes());
  put_part(unversioned, "account");
  must(bench_.run(bench_.log().afterlog("subject.erased", unversioned)));
  must(bench_.run(
      bench_.log().afterlog("subject.erased", erased_line({second, 2, {"account", "marketing"}}))));

  EXPECT_EQ(again(true).erased, 2);

  EXPECT_TRUE(get(first.text()).erased);
  EXPECT_TRUE(get(second.text()).erased);
}

TEST_P(VaultSubjects, keep_what_came_after_a_part_was_erased) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"letter", "weekly"}});
  auto yesterday = bench_.backup();
  must(bench_.erase("ext:4711", {"marketing"}));
  auto agree_again = [&] {
    must(bench_.run(
        bench_.records().update({}, {made.record, values({{"letter", "daily"}}), {}, {}})));
  };

  agree_again();
  EXPECT_EQ(again(false).erased, 0) << "an ordinary start";
  EXPECT_EQ(bench_.opened(made.record, "letter"), "daily");

  bench_.restore(yesterday);
  EXPECT_EQ(again(true).erased, 1);
  EXPECT_EQ(bench_.opened(made.record, "letter"), "-");
  agree_again();
  EXPECT_EQ(again(false).erased, 0) << "the starts after a restore";
  EXPECT_EQ(again(true).erased, 0);
  EXPECT_EQ(bench_.opened(made.record, "letter"), "daily");
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSubjects, whose_erasing_was_refused_are_not_erased_later) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  bench_.journal().before_commit = [&]() -> Task<void> {
    must(co_await bench_.subjects().restrict(
        {}, {.subject = "ext:4711", .ground = Ground::needed_for_claims, .note = {}}));
  };

  EXPECT_EQ(code_of(bench_.erase("ext:4711")), Code::conflict);

  EXPECT_TRUE(std::ranges::none_of(bench_.log().afterlog_entries(), [](const auto& entry) {
    return entry.kind == "subject.groups_erased";
  }));
  EXPECT_EQ(again(false).erased, 0);
  EXPECT_FALSE(get(made.subject.text()).erased);
}

TEST_P(VaultSubjects, without_an_id_of_the_shop_stay_erased_too) {
  CreateRecords request{.collection = "customers",
                        .subject = {},
                        .slot = {},
                        .values = values({{"letter", "weekly"}}),
                        .records = {},
                        .idempotency_key = {}};
  auto made = bench_(bench_.records().create({}, std::move(request))).records[0];
  auto yesterday = bench_.backup();
  must(bench_.erase(made.subject.text()));

  bench_.restore(yesterday);
  EXPECT_EQ(again(true).erased, 1);

  EXPECT_TRUE(get(made.subject.text()).erased);
  EXPECT_EQ(bench_.opened(made.record, "letter"), "not_found");
}

TEST_P(VaultSubjects, know_who_opened_what) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}, {"phone", "030 1234567"}});
  auto other = bench_.create("ext:4712", {{"email", "bob@example.org"}});
  bench_.permits().rules = {{"key_a"}, {"key_b", "*", View::masked}};
  must(bench_.reveal(made.record, {"email"}, "support", {.principal = "key_a"}));
  must(bench_.reveal(made.record, {"email"}, "support", {.principal = "key_b"}));
  must(bench_.reveal(other.record, {"email"}, "support", {.principal = "key_a"}));
  must(bench_.reveal(made.record, {"phone", "email"}, "fraud_check", {.principal = "key_a"},
                     "staff:17"));
  bench_(bench_.opening().reveal_batch({.principal = "key_a"},
                                       {{other.record, made.record}, {"phone"}, "support", {}}));

  auto list = bench_(bench_.subjects().accesses({}, {"ext:4711", {}, {}}));

  ASSERT_EQ(list.accesses.size(), 3u) << "masks are no opening";
  EXPECT_EQ(list.accesses[0].operation, "records.reveal_batch");
  EXPECT_EQ(list.accesses[1].purpose, "fraud_check");
  EXPECT_EQ(list.accesses[1].key, "key_a");
  EXPECT_TRUE(list.accesses[1].actor.starts_with("per_")) << list.accesses[1].actor;
  EXPECT_EQ(list.accesses[1].fields, (std::vector<std::string>{"phone", "email"}));
  EXPECT_EQ(list.accesses[2].actor, "key_a");
  EXPECT_EQ(bench_.journal().events.back().activity, "subjects.accesses")
      << "looking is recorded as well";
}

TEST_P(VaultSubjects, that_are_erased_still_say_who_opened_what) {
  auto made = bench_.create("ext:4711", {{"email", "ann@example.org"}});
  must(bench_.reveal(made.record, {"email"}));
  must(bench_.erase("ext:4711"));

  auto list = bench_(bench_.subjects().accesses({}, {made.subject.text(), {}, {}}));

  ASSERT_EQ(list.accesses.size(), 1u);
  EXPECT_EQ(list.accesses[0].operation, "records.reveal");
}

}  // namespace
}  // namespace holdfast::vault
