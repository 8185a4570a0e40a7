#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "crypto/unlock/file.h"
#include "support/temp_dir.h"

namespace holdfast::crypto {
namespace {

namespace fs = std::filesystem;
using holdfast::test::TempDir;

const Bytes kStore(16, 0xab);

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

mode_t mode_of(const fs::path& file) {
  struct stat found{};
  EXPECT_EQ(::stat(file.c_str(), &found), 0);
  return found.st_mode & 0777;
}

std::string good_text() {
  TempDir dir;
  EXPECT_TRUE(write_key_file(dir / "root.key", kStore, Secret::copy(Bytes(32, 0x42))));
  return text_of(dir / "root.key");
}

TEST(KeyFile, is_made_with_a_new_key_and_read_back) {
  TempDir dir;

  auto made = make_key_file(dir / "root.key", kStore);
  auto read = read_key_file(dir / "root.key");

  ASSERT_TRUE(made);
  ASSERT_TRUE(read);
  EXPECT_EQ(made->size(), 32u);
  EXPECT_TRUE(read->root.matches(made->expose()));
  EXPECT_EQ(read->store_id, kStore);
}

TEST(KeyFile, and_the_folder_made_for_it_are_for_their_owner_only) {
  TempDir dir;

  ASSERT_TRUE(make_key_file(dir / "etc/keys/root.key", kStore));

  EXPECT_EQ(mode_of(dir / "etc"), 0700u);
  EXPECT_EQ(mode_of(dir / "etc/keys"), 0700u);
  EXPECT_EQ(mode_of(dir / "etc/keys/root.key"), 0600u);
}

TEST(KeyFile, is_never_overwritten) {
  TempDir dir;
  auto first = make_key_file(dir / "root.key", kStore);

  auto second = make_key_file(dir / "root.key", kStore);

  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);
  EXPECT_TRUE(read_key_file(dir / "root.key")->root.matches(first->expose()));
}

TEST(KeyFile, that_is_missing_names_the_two_ways_on) {
  TempDir dir;

  auto read = read_key_file(dir / "root.key");

  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::not_found);
  EXPECT_NE(read.error().text.find("put it back"), std::string_view::npos);
  EXPECT_NE(read.error().text.find("recovery shares"), std::string_view::npos);
}

TEST(KeyFile, that_others_can_read_is_refused_with_the_command_that_mends_it) {
  TempDir dir;
  ASSERT_TRUE(make_key_file(dir / "root.key", kStore));
  fs::permissions(dir / "root.key", fs::perms::group_read, fs::perm_options::add);

  auto read = read_key_file(dir / "root.key");

  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::invalid);
  EXPECT_EQ(read.error().text, "the key file can be read by others: run chmod 600 on it");
}

TEST(KeyFile, is_read_where_systemd_passes_it_as_a_credential) {
  if (::geteuid() != 0) GTEST_SKIP() << "root alone can make such a file";
  TempDir dir;
  ASSERT_TRUE(make_key_file(dir / "root.key", kStore));
  ASSERT_EQ(::chmod((dir / "root.key").c_str(), 0440), 0);
  EXPECT_TRUE(read_key_file(dir / "root.key"));

  for (mode_t mode : {0640u, 0460u, 0444u}) {
    ASSERT_EQ(::chmod((dir / "root.key").c_str(), mode), 0);
    EXPECT_FALSE(read_key_file(dir / "root.key")) << std::oct << mode;
  }
  ASSERT_EQ(::chmod((dir / "root.key").c_str(), 0440), 0);
  ASSERT_EQ(::chown((dir / "root.key").c_str(), 0, 65534), 0);
  EXPECT_FALSE(read_key_file(dir / "root.key")) << "another group can read it";
}

TEST(KeyFile, has_one_fixed_layout) {
  EXPECT_EQ(
      good_text().substr(0, good_text().find("check: ")),
      "Holdfast root key, version 1\n"
      "This key opens everything that the store has sealed. Keep it outside the data directory "
      "and its backups.\n"
      "store: abababababababababababababababab\n"
      "key: 4242424242424242424242424242424242424242424242424242424242424242\n");
}

TEST(KeyFile, is_refused_after_any_change_of_one_character) {
  auto text = good_text();
  ASSERT_TRUE(parse_key_file(text));

  for (std::size_t i = 0; i < text.size(); ++i)
    for (char c : {'0', 'f', 'A', '\n', ' ', '\0', '\xff'}) {
      auto changed = text;
      if (changed[i] == c) continue;
      changed[i] = c;
      EXPECT_FALSE(parse_key_file(changed)) << i << " " << int(c);
    }
}

TEST(KeyFile, is_refused_when_cut_lengthened_or_spelled_otherwise) {
  auto text = good_text();
  auto upper = text;
  upper.replace(upper.find("abab"), 4, "ABAB");
  auto windows = text;
  for (std::size_t at = 0; (at = windows.find('\n', at)) != std::string::npos; at += 2)
    windows.insert(at, "\r");

  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(parse_key_file(text.substr(0, size))) << size;
  EXPECT_FALSE(parse_key_file(text + "\n"));
  EXPECT_FALSE(parse_key_file("\n" + text));
  EXPECT_FALSE(parse_key_file(text + text));
  EXPECT_FALSE(parse_key_file(upper));
  EXPECT_FALSE(parse_key_file(windows));
}

TEST(KeyFile, tells_damage_from_another_file) {
  auto damaged = good_text();
  damaged[damaged.find("4242")] = '5';

  EXPECT_EQ(parse_key_file(damaged).error().code, Code::corrupt);
  EXPECT_EQ(parse_key_file("-----BEGIN PRIVATE KEY-----\n").error().code, Code::invalid);
  EXPECT_EQ(parse_key_file("").error().code, Code::invalid);
}

TEST(KeyFile, holds_only_keys_and_ids_of_the_right_size) {
  TempDir dir;

  EXPECT_EQ(write_key_file(dir / "a", Bytes(15), Secret(32)).error().code, Code::invalid);
  EXPECT_EQ(write_key_file(dir / "b", kStore, Secret(31)).error().code, Code::invalid);
  EXPECT_FALSE(fs::exists(dir / "a"));
}

}  // namespace
}  // namespace holdfast::crypto
