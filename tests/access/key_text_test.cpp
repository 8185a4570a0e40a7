#include "access/key_text.h"

#include <gtest/gtest.h>

#include <set>

namespace holdfast::access {
namespace {

// The checksum was computed apart, with Python's zlib.
constexpr std::string_view kKnown =
    "hf_live_0123456789ab_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg"
    "0Tko9M";

std::string made(Environment environment = Environment::live) {
  return std::string(make_key_text(environment, make_key_id()).expose_text());
}

TEST(KeyText, that_was_made_is_read) {
  for (auto environment : {Environment::live, Environment::test}) {
    const auto id = make_key_id();
    const auto text = make_key_text(environment, id);

    const auto parsed = parse_key_text(text.expose_text());

    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->environment, environment);
    EXPECT_EQ(parsed->id, id);
    EXPECT_EQ(text.size(), kKeyTextChars);
    EXPECT_EQ(parsed->hashed, text.expose_text().substr(0, kKeyTextChars - kChecksumChars));
  }
}

TEST(KeyText, has_the_checksum_of_zip_in_base62) {
  const auto parsed = parse_key_text(kKnown);

  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->id, "0123456789ab");
}

TEST(KeyText, with_any_other_character_anywhere_is_refused) {
  const auto good = made();

  for (std::size_t i = 0; i < good.size(); ++i) {
    for (char c : {'0', '1', 'a', 'Z', 'z', '_', '-', ' ', '\0', '\xff'}) {
      auto bad = good;
      bad[i] = c;
      if (bad != good) {
        EXPECT_FALSE(parse_key_text(bad)) << i << ' ' << static_cast<int>(c);
      }
    }
  }
}

TEST(KeyText, of_another_length_is_refused) {
  const auto good = made();

  EXPECT_FALSE(parse_key_text(""));
  EXPECT_FALSE(parse_key_text(good + "0"));
  EXPECT_FALSE(parse_key_text(" " + good));
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parse_key_text(std::string_view(good).substr(0, size)));
}

TEST(KeyText, is_never_made_twice) {
  std::set<std::string> seen;
  for (int i = 0; i < 1'000; ++i) seen.insert(made());

  EXPECT_EQ(seen.size(), 1'000u);
}

TEST(Bearer, is_a_scheme_in_any_case_and_one_space) {
  EXPECT_EQ(bearer("Bearer abc"), "abc");
  EXPECT_EQ(bearer("bEARER abc"), "abc");
  EXPECT_EQ(bearer("Bearer  abc"), " abc");  // which no key is
  for (std::string_view bad : {"", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "abc"})
    EXPECT_FALSE(bearer(bad)) << bad;
}

TEST(PrincipalName, is_an_id_behind_its_prefix) {
  EXPECT_TRUE(is_principal(principal_of(make_key_id())));
  for (std::string_view bad :
       {"", "key_", "key_0123456789aB", "key_0123456789abc", "kez_0123456789ab"})
    EXPECT_FALSE(is_principal(bad)) << bad;
}

}  // namespace
}  // namespace holdfast::access
