// Records, passphrases and the root key: every method, and a crash between any two steps.
#include <gtest/gtest.h>

#include <sys/stat.h>

#include "crypto/aead.h"
#include "crypto/private_file.h"
#include "crypto/unlock/file.h"
#include "crypto/unlock/root.h"
#include "support/temp_dir.h"

namespace holdfast::crypto {
namespace {

namespace fs = std::filesystem;
using holdfast::test::TempDir;

constexpr PassphraseCost kCheap{65'536, 3};
constexpr std::string_view kWords = "correct horse battery staple";

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(std::string(result.error().text));
  return std::move(*result);
}
void must(Result<void> result) {
  if (!result) throw std::runtime_error(std::string(result.error().text));
}

Share copy_of(const Share& share) {
  return {share.store_id, share.set_id,    share.needed,    share.total,
          share.number,   share.y.clone(), share.commitment};
}

Means with_words(std::string_view words = kWords) {
  Means out;
  out.passphrase = must(passphrase_from(words));
  return out;
}

Means with_shares(const std::vector<Share>& shares, std::initializer_list<std::size_t> which) {
  Means out;
  for (auto i : which) out.shares.push_back(copy_of(shares[i]));
  return out;
}

/// A store of method `file` with a recovery set, as `init` makes it.
struct Store {
  TempDir dir;
  RootFiles files{dir / "unlock", dir / "keyring", dir / "keys/root.key", {}};
  Keyring ring = Keyring::make(from_ms(1'700'000'000'000));
  Secret root = Secret::random(kKeyBytes);
  std::vector<Share> recovery = split(root, ring.store_id(), 2, 3);

  Store() {
    must(write_key_file(files.key_file, ring.store_id(), root));
    put(must(make_record(files, ring.store_id(), root, {.recovery = set_of(recovery)})), {});
    must(write_keyring(files.keyring, ring, root));
  }
  void put(const UnlockRecord& record, const Means& means) {
    must(stage_record(files, record, root, means));
    must(put_staged_record(files));
  }
  void use_passphrase() {
    auto words = with_words();
    put(must(make_record(files, ring.store_id(), root,
                         {.method = Method::passphrase,
                          .passphrase = &*words.passphrase,
                          .cost = kCheap,
                          .recovery = set_of(recovery)})),
        words);
    must(remove_key_file(files, root));
  }
  Result<OpenedStore> open(const Means& means = {}) const { return open_store(files, means); }
  /// What a start does.
  Method start(const Means& means = {}) {
    auto opened = must(open(means));
    must(finish_staged(files, opened));
    return must(open(means)).record.method;
  }
};

void write_text(const fs::path& file, std::string_view text) {
  ASSERT_TRUE(replace_private(file, as_bytes(text)));
}

// ── the unlock file

TEST(UnlockFile, of_each_method_is_read_back_as_written) {
  ShareSet set{Bytes(8, 0x11), 2, 3, sha256(as_bytes("x"))};
  UnlockRecord file{.store_id = Bytes(16, 0xab), .recovery = set};
  auto shamir = file, passphrase = file, hsm = file;
  shamir.method = Method::shamir;
  shamir.everyday = ShareSet{Bytes(8, 0x22), 3, 5, sha256(as_bytes("y")), Bytes(5 * 8, 0x33)};
  passphrase.method = Method::passphrase;
  passphrase.salt = Bytes(kSaltBytes, 7);
  passphrase.wrapped = Bytes(65, 9);
  hsm.method = Method::pkcs11;
  hsm.token_serial = "0a1b";
  hsm.token_key = "holdfast root";
  hsm.wrapped = Bytes(60, 9);

  for (const auto& record : {file, shamir, passphrase, hsm}) {
    auto read = parse_record(format_record(record));

    ASSERT_TRUE(read) << format_record(record);
    EXPECT_EQ(*read, record);
    EXPECT_EQ(read->everyday ? read->everyday->marks : Bytes(),
              record.everyday ? record.everyday->marks : Bytes());
  }
  shamir.everyday->marks.pop_back();
  EXPECT_FALSE(parse_record(format_record(shamir)));
}

TEST(UnlockFile, with_any_byte_changed_or_cut_off_is_refused) {
  UnlockRecord record{.store_id = Bytes(16, 0xab),
                      .method = Method::passphrase,
                      .recovery = ShareSet{Bytes(8, 0x11), 2, 3, sha256(as_bytes("x"))},
                      .salt = Bytes(kSaltBytes, 7),
                      .wrapped = Bytes(65, 9)};
  const auto good = format_record(record);

  for (std::size_t at = 0; at < good.size(); ++at) {
    auto changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(parse_record(changed)) << at;
    EXPECT_FALSE(parse_record(good.substr(0, at))) << at;
  }
  EXPECT_FALSE(parse_record(good + "\n"));
}

TEST(UnlockFile, cannot_ask_for_all_the_memory_nor_for_none) {
  for (PassphraseCost cost : {PassphraseCost{1024, 3}, PassphraseCost{8'388'608, 3},
                              PassphraseCost{262'144, 1}, PassphraseCost{262'144, 1000}}) {
    UnlockRecord record{.store_id = Bytes(16, 1),
                        .method = Method::passphrase,
                        .cost = cost,
                        .salt = Bytes(kSaltBytes, 7),
                        .wrapped = Bytes(65, 9)};

    EXPECT_FALSE(parse_record(format_record(record))) << cost.memory_kib;
  }
}

// ── passphrases

TEST(Passphrase, is_the_same_however_it_was_typed) {
  auto composed = must(passphrase_from("Zürich 1291 und mehr"));
  auto decomposed = must(passphrase_from("Zu\xcc\x88rich 1291 und mehr\r\n"));

  EXPECT_TRUE(composed.matches(decomposed.expose()));
}

TEST(Passphrase, that_is_short_plain_or_no_text_is_refused) {
  EXPECT_FALSE(passphrase_from(""));
  EXPECT_FALSE(passphrase_from("fourteen chars"));
  EXPECT_FALSE(passphrase_from("aaaaaaaaaaaaaaaaaaaaaa"));
  EXPECT_FALSE(passphrase_from("fifteen chars \xff\xfe"));
  EXPECT_FALSE(passphrase_from("fifteen chars\ntwo lines"));
  EXPECT_FALSE(passphrase_from(std::string(2000, 'x') + "abcdefgh"));
  EXPECT_TRUE(passphrase_from("fifteen chars !"));
}

TEST(Passphrase, opens_the_store_and_a_wrong_one_does_not) {
  Store store;
  store.use_passphrase();

  auto right = store.open(with_words());
  auto wrong = store.open(with_words("correct horse battery stapler"));
  auto none = store.open();

  ASSERT_TRUE(right);
  EXPECT_TRUE(right->root.matches(store.root.expose()));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::forbidden);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::locked);
  EXPECT_FALSE(fs::exists(store.files.key_file));
}

TEST(Passphrase, does_not_open_a_record_whose_cost_or_salt_was_changed) {
  Store store;
  store.use_passphrase();
  auto record = must(read_record(store.files.record));
  auto cheaper = record, salted = record;
  cheaper.cost.passes = 4;
  salted.salt[0] ^= 1;

  for (const auto& changed : {cheaper, salted}) {
    write_text(store.files.record, format_record(changed));

    auto opened = store.open(with_words());

    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::forbidden);
  }
}

TEST(UnlockFile, of_another_store_does_not_open_this_one) {
  Store store, other;
  other.use_passphrase();
  fs::copy_file(other.files.record, store.files.record, fs::copy_options::overwrite_existing);

  auto opened = store.open(with_words());

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::invalid);
}

TEST(UnlockFile, that_others_can_read_is_refused) {
  Store store;
  ASSERT_EQ(::chmod(store.files.record.c_str(), 0644), 0);

  auto opened = store.open();

  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::forbidden);
}

// ── shares

TEST(Shares, of_the_recovery_set_open_a_store_of_every_method) {
  Store store;
  EXPECT_TRUE(store.open(with_shares(store.recovery, {0, 2})));
  must(remove_key_file(store.files, store.root));
  EXPECT_TRUE(store.open(with_shares(store.recovery, {1, 2})));
  store.use_passphrase();

  EXPECT_TRUE(store.open(with_shares(store.recovery, {0, 1})));
}

TEST(Shares, of_another_store_or_a_replaced_set_are_named) {
  Store store, other;
  auto old = split(store.root, store.ring.store_id(), 2, 3);

  auto foreign = store.open(with_shares(other.recovery, {0, 1}));
  auto replaced = store.open(with_shares(old, {0, 1}));
  auto few = store.open(with_shares(store.recovery, {0}));

  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().text.find("another store"), std::string_view::npos);
  ASSERT_FALSE(replaced);
  EXPECT_NE(replaced.error().text.find("replaced"), std::string_view::npos);
  EXPECT_EQ(replaced.error().field.text(), "share[1]");
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().code, Code::invalid);
}

TEST(Shares, that_are_forged_are_named_although_no_other_is_to_spare) {
  Store store;
  auto forged = with_shares(store.recovery, {0, 2});
  forged.shares[1].y.expose_mut()[5] ^= 1;  // as a holder could write it, check characters and all

  auto refused = store.open(forged);

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid);
  EXPECT_EQ(refused.error().field.text(), "share[3]");
  forged.shares[1] = copy_of(store.recovery[1]);
  forged.shares[1].number = 3;
  EXPECT_EQ(store.open(forged).error().field.text(), "share[3]")
      << "another one's under its number";
}

TEST(Shares, of_a_store_that_never_saw_all_of_them_open_it_too) {
  Store store;
  store.put(must(make_record(store.files, store.ring.store_id(), store.root,
                             {.recovery = set_of(store.recovery[0])})),
            {});

  EXPECT_TRUE(store.open(with_shares(store.recovery, {0, 2})));
}

TEST(Shares, of_the_everyday_set_open_and_those_of_recovery_still_do) {
  Store store;
  auto everyday = split(store.root, store.ring.store_id(), 3, 5);
  store.put(must(make_record(store.files, store.ring.store_id(), store.root,
                             {.method = Method::shamir,
                              .everyday = set_of(everyday),
                              .recovery = set_of(store.recovery)})),
            with_shares(everyday, {0, 1, 2}));

  EXPECT_TRUE(store.open(with_shares(everyday, {4, 2, 0})));
  EXPECT_FALSE(store.open(with_shares(everyday, {4, 2})));
  EXPECT_TRUE(store.open(with_shares(store.recovery, {0, 1})));
  auto nobody = store.open();
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, Code::locked);
}

// ── changes that a crash cut off

TEST(StagedMethod, that_never_took_effect_is_cleared) {
  Store store;
  auto words = with_words();
  must(stage_record(
      store.files,
      must(make_record(
          store.files, store.ring.store_id(), store.root,
          {.method = Method::passphrase, .passphrase = &*words.passphrase, .cost = kCheap})),
      store.root, words));

  EXPECT_EQ(store.start(), Method::file);

  EXPECT_FALSE(fs::exists(store.dir / "unlock.next"));
  EXPECT_TRUE(store.open());
}

TEST(StagedMethod, that_was_cut_off_while_it_was_written_is_cleared) {
  Store store;
  write_text(store.dir / "unlock.next", "Holdfast unlock method, version 1\nstore: ab");

  EXPECT_EQ(store.start(), Method::file);

  EXPECT_FALSE(fs::exists(store.dir / "unlock.next"));
}

TEST(StagedMethod, that_does_not_give_the_root_key_back_is_refused) {
  Store store;
  auto words = with_words();
  auto other = Secret::random(kKeyBytes);
  auto record = must(make_record(
      store.files, store.ring.store_id(), other,
      {.method = Method::passphrase, .passphrase = &*words.passphrase, .cost = kCheap}));

  auto staged = stage_record(store.files, record, store.root, words);

  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().code, Code::corrupt);
}

/// A new root key under the method `file`, up to a step; then the process is gone.
struct NewRoot {
  explicit NewRoot(Store& s) : store(s) {}
  Store& store;
  Secret root = Secret::random(kKeyBytes);
  std::vector<Share> recovery = split(root, store.ring.store_id(), 2, 3);

  void run(int steps) {
    if (steps > 0) must(stage_key_file(store.files, store.ring.store_id(), root));
    if (steps > 1)
      must(stage_record(store.files,
                        must(make_record(store.files, store.ring.store_id(), root,
                                         {.recovery = set_of(recovery)})),
                        root, {}));
    if (steps > 2) must(reseal_keyring(store.files.keyring, store.ring, root));
    if (steps > 3) must(put_staged_record(store.files));
    if (steps > 4) must(put_staged_key_file(store.files));
  }
};

TEST(NewRootKey, is_all_in_force_or_not_at_all_after_a_crash_at_any_step) {
  for (int steps = 0; steps <= 5; ++steps) {
    Store store;
    NewRoot change(store);
    change.run(steps);

    store.start();

    bool took_effect = steps >= 3;
    auto opened = must(store.open());
    EXPECT_TRUE(opened.root.matches(took_effect ? change.root.expose() : store.root.expose()))
        << steps;
    EXPECT_EQ(opened.ring.generation(), took_effect ? 2u : 1u) << steps;
    EXPECT_EQ(store.open(with_shares(change.recovery, {0, 1})).has_value(), took_effect) << steps;
    EXPECT_EQ(store.open(with_shares(store.recovery, {0, 1})).has_value(), !took_effect) << steps;
    EXPECT_FALSE(fs::exists(store.dir / "unlock.next")) << steps;
    EXPECT_FALSE(fs::exists(store.dir / "keys/root.key.next")) << steps;
    EXPECT_TRUE(opened.ring.holds_all_of(store.ring));
  }
}

TEST(NewRootKey, that_took_effect_is_finished_also_when_shares_open_the_store) {
  for (int steps = 3; steps <= 5; ++steps) {
    Store store;
    NewRoot change(store);
    change.run(steps);
    auto means = with_shares(change.recovery, {0, 1});

    must(finish_staged(store.files, must(store.open(means))));

    EXPECT_TRUE(must(store.open()).root.matches(change.root.expose())) << steps;
    EXPECT_EQ(must(store.open()).record.recovery, set_of(change.recovery[0])) << steps;
  }
}

TEST(NewRootKey, is_not_dropped_by_who_opened_the_store_before_it_took_effect) {
  Store store;
  NewRoot change(store);
  auto opened = must(store.open());
  change.run(3);

  auto finished = finish_staged(store.files, opened);

  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, Code::conflict);
  store.start();
  EXPECT_TRUE(must(store.open()).root.matches(change.root.expose()));
}

TEST(NewRootKey, under_a_passphrase_survives_a_crash_before_its_record_is_in_place) {
  Store store;
  store.use_passphrase();
  auto words = with_words();
  auto root = Secret::random(kKeyBytes);
  must(stage_record(
      store.files,
      must(make_record(
          store.files, store.ring.store_id(), root,
          {.method = Method::passphrase, .passphrase = &*words.passphrase, .cost = kCheap})),
      root, words));
  must(reseal_keyring(store.files.keyring, store.ring, root));

  EXPECT_EQ(store.start(with_words()), Method::passphrase);

  EXPECT_TRUE(must(store.open(with_words())).root.matches(root.expose()));
  EXPECT_FALSE(fs::exists(store.dir / "unlock.next"));
}

TEST(NewRootKey, leaves_no_keyring_that_the_old_one_opens) {
  Store store;
  NewRoot change(store);
  change.run(5);

  EXPECT_FALSE(read_keyring(store.files.keyring, store.root));
  EXPECT_FALSE(read_keyring(store.dir / "keyring.previous", store.root));
  EXPECT_TRUE(read_keyring(store.dir / "keyring.previous", change.root));
}

TEST(Resealing, refuses_a_keyring_that_is_not_the_one_in_memory) {
  Store store;
  must(write_keyring(store.files.keyring, store.ring.with_new(KeyUse::epoch, from_ms(1)),
                     store.root));

  auto resealed = reseal_keyring(store.files.keyring, store.ring, Secret::random(kKeyBytes));

  ASSERT_FALSE(resealed);
  EXPECT_EQ(resealed.error().code, Code::conflict);
}

TEST(Resealing, that_cannot_be_done_leaves_the_keyring_to_the_old_root_key) {
  Store store;
  fs::create_directories(store.dir / "keyring.previous" / "in the way");

  auto resealed = reseal_keyring(store.files.keyring, store.ring, Secret::random(kKeyBytes));

  ASSERT_FALSE(resealed);
  EXPECT_TRUE(read_keyring(store.files.keyring, store.root));
}

TEST(KeyFileRemoval, leaves_a_file_that_is_not_this_stores) {
  Store store;
  must(remove_key_file(store.files, store.root));
  ASSERT_TRUE(make_key_file(store.files.key_file, store.ring.store_id()));

  auto removed = remove_key_file(store.files, store.root);

  EXPECT_FALSE(removed);
  EXPECT_TRUE(fs::exists(store.files.key_file));
}

TEST(AStoreWithoutAnUnlockFile, opens_by_its_key_file) {
  Store store;
  fs::remove(store.files.record);

  auto opened = must(store.open());

  EXPECT_EQ(opened.record.method, Method::file);
  EXPECT_TRUE(store.open(with_shares(store.recovery, {0, 1})));
}

}  // namespace
}  // namespace holdfast::crypto
