#include "base/text.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace holdfast {
namespace {

std::string utf8(char32_t c) {
  std::string out;
  auto put = [&out](char32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 63));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 63));
    put(0x80 | (c & 63));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 63));
    put(0x80 | (c >> 6 & 63));
    put(0x80 | (c & 63));
  }
  return out;
}

bool surrogate(char32_t c) {
  return c >= 0xd800 && c <= 0xdfff;
}

TEST(ValidUtf8, takes_every_scalar_value_and_no_surrogate) {
  for (char32_t c = 0; c <= 0x10ffff; ++c)
    EXPECT_EQ(valid_utf8(utf8(c)), !surrogate(c)) << static_cast<std::uint32_t>(c);
}

TEST(ValidUtf8, takes_of_all_short_byte_strings_only_what_can_be_written) {
  // Every string of one and two bytes against a count of what Unicode has.
  int one = 0, two = 0;
  for (int a = 0; a < 256; ++a) {
    one += valid_utf8(std::string{static_cast<char>(a)});
    for (int b = 0; b < 256; ++b)
      two += valid_utf8(std::string{static_cast<char>(a), static_cast<char>(b)});
  }

  EXPECT_EQ(one, 128);
  EXPECT_EQ(two, 128 * 128 + 0x780);
}

TEST(ValidUtf8, refuses_overlong_cut_and_stray_bytes_at_every_offset) {
  const std::string_view bad[] = {"\x80",
                                  "\xbf",
                                  "\xc0\x80",
                                  "\xc1\xbf",
                                  "\xe0\x80\x80",
                                  "\xe0\x9f\xbf",
                                  "\xf0\x80\x80\x80",
                                  "\xf0\x8f\xbf\xbf",
                                  "\xed\xa0\x80",
                                  "\xed\xbf\xbf",
                                  "\xf4\x90\x80\x80",
                                  "\xf5\x80\x80\x80",
                                  "\xf8\x88\x80\x80\x80",
                                  "\xfe",
                                  "\xff",
                                  "\xc3",
                                  "\xe2\x82",
                                  "\xf0\x9f\x98",
                                  "\xc3(",
                                  "\xe2(\xa1",
                                  "\xe2\x82(",
                                  "\xf0\x9f\x98(",
                                  "\xf0\x9f(\x80"};
  for (auto text : bad)
    for (std::size_t before = 0; before < 17; ++before)
      for (std::size_t after : {0u, 1u, 9u})
        EXPECT_FALSE(
            valid_utf8(std::string(before, 'a') + std::string(text) + std::string(after, 'a')))
            << before;
}

TEST(ValidUtf8, takes_long_texts_of_all_kinds) {
  std::string mixed;
  for (int i = 0; i < 1000; ++i) mixed += "Straße 5, 東京 😀 plain text for a while";

  EXPECT_TRUE(valid_utf8(mixed));
  EXPECT_TRUE(valid_utf8(""));
  EXPECT_TRUE(valid_utf8(std::string_view("a\0b", 3)));
}

TEST(Nfc, makes_canonically_equal_texts_the_same) {
  EXPECT_EQ(nfc("Mu\u0308ller"), "Müller");
  EXPECT_EQ(nfc("Müller"), "Müller");
  EXPECT_EQ(nfc("\u212b"), "Å");
  EXPECT_EQ(nfc("plain"), "plain");
  EXPECT_EQ(nfc("ﬁ"), "ﬁ") << "compatible, not canonical";
  EXPECT_EQ(nfc("\xff"), std::nullopt);
}

TEST(Nfkc, makes_compatible_texts_the_same) {
  EXPECT_EQ(nfkc("ﬁsh"), "fish");
  EXPECT_EQ(nfkc("ＡＢＣ１２３"), "ABC123");
  EXPECT_EQ(nfkc("m²"), "m2");
  EXPECT_EQ(nfkc("a\u00a0b"), "a b");
  EXPECT_EQ(nfkc("ann@example.org"), "ann@example.org");
  EXPECT_EQ(nfkc("\xc3"), std::nullopt);
}

TEST(Fold, takes_case_and_accents_away) {
  struct {
    std::string_view text, folded;
  } known[] = {{"MULLER", "muller"},
               {"Müller", "muller"},
               {"MÜLLER", "muller"},
               {"Mu\u0308ller", "muller"},
               {"Straße", "strasse"},
               {"STRASSE", "strasse"},
               {"ẞ", "ss"},
               {"Éloïse", "eloise"},
               {"Dvořák", "dvorak"},
               {"Nguyễn", "nguyen"},
               {"Ångström", "angstrom"},
               {"İstanbul", "istanbul"},
               {"ΟΔΥΣΣΕΎΣ", "οδυσσευσ"},
               {"Ὀδυσσεύς", "οδυσσευσ"},
               {"Ёлкин", "елкин"},
               {"Андрей", "андреи"},
               {"שָׁלוֹם", "שלום"},
               {"مُحَمَّد", "محمد"},
               {"", ""},
               {"a-1_2", "a-1_2"}};
  for (const auto& [text, folded] : known) EXPECT_EQ(fold(text), folded) << text;
  EXPECT_EQ(fold("ab\xff"), std::nullopt);
}

TEST(Fold, keeps_marks_that_make_another_letter) {
  EXPECT_NE(fold("が"), fold("か")) << "kana voicing";
  EXPECT_NE(fold("कु"), fold("क")) << "a vowel sign of Devanagari";
  EXPECT_NE(fold("กุ"), fold("ก")) << "a vowel of Thai";
  EXPECT_NE(fold("ø"), fold("o"));
  EXPECT_EQ(fold("Ø"), "ø");
  EXPECT_EQ(fold("Łódź"), "łodz");
}

TEST(Fold, is_idempotent_and_normalised_for_every_character) {
  for (char32_t c = 1; c <= 0x10ffff; ++c) {
    if (surrogate(c)) continue;
    auto once = fold(utf8(c)).value();
    EXPECT_EQ(fold(once), once) << "U+" << std::hex << static_cast<std::uint32_t>(c);
    EXPECT_EQ(nfc(once), once) << "U+" << std::hex << static_cast<std::uint32_t>(c);
  }
}

TEST(CodePoints, counts_characters_and_not_bytes) {
  EXPECT_EQ(code_points(""), 0u);
  EXPECT_EQ(code_points("Müller"), 6u);
  EXPECT_EQ(code_points("東京😀"), 3u);
}

TEST(Trim, takes_white_space_of_every_kind_from_both_ends) {
  EXPECT_EQ(trim("  a b \t\r\n"), "a b");
  EXPECT_EQ(trim("\u00a0\u3000\u2003Müller\u2028\u0085"), "Müller");
  EXPECT_EQ(trim(" \u2003 "), "");
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim("東京"), "東京");
  EXPECT_EQ(trim("\u200bx"), "\u200bx") << "zero width is not white space";
  EXPECT_EQ(trim(" \xff "), "\xff");
  EXPECT_EQ(trim("\x80\x80\x80\x80"), "\x80\x80\x80\x80");
}

TEST(HasControl, finds_control_characters_of_both_blocks_and_separators) {
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (surrogate(c)) continue;
    bool newline = c == '\t' || c == '\n' || c == '\r';
    bool control = c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029;
    ASSERT_EQ(has_control("a" + utf8(c) + "b", false), control) << static_cast<std::uint32_t>(c);
    ASSERT_EQ(has_control("a" + utf8(c) + "b", true), control && !newline)
        << static_cast<std::uint32_t>(c);
  }
}

TEST(HasControl, takes_text_that_is_cut_short) {
  EXPECT_FALSE(has_control("\xc2", false));
  EXPECT_FALSE(has_control("\xe2\x80", false));
  EXPECT_FALSE(has_control("", false));
}

}  // namespace
}  // namespace holdfast
