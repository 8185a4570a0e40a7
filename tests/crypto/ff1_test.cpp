#include "crypto/ff1.h"

#include <set>
#include <stdexcept>

#include "crypto/cases.h"
#include "crypto/ff1_raw.h"

namespace holdfast::crypto {
namespace {

Bytes numerals(std::string_view text) {
  Bytes out;
  for (char c : text)
    out.push_back(c >= '0' && c <= '9'   ? static_cast<std::uint8_t>(c - '0')
                  : c >= 'a' && c <= 'z' ? static_cast<std::uint8_t>(c - 'a' + 10)
                                         : std::uint8_t{255});
  return out;
}

std::string letters(BytesView from) {
  std::string out;
  for (auto n : from) out += static_cast<char>(n < 10 ? '0' + n : 'a' + n - 10);
  return out;
}

TEST(Ff1, gives_the_known_answers) {
  for (const auto& known : test::read_cases("ff1.txt")) {
    auto text = numerals(known.text("plain"));

    bool done = raw::ff1_encrypt(known.bytes("key"), known.bytes("tweak"),
                                 static_cast<unsigned>(known.number("radix")), text);

    EXPECT_TRUE(done) << known.where;
    EXPECT_EQ(letters(text), known.text("image")) << known.where;
  }
}

TEST(Ff1, agrees_with_wycheproof) {
  auto file = test::wycheproof("aes_ff1_base10_test.json");
  if (!file) GTEST_SKIP() << "../shared/vectors is not there";
  int seen = 0;
  for (const auto& group : file->at("testGroups").as_array())
    for (const auto& known : group.at("tests").as_array()) {
      auto text = numerals(std::string(known.at("msg").as_string()));
      auto before = text;
      ++seen;

      bool done = raw::ff1_encrypt(test::hex_member(known, "key"), test::hex_member(known, "tweak"),
                                   10, text);

      ASSERT_EQ(done, known.at("result") == "valid") << known.at("tcId");
      if (done)
        EXPECT_EQ(letters(text), known.at("ct").as_string()) << known.at("tcId");
      else
        EXPECT_EQ(text, before) << known.at("tcId");
    }
  EXPECT_GT(seen, 3000);
}

TEST(Ff1, is_a_permutation_that_depends_on_key_and_tweak) {
  const Bytes key(32, 7);
  std::set<std::string> images;
  for (int i = 0; i < 2000; ++i) {
    auto text = numerals(std::to_string(1'000'000 + i));

    ASSERT_TRUE(ff1_encrypt(key, {}, 10, text));

    images.insert(letters(text));
  }
  EXPECT_EQ(images.size(), 2000u);

  auto one = numerals("4711000000"), two = one, three = one;
  ASSERT_TRUE(ff1_encrypt(key, to_bytes("a"), 10, one));
  ASSERT_TRUE(ff1_encrypt(key, to_bytes("b"), 10, two));
  ASSERT_TRUE(ff1_encrypt(Bytes(32, 8), to_bytes("a"), 10, three));
  EXPECT_NE(one, two);
  EXPECT_NE(one, three);
}

TEST(Ff1, refuses_a_domain_in_which_all_could_be_tried) {
  const Bytes key(32, 7);
  auto five = numerals("12345"), six = numerals("123456"), none = Bytes();
  auto refused = ff1_encrypt(key, {}, 10, five);

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid);
  EXPECT_EQ(letters(five), "12345") << "nothing changed";
  EXPECT_TRUE(ff1_encrypt(key, {}, 10, six));
  EXPECT_FALSE(ff1_encrypt(key, {}, 10, none));
}

TEST(Ff1, refuses_what_is_no_string_of_numerals) {
  const Bytes key(32, 7);
  Bytes wrong = numerals("1234567");
  wrong[3] = 10;
  Bytes long_one(4097, 1);

  EXPECT_FALSE(ff1_encrypt(key, {}, 10, wrong));
  EXPECT_FALSE(ff1_encrypt(key, {}, 10, long_one));
  EXPECT_FALSE(ff1_encrypt(key, {}, 257, wrong));
  EXPECT_FALSE(ff1_encrypt(key, {}, 1, wrong));
  EXPECT_FALSE(ff1_encrypt(key, {}, 0, wrong));
  EXPECT_FALSE(ff1_encrypt(key, Bytes(65'536), 10, long_one));
  EXPECT_THROW((void)ff1_encrypt(Bytes(16), {}, 10, wrong), std::invalid_argument);
}

}  // namespace
}  // namespace holdfast::crypto
