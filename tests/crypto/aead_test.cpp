#include "crypto/aead.h"

#include <set>
#include <thread>

#include "cases.h"
#include "crypto/aead_raw.h"

namespace holdfast::crypto {
namespace {

const Bytes kKey(kKeyBytes, 0x11);
const Bytes kOtherKey(kKeyBytes, 0x12);
const Bytes kWhere = to_bytes("sub_1/email");

TEST(Gcm, gives_the_known_answers) {
  for (const auto& known : test::read_cases("aes_256_gcm.txt")) {
    SCOPED_TRACE(known.where);
    auto plain = known.bytes("plain"), associated = known.bytes("associated");
    auto expected = known.bytes("cipher");
    auto tag = known.bytes("tag");
    expected.insert(expected.end(), tag.begin(), tag.end());

    Bytes sealed(plain.size() + raw::kTagBytes), opened(plain.size());
    raw::gcm_seal(known.bytes("key"), known.bytes("nonce"), {associated}, plain, sealed);
    bool ok = raw::gcm_open(known.bytes("key"), known.bytes("nonce"), {associated}, sealed, opened);

    EXPECT_EQ(hex(sealed), hex(expected));
    EXPECT_TRUE(ok);
    EXPECT_EQ(opened, plain);
  }
}

TEST(Gcm, binds_associated_data_in_two_places_as_if_it_were_one) {
  for (const auto& known : test::read_cases("aes_256_gcm.txt")) {
    SCOPED_TRACE(known.where);
    auto plain = known.bytes("plain"), associated = known.bytes("associated");
    auto half = BytesView(associated).first(associated.size() / 3);
    auto rest = BytesView(associated).subspan(associated.size() / 3);

    Bytes sealed(plain.size() + raw::kTagBytes);
    raw::gcm_seal(known.bytes("key"), known.bytes("nonce"), {half, rest}, plain, sealed);

    EXPECT_EQ(hex(BytesView(sealed).last(raw::kTagBytes)), known.text("tag"));
  }
}

TEST(Gcm, agrees_with_wycheproof) {
  auto file = test::wycheproof("aes_gcm_test.json");
  if (!file) GTEST_SKIP() << "../shared/vectors is not there";
  int seen = 0;
  for (const auto& group : file->at("testGroups").as_array()) {
    if (group.at("keySize") != 256 || group.at("ivSize") != 96 || group.at("tagSize") != 128)
      continue;
    for (const auto& known : group.at("tests").as_array()) {
      SCOPED_TRACE(known.at("tcId"));
      auto sealed = test::hex_member(known, "ct"), tag = test::hex_member(known, "tag");
      sealed.insert(sealed.end(), tag.begin(), tag.end());
      auto key = test::hex_member(known, "key"), nonce = test::hex_member(known, "iv");
      auto associated = test::hex_member(known, "aad"), plain = test::hex_member(known, "msg");

      Bytes opened(sealed.size() - raw::kTagBytes, 0xee);
      bool ok = raw::gcm_open(key, nonce, {associated}, sealed, opened);
      Bytes again(plain.size() + raw::kTagBytes);
      raw::gcm_seal(key, nonce, {associated}, plain, again);

      bool valid = known.at("result") == "valid";
      EXPECT_EQ(ok, valid);
      EXPECT_EQ(opened, valid ? plain : Bytes(opened.size(), 0));
      if (valid) {
        EXPECT_EQ(hex(again), hex(sealed));
      }
      ++seen;
    }
  }
  EXPECT_GT(seen, 50);
}

TEST(Gcm, wipes_the_output_when_the_tag_does_not_fit) {
  Bytes nonce(raw::kNonceBytes), plain = to_bytes("ann@example.org");
  Bytes sealed(plain.size() + raw::kTagBytes), out(plain.size(), 0xee);
  raw::gcm_seal(kKey, nonce, {}, plain, sealed);
  sealed.back() ^= 1;

  EXPECT_FALSE(raw::gcm_open(kKey, nonce, {}, sealed, out));
  EXPECT_EQ(out, Bytes(plain.size(), 0));
}

TEST(Seal, opens_again_at_every_length) {
  for (std::size_t size : {0u, 1u, 15u, 16u, 17u, 30u, 255u, 4096u, 5000u, 100'000u}) {
    auto plain = random_bytes(size);

    auto sealed = seal(kKey, 7, plain, kWhere);
    auto opened = open(kKey, sealed, kWhere);

    EXPECT_EQ(sealed.size(), size + kSealOverhead);
    ASSERT_TRUE(opened) << size;
    EXPECT_TRUE(opened->matches(plain));
  }
}

TEST(Seal, is_laid_out_as_version_key_id_nonce_ciphertext_tag) {
  auto plain = to_bytes("Ann");

  auto sealed = seal(kKey, 0x01020304, plain, kWhere);

  EXPECT_EQ(hex(BytesView(sealed).first(5)), "0101020304");
  EXPECT_EQ(sealed_key_id(sealed), 0x01020304u);
  Bytes opened(plain.size());
  EXPECT_TRUE(raw::gcm_open(kKey, BytesView(sealed).subspan(5, 12),
                            {BytesView(sealed).first(5), kWhere}, BytesView(sealed).subspan(17),
                            opened));
  EXPECT_EQ(opened, plain);
}

TEST(Seal, is_corrupt_after_any_flipped_bit) {
  auto sealed = seal(kKey, 7, to_bytes("ann@example.org"), kWhere);

  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto changed = sealed;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    auto opened = open(kKey, changed, kWhere);
    ASSERT_FALSE(opened) << bit;
    EXPECT_EQ(opened.error().code, Code::corrupt);
  }
}

TEST(Seal, is_corrupt_when_cut_anywhere_or_lengthened) {
  auto sealed = seal(kKey, 7, to_bytes("ann@example.org"), kWhere);

  for (std::size_t size = 0; size < sealed.size(); ++size) {
    auto opened = open(kKey, BytesView(sealed).first(size), kWhere);
    ASSERT_FALSE(opened) << size;
    EXPECT_EQ(opened.error().code, Code::corrupt);
  }
  for (std::uint8_t extra : {0, 1, 255}) {
    auto longer = sealed;
    longer.push_back(extra);
    EXPECT_FALSE(open(kKey, longer, kWhere));
  }
}

TEST(Seal, does_not_open_in_another_place_or_under_another_key) {
  auto plain = to_bytes("ann@example.org");
  auto here = seal(kKey, 7, plain, kWhere);
  auto longer = kWhere;
  longer.push_back(0);

  EXPECT_FALSE(open(kKey, here, to_bytes("sub_2/email")));
  EXPECT_FALSE(open(kKey, here, BytesView(kWhere).first(kWhere.size() - 1)));
  EXPECT_FALSE(open(kKey, here, longer));
  EXPECT_FALSE(open(kKey, here, {}));
  EXPECT_FALSE(open(kOtherKey, here, kWhere));
  EXPECT_TRUE(open(kKey, here, kWhere));
}

TEST(Seal, does_not_let_header_and_place_be_shifted_into_each_other) {
  // The header is bound too: its bytes must not be able to stand in for associated data.
  auto sealed = seal(kKey, 7, to_bytes("x"), {});
  auto header = BytesView(sealed).first(5);

  EXPECT_FALSE(open(kKey, sealed, header));
}

TEST(Seal, never_uses_a_nonce_twice) {
  std::set<std::string> nonces;
  std::mutex mutex;

  auto work = [&] {
    for (int i = 0; i < 5000; ++i) {
      auto nonce = hex(BytesView(seal(kKey, 1, {}, {})).subspan(5, 12));
      std::scoped_lock lock(mutex);
      nonces.insert(nonce);
    }
  };
  std::thread a(work), b(work);
  a.join();
  b.join();

  EXPECT_EQ(nonces.size(), 10'000u);
}

TEST(Seal, refuses_a_key_of_another_size_as_a_bug) {
  EXPECT_THROW(seal(Bytes(16), 1, {}, {}), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(open(Bytes(31), seal(kKey, 1, {}, {}), {})),
               std::invalid_argument);
}

TEST(SealedKeyId, is_unknown_for_a_foreign_layout) {
  auto sealed = seal(kKey, 9, {}, {});
  auto other_version = sealed;
  other_version[0] = 2;

  EXPECT_EQ(sealed_key_id(sealed), 9u);
  EXPECT_EQ(sealed_key_id(other_version), std::nullopt);
  EXPECT_EQ(sealed_key_id(BytesView(sealed).first(kSealOverhead - 1)), std::nullopt);
  EXPECT_EQ(sealed_key_id({}), std::nullopt);
}

}  // namespace
}  // namespace holdfast::crypto
