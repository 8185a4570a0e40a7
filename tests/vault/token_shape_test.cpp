#include "vault/token_shape.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/id.h"
#include "vault/case_lines.h"
#include "vault/formats.h"

namespace holdfast::vault {
namespace {

using test::case_lines;

const Bytes kKey(32, 3);

Result<std::string> draw(TokenShape shape, std::string_view value) {
  return draw_token({.shape = shape}, kKey, value);
}

TEST(TokenPatterns, are_taken_when_they_give_a_million_tokens) {
  for (const auto& line : case_lines("tokens/good_pattern.txt")) {
    SCOPED_TRACE(line.where);

    auto drawn =
        draw_token({.shape = TokenShape::pattern, .pattern = line.parts[0]}, kKey, "a value");

    ASSERT_TRUE(drawn) << drawn.error().text;
    EXPECT_EQ(drawn->size(), std::stoul(line.parts[1]));
  }
}

TEST(TokenPatterns, are_refused_with_the_reason) {
  for (const auto& line : case_lines("tokens/fail_pattern.txt")) {
    SCOPED_TRACE(line.where);

    auto read = parse_pattern(line.parts[0]);

    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Code::invalid);
    EXPECT_NE(read.error().text.find(line.parts[1]), std::string_view::npos) << read.error().text;
  }
  EXPECT_FALSE(parse_pattern(""));
  EXPECT_FALSE(parse_pattern(std::string(129, 'a')));
}

TEST(TokenPatterns, draw_only_characters_of_their_sets) {
  for (int i = 0; i < 200; ++i) {
    auto drawn =
        draw_token({.shape = TokenShape::pattern, .pattern = "K-[A-C]{20}[079]"}, kKey, "");

    ASSERT_TRUE(drawn);
    EXPECT_TRUE(drawn->starts_with("K-"));
    EXPECT_EQ(drawn->substr(2, 20).find_first_not_of("ABC"), std::string::npos);
    EXPECT_EQ(drawn->find_first_not_of("079", 22), std::string::npos);
  }
}

TEST(TokenPatterns, never_draw_what_is_holdfasts_own) {
  auto drawn = draw_token({.shape = TokenShape::pattern, .pattern = "[t]ok_[0-9]{8}"}, kKey, "");

  ASSERT_FALSE(drawn);
  EXPECT_EQ(drawn.error().code, Code::invalid);
}

TEST(TokenDigits, are_as_many_as_the_value_has) {
  for (std::string value : {"123456", "+49 30 1234567", "0049-(30)/123.456", "4711000000",
                            "12345678901234567890123456789012345678"}) {
    auto digits = value;
    std::erase_if(digits, [](char c) { return c < '0' || c > '9'; });
    std::set<std::string> seen;
    for (int i = 0; i < 50; ++i) {
      auto drawn = draw(TokenShape::digits, value);

      ASSERT_TRUE(drawn) << value;
      EXPECT_EQ(drawn->size(), digits.size());
      EXPECT_TRUE(std::ranges::all_of(*drawn, [](char c) { return c >= '0' && c <= '9'; }));
      EXPECT_NE(*drawn, digits);
      if (digits[0] != '0') EXPECT_NE(drawn->front(), '0') << "a column of numbers would lose it";
      seen.insert(*drawn);
    }
    EXPECT_GT(seen.size(), 45u) << "no value has a token of its own";
  }
}

TEST(TokenDigits, of_a_value_that_is_too_short_are_refused) {
  for (std::string value :
       {"12345", "1-2-3-4-5", "", "AB123456", "１２３４５６７", "12 34\n5678"}) {
    auto drawn = draw(TokenShape::digits, value);

    ASSERT_FALSE(drawn) << value;
    EXPECT_EQ(drawn.error().code, Code::invalid);
  }
  EXPECT_FALSE(draw(TokenShape::digits, std::string(65, '1')));
}

TEST(TokenEmails, are_addresses_that_are_never_delivered) {
  auto one = draw(TokenShape::email, "ann@example.org"),
       two = draw(TokenShape::email, "ann@example.org");

  ASSERT_TRUE(one && two);
  EXPECT_NE(*one, *two);
  EXPECT_TRUE(is_email(*one));
  EXPECT_TRUE(one->ends_with(".invalid"));
}

TEST(TokenCards, keep_six_and_four_and_are_never_a_card_number) {
  for (std::string card : {"4242424242424242", "378282246310005", "4222222222222",
                           "6304000000000000", "30569309025904"})
    for (int i = 0; i < 300; ++i) {
      auto drawn = draw(TokenShape::card, card);

      ASSERT_TRUE(drawn);
      EXPECT_EQ(drawn->size(), card.size());
      EXPECT_EQ(drawn->substr(0, 6), card.substr(0, 6));
      EXPECT_EQ(drawn->substr(card.size() - 4), card.substr(card.size() - 4));
      EXPECT_FALSE(passes_luhn(*drawn)) << *drawn;
    }
}

}  // namespace
}  // namespace holdfast::vault
