// What a locked server takes, refuses and slows down.
#include "app/unlocker.h"

#include <gtest/gtest.h>

#include "crypto/aead.h"
#include "crypto/private_file.h"
#include "crypto/unlock/file.h"
#include "support/fake_clock.h"
#include "support/run.h"
#include "support/temp_dir.h"
#include "vault/keys/share_files.h"

namespace holdfast::app {
namespace {

using crypto::Method;
using Over = Unlocker::Over;

constexpr std::string_view kWords = "correct horse battery staple";

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(std::string(result.error().text));
  return std::move(*result);
}
void must(Result<void> result) {
  if (!result) throw std::runtime_error(std::string(result.error().text));
}

class UnlockerTest : public testing::Test {
 protected:
  void make(Method method) {
    crypto::NewMethod wanted{
        .method = method, .cost = {65'536, 3}, .recovery = crypto::set_of(recovery_[0])};
    crypto::Means means;
    if (method == Method::passphrase) {
      means.passphrase = must(crypto::passphrase_from(kWords));
      wanted.passphrase = &*means.passphrase;
    }
    if (method == Method::shamir) {
      everyday_ = crypto::split(root_, ring_.store_id(), 3, 5);
      wanted.everyday = crypto::set_of(everyday_[0]);
      for (std::size_t i = 0; i < 3; ++i) means.shares.push_back(vault::copy_of(everyday_[i]));
    }
    if (method == Method::file)
      must(crypto::write_key_file(files_.key_file, ring_.store_id(), root_));
    must(crypto::stage_record(
        files_, must(crypto::make_record(files_, ring_.store_id(), root_, wanted)), root_, means));
    must(crypto::put_staged_record(files_));
    must(crypto::write_keyring(files_.keyring, ring_, root_));
    unlocker_.emplace(Unlocker::Deps{files_, dir_ / "locked", clock_, pool_});
  }
  Result<vault::UnlockProgress> attempt(vault::UnlockRequest request, Over over = Over::socket,
                                        std::string client = "192.0.2.1") {
    return context_.run(unlocker_->attempt(over, std::move(client), std::move(request)));
  }
  Result<vault::UnlockProgress> share(const crypto::Share& share, bool restart = false) {
    return attempt({.share = std::move(vault::text_of(share).text), .restart = restart});
  }
  Result<vault::UnlockProgress> words(std::string_view text, Over over = Over::socket,
                                      std::string client = "192.0.2.1") {
    return attempt({.passphrase = Secret::copy(text)}, over, std::move(client));
  }

  test::TempDir dir_;
  test::FakeClock clock_;
  test::RunContext context_;
  Pool pool_{1, 16};
  crypto::RootFiles files_{dir_ / "unlock", dir_ / "keyring", dir_ / "keys/root.key", {}};
  crypto::Keyring ring_ = crypto::Keyring::make(clock_.now());
  Secret root_ = Secret::random(crypto::kKeyBytes);
  std::vector<crypto::Share> recovery_ = crypto::split(root_, ring_.store_id(), 2, 3);
  std::vector<crypto::Share> everyday_;
  std::optional<Unlocker> unlocker_;
};

TEST_F(UnlockerTest, opens_when_enough_shares_came_one_by_one) {
  make(Method::shamir);

  auto first = must(share(everyday_[4]));
  auto second = must(share(everyday_[0]));
  auto third = must(share(everyday_[2]));

  EXPECT_EQ(first.missing, 2);
  EXPECT_EQ(second.shares_given, (std::vector<std::int64_t>{1, 5}));
  EXPECT_FALSE(third.locked);
  auto opened = unlocker_->take();
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->store.root.matches(root_.expose()));
  EXPECT_EQ(opened->by.shares, (std::vector<std::int64_t>{1, 3, 5}));
  EXPECT_FALSE(unlocker_->take());
}

TEST_F(UnlockerTest, names_a_forged_share_once_a_spare_one_is_there) {
  make(Method::shamir);
  auto forged = vault::copy_of(everyday_[1]);
  forged.y.expose_mut()[3] ^= 1;

  must(share(everyday_[0]));
  must(share(forged));
  auto unclear = share(everyday_[2]);
  auto named = share(everyday_[3]);
  auto opened = must(share(everyday_[1]));

  ASSERT_FALSE(unclear);
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().field.text(), "share[2]");
  EXPECT_FALSE(opened.locked);
}

TEST_F(UnlockerTest, begins_anew_when_asked_and_after_an_hour) {
  make(Method::shamir);
  must(share(everyday_[0]));

  auto mixed = share(recovery_[0]);
  auto anew = must(share(recovery_[0], true));
  clock_.advance(std::chrono::hours(2));
  auto later = must(share(recovery_[1]));

  EXPECT_FALSE(mixed);
  EXPECT_EQ(anew.shares_given, (std::vector<std::int64_t>{1}));
  EXPECT_EQ(later.shares_given, (std::vector<std::int64_t>{2}));
}

TEST_F(UnlockerTest, wipes_shares_that_nobody_followed_up) {
  make(Method::shamir);
  must(share(everyday_[0]));
  clock_.advance(std::chrono::minutes(59));
  unlocker_->forget_late_shares();
  auto kept = unlocker_->status().shares_given;
  clock_.advance(std::chrono::minutes(2));
  unlocker_->forget_late_shares();

  EXPECT_EQ(kept, (std::vector<std::int64_t>{1}));
  EXPECT_TRUE(unlocker_->status().shares_given.empty());
}

TEST_F(UnlockerTest, refuses_shares_of_sets_that_it_does_not_know) {
  make(Method::passphrase);
  auto replaced = crypto::split(root_, ring_.store_id(), 2, 3);
  auto foreign = crypto::split(root_, Bytes(16, 7), 2, 3);

  EXPECT_FALSE(share(replaced[0]));
  EXPECT_FALSE(share(foreign[0]));
  EXPECT_TRUE(unlocker_->status().shares_given.empty());
}

TEST_F(UnlockerTest, slows_wrong_passphrases_down_also_on_the_machine) {
  make(Method::passphrase);

  for (int i = 0; i < 5; ++i) EXPECT_EQ(words("wrong").error().code, Code::forbidden);
  auto too_soon = words(kWords);
  clock_.advance(std::chrono::seconds(2));
  auto right = words(kWords);

  ASSERT_FALSE(too_soon);
  EXPECT_EQ(too_soon.error().code, Code::exhausted);
  ASSERT_TRUE(right) << right.error().text;
  EXPECT_EQ(unlocker_->take()->by.failed, 5);
}

TEST_F(UnlockerTest, guesses_from_afar_do_not_keep_the_owner_on_the_machine_waiting) {
  make(Method::passphrase);

  for (int i = 0; i < 6; ++i) (void)words("wrong", Over::https);
  auto afar = words(kWords, Over::https);
  auto here = words(kWords);

  ASSERT_FALSE(afar);
  EXPECT_EQ(afar.error().code, Code::exhausted);
  EXPECT_TRUE(here) << here.error().text;
}

TEST_F(UnlockerTest, takes_ten_attempts_a_minute_from_one_address_and_thirty_in_all) {
  make(Method::shamir);
  auto junk = [&](std::string client) {
    auto done = attempt({.share = Secret::copy(std::string_view("junk"))}, Over::https, client);
    return done.error().code;
  };

  for (int i = 0; i < 10; ++i) EXPECT_EQ(junk("a"), Code::invalid);
  EXPECT_EQ(junk("a"), Code::exhausted);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(junk("b"), Code::invalid);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(junk("c"), Code::invalid);
  EXPECT_EQ(junk("d"), Code::exhausted);
  EXPECT_TRUE(share(everyday_[0]));
  clock_.advance(std::chrono::minutes(1));
  EXPECT_EQ(junk("a"), Code::invalid);
}

TEST_F(UnlockerTest, opens_a_latched_store_only_on_the_machine_where_the_key_lies) {
  make(Method::file);
  ASSERT_TRUE(crypto::replace_private(
      dir_ / "locked",
      as_bytes("Holdfast is locked on purpose\nat: 2026-11-23T09:30:00.000Z\nby: key_x\n")));
  unlocker_.emplace(Unlocker::Deps{files_, dir_ / "locked", clock_, pool_, LockReason::deliberate});

  auto afar = attempt({}, Over::https);
  auto here = attempt({});

  ASSERT_FALSE(afar);
  EXPECT_EQ(afar.error().code, Code::forbidden);
  ASSERT_TRUE(here);
  EXPECT_TRUE(std::filesystem::exists(dir_ / "locked")) << "until the unlocking is recorded";
  EXPECT_EQ(unlocker_->take()->by.locked_by, "key_x");
}

}  // namespace
}  // namespace holdfast::app
