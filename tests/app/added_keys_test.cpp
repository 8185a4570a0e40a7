// A store of an earlier version: its keyring gets the keys that came later, once and recorded.
#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>

#include "app/instance.h"
#include "app/unlock.h"
#include "crypto/aead.h"
#include "crypto/keyring.h"
#include "crypto/unlock/file.h"
#include "support/temp_dir.h"

namespace holdfast::app {
namespace {

namespace fs = std::filesystem;

/// A keyring file as the first version wrote it: uses 1 to 10, one key each (crypto/README.md).
Bytes first_keyring(const Secret& root, BytesView store_id) {
  Bytes file = to_bytes("HFKEYRNG");
  put_u8(file, 1);
  file.insert(file.end(), store_id.begin(), store_id.end());
  put_u64(file, 1);
  Bytes entries;
  put_u32(entries, 10);
  for (std::uint8_t use = 1; use <= 10; ++use) {
    put_u8(entries, use);
    put_u32(entries, 1);
    put_u64(entries, 0);
    put_u8(entries, 1);
    auto key = random_bytes(32);
    entries.insert(entries.end(), key.begin(), key.end());
  }
  auto body = crypto::seal(root.expose(), 0, entries, file);
  file.insert(file.end(), body.begin(), body.end());
  auto check = crypto::sha256(file);
  file.insert(file.end(), check.begin(), check.end());
  return file;
}

class AddedKeys : public testing::Test {
 protected:
  AddedKeys() {
    fs::create_directories(dir_ / "store");
    config_.emplace(Config::load(dir_ / "store", {}).value());
    auto store_id = random_bytes(16);
    root_ = crypto::make_key_file(config_->path("keys.file"), store_id).value();
    auto file = first_keyring(root_, store_id);
    std::ofstream(ring_file(), std::ios::binary) << as_text(file);
    fs::permissions(ring_file(), fs::perms::owner_read | fs::perms::owner_write);
  }
  fs::path ring_file() const { return config_->path("keys.keyring"); }
  crypto::Keyring ring() const { return crypto::read_keyring(ring_file(), root_).value(); }
  Result<std::unique_ptr<Instance>> open() {
    auto store = crypto::open_store(root_files(*config_), {});
    if (!store) return std::move(store).error();
    return Instance::open(
        *config_, std::move(*store), cores_,
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>()));
  }

  test::TempDir dir_;
  Cores cores_{1};
  std::optional<Config> config_;
  Secret root_;
};

TEST_F(AddedKeys, are_recorded_and_written_at_the_start) {
  auto old = ring();

  auto instance = open();

  ASSERT_TRUE(instance) << instance.error().text;
  EXPECT_EQ((*instance)->log().size() > 0, true);
  (*instance)->stop();
  auto now = ring();
  EXPECT_TRUE(old.missing().size() > 0 && now.missing().empty());
  EXPECT_EQ(now.generation(), 2u);
  EXPECT_TRUE(now.holds_all_of(old));
}

TEST_F(AddedKeys, are_added_once) {
  (*open().value()).stop();
  auto first = ring();

  auto instance = open();

  ASSERT_TRUE(instance);
  (*instance)->stop();
  EXPECT_EQ(ring().generation(), first.generation());
  EXPECT_TRUE(ring().holds_all_of(first));
}

TEST_F(AddedKeys, are_the_same_after_a_crash_before_they_were_written) {
  auto old = ring();
  fs::copy_file(ring_file(), dir_ / "old");
  (*open().value()).stop();
  auto first = ring();
  fs::copy_file(dir_ / "old", ring_file(), fs::copy_options::overwrite_existing);

  (*open().value()).stop();

  EXPECT_TRUE(ring().holds_all_of(first)) << "what was found by them is found still";
}

}  // namespace
}  // namespace holdfast::app
