#include "journal/journal_time.h"

#include <optional>

#include "journal/log_bench.h"
#include "support/database.h"

namespace holdfast::journal {
namespace {

constexpr Millis kDay{86'400'000};
constexpr Millis kHour{3'600'000};
constexpr Millis kTenYears = 3650 * kDay;

class JournalTimeTest : public OnBoth {
 protected:
  LogBench bench_{GetParam()};
  std::unique_ptr<JournalTime> time_;
  std::optional<Time> server_;  // the database server's clock, where it has one
  bool server_away_ = false;
  bool asks_server_ = false;

  void SetUp() override { start("boot-1"); }

  Task<Result<std::optional<Time>>> server(MonoTime) {
    if (server_away_) co_return Error(Code::unavailable, "away");
    co_return server_;
  }
  JournalTime::Deps deps() {
    JournalTime::Deps out{bench_.log(), bench_.keys(), bench_.clock()};
    if (asks_server_) out.database = [this](MonoTime deadline) { return server(deadline); };
    return out;
  }
  void start(std::string boot, bool continued = true) {
    time_ = std::make_unique<JournalTime>(deps(), JournalTime::Options{continued, std::move(boot)});
    bench_(time_->open());
  }
  /// Off for so long, and another boot of the machine.
  void reboot_after(Millis off, std::string boot = "boot-2", bool continued = true) {
    bench_.clock().advance(off);
    start(std::move(boot), continued);
  }
  void move_clock(Millis by) { bench_.clock().set_now(bench_.clock().now() + by); }
  Time now() { return must(time_->now()); }
  std::optional<Code> refusal() {
    auto out = time_->now();
    return out ? std::nullopt : std::optional(out.error().code);
  }
};
INSTANTIATE_TEST_SUITE_P(Databases, JournalTimeTest, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(JournalTimeTest, begins_with_the_store_and_follows_measured_uptime) {
  auto began = now();

  bench_.clock().advance(3 * kHour);

  EXPECT_EQ(began, bench_.clock().now() - 3 * kHour);
  EXPECT_EQ(now(), bench_.clock().now());
}

TEST_P(JournalTimeTest, does_not_follow_a_clock_that_is_set_forward_ten_years) {
  auto began = now();

  move_clock(kTenYears);
  bench_.clock().advance(kHour);

  EXPECT_EQ(now(), began + kHour);
  EXPECT_EQ(time_->status().behind, kTenYears);
}

TEST_P(JournalTimeTest, does_not_follow_it_over_a_restart_either) {
  auto began = now();

  move_clock(kTenYears);
  start("boot-1");
  auto on_the_same_boot = now();
  start("boot-2");

  EXPECT_EQ(on_the_same_boot, began);
  EXPECT_EQ(now(), began);
}

TEST_P(JournalTimeTest, refuses_when_the_clock_was_set_back_a_day) {
  bench_.clock().advance(kHour);

  move_clock(-kDay);

  EXPECT_EQ(refusal(), Code::unavailable);
  start("boot-2");
  EXPECT_EQ(refusal(), Code::unavailable);
}

TEST_P(JournalTimeTest, stands_no_later_than_a_clock_that_was_set_back_a_little) {
  bench_.clock().advance(kHour);

  move_clock(-Millis(60'000));

  EXPECT_EQ(now(), bench_.clock().now());
}

TEST_P(JournalTimeTest, measures_the_time_between_two_starts_on_one_boot) {
  reboot_after(30 * kDay, "boot-1");

  EXPECT_EQ(now(), bench_.clock().now());
  EXPECT_EQ(time_->status().allowance, kTimeAllowance);
}

TEST_P(JournalTimeTest, takes_a_short_gap_between_two_boots_out_of_the_allowance) {
  reboot_after(2 * kDay);

  EXPECT_EQ(now(), bench_.clock().now());
  EXPECT_EQ(time_->status().allowance, kTimeAllowance - 2 * kDay);
}

TEST_P(JournalTimeTest, leaves_a_longer_gap_to_the_owner) {
  auto before = now();

  reboot_after(8 * kDay);

  EXPECT_EQ(now(), before);
  EXPECT_EQ(time_->status().behind, 8 * kDay);
}

TEST_P(JournalTimeTest, does_not_let_many_small_gaps_add_up) {
  auto began = now();

  for (int i = 0; i < 10; ++i) {
    move_clock(3 * kDay);
    start("boot-" + std::to_string(i + 2));
  }

  EXPECT_LE(now() - began, kTimeAllowance);
}

TEST_P(JournalTimeTest, refills_the_allowance_by_measured_uptime) {
  reboot_after(6 * kDay, "boot-2");
  bench_.clock().advance(5 * kDay);
  bench_(time_->save());

  reboot_after(6 * kDay, "boot-3");

  EXPECT_EQ(now(), bench_.clock().now());
}

TEST_P(JournalTimeTest, leaves_every_gap_to_the_owner_after_a_restore) {
  auto before = now();

  reboot_after(2 * kDay, "boot-2", false);

  EXPECT_EQ(now(), before);
}

TEST_P(JournalTimeTest, closes_a_gap_that_the_owner_confirms_and_records_it) {
  reboot_after(400 * kDay);
  bench_.settle();
  auto size = bench_.log().size();

  auto status = bench_(time_->confirm({.principal = "key_owner"}, bench_.clock().now()));

  EXPECT_EQ(status.time, bench_.clock().now());
  EXPECT_EQ(now(), bench_.clock().now());
  bench_.settle();
  auto entries = bench_(bench_.log().read(size, 10));
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_NE(entries[0].entry.find("retention.confirm_time"), std::string::npos);
  start("boot-3");
  EXPECT_EQ(now(), bench_.clock().now());
}

TEST_P(JournalTimeTest, does_not_let_a_wrong_clock_be_confirmed) {
  auto truth = bench_.clock().now();
  move_clock(kTenYears);

  auto confirmed = bench_.run(time_->confirm({}, truth));

  ASSERT_FALSE(confirmed);
  EXPECT_EQ(confirmed.error().code, Code::invalid);
  EXPECT_EQ(confirmed.error().field.text(), "time");
  EXPECT_EQ(now(), truth);
}

TEST_P(JournalTimeTest, goes_back_when_the_owner_says_so) {
  bench_.clock().advance(kDay);
  move_clock(-kDay);

  bench_(time_->confirm({}, bench_.clock().now()));

  EXPECT_EQ(now(), bench_.clock().now());
}

TEST_P(JournalTimeTest, refuses_a_row_that_was_changed_until_the_owner_confirms) {
  bench_.clock().advance(kHour);
  bench_(time_->save());
  bench_.raw().run("update journal_time set time_ms = time_ms - 1, allowance_ms = 400000000000");

  start("boot-2");

  EXPECT_EQ(refusal(), Code::corrupt);
  bench_(time_->confirm({}, bench_.clock().now()));
  EXPECT_EQ(now(), bench_.clock().now());
  start("boot-3");
  EXPECT_EQ(now(), bench_.clock().now());
}

TEST_P(JournalTimeTest, begins_at_the_oldest_entry_where_the_row_was_taken_out) {
  auto began = now();
  bench_.clock().advance(100 * kDay);
  bench_.raw().run("delete from journal_time");

  start("boot-2");

  EXPECT_EQ(now(), began);
}

TEST_P(JournalTimeTest, refuses_more_than_two_seconds_from_the_database) {
  asks_server_ = true;
  server_ = bench_.clock().now() - Millis(1'999);
  start("boot-1");
  auto near = refusal();

  server_ = bench_.clock().now() - Millis(2'001);
  bench_(time_->tick());

  EXPECT_EQ(near, std::nullopt);
  EXPECT_EQ(refusal(), Code::unavailable);
}

TEST_P(JournalTimeTest, refuses_when_the_databases_clock_was_not_seen_for_five_minutes) {
  asks_server_ = true;
  server_ = bench_.clock().now();
  start("boot-1");
  server_away_ = true;

  bench_.clock().advance(Millis(240'000));
  auto soon = refusal();
  EXPECT_FALSE(bench_.run(time_->tick()));
  bench_.clock().advance(Millis(120'000));

  EXPECT_EQ(soon, std::nullopt);
  EXPECT_EQ(refusal(), Code::unavailable);
}

TEST_P(JournalTimeTest, stands_still_while_the_server_is_locked) {
  auto keys = bench_.keys().get();
  bench_.keys().set(nullptr);

  EXPECT_EQ(refusal(), Code::locked);

  bench_.keys().set(keys);
  EXPECT_EQ(refusal(), std::nullopt);
}

TEST_P(JournalTimeTest, is_written_down_each_hour_and_not_more_often) {
  bench_.settle();
  auto size = bench_.log().size();

  for (int minute = 0; minute < 150; ++minute) {
    bench_.clock().advance(Millis(60'000));
    bench_(time_->tick());
  }

  bench_.settle();
  EXPECT_EQ(bench_.log().size(), size + 2);
}

TEST_P(JournalTimeTest, loses_nothing_but_the_last_hour_when_the_machine_stops) {
  bench_.clock().advance(2 * kHour);
  bench_(time_->tick());
  auto written = now();
  bench_.clock().advance(Millis(1'800'000));
  move_clock(kTenYears);

  start("boot-2");

  EXPECT_EQ(now(), written);
}

TEST_P(JournalTimeTest, takes_over_what_another_node_measured_and_its_owner_confirmed) {
  reboot_after(300 * kDay);
  JournalTime other(deps(), {true, "boot-other"});
  bench_(other.open());
  ASSERT_EQ(must(other.now()), now());

  bench_(time_->confirm({}, bench_.clock().now()));
  bench_(other.save());

  EXPECT_EQ(must(other.now()), bench_.clock().now());
}

}  // namespace
}  // namespace holdfast::journal
