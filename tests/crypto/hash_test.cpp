#include "crypto/hash.h"

#include <stdexcept>

#include "cases.h"

namespace holdfast::crypto {
namespace {

TEST(Sha256, gives_the_known_answers) {
  for (const auto& known : test::read_cases("sha_256.txt")) {
    Bytes message;
    auto part = known.bytes("message");
    for (std::uint64_t i = 0; i < known.number("times"); ++i)
      message.insert(message.end(), part.begin(), part.end());

    EXPECT_EQ(hex(sha256(message)), known.text("digest")) << known.where;
  }
}

TEST(Sha256, over_parts_is_the_hash_of_what_they_make_together) {
  auto text = random_bytes(300);

  for (std::size_t cut = 0; cut <= text.size(); ++cut)
    EXPECT_EQ(sha256({BytesView(text).first(cut), BytesView(text).subspan(cut)}), sha256(text));
}

TEST(Hmac, gives_the_known_answers) {
  for (const auto& known : test::read_cases("hmac_sha_256.txt")) {
    auto tag = hex(Hmac(known.bytes("key")).mac(known.bytes("message")));

    EXPECT_EQ(tag.substr(0, known.text("tag").size()), known.text("tag")) << known.where;
  }
}

TEST(Hmac, agrees_with_wycheproof) {
  auto file = test::wycheproof("hmac_sha256_test.json");
  if (!file) GTEST_SKIP() << "../shared/vectors is not there";
  int seen = 0;
  for (const auto& group : file->at("testGroups").as_array()) {
    auto size = static_cast<std::size_t>(group.at("tagSize").as_int64() / 8);
    for (const auto& known : group.at("tests").as_array()) {
      Hmac hmac(test::hex_member(known, "key"));
      auto mac = hmac.mac(test::hex_member(known, "msg"));

      bool fits = equal_constant_time(BytesView(mac).first(size), test::hex_member(known, "tag"));

      EXPECT_EQ(fits, known.at("result") == "valid") << known.at("tcId");
      ++seen;
    }
  }
  EXPECT_GT(seen, 100);
}

TEST(Hmac, may_be_used_again_and_moved) {
  Hmac hmac(to_bytes("key"));
  auto first = hmac.mac(to_bytes("message"));

  Hmac moved(std::move(hmac));

  EXPECT_EQ(moved.mac(to_bytes("message")), first);
  EXPECT_EQ(moved.mac(to_bytes("message")), first);
  EXPECT_NE(moved.mac(to_bytes("messagf")), first);
}

TEST(Hkdf, gives_the_known_answers) {
  for (const auto& known : test::read_cases("hkdf_sha_256.txt")) {
    auto output = known.bytes("output");

    auto prk = hkdf_extract(known.bytes("salt"), known.bytes("input"));
    auto expanded = Hmac(prk.expose()).expand(known.bytes("info"), output.size());

    EXPECT_EQ(hex(prk.expose()), known.text("prk")) << known.where;
    EXPECT_EQ(hex(expanded.expose()), known.text("output")) << known.where;
  }
}

TEST(Hkdf, agrees_with_wycheproof) {
  auto file = test::wycheproof("hkdf_sha256_test.json");
  if (!file) GTEST_SKIP() << "../shared/vectors is not there";
  int seen = 0;
  for (const auto& group : file->at("testGroups").as_array()) {
    for (const auto& known : group.at("tests").as_array()) {
      auto prk = hkdf_extract(test::hex_member(known, "salt"), test::hex_member(known, "ikm"));
      auto size = static_cast<std::size_t>(known.at("size").as_int64());
      Hmac hmac(prk.expose());
      ++seen;
      if (known.at("result") != "valid") {
        EXPECT_THROW(hmac.expand({}, size), std::invalid_argument) << known.at("tcId");
        continue;
      }

      auto output = hmac.expand(test::hex_member(known, "info"), size);

      EXPECT_EQ(hex(output.expose()), known.at("okm").as_string()) << known.at("tcId");
    }
  }
  EXPECT_GT(seen, 50);
}

TEST(Hkdf, expands_to_one_block_as_the_start_of_more) {
  Hmac hmac(to_bytes("a pseudorandom key"));
  auto info = to_bytes("email");

  auto one = hmac.expand(info);
  auto most = hmac.expand(info, 255 * 32);

  EXPECT_EQ(one.size(), 32u);
  EXPECT_TRUE(one.matches(most.expose().first(32)));
  EXPECT_TRUE(hmac.expand(info, 45).matches(most.expose().first(45)));
}

TEST(Hkdf, refuses_sizes_that_it_cannot_give) {
  Hmac hmac(to_bytes("a pseudorandom key"));

  EXPECT_THROW(hmac.expand({}, 0), std::invalid_argument);
  EXPECT_THROW(hmac.expand({}, 255 * 32 + 1), std::invalid_argument);
}

}  // namespace
}  // namespace holdfast::crypto
