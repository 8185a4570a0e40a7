#include "crypto/keyring.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "support/temp_dir.h"

namespace holdfast::crypto {
namespace {

namespace fs = std::filesystem;
using holdfast::test::TempDir;

constexpr Time kNow = Time(Millis(1'795'426'200'000));

Bytes bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

void put_file(const fs::path& file, BytesView bytes) {
  std::ofstream(file, std::ios::binary) << as_text(bytes);
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
}

mode_t mode_of(const fs::path& file) {
  struct stat found{};
  EXPECT_EQ(::stat(file.c_str(), &found), 0);
  return found.st_mode & 0777;
}

/// A folder with a keyring of generation 1 in it.
struct Shop {
  TempDir dir;
  fs::path file = dir / "keyring";
  Secret root = Secret::random(32);
  Keyring ring = Keyring::make(kNow);

  Shop() { EXPECT_TRUE(write_keyring(file, ring, root)); }
};

/// Puts the checksum right after a change, as an attacker would.
Bytes rechecked(Bytes file) {
  auto check = sha256(BytesView(file).first(file.size() - 32));
  std::copy(check.begin(), check.end(), file.end() - 32);
  return file;
}

TEST(Keyring, starts_with_one_active_key_of_each_use) {
  auto ring = Keyring::make(kNow);

  auto keys = ring.list();
  EXPECT_EQ(keys.size(), 13u);
  for (const auto& key : keys) {
    EXPECT_TRUE(key.active);
    EXPECT_EQ(key.id, 1u);
    EXPECT_EQ(key.created, kNow);
    EXPECT_EQ(ring.active(key.use).size(), 32u);
    EXPECT_EQ(ring.find(key.use, 1), &ring.active(key.use));
  }
  EXPECT_EQ(ring.generation(), 1u);
  EXPECT_EQ(ring.store_id().size(), 16u);
  EXPECT_FALSE(ring.active(KeyUse::epoch).matches(ring.active(KeyUse::index).expose()));
}

TEST(Keyring, gives_each_store_its_own_id_and_keys) {
  auto one = Keyring::make(kNow), other = Keyring::make(kNow);

  EXPECT_NE(one.store_id(), other.store_id());
  EXPECT_FALSE(one.active(KeyUse::epoch).matches(other.active(KeyUse::epoch).expose()));
}

TEST(Keyring, keeps_the_old_key_beside_a_new_active_one) {
  auto first = Keyring::make(kNow);

  auto second = first.with_new(KeyUse::epoch, kNow + Millis(5));

  EXPECT_EQ(second.generation(), 2u);
  EXPECT_EQ(second.active_id(KeyUse::epoch), 2u);
  EXPECT_EQ(second.active_id(KeyUse::index), 1u);
  EXPECT_TRUE(second.find(KeyUse::epoch, 1)->matches(first.active(KeyUse::epoch).expose()));
  EXPECT_FALSE(second.active(KeyUse::epoch).matches(first.active(KeyUse::epoch).expose()));
  EXPECT_EQ(second.store_id(), first.store_id());
  EXPECT_TRUE(second.holds_all_of(first));
  EXPECT_FALSE(first.holds_all_of(second));
}

TEST(Keyring, lets_go_of_an_old_key_but_not_of_the_active_one) {
  auto ring = Keyring::make(kNow).with_new(KeyUse::epoch, kNow);

  auto without = ring.without(KeyUse::epoch, 1);

  EXPECT_EQ(without.generation(), 3u);
  EXPECT_EQ(without.find(KeyUse::epoch, 1), nullptr);
  EXPECT_EQ(without.active_id(KeyUse::epoch), 2u);
  EXPECT_THROW(ring.without(KeyUse::epoch, 2), std::invalid_argument);
  EXPECT_THROW(ring.without(KeyUse::epoch, 9), std::invalid_argument);
}

TEST(Keyring, never_gives_an_id_a_second_time) {
  auto ring = Keyring::make(kNow);
  std::uint32_t last = 1;
  for (int i = 0; i < 20; ++i) {
    ring = ring.with_new(KeyUse::side, kNow).without(KeyUse::side, last);
    EXPECT_EQ(ring.active_id(KeyUse::side), ++last);
  }
}

TEST(Keyring, that_is_empty_has_no_active_key) {
  EXPECT_THROW(Keyring().active(KeyUse::epoch), std::out_of_range);
  EXPECT_THROW(static_cast<void>(Keyring().active_id(KeyUse::idempotency)), std::out_of_range);
}

TEST(SealedKeyring, opens_to_the_same_keys) {
  auto root = Secret::random(32);
  auto ring = Keyring::make(kNow)
                  .with_new(KeyUse::epoch, kNow + Millis(1))
                  .with_new(KeyUse::journal, kNow + Millis(2));

  auto opened = Keyring::open(ring.sealed(root), root);

  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->store_id(), ring.store_id());
  EXPECT_EQ(opened->generation(), 3u);
  EXPECT_TRUE(opened->holds_all_of(ring));
  EXPECT_TRUE(ring.holds_all_of(*opened));
  auto before = ring.list(), after = opened->list();
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].use, after[i].use);
    EXPECT_EQ(before[i].id, after[i].id);
    EXPECT_EQ(before[i].created, after[i].created);
    EXPECT_EQ(before[i].active, after[i].active);
  }
}

TEST(SealedKeyring, says_whose_it_is_and_shows_no_key) {
  auto root = Secret::random(32);
  auto ring = Keyring::make(kNow);

  auto sealed = ring.sealed(root);
  auto head = keyring_head(sealed);

  ASSERT_TRUE(head);
  EXPECT_EQ(head->store_id, ring.store_id());
  EXPECT_EQ(head->generation, 1u);
  for (const auto& info : ring.list()) {
    auto key = ring.active(info.use).expose();
    EXPECT_EQ(as_text(sealed).find(as_text(key)), std::string_view::npos);
  }
}

TEST(SealedKeyring, never_opens_after_any_flipped_bit) {
  auto root = Secret::random(32);
  auto sealed = Keyring::make(kNow).sealed(root);

  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto changed = sealed;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    auto damaged = Keyring::open(changed, root);
    ASSERT_FALSE(damaged) << bit;
    if (bit < 64) {
      EXPECT_EQ(damaged.error().code, Code::invalid);
    } else {
      EXPECT_EQ(damaged.error().code, Code::corrupt);
      EXPECT_TRUE(damaged.error().text.starts_with("the keyring file is damaged")) << bit;
    }
    // With the checksum put right, which anyone can do, the seal still holds, over the head too.
    if (bit / 8 < sealed.size() - 32) {
      ASSERT_FALSE(Keyring::open(rechecked(changed), root)) << bit;
    }
  }
}

TEST(SealedKeyring, never_opens_when_cut_anywhere_or_lengthened) {
  auto root = Secret::random(32);
  auto sealed = Keyring::make(kNow).sealed(root);

  for (std::size_t size = 0; size < sealed.size(); ++size) {
    auto cut = Keyring::open(BytesView(sealed).first(size), root);
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().code, size < 8 ? Code::invalid : Code::corrupt);
  }
  sealed.push_back(0);
  EXPECT_FALSE(Keyring::open(sealed, root));
}

TEST(SealedKeyring, tells_a_wrong_root_key_from_damage) {
  auto sealed = Keyring::make(kNow).sealed(Secret::random(32));

  auto opened = Keyring::open(sealed, Secret::random(32));

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_TRUE(opened.error().text.starts_with("the keyring does not open with this root key"));
}

TEST(SealedKeyring, binds_store_and_generation) {
  auto root = Secret::random(32);
  auto sealed = Keyring::make(kNow).sealed(root);
  auto other_store = sealed, other_generation = sealed;
  other_store[9] ^= 1;
  other_generation[32] ^= 3;

  EXPECT_FALSE(Keyring::open(rechecked(other_store), root));
  EXPECT_FALSE(Keyring::open(rechecked(other_generation), root));
  EXPECT_EQ(keyring_head(rechecked(other_generation))->generation, 2u);
}

TEST(SealedKeyring, asks_for_the_newer_version_that_wrote_it) {
  auto root = Secret::random(32);
  auto sealed = Keyring::make(kNow).sealed(root);
  sealed[8] = 2;

  auto opened = Keyring::open(rechecked(sealed), root);

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::invalid);
  EXPECT_TRUE(opened.error().text.starts_with("the keyring was written by a newer version"));
}

/// A keyring file with these entries, rightly sealed and checked.
Bytes crafted(const Secret& root, BytesView entries) {
  Bytes file = to_bytes("HFKEYRNG");
  put_u8(file, 1);
  file.resize(file.size() + 16);
  put_u64(file, 1);
  auto body = seal(root.expose(), 0, entries, file);
  file.insert(file.end(), body.begin(), body.end());
  file.resize(file.size() + 32);
  return rechecked(file);
}

struct Entry {
  int use;
  std::uint32_t id;
  int active;
};

Bytes entries(const std::vector<Entry>& list) {
  Bytes out;
  put_u32(out, static_cast<std::uint32_t>(list.size()));
  for (const auto& entry : list) {
    put_u8(out, static_cast<std::uint8_t>(entry.use));
    put_u32(out, entry.id);
    put_u64(out, 0);
    put_u8(out, static_cast<std::uint8_t>(entry.active));
    out.resize(out.size() + 32, 0x5a);
  }
  return out;
}

TEST(SealedKeyring, refuses_contents_that_make_no_sense) {
  auto root = Secret::random(32);
  std::vector<Entry> good;
  for (int use = 1; use <= 10; ++use) good.push_back({use, 1, 1});
  auto with = [&](auto change) {
    auto list = good;
    change(list);
    return Keyring::open(crafted(root, entries(list)), root);
  };
  using List = std::vector<Entry>&;

  EXPECT_TRUE(with([](List) {}));
  EXPECT_FALSE(with([](List list) { list.clear(); }));
  EXPECT_FALSE(with([](List list) { list.pop_back(); })) << "a use without a key";
  EXPECT_FALSE(with([](List list) { list[0].active = 0; })) << "none active";
  EXPECT_FALSE(with([](List list) { list[0].active = 2; }));
  EXPECT_FALSE(with([](List list) { list.insert(list.begin(), {1, 0, 1}); })) << "two active";
  EXPECT_FALSE(with([](List list) { list.insert(list.begin() + 1, {1, 2, 0}); }))
      << "the active one is not the last";
  EXPECT_FALSE(with([](List list) { list.insert(list.begin(), {1, 1, 0}); })) << "twice";
  EXPECT_FALSE(with([](List list) { std::swap(list[0], list[1]); })) << "out of order";
  EXPECT_FALSE(with([](List list) { list.insert(list.begin(), {0, 1, 1}); }));

  auto longer = entries(good);
  longer.push_back(0);
  EXPECT_FALSE(Keyring::open(crafted(root, longer), root));
  auto shorter = entries(good);
  shorter.pop_back();
  EXPECT_FALSE(Keyring::open(crafted(root, shorter), root));
  auto many = entries(good);
  many[0] = 0xff;
  EXPECT_FALSE(Keyring::open(crafted(root, many), root));
  EXPECT_FALSE(Keyring::open(crafted(root, {}), root));
}

/// A keyring file as the first version wrote it, before there were uses 11 and up.
Bytes of_first_version(const Secret& root) {
  std::vector<Entry> list;
  for (int use = 1; use <= 10; ++use) list.push_back({use, 1, 1});
  return crafted(root, entries(list));
}

TEST(SealedKeyring, of_an_earlier_version_opens_and_gets_the_keys_that_it_lacks) {
  auto root = Secret::random(32);
  auto old = Keyring::open(of_first_version(root), root).value();

  auto next = old.with_missing(kNow);

  EXPECT_EQ(old.missing().front(), KeyUse::token);
  EXPECT_TRUE(next.missing().empty());
  EXPECT_EQ(next.generation(), old.generation() + 1);
  EXPECT_TRUE(next.holds_all_of(old));
  EXPECT_FALSE(next.active(KeyUse::token).matches(old.active(KeyUse::authority).expose()));
  EXPECT_TRUE(Keyring::open(next.sealed(root), root));
}

TEST(SealedKeyring, of_an_earlier_version_gets_the_same_keys_on_every_node) {
  auto root = Secret::random(32);
  auto file = of_first_version(root);

  auto one = Keyring::open(file, root).value().with_missing(kNow);
  auto other = Keyring::open(file, root).value().with_missing(kNow + Millis(5));

  EXPECT_TRUE(one.active(KeyUse::token).matches(other.active(KeyUse::token).expose()));
}

TEST(SealedKeyring, of_a_later_version_keeps_the_keys_that_this_one_does_not_know) {
  auto root = Secret::random(32);
  std::vector<Entry> list;
  for (int use = 1; use <= 11; ++use) list.push_back({use, 1, 1});
  list.push_back({200, 1, 0});
  list.push_back({200, 2, 1});

  auto ring = Keyring::open(crafted(root, entries(list)), root);

  ASSERT_TRUE(ring);
  auto next = ring->with_new(KeyUse::index, kNow);
  EXPECT_TRUE(Keyring::open(next.sealed(root), root)->find(KeyUse{200}, 2));
  list.back().active = 0;
  EXPECT_FALSE(Keyring::open(crafted(root, entries(list)), root)) << "none active";
}

TEST(Keyring, has_no_missing_keys_when_it_is_new) {
  EXPECT_TRUE(Keyring::make(kNow).missing().empty());
}

TEST(KeyringFile, is_read_back_and_is_for_its_owner_only) {
  Shop shop;

  auto read = read_keyring(shop.file, shop.root);

  ASSERT_TRUE(read);
  EXPECT_TRUE(read->holds_all_of(shop.ring));
  EXPECT_EQ(mode_of(shop.file), 0600u);
  EXPECT_FALSE(fs::exists(shop.dir / "keyring.new"));
  EXPECT_FALSE(fs::exists(shop.dir / "keyring.previous"));
}

TEST(KeyringFile, keeps_the_generation_before) {
  Shop shop;
  auto next = shop.ring.with_new(KeyUse::epoch, kNow);

  ASSERT_TRUE(write_keyring(shop.file, next, shop.root));

  EXPECT_EQ(read_keyring(shop.file, shop.root)->generation(), 2u);
  EXPECT_EQ(read_keyring(shop.dir / "keyring.previous", shop.root)->generation(), 1u);
  EXPECT_EQ(mode_of(shop.dir / "keyring.previous"), 0600u);
}

TEST(KeyringFile, leaves_no_destroyed_key_beside) {
  Shop shop;
  auto two = shop.ring.with_new(KeyUse::epoch, kNow);
  auto gone = two.without(KeyUse::epoch, 1);
  ASSERT_TRUE(write_keyring(shop.file, two, shop.root));

  ASSERT_TRUE(write_keyring(shop.file, gone, shop.root));

  for (const auto* name : {"keyring", "keyring.previous"}) {
    auto read = read_keyring(shop.dir / name, shop.root);
    ASSERT_TRUE(read) << name;
    EXPECT_EQ(read->find(KeyUse::epoch, 1), nullptr) << name;
  }
}

TEST(KeyringFile, finishes_a_destruction_that_was_cut_short) {
  // Killed after the rename of the file and before that of `.previous`.
  Shop shop;
  auto two = shop.ring.with_new(KeyUse::epoch, kNow);
  auto gone = two.without(KeyUse::epoch, 1);
  put_file(shop.dir / "keyring.previous", two.sealed(shop.root));
  put_file(shop.file, gone.sealed(shop.root));

  ASSERT_TRUE(write_keyring(shop.file, gone, shop.root));

  EXPECT_EQ(read_keyring(shop.dir / "keyring.previous", shop.root)->find(KeyUse::epoch, 1),
            nullptr);
}

TEST(KeyringFile, that_lacks_a_destroyed_key_has_none_beside_that_holds_it) {
  // Stopped between the two renames: a folder lies where the temporary file should go.
  Shop shop;
  auto two = shop.ring.with_new(KeyUse::epoch, kNow);
  auto gone = two.without(KeyUse::epoch, 1);
  ASSERT_TRUE(write_keyring(shop.file, two, shop.root));
  fs::create_directory(shop.dir / "keyring.new");

  ASSERT_FALSE(write_keyring(shop.file, gone, shop.root));

  EXPECT_NE(read_keyring(shop.file, shop.root)->find(KeyUse::epoch, 1), nullptr);
  EXPECT_EQ(read_keyring(shop.dir / "keyring.previous", shop.root)->find(KeyUse::epoch, 1),
            nullptr);
  fs::remove(shop.dir / "keyring.new");
  ASSERT_TRUE(write_keyring(shop.file, gone, shop.root));
  for (const auto* name : {"keyring", "keyring.previous"})
    EXPECT_EQ(read_keyring(shop.dir / name, shop.root)->find(KeyUse::epoch, 1), nullptr) << name;
}

TEST(KeyringFile, reads_the_old_generation_after_a_kill_between_write_and_rename) {
  Shop shop;
  auto next = shop.ring.with_new(KeyUse::epoch, kNow);
  auto half = next.sealed(shop.root);
  half.resize(half.size() / 2);
  put_file(shop.dir / "keyring.new", half);

  auto read = read_keyring(shop.file, shop.root);
  auto written = write_keyring(shop.file, next, shop.root);

  ASSERT_TRUE(read);
  EXPECT_EQ(read->generation(), 1u);
  ASSERT_TRUE(written);
  EXPECT_EQ(read_keyring(shop.file, shop.root)->generation(), 2u);
  EXPECT_FALSE(fs::exists(shop.dir / "keyring.new"));
}

TEST(KeyringFile, is_not_replaced_by_an_older_generation) {
  Shop shop;
  auto next = shop.ring.with_new(KeyUse::epoch, kNow);
  ASSERT_TRUE(write_keyring(shop.file, next, shop.root));

  auto written = write_keyring(shop.file, shop.ring, shop.root);

  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::conflict);
  EXPECT_EQ(read_keyring(shop.file, shop.root)->generation(), 2u);
}

TEST(KeyringFile, is_not_replaced_by_the_same_generation_with_other_keys) {
  Shop shop;
  auto mine = shop.ring.with_new(KeyUse::epoch, kNow);
  auto theirs = shop.ring.with_new(KeyUse::epoch, kNow);
  ASSERT_TRUE(write_keyring(shop.file, mine, shop.root));

  auto written = write_keyring(shop.file, theirs, shop.root);

  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::conflict);
  EXPECT_TRUE(read_keyring(shop.file, shop.root)->holds_all_of(mine));
}

TEST(KeyringFile, is_not_replaced_by_that_of_another_store) {
  Shop shop;

  auto written = write_keyring(shop.file, Keyring::make(kNow), shop.root);

  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::conflict);
}

TEST(KeyringFile, may_be_sealed_anew_under_another_root_key) {
  Shop shop;
  auto fresh_root = Secret::random(32);

  ASSERT_TRUE(write_keyring(shop.file, shop.ring, fresh_root));

  EXPECT_TRUE(read_keyring(shop.file, fresh_root));
  EXPECT_FALSE(read_keyring(shop.file, shop.root));
}

TEST(KeyringFile, that_is_damaged_is_not_kept_in_place_of_a_good_previous_one) {
  Shop shop;
  auto two = shop.ring.with_new(KeyUse::epoch, kNow);
  ASSERT_TRUE(write_keyring(shop.file, two, shop.root));
  auto bytes = bytes_of(shop.file);
  bytes[100] ^= 1;
  put_file(shop.file, bytes);

  ASSERT_TRUE(write_keyring(shop.file, two, shop.root));

  EXPECT_TRUE(read_keyring(shop.file, shop.root));
  EXPECT_EQ(read_keyring(shop.dir / "keyring.previous", shop.root)->generation(), 1u);
}

TEST(KeyringCopy, is_made_with_its_folder_and_follows_each_generation) {
  Shop shop;
  const auto copy = shop.dir / "away/keys/keyring";

  ASSERT_TRUE(copy_keyring(copy, shop.ring, shop.root, false));
  const auto first = bytes_of(copy);
  ASSERT_TRUE(copy_keyring(copy, shop.ring, shop.root, true));
  EXPECT_EQ(bytes_of(copy), first) << "the same is not written again";
  auto two = shop.ring.with_new(KeyUse::epoch, kNow);
  ASSERT_TRUE(copy_keyring(copy, two, shop.root, true));
  ASSERT_TRUE(copy_keyring(copy, two.without(KeyUse::epoch, 1), shop.root, true));

  auto read = read_keyring(copy, shop.root);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->find(KeyUse::epoch, 1), nullptr) << "what is destroyed goes from the copy too";
  EXPECT_EQ(mode_of(copy), 0600u);
  EXPECT_FALSE(fs::exists(shop.dir / "away/keys/keyring.previous"));
}

TEST(KeyringCopy, under_an_earlier_root_key_is_sealed_anew) {
  Shop shop;
  const auto copy = shop.dir / "keyring.copy";
  ASSERT_TRUE(copy_keyring(copy, shop.ring, shop.root, false));
  auto fresh_root = Secret::random(32);

  ASSERT_TRUE(copy_keyring(copy, shop.ring.next_generation(), fresh_root, true));

  EXPECT_TRUE(read_keyring(copy, fresh_root));
  EXPECT_FALSE(read_keyring(copy, shop.root));
}

TEST(KeyringCopy, of_a_rotation_that_was_cut_off_gives_its_key_to_the_next_try) {
  Shop shop;
  const auto copy = shop.dir / "keyring.copy";
  auto cut_off = shop.ring.with_new(KeyUse::epoch, kNow);
  ASSERT_TRUE(copy_keyring(copy, cut_off, shop.root, false));

  auto before = copy_keyring(copy, shop.ring, shop.root, true);
  auto again = copy_keyring(copy, shop.ring.with_new(KeyUse::epoch, kNow), shop.root, true);
  auto another = copy_keyring(copy, shop.ring.with_new(KeyUse::index, kNow), shop.root, true);

  ASSERT_FALSE(before) << "somebody may have used it";
  EXPECT_EQ(before.error().code, Code::conflict);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->holds_all_of(cut_off));
  EXPECT_FALSE(another);
  EXPECT_TRUE(read_keyring(copy, shop.root)->holds_all_of(cut_off));
}

TEST(KeyringCopy, of_a_destruction_that_was_cut_off_goes_back_and_forth) {
  Shop shop;
  const auto copy = shop.dir / "keyring.copy";
  auto two = shop.ring.with_new(KeyUse::epoch, kNow);
  ASSERT_TRUE(copy_keyring(copy, two.without(KeyUse::epoch, 1), shop.root, false));

  ASSERT_TRUE(copy_keyring(copy, two, shop.root, true));

  EXPECT_NE(read_keyring(copy, shop.root)->find(KeyUse::epoch, 1), nullptr);
}

TEST(KeyringCopy, of_a_later_generation_or_another_store_is_left_alone) {
  Shop shop;
  const auto copy = shop.dir / "keyring.copy";
  auto later = shop.ring.with_new(KeyUse::epoch, kNow).with_new(KeyUse::index, kNow);
  ASSERT_TRUE(copy_keyring(copy, later, shop.root, false));

  auto behind = copy_keyring(copy, shop.ring, shop.root, true);
  auto foreign = copy_keyring(copy, Keyring::make(kNow), Secret::random(32), true);
  auto resealed = copy_keyring(copy, shop.ring.next_generation(), Secret::random(32), true);

  for (const auto* refused : {&behind, &foreign, &resealed}) {
    ASSERT_FALSE(*refused);
    EXPECT_EQ(refused->error().code, Code::conflict);
  }
  EXPECT_TRUE(read_keyring(copy, shop.root)->holds_all_of(later));
}

TEST(KeyringCopy, that_is_damaged_is_written_anew_and_what_is_no_keyring_is_left_alone) {
  Shop shop;
  const auto copy = shop.dir / "keyring.copy", other = shop.dir / "other";
  ASSERT_TRUE(copy_keyring(copy, shop.ring, shop.root, false));
  auto bytes = bytes_of(copy);
  bytes[100] ^= 1;
  put_file(copy, bytes);
  put_file(other, to_bytes("a shopping list"));

  EXPECT_TRUE(copy_keyring(copy, shop.ring, shop.root, true));
  auto refused = copy_keyring(other, shop.ring, shop.root, true);

  EXPECT_TRUE(read_keyring(copy, shop.root));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::conflict);
  EXPECT_EQ(bytes_of(other), to_bytes("a shopping list"));
}

TEST(KeyringCopy, whose_place_is_away_is_an_error) {
  Shop shop;
  put_file(shop.dir / "folder", to_bytes("is a file"));

  auto in_a_file = copy_keyring(shop.dir / "folder/keyring", shop.ring, shop.root, false);
  auto not_mounted = copy_keyring(shop.dir / "mount/keyring", shop.ring, shop.root, true);

  for (const auto* refused : {&in_a_file, &not_mounted}) {
    ASSERT_FALSE(*refused);
    EXPECT_EQ(refused->error().code, Code::unavailable);
  }
  EXPECT_FALSE(fs::exists(shop.dir / "mount")) << "nothing is made beneath a mount point";
}

TEST(KeyringFile, that_others_can_read_is_refused_with_the_command_that_mends_it) {
  for (auto perm : {fs::perms::group_read, fs::perms::others_read, fs::perms::group_write,
                    fs::perms::others_exec}) {
    Shop shop;
    fs::permissions(shop.file, perm, fs::perm_options::add);

    auto read = read_keyring(shop.file, shop.root);

    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Code::forbidden);
    EXPECT_EQ(read.error().text, "the keyring can be read by others: run chmod 600 on it");
  }
}

TEST(KeyringFile, that_is_missing_is_named_as_missing) {
  Shop shop;
  fs::remove(shop.file);

  auto read = read_keyring(shop.file, shop.root);

  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::not_found);
}

TEST(KeyringFile, that_is_no_keyring_is_named_so) {
  Shop shop;
  put_file(shop.dir / "notes", to_bytes("buy milk\n"));
  put_file(shop.dir / "huge", Bytes((1 << 20) + 1));
  fs::create_directory(shop.dir / "folder");

  EXPECT_EQ(read_keyring(shop.dir / "notes", shop.root).error().code, Code::invalid);
  EXPECT_EQ(read_keyring(shop.dir / "huge", shop.root).error().code, Code::invalid);
  EXPECT_EQ(read_keyring(shop.dir / "folder", shop.root).error().code, Code::forbidden);
}

TEST(KeyringFile, of_a_pipe_does_not_hold_up_the_start) {
  Shop shop;
  ASSERT_EQ(::mkfifo((shop.dir / "pipe").c_str(), 0600), 0);

  EXPECT_EQ(read_keyring(shop.dir / "pipe", shop.root).error().code, Code::forbidden);
}

TEST(KeyringFile, of_another_store_is_refused_by_name) {
  Shop shop;
  auto other = Keyring::make(kNow);

  auto read = read_keyring(shop.file, shop.root, other.store_id());

  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::invalid);
  EXPECT_TRUE(read.error().text.starts_with("this keyring belongs to another store"));
  EXPECT_TRUE(read_keyring(shop.file, shop.root, shop.ring.store_id()));
}

TEST(KeyringFile, stays_as_it_was_when_its_folder_cannot_be_written) {
  // A folder where the temporary file should go: the write must fail for root too.
  Shop shop;
  fs::create_directory(shop.dir / "keyring.new");
  auto before = bytes_of(shop.file);

  auto written = write_keyring(shop.file, shop.ring.with_new(KeyUse::epoch, kNow), shop.root);

  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::unavailable);
  EXPECT_EQ(bytes_of(shop.file), before);
}

TEST(KeyringFile, on_a_full_disk_stays_as_it_was) {
  // A limit on the size of files stands for the disk: write(2) fails half-way just so.
  Shop shop;
  rlimit before{}, small{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  small = {100, before.rlim_max};
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);

  auto written = write_keyring(shop.file, shop.ring.with_new(KeyUse::epoch, kNow), shop.root);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);

  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::unavailable);
  EXPECT_EQ(read_keyring(shop.file, shop.root)->generation(), 1u);
  EXPECT_FALSE(fs::exists(shop.dir / "keyring.new"));
}

}  // namespace
}  // namespace holdfast::crypto
