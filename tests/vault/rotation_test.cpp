// Every kind of key rotated with data in place: everything still opens, is found and verifies,
// wherever the work stops on the way.
#include <algorithm>
#include <set>

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kKinds = 13;

FieldSpec with_token(FieldSpec spec, TokenShape shape, TokenScope scope) {
  spec.token = TokenSpec{shape, {}, scope};
  return spec;
}

/// Tokens of each shape and scope that is kept differently.
CollectionSpec shop() {
  CollectionSpec out{.collection = "shop", .doc = {}, .fields = {}, .if_match = {}};
  out.fields = {
      with_token(field("number", FieldType::text), TokenShape::digits, TokenScope::none),
      with_token(field("phone", FieldType::phone), TokenShape::digits, TokenScope::subject),
      with_token(field("email", FieldType::email), TokenShape::email, TokenScope::field),
      with_token(field("plain", FieldType::text), TokenShape::tok, TokenScope::subject),
      with_token(field("shared", FieldType::text), TokenShape::tok, TokenScope::field),
      field("each", FieldType::text)};
  return out;
}
constexpr std::string_view kNumber = "4711000000";

class VaultRotation : public Vault {
 protected:
  CreatedRecord ann_, bob_, guest_;
  std::string token_;
  std::vector<std::pair<std::string, std::string>> anns_, bobs_;  // field and token
  EngagementId engagement_{};
  RecordId canary_{};
  HoldView hold_;

  void SetUp() override {
    ann_ = bench_.create("ext:1", {{"email", "ann@example.org"},
                                   {"last_name", "Lee"},
                                   {"member", "M-1"},
                                   {"tax_id", "DE123456789"},
                                   {"letter", "yes"}});
    bob_ = bench_.create("ext:2", {{"email", "bob@example.org"}, {"member", "M-2"}});
    guest_ = bench_.create("ext:guest-9", {{"phone", "030 1234567"}});
    for (int i = 10; i < 20; ++i)
      bench_.create("ext:" + std::to_string(i),
                    {{"email", "c" + std::to_string(i) + "@example.org"},
                     {"member", "M-" + std::to_string(i)}});
    CreateTokens request{.subject = "ext:1", .collection = "customers"};
    request.values = values({{"phone", "030 7654321"}});
    token_ = bench_(bench_.tokens().create({}, std::move(request)))
                 .items.front()
                 .tokens.front()
                 .second.token;
    bench_(bench_.cards().switch_on({}, {"SAQ D", {}}));
    bench_(bench_.declarations().put({}, shop()));
    anns_ = tokens_of("ext:1", {{"number", std::string(kNumber)}, {"each", "one"}});
    for (auto& one : equal_tokens("ext:1")) anns_.push_back(std::move(one));
    bobs_ = equal_tokens("ext:2");
  }

  /// An engagement of a kind of the shop's own, and a canary: other rooms' rows under the same
  /// keys.
  void engage_and_plant() {
    bench_(bench_.engagements().put_kind({}, {"repair", "", "366 days", {"email"}, {}}));
    bench_.permits().rules = {{"key_desk"}};
    engagement_ =
        bench_(bench_.engagements().open({.principal = "key_shop"}, {.subject = "ext:1",
                                                                     .kind = "repair",
                                                                     .reference = "R-1",
                                                                     .assignee = "staff:17",
                                                                     .life = "366 days",
                                                                     .on_behalf_of = {},
                                                                     .idempotency_key = {}}))
            .engagement;
    canary_ = *bench_(bench_.canaries().plant({}, {.collection = "customers",
                                                   .locale = Locale::de,
                                                   .external_id = {},
                                                   .email = {},
                                                   .email_domain = "post.example.org",
                                                   .slot = {}}))
                   .record;
    hold_ = bench_(bench_.retention().hold({.principal = "key_privacy"},
                                           {"ext:guest-9", {}, "dispute, file 12/26", {}}));
    auto other = bench_(bench_.retention().hold({}, {{}, "customers", "tax audit", {}}));
    bench_(bench_.retention().unhold({}, {other.hold, "settled"}));
  }

  std::vector<std::pair<std::string, std::string>> tokens_of(std::string subject, Named named) {
    CreateTokens request{.subject = std::move(subject),
                         .collection = "shop",
                         .values = values(named),
                         .items = {},
                         .idempotency_key = {}};
    auto made = bench_(bench_.tokens().create({}, std::move(request)));
    std::vector<std::pair<std::string, std::string>> out;
    for (auto& [field, view] : made.items.front().tokens) out.emplace_back(field, view.token);
    return out;
  }
  /// The same values each time: the tokens too.
  std::vector<std::pair<std::string, std::string>> equal_tokens(std::string subject) {
    return tokens_of(std::move(subject), {{"phone", "030 1112222"},
                                          {"email", "both@example.org"},
                                          {"plain", "equal"},
                                          {"shared", "equal"}});
  }
  /// The value, or why not.
  std::string opened_token(const std::string& token) {
    auto revealed = bench_.run(bench_.tokens().reveal({}, {{token}, "support", {}}));
    if (!revealed) return std::string(code_name(revealed.error().code));
    return revealed->refused.empty() ? shown(revealed->values, token)
                                     : revealed->refused.front().reason;
  }
  static std::string value_of(std::string_view field) {
    return field == "number"  ? std::string(kNumber)
           : field == "each"  ? "one"
           : field == "phone" ? "030 1112222"
           : field == "email" ? "both@example.org"
                              : "equal";
  }
  void expect_tokens_well(const std::string& where) {
    for (const auto& [field, token] : anns_)
      EXPECT_EQ(opened_token(token), value_of(field)) << where << ": " << field;
    EXPECT_EQ(equal_tokens("ext:2"), bobs_) << where;
    EXPECT_EQ(equal_tokens("ext:1"), (decltype(anns_){anns_.begin() + 2, anns_.end()})) << where;
  }

  static std::string name(KeyKind kind) {
    return std::string(enum_names(kind)[static_cast<std::size_t>(kind)]);
  }
  RotationView rotate(KeyKind kind, bool at_once = false) {
    bench_.clock().advance(Millis(1));  // ids sort by time
    return bench_(bench_.rotations().rotate({}, {kind, at_once}));
  }
  /// Steps until nothing is to be done now; at most `most` of them. Gives how many.
  int steps(int most = 1000) {
    int done = 0;
    while (done < most && bench_(bench_.rotations().step()) != Rotations::Pace::idle) ++done;
    return done;
  }
  RotationView last() { return bench_(bench_.rotations().progress({}, {})).rotations.back(); }

  bool all_wait() {
    auto all = bench_(bench_.rotations().progress({}, {})).rotations;
    return std::ranges::all_of(
        all, [](const RotationView& row) { return row.phase == RotationPhase::waiting; });
  }

  void expect_all_well(const std::string& where) {
    EXPECT_EQ(bench_.opened(ann_.record, "email"), "ann@example.org") << where;
    EXPECT_EQ(bench_.opened(ann_.record, "tax_id"), "DE123456789") << where;
    EXPECT_EQ(bench_.opened(guest_.record, "phone"), "030 1234567") << where;
    auto found = bench_.find({{"email", "ann@example.org"}});
    ASSERT_TRUE(found) << where;
    ASSERT_EQ(found->records.size(), 1u) << where;
    EXPECT_EQ(found->records.front().record, ann_.record) << where;
    EXPECT_EQ(must(bench_.find({{"member", "M-2"}})).records.size(), 1u) << where;
    auto subject = bench_(bench_.subjects().get({}, {"ext:2"}));
    EXPECT_EQ(subject.subject, bob_.subject) << where;
    auto revealed = bench_(bench_.tokens().reveal({}, {{token_}, "support", {}}));
    EXPECT_EQ(revealed.refused.size(), 0u) << where;
    expect_tokens_well(where);
    EXPECT_TRUE(bench_(bench_.cards().status({}, {})).on) << where;
    if (engagement_ == EngagementId{}) return;
    auto engaged = bench_.run(
        bench_.opening().reveal({.principal = "key_desk"}, {.record = ann_.record,
                                                            .fields = {"email"},
                                                            .purpose = "support",
                                                            .on_behalf_of = {},
                                                            .engagement = engagement_.text()}));
    EXPECT_TRUE(engaged) << where;
    auto engagements =
        bench_(bench_.engagements().find({}, {.kind = "repair", .reference = "R-1"})).engagements;
    ASSERT_EQ(engagements.size(), 1u) << where;
    EXPECT_EQ(engagements[0].assignee, "staff:17") << where;
    const auto alarms = bench_.alarms().seen.size();
    must(bench_.reveal(canary_, {"email"}));
    EXPECT_EQ(bench_.alarms().seen.size(), alarms + 1) << where;
    EXPECT_EQ(bench_(bench_.canaries().list({}, {})).damaged, 0) << where;
    EXPECT_TRUE(bench_(bench_.holds().held(guest_.subject, MonoTime::max()))) << where;
    auto holds = bench_(bench_.retention().holds({}, {.ended = true})).holds;
    ASSERT_EQ(holds.size(), 2u) << where;
    std::set<std::string> reasons;  // made in the same millisecond, in either order
    for (const auto& hold : holds) reasons.emplace(hold.reason->expose_text());
    EXPECT_EQ(reasons, (std::set<std::string>{"dispute, file 12/26", "tax audit"})) << where;
    EXPECT_TRUE(bench_.time().now()) << where;
  }
  static Task<void> go_on(VaultRotation* test, int steps) {
    for (int i = 0; i < steps; ++i) must(co_await test->bench_.rotations().step());
  }
  void expect_sound(const std::string& where) {
    auto report = bench_.state();
    EXPECT_TRUE(report.good()) << where << ": " << report.changed_total << " changed, "
                               << report.unrecorded_total << " unrecorded, " << report.missing_total
                               << " missing"
                               << (report.changed.empty() ? "" : " " + report.changed[0].kind);
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultRotation, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(VaultRotation, of_every_kind_leaves_everything_open_found_and_verified) {
  engage_and_plant();
  for (std::size_t i = 0; i < kKinds; ++i) {
    const auto kind = static_cast<KeyKind>(i);
    const auto before = bench_.keys().get()->ring.generation();

    rotate(kind, true);
    steps();

    auto row = last();
    EXPECT_EQ(row.kind, kind);
    if (kind == KeyKind::idempotency) {
      EXPECT_EQ(row.phase, RotationPhase::waiting) << "repeats are recognised for a day";
    } else {
      EXPECT_EQ(row.phase, RotationPhase::done) << name(kind) << ": " << row.doing;
    }
    EXPECT_TRUE(row.proof) << name(kind);
    if (auto use = use_of(kind)) {
      EXPECT_EQ(bench_.keys().get()->ring.active_id(*use), 2u) << name(kind);
      EXPECT_EQ(bench_.keys().get()->ring.find(*use, 1) == nullptr,
                row.phase == RotationPhase::done)
          << name(kind);
      EXPECT_GT(bench_.keys().get()->ring.generation(), before);
      EXPECT_EQ(bench_.generations.back(), bench_.keys().get()->ring.generation());
    }
    expect_all_well(name(kind));
    expect_sound(name(kind));
  }
  bench_.reopen();
  expect_all_well("after a restart");
  expect_sound("after a restart");
}

TEST_P(VaultRotation, goes_on_after_a_stop_between_any_two_steps) {
  engage_and_plant();
  for (auto kind :
       {KeyKind::epoch, KeyKind::subject, KeyKind::index, KeyKind::external, KeyKind::authority,
        KeyKind::digest, KeyKind::side, KeyKind::journal, KeyKind::afterlog, KeyKind::token}) {
    rotate(kind, true);
    int count = 0;
    while (steps(1) == 1) {
      bench_.reopen();
      ++count;
      ASSERT_LT(count, 500) << name(kind);
      if (count % 3 == 0) expect_all_well(name(kind) + " after " + std::to_string(count));
    }

    EXPECT_GT(count, 4) << name(kind);
    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    expect_all_well(name(kind));
    expect_sound(name(kind));
  }
}

TEST_P(VaultRotation, serves_writes_and_erasures_between_any_two_steps) {
  engage_and_plant();
  int made = 100;
  bench_.rotation_settings.batch = 16;  // else new customers come as fast as old ones are moved
  bench_.reopen();
  for (auto kind :
       {KeyKind::epoch, KeyKind::subject, KeyKind::index, KeyKind::external, KeyKind::digest}) {
    rotate(kind, true);
    std::vector<std::pair<RecordId, std::string>> written;
    int count = 0;
    do {
      auto number = std::to_string(++made);
      auto fresh = bench_.create("ext:" + number,
                                 {{"email", "n" + number + "@example.org"}, {"member", number}});
      written.emplace_back(fresh.record, number);
      auto again = bench_.create("ext:" + number, {{"note", "a second record"}});
      EXPECT_EQ(again.subject, fresh.subject) << name(kind) << ": found by its external id";
      CreateRecords taken{.collection = "customers",
                          .subject = "ext:other",
                          .values = values({{"member", number}})};
      EXPECT_EQ(code_of(bench_.run(bench_.records().create({}, std::move(taken)))), Code::conflict)
          << name(kind) << ": unique stays unique";
      if (count % 4 == 1) {
        auto [record, of] = written[written.size() / 2];
        if (of != "-") {
          must(bench_.erase("ext:" + of));
          for (auto& one : written)
            if (one.second == of) one.second = "-";
        }
      }
      if (count % 4 == 2)
        bench_(bench_.records().update(
            {}, {fresh.record, values({{"phone", "030 1234" + number}, {"note", {}}}), {}, {}}));
      ASSERT_LT(++count, 500) << name(kind);
    } while (steps(1) == 1);

    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    for (const auto& [record, number] : written) {
      auto found = must(bench_.find({{"email", "n" + number + "@example.org"}}));
      EXPECT_EQ(found.records.size(), number == "-" ? 0u : 1u) << name(kind) << ' ' << number;
      if (number != "-") {
        EXPECT_EQ(bench_.opened(record, "member"), number) << name(kind);
      }
    }
    expect_all_well(name(kind));
    expect_sound(name(kind));
  }
}

TEST_P(VaultRotation, destroys_no_key_that_somebody_marked_as_replaced_in_the_database) {
  bench_.raw().run("update vault_subject_keys set retired_ms = 1000");

  rotate(KeyKind::epoch, true);
  steps();
  rotate(KeyKind::subject, true);
  steps();

  expect_all_well("after the roll");
}

TEST_P(VaultRotation, of_a_kind_that_is_under_way_is_refused_and_so_is_any_while_rows_move) {
  rotate(KeyKind::index);
  steps(3);

  EXPECT_EQ(code_of(bench_.run(bench_.rotations().rotate({}, {KeyKind::index, false}))),
            Code::conflict);
  EXPECT_EQ(code_of(bench_.run(bench_.rotations().rotate({}, {KeyKind::side, false}))),
            Code::conflict);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::waiting);
  rotate(KeyKind::side, true);
  steps();
  EXPECT_EQ(last().phase, RotationPhase::done) << "one that waits for its date is in nobody's way";
}

TEST_P(VaultRotation, names_a_row_that_does_not_open_goes_on_and_keeps_the_old_key) {
  auto raw = bench_.raw();
  const auto where = " where id = " + raw.literal(bob_.record.bytes());
  for (auto kind : {KeyKind::subject, KeyKind::index}) {
    auto before = raw.bytes("select sealed from vault_records" + where);
    auto damaged = before;
    damaged.back() ^= 1;
    raw.run("update vault_records set sealed = " + raw.literal(damaged) + where);

    rotate(kind, true);
    steps();

    auto stopped = last();
    EXPECT_EQ(stopped.phase, RotationPhase::stopped) << name(kind);
    ASSERT_EQ(stopped.refused_rows.size(), 1u) << name(kind);
    EXPECT_EQ(stopped.refused_rows.front(), "records " + bob_.record.text());
    EXPECT_EQ(bench_.opened(ann_.record, "email"), "ann@example.org") << "others were moved";
    bench_.reopen();
    EXPECT_EQ(must(bench_.find({{"member", "M-1"}})).records.size(), 1u);
    if (kind == KeyKind::index) {
      EXPECT_NE(bench_.keys().get()->ring.find(crypto::KeyUse::index, 1), nullptr);
    }

    raw.run("update vault_records set sealed = " + raw.literal(before) + where);
    rotate(kind, true);
    steps();
    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    EXPECT_EQ(bench_.opened(bob_.record, "email"), "bob@example.org");
    expect_all_well(name(kind));
    expect_sound(name(kind));
  }
}

TEST_P(VaultRotation, does_not_hide_that_an_older_value_was_put_back_before_it) {
  auto raw = bench_.raw();
  const auto where = " where id = " + raw.literal(guest_.record.bytes());
  const auto older = raw.bytes("select sealed from vault_records" + where);
  bench_(bench_.records().update({}, {guest_.record, values({{"phone", "030 9999999"}}), {}, {}}));
  raw.run("update vault_records set sealed = " + raw.literal(older) + where);
  ASSERT_EQ(bench_.state().changed_total, 1);

  for (auto kind : {KeyKind::digest, KeyKind::subject}) {
    rotate(kind, true);
    steps();

    ASSERT_EQ(last().phase, RotationPhase::done) << name(kind);
    auto report = bench_.state();
    ASSERT_EQ(report.changed_total, 1) << name(kind);
    EXPECT_EQ(report.changed.front().row, to_bytes(guest_.record.bytes())) << name(kind);
  }
  bench_(bench_.records().update({}, {guest_.record, values({{"phone", "030 5555555"}}), {}, {}}));
  expect_sound("after somebody wrote the row on purpose");
}

TEST_P(VaultRotation, destroys_by_journal_time_alone) {
  bench_.journal_time = bench_.clock().now();
  rotate(KeyKind::epoch);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::waiting);
  const auto due = *last().destroyed_from;
  EXPECT_EQ(due, *bench_.journal_time + Millis(30LL * 86'400'000));

  const auto now = bench_.clock().now();
  bench_.clock().set_now(now + Millis(10LL * 365 * 86'400'000));
  steps();
  EXPECT_EQ(last().phase, RotationPhase::waiting) << "the clock was set forward ten years";
  bench_.clock().set_now(now - Millis(86'400'000));
  steps();
  EXPECT_EQ(last().phase, RotationPhase::waiting) << "the clock was set back a day";
  bench_.clock().set_now(now);
  bench_.journal_time = due - Millis(1);
  steps();
  bench_.reopen();
  steps();
  EXPECT_NE(bench_.keys().get()->ring.find(crypto::KeyUse::epoch, 1), nullptr);

  bench_.journal_time = due;
  steps();
  EXPECT_EQ(last().phase, RotationPhase::done);
  EXPECT_EQ(bench_.keys().get()->ring.find(crypto::KeyUse::epoch, 1), nullptr);
  expect_all_well("in the second epoch");
}

TEST_P(VaultRotation, uses_no_key_that_is_not_on_the_disk_yet) {
  bench_.keyring_disk = Error(Code::unavailable, "the disk is full");
  rotate(KeyKind::epoch, true);

  auto failed = bench_.run(bench_.rotations().step());

  EXPECT_EQ(code_of(failed), Code::unavailable);
  EXPECT_EQ(bench_.keys().get()->ring.active_id(crypto::KeyUse::epoch), 1u);
  bench_.create("ext:500", {{"phone", "030 1234500"}});
  bench_.keyring_disk = {};
  steps();
  EXPECT_EQ(last().phase, RotationPhase::done);
  EXPECT_EQ(bench_(keys_per_epoch(bench_.log().reader())),
            (std::map<std::uint32_t, std::int64_t>{{2, 16}}));
}

TEST_P(VaultRotation, keeps_the_old_key_while_the_disk_does_not_take_the_keyring_without_it) {
  rotate(KeyKind::side, true);
  while (last().phase != RotationPhase::destroying) steps(1);
  bench_.keyring_disk = Error(Code::unavailable, "the disk is full");

  EXPECT_EQ(code_of(bench_.run(bench_.rotations().step())), Code::unavailable);
  EXPECT_EQ(last().phase, RotationPhase::destroying);
  bench_.keyring_disk = {};
  bench_.reopen();
  steps();
  EXPECT_EQ(last().phase, RotationPhase::done);
}

TEST_P(VaultRotation, destroys_backups_past_their_window_before_the_key_that_opens_them) {
  bench_.backups_stay = true;
  rotate(KeyKind::epoch);
  steps();
  bench_.journal_time = *last().destroyed_from;
  std::optional<Code> failed;
  for (int i = 0; i < 100 && !failed; ++i) failed = code_of(bench_.run(bench_.rotations().step()));

  EXPECT_EQ(failed, Code::unavailable);
  EXPECT_NE(bench_.keys().get()->ring.find(crypto::KeyUse::epoch, 1), nullptr);

  bench_.backups_stay = false;
  steps();
  EXPECT_EQ(last().phase, RotationPhase::done);
  EXPECT_EQ(bench_.forgotten_before, *last().moved_at) << "those made while the old key was in use";
}

TEST_P(VaultRotation, of_the_epoch_gives_groups_that_lost_values_another_key) {
  auto count = [&] {
    return bench_.raw().number("select count(*) from vault_subject_keys where subject = " +
                               bench_.raw().literal(ann_.subject.bytes()));
  };
  const auto groups = count();
  const auto where = " where id = " + bench_.raw().literal(ann_.record.bytes());
  const auto backup = bench_.raw().bytes("select sealed from vault_records" + where);
  bench_(bench_.records().update({}, {ann_.record, values({{"last_name", {}}}), {}, {}}));
  rotate(KeyKind::epoch);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::waiting) << last().doing;

  EXPECT_EQ(count(), groups + 1) << "the account has another key; the old one waits";
  expect_all_well("after the roll");
  expect_sound("after the roll");

  bench_.journal_time = *last().destroyed_from;
  steps();
  ASSERT_EQ(last().phase, RotationPhase::done);
  EXPECT_EQ(count(), groups);
  expect_all_well("in the second epoch");
  bench_.raw().run("update vault_records set sealed = " + bench_.raw().literal(backup) + where);
  EXPECT_EQ(bench_.opened(ann_.record, "last_name"), "corrupt")
      << "an old copy of what was erased opens nowhere";
}

TEST_P(VaultRotation, opens_no_old_copy_of_an_erased_customer_when_the_epoch_key_is_destroyed) {
  auto raw = bench_.raw();
  const auto subject = raw.literal(ann_.subject.bytes());
  const std::vector<std::pair<std::string, std::string>> tables = {
      {"vault_subject_keys", "subject"}, {"vault_records", "subject"}, {"vault_subjects", "id"}};
  for (const auto& [table, column] : tables)
    raw.run("create table kept_" + table + " as select * from " + table + " where " + column +
            " = " + subject);
  auto put_back = [&] {
    for (const auto& [table, column] : tables) {
      raw.run("delete from " + table + " where " + column + " = " + subject);
      raw.run("insert into " + table + " select * from kept_" + table);
    }
    bench_.reopen();
  };
  must(bench_.erase("ext:1"));
  put_back();
  ASSERT_EQ(bench_.opened(ann_.record, "last_name"), "Lee") << "until the epoch key is destroyed";
  for (const auto& [table, column] : tables)
    raw.run("delete from " + table + " where " + column + " = " + subject);

  rotate(KeyKind::epoch);
  steps();
  bench_.journal_time = *last().destroyed_from;
  steps();
  ASSERT_EQ(last().phase, RotationPhase::done);
  put_back();

  EXPECT_EQ(bench_.opened(ann_.record, "last_name"), "erased");
  EXPECT_EQ(bench_.opened(bob_.record, "email"), "bob@example.org");
}

/// Who writes the database keeps a key alive over the epoch, to open an old copy by it later.
TEST_P(VaultRotation, wraps_no_key_anew_that_was_put_back_for_an_erased_customer) {
  auto raw = bench_.raw();
  const auto account =
      " where keep_group = 'account' and subject = " + raw.literal(ann_.subject.bytes());
  raw.run("create table kept as select * from vault_subject_keys" + account);
  must(bench_.erase("ext:1"));
  ASSERT_EQ(raw.number("select count(*) from vault_subject_keys" + account), 0);
  expect_sound("erased");
  raw.run("insert into vault_subject_keys select * from kept");

  auto found = bench_.state();
  ASSERT_EQ(found.unrecorded_total, 1);
  EXPECT_EQ(found.unrecorded[0].kind, "subject_keys");
  EXPECT_EQ(found.unrecorded[0].row, to_bytes(ann_.subject.bytes()));
  rotate(KeyKind::epoch, true);
  steps();

  ASSERT_EQ(last().phase, RotationPhase::done);
  EXPECT_EQ(raw.number("select count(*) from vault_subject_keys" + account), 0);
  const auto told = std::ranges::count_if(bench_.journal().events, [](const journal::Event& event) {
    return event.alarm && event.activity == "keys.rotating";
  });
  EXPECT_EQ(told, 1);
  expect_sound("after the epoch");
}

TEST_P(VaultRotation, takes_no_key_from_a_customer_whom_somebody_only_marked_as_erased) {
  auto raw = bench_.raw();
  const auto where = " where id = " + raw.literal(ann_.subject.bytes());
  raw.run("update vault_subjects set erased_ms = 1" + where);
  rotate(KeyKind::epoch, true);
  steps();
  raw.run("update vault_subjects set erased_ms = null" + where);
  bench_.reopen();

  expect_all_well("the mark has no MAC");
}

TEST_P(VaultRotation, takes_less_at_a_time_while_others_wait) {
  bench_.rotation_settings.batch = 0;
  bench_.reopen();
  for (int i = 0; i < 600; ++i)
    bench_.create("ext:n" + std::to_string(i), {{"email", std::to_string(i) + "@example.org"}});
  auto commits = [&](db::Load load) {
    bench_.journal().told = load;
    rotate(KeyKind::external);
    bench_.journal().events.clear();
    steps();
    bench_.journal().told = {};
    return std::ranges::count(bench_.journal().events, "keys.rotating", &journal::Event::activity);
  };

  const auto alone = commits(db::Load::none);
  const auto contended = commits(db::Load::others);

  EXPECT_GT(contended, alone);
}

TEST_P(VaultRotation, rolls_the_epoch_by_itself_when_journal_time_says_so) {
  bench_.rotation_settings.epoch = Millis(30LL * 86'400'000);
  bench_.journal_time = bench_.clock().now();
  bench_.reopen();

  EXPECT_EQ(steps(), 0);
  bench_.clock().set_now(bench_.clock().now() + Millis(31LL * 86'400'000));
  EXPECT_EQ(steps(), 0) << "a clock alone rolls nothing";
  bench_.journal_time = bench_.clock().now();
  EXPECT_GT(steps(), 3);

  EXPECT_EQ(last().kind, KeyKind::epoch);
  EXPECT_EQ(bench_.keys().get()->ring.active_id(crypto::KeyUse::epoch), 2u);
}

TEST_P(VaultRotation, says_when_what_was_erased_is_gone_from_backups) {
  bench_.rotation_settings.epoch = Millis(30LL * 86'400'000);
  bench_.journal_time = bench_.clock().now();
  bench_.reopen();
  const auto erased = bench_.clock().now() + Millis(1000);

  auto planned = bench_(bench_.rotations().destruction(KeyKind::epoch, erased, MonoTime::max()));
  EXPECT_EQ(planned.id, 1u);
  EXPECT_FALSE(planned.event);
  ASSERT_TRUE(planned.at);
  EXPECT_GE(*planned.at, erased + bench_.rotation_settings.window);

  bench_.clock().advance(Millis(5000));
  rotate(KeyKind::epoch);
  steps();
  auto due = bench_(bench_.rotations().destruction(KeyKind::epoch, erased, MonoTime::max()));
  EXPECT_EQ(due.at, last().destroyed_from);
  auto later = bench_(bench_.rotations().destruction(
      KeyKind::epoch, bench_.clock().now() + Millis(1), MonoTime::max()));
  EXPECT_EQ(later.id, 2u) << "erased under the second epoch";

  bench_.journal_time = *due.at;
  steps();
  auto done = bench_(bench_.rotations().destruction(KeyKind::epoch, erased, MonoTime::max()));
  EXPECT_TRUE(done.event);
  auto index = bench_(bench_.rotations().destruction(KeyKind::index, erased, MonoTime::max()));
  EXPECT_FALSE(index.at) << "nobody has asked for a rotation of the index key";
  EXPECT_EQ(done.id, 1u);
}

TEST_P(VaultRotation, at_once_is_over_only_when_no_backup_of_the_keys_from_before_is_left) {
  bench_.journal_time = bench_.clock().now();
  bench_.reopen();
  const auto erased = bench_.clock().now();
  bench_.keys_file_made = erased - Millis(1000);
  bench_.clock().advance(Millis(5000));
  bench_.journal_time = bench_.clock().now();
  auto end_of = [&](KeyKind kind) {
    return bench_(bench_.rotations().destruction(kind, erased, MonoTime::max()));
  };
  for (auto kind : {KeyKind::epoch, KeyKind::index}) {
    rotate(kind, true);
    steps();
    ASSERT_TRUE(last().finished) << "the key itself is gone";
    EXPECT_FALSE(end_of(kind).event) << "the file opens what was erased";
    EXPECT_GE(end_of(kind).at, *last().finished + bench_.rotation_settings.window);
  }
  bench_.keys_file_made = *last().finished;
  for (auto kind : {KeyKind::epoch, KeyKind::index}) EXPECT_TRUE(end_of(kind).event);
}

TEST_P(VaultRotation, written_into_the_database_destroys_no_key) {
  rotate(KeyKind::epoch);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::waiting);
  auto set = [&](const std::string& what) {
    bench_.raw().run("update vault_rotations set " + what);
  };
  auto held = [&] { return bench_.keys().get()->ring.find(crypto::KeyUse::epoch, 1) != nullptr; };

  set("phase = 'destroying', due_ms = 1");
  EXPECT_EQ(code_of(bench_.run(bench_.rotations().step())), Code::corrupt);
  EXPECT_TRUE(held()) << "before its date";
  set("mac = null");
  steps();
  EXPECT_TRUE(held()) << "as an earlier release wrote it: its wait begins anew";
  EXPECT_EQ(last().phase, RotationPhase::waiting);

  bench_.raw().run(
      "update vault_subject_keys set epoch = 1 where subject in (select subject from "
      "vault_subject_keys limit 1)");
  bench_.journal_time = *last().destroyed_from;
  steps();
  EXPECT_TRUE(held()) << "rows need it";
  EXPECT_EQ(last().phase, RotationPhase::stopped);
}

TEST_P(VaultRotation, in_the_database_that_nobody_asked_for_destroys_no_key) {
  bench_.raw().run(
      "insert into vault_rotations (id, kind, from_id, to_id, phase, running, at_once, source, "
      "after, rounds, looked, moved, total, refused, refused_rows, generation, started_ms, proof, "
      "version) values (" +
      bench_.raw().literal(RotationId::make(bench_.clock().now()).bytes()) +
      ", 'epoch', 1, 2, 'adding', 1, 1, 0, " + bench_.raw().literal(BytesView()) +
      ", 0, 0, 0, 0, 0, '{\"rows\":[]}', 1, 1, '', 1)");
  (void)bench_.run(bench_.rotations().step());
  bench_.raw().run("update vault_rotations set phase = 'destroying', running = null, source = 99");
  EXPECT_EQ(code_of(bench_.run(bench_.rotations().step())), Code::corrupt);
  bench_.raw().run("update vault_rotations set mac = null");
  steps();
  EXPECT_EQ(bench_.opened(ann_.record, "email"), "ann@example.org");
  EXPECT_NE(bench_.keys().get()->ring.find(crypto::KeyUse::epoch, 1), nullptr);
}

TEST_P(VaultRotation, written_as_done_into_the_database_destroys_no_key) {
  rotate(KeyKind::epoch);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::waiting);
  auto held = [&] { return bench_.keys().get()->ring.find(crypto::KeyUse::epoch, 1) != nullptr; };

  bench_.raw().run("update vault_rotations set phase = 'done', source = 99");
  bench_.reopen();
  EXPECT_EQ(code_of(bench_.run(bench_.rotations().step())), Code::corrupt);
  EXPECT_TRUE(held()) << "before its date";
  EXPECT_EQ(last().phase, RotationPhase::done) << "it stays as it was found";

  bench_.raw().run("update vault_rotations set mac = null");
  bench_.reopen();
  steps();
  EXPECT_TRUE(held()) << "as an earlier release wrote it: its wait begins anew";
  ASSERT_EQ(last().phase, RotationPhase::waiting);
  EXPECT_GE(*last().destroyed_from, bench_.clock().now() + bench_.rotation_settings.window);

  bench_.raw().run("delete from vault_rotations");
  bench_.reopen();
  steps();
  EXPECT_TRUE(held());
  EXPECT_EQ(last().phase, RotationPhase::waiting) << "taken up again without its row";
  expect_all_well("after all of it");
}

TEST_P(VaultRotation, destroys_again_what_an_older_keyring_brings_back) {
  bench_.journal_time = bench_.clock().now();
  rotate(KeyKind::epoch);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::waiting);
  auto before = std::make_shared<crypto::KeySet>(bench_.keys().get()->ring.copy());
  bench_.journal_time = *last().destroyed_from;
  steps();
  ASSERT_EQ(last().phase, RotationPhase::done);
  bench_.keys().set(std::move(before));
  ASSERT_NE(bench_.keys().get()->ring.find(crypto::KeyUse::epoch, 1), nullptr);

  must(bench_.run(bench_.rotations().prepare()));
  steps();

  EXPECT_EQ(bench_.keys().get()->ring.find(crypto::KeyUse::epoch, 1), nullptr);
  EXPECT_EQ(last().phase, RotationPhase::done);
}

TEST_P(VaultRotation, takes_up_a_key_that_a_restore_left_without_a_rotation) {
  auto file = bench_.backup();
  rotate(KeyKind::epoch);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::waiting);

  bench_.restore(file);
  EXPECT_EQ(bench_.opened(ann_.record, "email"), "ann@example.org");
  steps();

  EXPECT_EQ(last().phase, RotationPhase::waiting) << last().doing;
  EXPECT_EQ(bench_(keys_per_epoch(bench_.log().reader())).begin()->first, 2u);
  expect_all_well("after going back");
}

TEST_P(VaultRotation, takes_up_digest_keys_first_and_hides_nothing_by_it) {
  engage_and_plant();
  auto raw = bench_.raw();
  const auto where = " where id = " + raw.literal(guest_.record.bytes());
  const auto older = raw.bytes("select sealed from vault_records" + where);
  bench_(bench_.records().update({}, {guest_.record, values({{"phone", "030 9999999"}}), {}, {}}));
  raw.run("update vault_records set sealed = " + raw.literal(older) + where);
  ASSERT_EQ(bench_.state().changed_total, 1);
  auto file = bench_.backup();
  for (auto kind :
       {KeyKind::digest, KeyKind::authority, KeyKind::external, KeyKind::token, KeyKind::digest}) {
    rotate(kind);
    steps();
    ASSERT_TRUE(all_wait()) << name(kind);
  }

  bench_.restore(file);
  steps();

  EXPECT_TRUE(all_wait());
  auto report = bench_.state();
  ASSERT_EQ(report.changed_total, 1) << "what somebody changed, and nothing else";
  EXPECT_EQ(report.changed.front().row, to_bytes(guest_.record.bytes()));
  EXPECT_EQ(report.unrecorded_total + report.missing_total, 0);
}

TEST_P(VaultRotation, under_way_in_restored_data_waits_for_a_digest_key_that_is_taken_up) {
  engage_and_plant();
  bench_.rotation_settings.batch = 16;
  bench_.reopen();
  const std::vector<std::pair<KeyKind, RotationPhase>> stops = {
      {KeyKind::subject, RotationPhase::renewing},
      {KeyKind::subject, RotationPhase::moving},
      {KeyKind::authority, RotationPhase::moving},
      {KeyKind::external, RotationPhase::moving},
      {KeyKind::external, RotationPhase::cleaning}};
  for (auto [kind, phase] : stops) {
    const auto here = name(kind) + " in phase " + std::to_string(std::to_underlying(phase));
    rotate(kind);
    while (last().phase != phase) ASSERT_EQ(steps(1), 1) << here;
    ASSERT_EQ(steps(1), 1) << here;  // a batch of it
    auto file = bench_.backup();
    steps();
    rotate(KeyKind::digest);
    steps();

    bench_.restore(file);
    bench_.create("ext:" + std::to_string(500 + bench_.log().size()),
                  {{"email", "new@example.org"}});  // its event is under the newest key
    steps();

    EXPECT_TRUE(all_wait()) << here;
    expect_all_well(here);
    expect_sound(here);
  }
}

TEST_P(VaultRotation, is_refused_a_start_with_a_keyring_from_before) {
  auto before = std::make_shared<crypto::KeySet>(bench_.keys().get()->ring.copy());
  rotate(KeyKind::index);
  steps();
  bench_.keys().set(before);

  EXPECT_EQ(code_of(bench_.run(bench_.rotations().prepare())), Code::conflict);
}

TEST_P(VaultRotation, of_the_journal_announces_the_new_key_and_old_checkpoints_still_verify) {
  auto verifier = must(journal::parse_verifier_key(bench_.log().verifier()));
  auto old_head = bench_(bench_.log().checkpoint());
  rotate(KeyKind::journal, true);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::done);

  EXPECT_TRUE(journal::open_checkpoint(old_head, verifier.key));
  auto next = must(journal::parse_verifier_key(bench_.log().verifier()));
  EXPECT_NE(next.key, verifier.key);
  EXPECT_TRUE(journal::open_checkpoint(bench_(bench_.log().checkpoint()), next.key));
  std::string announced;
  for (const auto& stored : bench_(bench_.log().read(0, 1000)))
    if (stored.entry.contains("journal.key_rolled")) announced = stored.entry;
  EXPECT_TRUE(announced.contains(bench_.log().verifier()));
  bench_.reopen();
  EXPECT_EQ(must(journal::parse_verifier_key(bench_.log().verifier())).key, next.key);
}

TEST_P(VaultRotation, of_idempotency_keys_still_knows_what_was_asked_before) {
  auto ask = [&] {
    CreateRecords request{.collection = "customers",
                          .subject = "ext:700",
                          .values = values({{"phone", "030 1234700"}}),
                          .idempotency_key = "one"};
    return bench_(bench_.records().create({}, std::move(request))).records.front().record;
  };
  auto first = ask();
  bench_.journal_time = bench_.clock().now();
  rotate(KeyKind::idempotency, true);
  steps();

  EXPECT_EQ(ask(), first);
  ASSERT_EQ(last().phase, RotationPhase::waiting);
  bench_.journal_time = *last().destroyed_from;
  steps();
  EXPECT_EQ(last().phase, RotationPhase::done);
}

TEST_P(VaultRotation, tells_its_progress_and_knows_no_other) {
  auto begun = rotate(KeyKind::subject);
  EXPECT_EQ(begun.phase, RotationPhase::adding);
  EXPECT_EQ(begun.from, 0);
  steps();

  auto row = bench_(bench_.rotations().progress({}, {begun.rotation})).rotations.front();
  EXPECT_EQ(row.phase, RotationPhase::waiting);
  EXPECT_GT(row.moved, 13);
  EXPECT_GT(row.total, 0);
  EXPECT_EQ(code_of(bench_.run(
                bench_.rotations().progress({}, {RotationId::make(bench_.clock().now())}))),
            Code::not_found);
}

TEST_P(VaultRotation, of_authority_and_side_keys_moves_holds_that_then_still_hold) {
  engage_and_plant();
  auto raw = bench_.raw();
  const auto sealed_before = raw.bytes("select sealed from vault_holds where released_ms is null");

  rotate(KeyKind::authority, true);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::done) << last().doing;
  rotate(KeyKind::side, true);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::done) << last().doing;
  bench_.reopen();

  auto after = bench_.raw();
  EXPECT_EQ(after.number("select count(*) from vault_holds where mac_key = 2"), 2);
  const auto sealed = after.bytes("select sealed from vault_holds where released_ms is null");
  EXPECT_NE(sealed, sealed_before);
  auto refused = bench_.run(bench_.records().remove({}, {guest_.record, {}}));
  EXPECT_EQ(code_of(refused), Code::conflict);
  EXPECT_EQ(must(bench_.swept()).damaged, 0);
  auto lifted = bench_(bench_.retention().unhold({}, {hold_.hold, "settled"}));
  EXPECT_TRUE(lifted.lifted);
  EXPECT_FALSE(bench_(bench_.holds().held(guest_.subject, MonoTime::max())));
  EXPECT_EQ(bench_(bench_.records().remove({}, {guest_.record, {}})).deleted, 1);
  expect_sound("after lifting");
}

TEST_P(VaultRotation, leaves_no_row_broken_that_was_being_closed_or_lifted_when_it_was_moved) {
  engage_and_plant();
  for (auto kind : {KeyKind::subject, KeyKind::side}) {
    rotate(kind, true);
    while (last().phase != RotationPhase::moving) ASSERT_EQ(steps(1), 1);
    bench_.journal().before_commit = [this] { return go_on(this, 40); };

    const auto first = kind == KeyKind::subject
                           ? code_of(bench_.run(bench_.engagements().close({}, {engagement_, {}})))
                           : code_of(bench_.run(bench_.retention().unhold({}, {hold_.hold, "x"})));
    const auto second = kind == KeyKind::subject
                            ? code_of(bench_.run(bench_.engagements().close({}, {engagement_, {}})))
                            : code_of(bench_.run(bench_.retention().unhold({}, {hold_.hold, "x"})));

    steps();
    EXPECT_EQ(first, Code::conflict) << name(kind);
    EXPECT_FALSE(second) << name(kind);
    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    expect_sound(name(kind));
  }
  auto found = bench_(bench_.engagements().find({}, {.kind = "repair", .reference = "R-1"}));
  EXPECT_EQ(found.damaged, 0);
  EXPECT_EQ(bench_(bench_.retention().holds({}, {.ended = true})).holds.size(), 2u);
}

TEST_P(VaultRotation, names_a_hold_that_was_bent_and_keeps_the_key_that_tells) {
  engage_and_plant();
  auto raw = bench_.raw();
  const auto where = " where id = " + raw.literal(hold_.hold.bytes());
  raw.run("update vault_holds set placed_by = 'key_other'" + where);

  rotate(KeyKind::authority, true);
  steps();

  EXPECT_EQ(last().phase, RotationPhase::stopped);
  ASSERT_EQ(last().refused_rows.size(), 1u);
  EXPECT_EQ(last().refused_rows.front(), "holds " + hold_.hold.text());
  EXPECT_NE(bench_.keys().get()->ring.find(crypto::KeyUse::authority, 1), nullptr);
  EXPECT_EQ(bench_.state().changed_total, 1);
  raw.run("update vault_holds set placed_by = 'key_privacy'" + where);
  rotate(KeyKind::authority, true);
  steps();
  EXPECT_EQ(last().phase, RotationPhase::done) << last().doing;
  expect_all_well("put right");
  expect_sound("put right");
}

TEST_P(VaultRotation, waits_for_its_window_while_the_next_one_of_its_kind_moves_on) {
  engage_and_plant();
  for (auto kind : {KeyKind::epoch, KeyKind::index, KeyKind::external, KeyKind::authority,
                    KeyKind::side, KeyKind::digest}) {
    bench_.journal_time = bench_.clock().now();
    rotate(kind);
    steps();
    ASSERT_EQ(last().phase, RotationPhase::waiting) << name(kind);
    const auto first = last().rotation;
    const auto due = *last().destroyed_from;

    rotate(kind);
    steps();
    ASSERT_EQ(last().phase, RotationPhase::waiting) << name(kind);
    const auto use = *use_of(kind);
    EXPECT_EQ(bench_.keys().get()->ring.ids(use).size(), 3u) << name(kind);

    bench_.journal_time = due;
    steps();
    auto progress = bench_(bench_.rotations().progress({}, {.rotation = first}));
    EXPECT_EQ(progress.rotations.front().phase, RotationPhase::done)
        << name(kind) << ": " << progress.rotations.front().doing;
    EXPECT_EQ(bench_.keys().get()->ring.find(use, 1), nullptr) << name(kind);

    bench_.journal_time = due + Millis(60LL * 86'400'000);
    steps();
    EXPECT_EQ(bench_.keys().get()->ring.ids(use).size(), 1u) << name(kind);
    expect_all_well(name(kind));
    expect_sound(name(kind));
  }
}

TEST_P(VaultRotation, at_once_hurries_those_of_its_kind_that_wait) {
  rotate(KeyKind::side);
  steps();
  rotate(KeyKind::authority);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::waiting);

  rotate(KeyKind::authority, true);
  steps();

  using crypto::KeyUse;
  const auto ring = bench_.keys().get()->ring.copy();
  EXPECT_EQ(ring.ids(KeyUse::authority), (std::vector<std::uint32_t>{3}));
  EXPECT_EQ(ring.ids(KeyUse::side), (std::vector<std::uint32_t>{2, 1})) << "others go on waiting";
  expect_all_well("authority");
  expect_sound("authority");
}

TEST_P(VaultRotation, of_idempotency_keys_at_once_leaves_earlier_ones_their_day) {
  const auto ring = [&] { return bench_.keys().get()->ring.ids(crypto::KeyUse::idempotency); };
  bench_.journal_time = bench_.clock().now();
  rotate(KeyKind::idempotency);
  steps();

  rotate(KeyKind::idempotency, true);
  steps();
  EXPECT_EQ(ring(), (std::vector<std::uint32_t>{3, 2, 1}));
  *bench_.journal_time += Millis(86'400'000);
  steps();

  EXPECT_EQ(ring(), (std::vector<std::uint32_t>{3}));
}

TEST_P(VaultRotation, of_subjects_again_goes_by_the_next_number) {
  for (int i = 0; i < 2; ++i) {
    auto begun = rotate(KeyKind::subject, true);
    EXPECT_EQ(begun.to, i + 1);
    steps();
    ASSERT_EQ(last().phase, RotationPhase::done) << last().doing;
  }
  expect_all_well("after two");
  EXPECT_EQ(
      bench_.raw().number("select count(*) from vault_subject_keys where retired_ms is not null"),
      0);
}

TEST_P(VaultRotation, of_subjects_passes_by_keys_of_customers_who_are_not_in_the_data) {
  bench_.rotation_settings.batch = 1;
  bench_.reopen();
  const auto late = bench_.create("ext:late", {{"email", "late@example.org"}});
  auto raw = bench_.raw();
  const auto id = raw.literal(to_bytes(late.subject.bytes()));
  raw.run("delete from vault_records where subject = " + id);
  raw.run("delete from vault_subjects where id = " + id);

  rotate(KeyKind::subject, true);
  steps();

  EXPECT_EQ(last().phase, RotationPhase::done) << last().doing;
  expect_all_well("beside keys of nobody");
}

TEST_P(VaultRotation, serves_tokens_between_any_two_steps) {
  int made = 0;
  bench_.rotation_settings.batch = 16;
  bench_.reopen();
  for (auto kind : {KeyKind::token, KeyKind::subject, KeyKind::digest, KeyKind::epoch}) {
    rotate(kind, true);
    std::vector<std::pair<std::string, std::string>> numbers;
    int count = 0;
    do {
      auto value = std::to_string(5'000'000 + ++made);
      auto first = tokens_of("ext:1", {{"number", value}, {"phone", "030 " + value}});
      numbers.emplace_back(first[0].second, value);
      EXPECT_EQ(tokens_of("ext:1", {{"phone", "030 " + value}})[0].second, first[1].second)
          << name(kind);
      EXPECT_EQ(
          tokens_of("ext:" + std::to_string(10 + made % 10), {{"email", "both@example.org"}})[0]
              .second,
          bobs_[1].second)
          << name(kind);
      if (count % 3 == 1)
        bench_(bench_.tokens().remove({}, {{std::exchange(numbers.front().first, {})}}));
      if (numbers.front().first.empty()) numbers.erase(numbers.begin());
      ASSERT_LT(++count, 500) << name(kind);
    } while (steps(1) == 1);

    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    for (const auto& [token, value] : numbers) EXPECT_EQ(opened_token(token), value) << name(kind);
    expect_all_well(name(kind));
    expect_sound(name(kind));
  }
}

TEST_P(VaultRotation, of_the_token_key_leaves_nothing_under_the_old_one) {
  auto raw = bench_.raw();
  rotate(KeyKind::token, true);
  steps();

  ASSERT_EQ(last().phase, RotationPhase::done) << last().doing;
  EXPECT_EQ(raw.number("select count(*) from vault_tokens where key_id = 1"), 0);
  EXPECT_EQ(raw.number("select count(*) from vault_tokens where key_id = 2"), 9);
  EXPECT_EQ(bench_.keys().get()->ring.find(crypto::KeyUse::token, 1), nullptr);
  EXPECT_EQ(bench_.keys().get()->tokens.size(), 1u);
  expect_all_well("under the second token key");
  expect_sound("under the second token key");
}

TEST_P(VaultRotation, of_the_token_key_lets_a_value_go_that_its_record_has_no_more) {
  CreateTokens request{.subject = "ext:1",
                       .collection = "shop",
                       .values = values({{"plain", "old"}}),
                       .items = {},
                       .idempotency_key = {}};
  auto made = bench_(bench_.tokens().create({}, std::move(request))).items.front();
  auto token = made.tokens.front().second.token;
  bench_(bench_.records().update({}, {*made.record, values({{"plain", "new"}}), {}, {}}));

  rotate(KeyKind::token, true);
  steps();

  ASSERT_EQ(last().phase, RotationPhase::done) << last().doing;
  EXPECT_EQ(
      bench_.raw().number("select count(*) from vault_tokens where value_term is null and id = " +
                          bench_.raw().literal(TokenId::parse(token)->bytes())),
      1);
  EXPECT_EQ(opened_token(token), "new");
  EXPECT_NE(tokens_of("ext:1", {{"plain", "old"}})[0].second, token);
  expect_sound("after the value was let go");
}

TEST_P(VaultRotation, of_the_token_key_again_while_the_first_waits_for_its_date) {
  bench_.journal_time = bench_.clock().now();
  rotate(KeyKind::token);
  steps();
  ASSERT_EQ(last().phase, RotationPhase::waiting);
  auto due = *last().destroyed_from;
  rotate(KeyKind::token);
  steps();
  ASSERT_EQ(bench_(bench_.rotations().progress({}, {})).rotations.size(), 2u);
  expect_all_well("with three token keys");

  bench_.journal_time = due + Millis(1);
  steps();

  for (const auto& row : bench_(bench_.rotations().progress({}, {})).rotations)
    EXPECT_EQ(row.phase, RotationPhase::done) << row.doing;
  EXPECT_EQ(bench_.keys().get()->tokens.size(), 1u);
  expect_all_well("with the third alone");
  expect_sound("with the third alone");
}

TEST_P(VaultRotation, names_a_token_of_another_hand_goes_on_and_keeps_the_old_key) {
  auto raw = bench_.raw();
  const std::string where = " where subject = " + raw.literal(bob_.subject.bytes()) +
                            " and field = 2 and text_term is not null";
  const auto before = raw.bytes("select text_sealed from vault_tokens" + where);
  for (auto kind : {KeyKind::token, KeyKind::subject, KeyKind::digest}) {
    auto sealed = raw.bytes("select text_sealed from vault_tokens" + where);
    auto damaged = sealed;
    damaged.back() ^= 1;
    raw.run("update vault_tokens set text_sealed = " + raw.literal(damaged) + where);

    rotate(kind, true);
    steps();

    auto stopped = last();
    EXPECT_EQ(stopped.phase, RotationPhase::stopped) << name(kind);
    ASSERT_EQ(stopped.refused_rows.size(), 1u) << name(kind);
    EXPECT_TRUE(stopped.refused_rows.front().starts_with("tokens tok_")) << name(kind);
    EXPECT_EQ(opened_token(bobs_[0].second), "corrupt") << name(kind);
    EXPECT_EQ(opened_token(anns_[2].second), "030 1112222") << name(kind);
    if (auto use = use_of(kind)) {
      EXPECT_NE(bench_.keys().get()->ring.find(*use, 1), nullptr) << name(kind);
    }

    raw.run("update vault_tokens set text_sealed = " + raw.literal(sealed) + where);
    rotate(kind, true);
    steps();
    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    expect_all_well(name(kind));
    if (kind != KeyKind::digest) expect_sound(name(kind));
  }
  auto report = bench_.state();
  EXPECT_EQ(report.changed_total, 1) << "told anew while it was damaged: it stays named";
  EXPECT_EQ(report.missing_total + report.unrecorded_total, 0);
  EXPECT_NE(raw.bytes("select text_sealed from vault_tokens" + where), before);
}

TEST_P(VaultRotation, moves_tokens_of_a_customer_who_was_merged_into_another) {
  bench_(bench_.subjects().merge({}, {"ext:1", "ext:2", {}}));
  for (auto kind : {KeyKind::token, KeyKind::subject, KeyKind::digest, KeyKind::epoch}) {
    rotate(kind, true);
    steps();

    EXPECT_EQ(last().phase, RotationPhase::done) << name(kind) << ": " << last().doing;
    for (const auto* tokens : {&anns_, &bobs_})
      for (const auto& [field, token] : *tokens)
        EXPECT_EQ(opened_token(token), value_of(field)) << name(kind) << ": " << field;
    EXPECT_EQ(equal_tokens("ext:2"), (decltype(anns_){anns_.begin() + 2, anns_.end()}));
    expect_sound(name(kind));
  }
}

}  // namespace
}  // namespace holdfast::vault
