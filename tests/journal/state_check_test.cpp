#include "journal/state_check.h"

#include <map>

#include "journal/log_bench.h"
#include "support/database.h"

namespace holdfast::journal {
namespace {

/// Rows as a room would keep them.
struct Room : StateSource {
  std::map<std::pair<std::string, Bytes>, crypto::Digest> held;
  LogBench* writes_meanwhile = nullptr;

  Task<Result<void>> rows(Report report) override {
    for (const auto& [key, digest] : held) report(key.first, key.second, digest);
    if (writes_meanwhile) {
      auto done = co_await writes_meanwhile->log().commit(
          Caller{}, {},
          {.activity = "records.update",
           .touches = {{.kind = "records", .row = {1}, .left = crypto::Digest{77}}}});
      if (!done) co_return std::move(done).error();
    }
    co_return Result<void>();
  }
  Task<Result<void>> rows_under(std::shared_ptr<const crypto::KeySet>, Report report) override {
    co_return co_await rows(std::move(report));
  }
};

class StateBench : public OnBoth {
 protected:
  LogBench bench_{GetParam()};
  Room room_;

  void SetUp() override {
    Event event{.activity = "records.create"};
    for (std::uint8_t i = 0; i < 10; ++i) {
      event.touches.push_back(
          {.subject = subject(i), .kind = "records", .row = {i}, .left = crypto::Digest{i, 1}});
      room_.held[{"records", {i}}] = crypto::Digest{i, 1};
    }
    bench_.commit(event);
    update(3, crypto::Digest{3, 2});
    update(4, crypto::Digest{});
    room_.held.erase({"records", {4}});
  }
  void update(std::uint8_t row, crypto::Digest left) {
    bench_.commit({.activity = "records.update",
                   .touches = {{.kind = "records", .row = {row}, .left = left}}});
    room_.held[{"records", {row}}] = left;
  }
  StateReport check() { return bench_(check_state(bench_.log(), {&room_})); }
};
INSTANTIATE_TEST_SUITE_P(Databases, StateBench, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST(StateRow, is_named_as_commands_name_it) {
  const auto id = RecordId::make(from_ms(1));

  EXPECT_EQ(name_of({.kind = "records", .row = to_bytes(id.bytes())}), id.text());
  EXPECT_EQ(name_of({.kind = "subject_keys", .row = Bytes(16)}), SubjectId{}.text());
  EXPECT_EQ(name_of({.kind = "roles", .row = to_bytes("desk")}), "desk");
  EXPECT_EQ(name_of({.kind = "records", .row = {1, 2, 3}}), "AQID") << "somebody wrote it";
  EXPECT_EQ(name_of({.kind = "roles", .row = to_bytes("a\n")}), "YQo");
}

TEST_P(StateBench, finds_rows_as_their_events_left_them) {
  auto report = check();

  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.rows, 9);
  EXPECT_EQ(report.moving, 0);
}

TEST_P(StateBench, names_a_row_that_was_changed_and_one_that_is_as_it_was_before) {
  room_.held[{"records", {1}}] = crypto::Digest{99};
  room_.held[{"records", {3}}] = crypto::Digest{3, 1};

  auto report = check();

  EXPECT_EQ(report.changed_total, 2);
  ASSERT_EQ(report.changed.size(), 2u);
  EXPECT_EQ(report.changed[0].row, Bytes{1});
  EXPECT_EQ(report.changed[0].kind, "records");
  EXPECT_EQ(report.changed[1].row, Bytes{3});
  EXPECT_EQ(report.changed[1].seq, report.changed[0].seq + 1);
}

TEST_P(StateBench, names_a_row_that_a_rotation_found_changed_until_somebody_writes_it) {
  auto rotate = [&](std::uint8_t row, crypto::Digest was, crypto::Digest left) {
    bench_.commit({.activity = "keys.rotating",
                   .touches = {{.kind = "records", .row = {row}, .left = left, .was = was}}});
    room_.held[{"records", {row}}] = left;
  };
  rotate(1, crypto::Digest{1, 1}, crypto::Digest{1, 9});   // as its event had left it
  rotate(2, crypto::Digest{66, 6}, crypto::Digest{2, 9});  // not so
  EXPECT_EQ(check().changed_total, 1);

  rotate(2, crypto::Digest{2, 9}, crypto::Digest{2, 10});
  auto report = check();
  ASSERT_EQ(report.changed_total, 1) << "another rotation hides nothing";
  EXPECT_EQ(report.changed.front().row, Bytes{2});

  update(2, crypto::Digest{2, 11});
  EXPECT_TRUE(check().good());
}

TEST_P(StateBench, takes_rows_that_are_told_anew_as_of_when_they_were_read) {
  ASSERT_TRUE(check().good());
  const auto as_of = bench_.log().size();
  update(1, crypto::Digest{1, 5});  // after it was read, before it is told
  Event told{.activity = kRestate,
             .touches = {{.kind = "records",
                          .row = {1},
                          .left = crypto::Digest{1, 8},
                          .was = crypto::Digest{1, 1}},
                         {.kind = "records",
                          .row = {2},
                          .left = crypto::Digest{2, 8},
                          .was = crypto::Digest{2, 1}},
                         {.kind = "records",
                          .row = {5},
                          .left = crypto::Digest{5, 1},
                          .was = crypto::Digest{5, 7}}},
             .facts = {{"as_of", as_of}}};
  bench_.commit(std::move(told));
  room_.held[{"records", {2}}] = crypto::Digest{2, 8};

  auto report = check();

  EXPECT_TRUE(report.good())
      << "what was touched since counts, and one that was the new one already";
}

TEST_P(StateBench, names_rows_that_no_event_made_and_one_that_came_back) {
  room_.held[{"records", {50}}] = crypto::Digest{1};
  room_.held[{"api_keys", {1}}] = crypto::Digest{1};
  room_.held[{"records", {4}}] = crypto::Digest{4, 1};

  auto report = check();

  EXPECT_EQ(report.unrecorded_total, 3);
  ASSERT_EQ(report.unrecorded.size(), 3u);
  EXPECT_EQ(report.unrecorded[0].kind, "api_keys");
  EXPECT_EQ(report.unrecorded[0].seq, -1);
  EXPECT_EQ(report.unrecorded[1].row, Bytes{4});
  EXPECT_GE(report.unrecorded[1].seq, 0);
}

TEST_P(StateBench, names_rows_that_are_gone_without_an_event) {
  room_.held.erase({"records", {7}});

  auto report = check();

  EXPECT_EQ(report.missing_total, 1);
  ASSERT_EQ(report.missing.size(), 1u);
  EXPECT_EQ(report.missing[0].row, Bytes{7});
}

TEST_P(StateBench, leaves_out_what_events_touch_while_it_runs) {
  room_.held[{"records", {1}}] = crypto::Digest{77};
  room_.writes_meanwhile = &bench_;

  auto report = check();

  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.moving, 1);
}

}  // namespace
}  // namespace holdfast::journal
