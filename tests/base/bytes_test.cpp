#include "base/bytes.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Hex, is_lower_case_and_read_back) {
  EXPECT_EQ(hex(to_bytes(std::string_view("\x00\x7f\xff", 3))), "007fff");
  EXPECT_EQ(unhex("007fff"), to_bytes(std::string_view("\x00\x7f\xff", 3)));
  EXPECT_EQ(hex({}), "");
  EXPECT_EQ(unhex(""), Bytes());
}

TEST(Hex, refuses_what_it_would_not_have_written) {
  for (auto text : {"0", "0g", "FF", "0x", " 00", "00 ", "é"}) EXPECT_FALSE(unhex(text)) << text;
  EXPECT_FALSE(unhex(std::string_view("\0\0", 2)));
}

TEST(Base64, gives_the_answers_of_rfc_4648) {
  const std::pair<std::string_view, std::string_view> known[] = {{"", ""},
                                                                 {"f", "Zg=="},
                                                                 {"fo", "Zm8="},
                                                                 {"foo", "Zm9v"},
                                                                 {"foob", "Zm9vYg=="},
                                                                 {"fooba", "Zm9vYmE="},
                                                                 {"foobar", "Zm9vYmFy"}};
  for (auto [plain, coded] : known) {
    EXPECT_EQ(base64(as_bytes(plain)), coded);
    EXPECT_EQ(unbase64(coded), to_bytes(plain));
    auto bare = coded.substr(0, coded.find('='));
    EXPECT_EQ(base64url(as_bytes(plain)), bare);
    EXPECT_EQ(unbase64url(bare), to_bytes(plain));
  }
}

TEST(Base64, uses_the_alphabet_of_its_section) {
  Bytes bytes{0xfb, 0xff, 0xfe};

  EXPECT_EQ(base64(bytes), "+//+");
  EXPECT_EQ(base64url(bytes), "-__-");
  EXPECT_FALSE(unbase64("-__-"));
  EXPECT_FALSE(unbase64url("+//+"));
}

TEST(Base64, has_one_spelling_for_each_byte_string) {
  for (auto text : {"Zg", "Zg=", "Zh==", "Zm9=", "=", "==", "====", "Z===", "Zg==Zg==", "Zm9v\n",
                    " Zm9v", "Zm=v"})
    EXPECT_FALSE(unbase64(text)) << text;
  for (auto text : {"Zg==", "Zh", "Zm9", "Z", "Zm9vZ", "Zm9v=", "Zm 9v"})
    EXPECT_FALSE(unbase64url(text)) << text;
}

TEST(Base64, reads_back_every_length) {
  Bytes bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(unbase64(base64(bytes)), bytes);
    EXPECT_EQ(unbase64url(base64url(bytes)), bytes);
    EXPECT_EQ(unhex(hex(bytes)), bytes);
    bytes.push_back(static_cast<std::uint8_t>(i * 37));
  }
}

TEST(ByteReader, reads_back_what_was_put) {
  Bytes out;
  put_u8(out, 0x01);
  put_u16(out, 0x0203);
  put_u32(out, 0x04050607);
  put_u64(out, 0x08090a0b0c0d0e0f);
  put_part(out, "ab");
  put_part(out, BytesView());
  ByteReader reader(out);

  EXPECT_EQ(hex(out),
            "0102030405060708090a0b0c0d0e0f"
            "000000026162"
            "00000000");
  EXPECT_EQ(reader.u8(), 0x01);
  EXPECT_EQ(reader.u16(), 0x0203);
  EXPECT_EQ(reader.u32(), 0x04050607u);
  EXPECT_EQ(reader.u64(), 0x08090a0b0c0d0e0fu);
  EXPECT_EQ(as_text(*reader.part()), "ab");
  EXPECT_FALSE(reader.done());
  EXPECT_TRUE(reader.part()->empty());
  EXPECT_TRUE(reader.done());
}

TEST(ByteReader, stays_failed_after_a_read_past_the_end) {
  Bytes two{1, 2};
  ByteReader reader(two);

  EXPECT_EQ(reader.u32(), std::nullopt);
  EXPECT_EQ(reader.u8(), std::nullopt);
  EXPECT_FALSE(reader.done());
}

TEST(ByteReader, does_not_believe_a_length_beyond_the_end) {
  auto bytes = unhex("ffffffff00").value();
  ByteReader reader(bytes);

  EXPECT_EQ(reader.part(), std::nullopt);
  EXPECT_FALSE(reader.done());
}

TEST(Parts, of_two_different_lists_never_collide) {
  Bytes one, other;
  put_part(one, "ab");
  put_part(one, "c");
  put_part(other, "a");
  put_part(other, "bc");

  EXPECT_NE(one, other);
}

}  // namespace
}  // namespace holdfast
