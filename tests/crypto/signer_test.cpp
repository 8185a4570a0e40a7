#include "crypto/signer.h"

#include <algorithm>
#include <stdexcept>

#include "cases.h"

namespace holdfast::crypto {
namespace {

PublicKey public_key(BytesView bytes) {
  PublicKey out{};
  std::copy_n(bytes.begin(), out.size(), out.begin());
  return out;
}

TEST(Signer, gives_the_known_answers) {
  for (const auto& known : test::read_cases("ed25519.txt")) {
    SCOPED_TRACE(known.where);
    auto message = known.bytes("message");

    Signer signer(known.bytes("seed"));
    auto signature = signer.sign(message);

    EXPECT_EQ(hex(signer.public_key()), known.text("public"));
    EXPECT_EQ(hex(signature), known.text("signature"));
    EXPECT_TRUE(verify(signer.public_key(), message, signature));
  }
}

TEST(Signer, agrees_with_wycheproof) {
  auto file = test::wycheproof("ed25519_test.json");
  if (!file) GTEST_SKIP() << "../shared/vectors is not there";
  int seen = 0;
  for (const auto& group : file->at("testGroups").as_array()) {
    auto key = public_key(test::hex_member(group.at("publicKey"), "pk"));
    for (const auto& known : group.at("tests").as_array()) {
      bool ok = verify(key, test::hex_member(known, "msg"), test::hex_member(known, "sig"));

      EXPECT_EQ(ok, known.at("result") == "valid") << known.at("tcId");
      ++seen;
    }
  }
  EXPECT_GT(seen, 100);
}

TEST(Signer, verifies_nothing_that_was_changed) {
  Signer signer(random_bytes(32)), other(random_bytes(32));
  auto message = to_bytes("holdfast\n42\nroot\n");
  auto signature = signer.sign(message);

  for (std::size_t bit = 0; bit < signature.size() * 8; ++bit) {
    auto changed = signature;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(verify(signer.public_key(), message, changed)) << bit;
  }
  for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
    auto changed = message;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(verify(signer.public_key(), changed, signature)) << bit;
  }
  EXPECT_FALSE(verify(other.public_key(), message, signature));
}

TEST(Signer, verifies_no_signature_of_another_length) {
  Signer signer(random_bytes(32));
  auto signature = signer.sign({});
  Bytes longer = to_bytes(BytesView(signature));
  longer.push_back(0);

  EXPECT_TRUE(verify(signer.public_key(), {}, signature));
  EXPECT_FALSE(verify(signer.public_key(), {}, BytesView(signature).first(63)));
  EXPECT_FALSE(verify(signer.public_key(), {}, longer));
  EXPECT_FALSE(verify(signer.public_key(), {}, {}));
}

TEST(Signer, refuses_keys_of_small_order) {
  // With the neutral element as key, R = [s]B would verify for every message.
  PublicKey neutral{1};
  Signature forged{1};

  EXPECT_FALSE(verify(neutral, to_bytes("anything"), forged));
}

TEST(Signer, refuses_a_seed_of_another_size_as_a_bug) {
  EXPECT_THROW(Signer(Bytes(31)), std::invalid_argument);
}

}  // namespace
}  // namespace holdfast::crypto
