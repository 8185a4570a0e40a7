#include "crypto/hpke.h"

#include <algorithm>
#include <stdexcept>

#include "cases.h"
#include "crypto/hpke_raw.h"

namespace holdfast::crypto {
namespace {

TEST(Hpke, gives_the_known_answers) {
  for (const auto& known : test::read_cases("hpke.txt")) {
    SCOPED_TRACE(known.where);
    const auto info = known.bytes("info"), associated = known.bytes("associated");

    HpkeKey key(known.bytes("random"));
    auto sealed = raw::hpke_seal(key.public_key(), info, associated, known.bytes("plain"),
                                 known.bytes("ephemeral_random"));

    EXPECT_EQ(hex(key.public_key()), known.text("public"));
    ASSERT_TRUE(sealed);
    EXPECT_EQ(hex(*sealed), known.text("encapsulated") + known.text("ciphertext"));
    auto opened = key.open(info, associated, *sealed);
    ASSERT_TRUE(opened);
    EXPECT_TRUE(opened->matches(known.bytes("plain")));
  }
}

TEST(Hpke, opens_nothing_that_was_changed_or_belongs_elsewhere) {
  const HpkeKey key(Bytes(32, 1)), other(Bytes(32, 2));
  const auto info = to_bytes("info"), place = to_bytes("place"), plain = to_bytes("ann");
  auto sealed = hpke_seal(key.public_key(), info, place, plain);
  ASSERT_TRUE(sealed);

  EXPECT_TRUE(key.open(info, place, *sealed));
  EXPECT_FALSE(other.open(info, place, *sealed));
  EXPECT_FALSE(key.open(to_bytes("other"), place, *sealed));
  EXPECT_FALSE(key.open(info, to_bytes("other"), *sealed));
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    auto changed = *sealed;
    // X25519 ignores the top bit of a key, but the key schedule binds it.
    changed[i] ^= i == 31 ? 0x80 : 0x01;
    EXPECT_FALSE(key.open(info, place, changed)) << i;
    EXPECT_FALSE(key.open(info, place, BytesView(*sealed).first(i))) << i;
  }
}

TEST(Hpke, seals_the_same_twice_in_two_ways) {
  const HpkeKey key(Bytes(32, 1));

  auto one = hpke_seal(key.public_key(), {}, {}, to_bytes("ann"));
  auto two = hpke_seal(key.public_key(), {}, {}, to_bytes("ann"));

  ASSERT_TRUE(one && two);
  EXPECT_NE(*one, *two);
  EXPECT_EQ(one->size(), 3 + kHpkeOverhead);
}

TEST(Hpke, refuses_keys_of_small_order) {
  HpkePublicKey zero{}, one{};
  one[0] = 1;

  EXPECT_FALSE(hpke_seal(zero, {}, {}, to_bytes("ann")));
  EXPECT_FALSE(hpke_seal(one, {}, {}, to_bytes("ann")));
  EXPECT_FALSE(HpkeKey(Bytes(32, 1)).open({}, {}, Bytes(kHpkeOverhead, 0)));
  EXPECT_THROW(HpkeKey(Bytes(31, 1)), std::invalid_argument);
}

}  // namespace
}  // namespace holdfast::crypto
