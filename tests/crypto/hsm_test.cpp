// PKCS #11 with SoftHSM 2; without it these are skipped.
#include <gtest/gtest.h>

#include "crypto/aead.h"
#include "crypto/unlock/root.h"
#include "support/hsm.h"

namespace holdfast::crypto {
namespace {

class HsmTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::SoftHsm::module()) GTEST_SKIP() << "SoftHSM 2 is not installed (tools/setup test)";
    soft_.emplace();
    auto loaded = Hsm::load(soft_->place());
    ASSERT_TRUE(loaded);
    hsm_ = *loaded;
  }

  HsmKey made() {
    auto key = hsm_->make_key(soft_->key());
    EXPECT_TRUE(key);
    return *key;
  }

  std::optional<test::SoftHsm> soft_;
  std::shared_ptr<Hsm> hsm_;
  Secret root_ = Secret::random(kKeyBytes);
  Bytes bound_ = to_bytes("this store");
};

TEST_F(HsmTest, gives_back_the_root_key_that_it_wrapped) {
  auto key = made();

  auto wrapped = hsm_->wrap(key, root_, bound_);
  auto back = wrapped ? hsm_->unwrap(key, *wrapped, bound_) : Result<Secret>(wrapped.error());

  ASSERT_TRUE(wrapped) << wrapped.error().text;
  EXPECT_EQ(wrapped->size(), 60u);
  ASSERT_TRUE(back) << back.error().text;
  EXPECT_TRUE(back->matches(root_.expose()));
  EXPECT_FALSE(key.serial.empty());
}

TEST_F(HsmTest, refuses_what_was_changed_or_bound_to_another_store) {
  auto key = made();
  auto wrapped = *hsm_->wrap(key, root_, bound_);

  for (std::size_t at = 0; at < wrapped.size(); at += 7) {
    auto changed = wrapped;
    changed[at] ^= 1;
    auto back = hsm_->unwrap(key, changed, bound_);
    ASSERT_FALSE(back) << at;
    EXPECT_EQ(back.error().code, Code::corrupt) << at;
  }
  EXPECT_FALSE(hsm_->unwrap(key, wrapped, as_bytes("that store")));
  EXPECT_FALSE(hsm_->unwrap(key, BytesView(wrapped).first(20), bound_));
}

TEST_F(HsmTest, with_another_key_of_the_same_label_does_not_open) {
  auto key = made();
  auto wrapped = *hsm_->wrap(key, root_, bound_);
  soft_.reset();
  soft_.emplace();
  hsm_ = *Hsm::load(soft_->place());
  auto other = hsm_->make_key(soft_->key());
  ASSERT_TRUE(other);

  auto back = hsm_->unwrap(*other, wrapped, bound_);
  auto by_serial = hsm_->unwrap(key, wrapped, bound_);

  ASSERT_FALSE(back);
  EXPECT_FALSE(by_serial);
  EXPECT_EQ(by_serial.error().code, Code::not_found);
}

TEST_F(HsmTest, makes_no_second_key_of_a_label) {
  made();

  auto again = hsm_->make_key(soft_->key());

  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::conflict);
}

TEST_F(HsmTest, with_a_wrong_pin_or_none_says_so) {
  auto key = made();
  soft_->set_pin("9999");
  auto wrong = hsm_->find(key);
  auto again = hsm_->find(key);
  soft_->set_pin("1234");
  auto place = soft_->place();
  place.pin_file = "/nonexistent/pin";
  auto none = (*Hsm::load(place))->find(key);

  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::forbidden);
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().text.find("not tried again"), std::string::npos) << again.error().text;
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::forbidden);
  EXPECT_TRUE(hsm_->find(key));
}

TEST_F(HsmTest, that_is_gone_is_noticed_and_found_again_when_it_is_back) {
  auto key = made();
  auto wrapped = *hsm_->wrap(key, root_, bound_);

  soft_->unplug();
  auto gone = hsm_->find(key);
  soft_->plug();
  auto back = hsm_->unwrap(key, wrapped, bound_);

  EXPECT_FALSE(gone);
  ASSERT_TRUE(back) << back.error().text;
}

TEST_F(HsmTest, opens_a_store_and_a_start_without_it_is_refused_clearly) {
  test::TempDir dir;
  auto key = made();
  RootFiles files{dir / "unlock", dir / "keyring", dir / "root.key", soft_->place()};
  auto ring = Keyring::make(from_ms(1'700'000'000'000));
  auto record = make_record(files, ring.store_id(), root_,
                            {.method = Method::pkcs11, .hsm_key = soft_->key()});
  ASSERT_TRUE(record) << record.error().text;
  ASSERT_TRUE(stage_record(files, *record, root_, {}));
  ASSERT_TRUE(put_staged_record(files));
  ASSERT_TRUE(write_keyring(files.keyring, ring, root_));

  auto opened = open_store(files, {});
  soft_->unplug();
  auto without = open_store(files, {});
  soft_->plug();

  ASSERT_TRUE(opened) << opened.error().text;
  EXPECT_TRUE(opened->root.matches(root_.expose()));
  ASSERT_FALSE(without);
  EXPECT_TRUE(without.error().code == Code::not_found || without.error().code == Code::unavailable);
}

TEST(HsmModule, that_is_missing_or_none_is_refused) {
  EXPECT_FALSE(Hsm::load({}));
  EXPECT_FALSE(Hsm::load({"/nonexistent/module.so", "/nonexistent/pin"}));
  EXPECT_FALSE(Hsm::load({"libm.so.6", "/nonexistent/pin"}));
}

}  // namespace
}  // namespace holdfast::crypto
