// Which data and keys files go together: everything that does not is refused, with what to take
// instead.
#include "app/backup_window.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "app/backup.h"
#include "support/temp_dir.h"

namespace holdfast::app {
namespace {

using crypto::KeyUse;
using vault::KeyKind;
using vault::Rotation;
using vault::RotationPhase;

const Time kNow = from_ms(1'790'000'000'000);

Rotation rotation(KeyKind kind, std::uint32_t from, RotationPhase phase) {
  return {.kind = kind, .from = from, .to = from + 1, .phase = phase};
}

struct Case {
  crypto::Keyring ring = crypto::Keyring::make(kNow);
  DataState data{.origin = "holdfast/shop", .journal_size = 100, .rotations = {}};
  KeysWindow window{.made = kNow, .journal_size = 100};
  std::vector<std::uint32_t> epochs{1};

  std::string refusal() const {
    auto fit = fits(data, window, epochs, ring);
    return fit ? "" : std::string(fit.error().text);
  }
};

TEST(BackupWindow, files_of_one_backup_go_together) {
  Case files;

  EXPECT_EQ(files.refusal(), "");
}

TEST(BackupWindow, says_how_far_the_afterlog_had_come) {
  KeysWindow window{.made = kNow, .journal_size = 100};
  journal::AfterlogEnd end{.lines = 7, .digest = {1, 2, 3}};

  put_afterlog(window, end);
  auto read = read_window(to_json(window));

  ASSERT_TRUE(read);
  EXPECT_EQ(afterlog_of(*read).value(), end);
}

TEST(BackupWindow, of_an_earlier_version_says_nothing_of_the_afterlog) {
  auto read = read_window(
      R"({"made":"2026-09-22T00:00:00.000Z","journal_size":1,"subject_begun":0,"subject_finished":0})");

  ASSERT_TRUE(read);
  EXPECT_FALSE(afterlog_of(*read).value());
  EXPECT_FALSE(read->origin);
  EXPECT_TRUE(read->left.empty());
}

TEST(BackupWindow, half_an_end_of_the_afterlog_is_damage) {
  KeysWindow window{.made = kNow, .journal_size = 100};
  window.afterlog_lines = 7;

  EXPECT_EQ(afterlog_of(window).error().code, Code::corrupt);
  window.afterlog_digest = "00";
  EXPECT_EQ(afterlog_of(window).error().code, Code::corrupt);
}

TEST(BackupWindow, older_data_goes_with_the_newest_keys) {
  Case files;
  files.data.journal_size = 3;
  files.ring = files.ring.with_new(KeyUse::epoch, kNow).without(KeyUse::epoch, 1);
  files.epochs = {2};

  EXPECT_EQ(files.refusal(), "") << "whatever epochs went by";
}

TEST(BackupWindow, keys_that_are_older_than_the_data_are_refused) {
  Case files;
  files.data.journal_size = 101;

  EXPECT_NE(files.refusal().find("keys file is older than the data"), std::string::npos);
}

/// A log that was restored twice: first with keys of its 40 entries, then of 170.
Case restored_twice() {
  Case files;
  files.window.origin = "holdfast/shop/3";
  files.window.left = {{"holdfast/shop", 40}, {"holdfast/shop/2", 170}};
  return files;
}

TEST(BackupWindow, data_goes_with_the_keys_that_a_restore_brought_along_whatever_followed) {
  auto files = restored_twice();
  for (auto [origin, size] : {std::pair("holdfast/shop/3", 100), std::pair("holdfast/shop", 40),
                              std::pair("holdfast/shop/2", 170)}) {
    files.data.origin = origin;
    files.data.journal_size = size;
    EXPECT_EQ(files.refusal(), "") << origin;
  }
}

TEST(BackupWindow, data_of_a_history_that_was_left_is_refused_whatever_its_size) {
  auto files = restored_twice();
  for (auto [origin, size] : {std::pair("holdfast/shop", 41), std::pair("holdfast/shop/2", 171),
                              std::pair("holdfast/shop/9", 1), std::pair("holdfast/shop/9", 200)}) {
    files.data.origin = origin;
    files.data.journal_size = size;
    EXPECT_NE(files.refusal().find("of two histories"), std::string::npos) << origin;
  }
}

TEST(BackupWindow, data_and_keys_of_two_stores_are_refused) {
  auto files = restored_twice();
  files.data.origin = "holdfast/another";

  EXPECT_NE(files.refusal().find("of two stores"), std::string::npos);
}

TEST(BackupWindow, keys_from_before_a_restore_are_older_than_the_data_from_after_it) {
  Case files;
  files.window.origin = "holdfast/shop";
  files.data.origin = "holdfast/shop/2";
  files.data.journal_size = 50;
  files.data.left = {{"holdfast/shop", 40}};

  EXPECT_NE(files.refusal().find("keys file is older than the data"), std::string::npos);
}

TEST(BackupWindow, of_a_log_that_an_earlier_version_restored_sizes_alone_are_compared) {
  auto files = restored_twice();
  files.window.left.erase(files.window.left.begin());
  files.data.origin = "holdfast/shop";

  EXPECT_EQ(files.refusal(), "");
  files.data.journal_size = 101;
  EXPECT_NE(files.refusal().find("keys file is older than the data"), std::string::npos);
}

TEST(BackupWindow, data_under_a_key_that_the_keyring_does_not_have_yet_is_refused) {
  Case files;
  files.data.rotations = {rotation(KeyKind::index, 1, RotationPhase::moving)};

  EXPECT_NE(files.refusal().find("keys file is older than the data"), std::string::npos);
}

TEST(BackupWindow, data_from_before_a_destroyed_key_is_refused) {
  for (auto [kind, use] :
       {std::pair(KeyKind::index, KeyUse::index), std::pair(KeyKind::external, KeyUse::external),
        std::pair(KeyKind::authority, KeyUse::authority),
        std::pair(KeyKind::digest, KeyUse::digest), std::pair(KeyKind::side, KeyUse::side)}) {
    Case files;
    auto both = files.ring.with_new(use, kNow);
    files.ring = both.copy();
    EXPECT_EQ(files.refusal(), "") << "the old key is still there";

    files.ring = both.without(use, 1);
    EXPECT_NE(files.refusal().find("data file is older"), std::string::npos);

    files.data.rotations = {rotation(kind, 1, RotationPhase::moving)};
    EXPECT_NE(files.refusal().find("data file is older"), std::string::npos)
        << "half of its rows are under the old key";

    files.data.rotations = {rotation(kind, 1, RotationPhase::waiting)};
    EXPECT_EQ(files.refusal(), "") << "all of its rows are under the new key";
  }
}

TEST(BackupWindow, subject_keys_are_told_by_the_number_of_their_rotation) {
  Case files;
  files.window = window_of(kNow, 100, {rotation(KeyKind::subject, 0, RotationPhase::done)});

  EXPECT_NE(files.refusal().find("data file is older"), std::string::npos);
  files.data.rotations = {rotation(KeyKind::subject, 0, RotationPhase::waiting)};
  EXPECT_EQ(files.refusal(), "");
  files.data.rotations.push_back(rotation(KeyKind::subject, 1, RotationPhase::moving));
  EXPECT_NE(files.refusal().find("keys file is older than the data"), std::string::npos);
}

TEST(BackupWindow, replaced_subject_keys_go_with_an_epoch_that_is_destroyed_before_their_date) {
  auto subject = rotation(KeyKind::subject, 0, RotationPhase::waiting);
  auto epoch = rotation(KeyKind::epoch, 1, RotationPhase::done);
  subject.started = kNow;
  for (auto [began, refused] : {std::pair(kNow + Millis(1), true), {kNow - Millis(1), false}}) {
    Case files;
    epoch.started = began;
    files.window = window_of(kNow, 100, {subject, epoch});

    EXPECT_EQ(files.refusal().find("data file is older") != std::string::npos, refused);
    files.data.rotations = {subject};
    EXPECT_EQ(files.refusal(), "");
  }
}

TEST(BackupWindow, a_keys_file_whose_epoch_was_destroyed_is_past_its_window) {
  Case files;
  files.ring = files.ring.with_new(KeyUse::epoch, kNow).without(KeyUse::epoch, 1);

  EXPECT_NE(files.refusal().find("past its window"), std::string::npos);
}

TEST(BackupWindow, a_keyring_that_is_older_than_the_keys_file_is_named) {
  Case files;
  files.epochs = {1, 2};

  EXPECT_NE(files.refusal().find("keyring that is here is older"), std::string::npos);
}

TEST(BackupWindow, is_read_back_as_written_and_refused_when_missing) {
  auto window = window_of(kNow, 7, {rotation(KeyKind::subject, 2, RotationPhase::waiting)});
  window.origin = "shop/2";
  window.left = {{"shop", 3}};

  auto read = read_window(to_json(window));

  ASSERT_TRUE(read);
  EXPECT_EQ(read->made, kNow);
  EXPECT_EQ(read->journal_size, 7);
  ASSERT_EQ(read->left.size(), 1u);
  EXPECT_EQ(read->left[0].origin, "shop");
  EXPECT_EQ(read->left[0].size, 3);
  EXPECT_EQ(read->origin, "shop/2");
  EXPECT_EQ(read->subject_begun, 3);
  EXPECT_EQ(read->subject_finished, 0);
  EXPECT_EQ(read_window("").error().code, Code::corrupt);
  EXPECT_EQ(read_window("{}").error().code, Code::corrupt);
}

TEST(PendingReplay, says_what_the_backup_knew_until_it_is_done) {
  test::TempDir dir;
  KeysWindow window{.made = kNow, .journal_size = 100};
  put_afterlog(window, {.lines = 7, .digest = {1, 2, 3}});
  EXPECT_FALSE(pending_replay(dir.path(), "").value());

  ASSERT_TRUE(note_replay(dir.path(), "", {}));
  auto rolled_back = pending_replay(dir.path(), "").value();
  ASSERT_TRUE(note_replay(dir.path(), "", window));
  ASSERT_TRUE(note_replay(dir.path(), "", {})) << "which leaves the restore";
  auto restored = pending_replay(dir.path(), "").value();
  ASSERT_TRUE(end_replay(dir.path()));

  ASSERT_TRUE(rolled_back && restored);
  EXPECT_FALSE(rolled_back->restored);
  EXPECT_TRUE(restored->restored);
  EXPECT_EQ(restored->afterlog_known.value().end.lines, 7u);
  EXPECT_EQ(restored->afterlog_known.value().at, kNow);
  EXPECT_FALSE(pending_replay(dir.path(), "").value());
  for (const char* damaged : {"{}", "schema shop", "schema shop\n"}) {
    std::ofstream(pending_replay_file(dir.path())) << damaged;
    auto found = pending_replay(dir.path(), damaged[0] == 's' ? "shop" : "");
    ASSERT_FALSE(found) << damaged;
    EXPECT_EQ(found.error().code, Code::corrupt);
  }
}

TEST(PendingReplay, on_postgresql_is_of_one_schema) {
  test::TempDir dir;
  KeysWindow window{.made = kNow, .journal_size = 100};

  ASSERT_TRUE(note_replay(dir.path(), "shop2", window));

  EXPECT_TRUE(pending_replay(dir.path(), "shop2").value().value().restored);
  EXPECT_FALSE(pending_replay(dir.path(), "shop").value());
  EXPECT_FALSE(pending_replay(dir.path(), "").value());
  ASSERT_TRUE(note_replay(dir.path(), "shop2", {}));
  EXPECT_TRUE(pending_replay(dir.path(), "shop2").value().value().restored);
  ASSERT_TRUE(note_replay(dir.path(), "shop", {}));
  EXPECT_FALSE(pending_replay(dir.path(), "shop").value().value().restored);
}

TEST(BackupFiles, with_keys_past_their_time_are_destroyed_also_those_that_were_never_finished) {
  test::TempDir dir;
  const std::string old = "20260101T000000000Z.db", fresh = "20270101T000000000Z.db";
  for (const auto& name :
       {"holdfast-keys-" + old, "holdfast-keys-" + old + ".part", "holdfast-data-" + old + ".part",
        "holdfast-data-" + old + ".part-wal", "holdfast-data-" + old, "holdfast-keys-" + fresh,
        "holdfast-data-" + fresh + ".part", std::string("keyring")})
    std::ofstream(dir / name) << "x";

  auto destroyed = destroy_keys_files(dir.path(), kNow);

  std::set<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path()))
    left.insert(entry.path().filename().string());
  EXPECT_EQ(destroyed.value(), 4);
  EXPECT_EQ(left, (std::set<std::string>{"holdfast-data-" + old, "holdfast-keys-" + fresh,
                                         "holdfast-data-" + fresh + ".part", "keyring"}));
}

}  // namespace
}  // namespace holdfast::app
