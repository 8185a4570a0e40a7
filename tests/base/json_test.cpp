#include "base/json.h"

#include <gtest/gtest.h>

#include <bit>
#include <boost/json.hpp>

namespace holdfast {
namespace {

std::string canonical(std::string_view text) {
  auto value = parse_json(text);
  return value ? canonical_json(*value) : "refused: " + std::string(value.error().text);
}

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

TEST(Json, refuses_what_is_not_strict_json_and_says_where) {
  struct Case {
    std::string text;
    Code code;
    std::string field;
  };
  const Case cases[] = {
      {"", Code::invalid, ""},
      {" ", Code::invalid, ""},
      {"{", Code::invalid, ""},
      {"nul", Code::invalid, ""},
      {"{} {}", Code::invalid, ""},
      {"[1,]", Code::invalid, ""},
      {"{\"a\":1,}", Code::invalid, "a"},
      {"// x\n1", Code::invalid, ""},
      {"'a'", Code::invalid, ""},
      {"01", Code::invalid, ""},
      {"+1", Code::invalid, ""},
      {"1.", Code::invalid, ""},
      {".5", Code::invalid, ""},
      {"NaN", Code::invalid, ""},
      {"Infinity", Code::invalid, ""},
      {"\"\x01\"", Code::invalid, ""},
      {"\"tab\there\"", Code::invalid, ""},
      {"\"\\x41\"", Code::invalid, ""},
      {"\"\\ud800\"", Code::invalid, ""},
      {"\"\\ud800\\u0041\"", Code::invalid, ""},
      {"\"\\udc00\"", Code::invalid, ""},
      {"\"\xff\"", Code::invalid, ""},
      {"\"\xc0\xaf\"", Code::invalid, ""},
      {"\"\xed\xa0\x80\"", Code::invalid, ""},
      {"\"\xf4\x90\x80\x80\"", Code::invalid, ""},
      {"\"\xe2\x82\"", Code::invalid, ""},
      {"\xef\xbb\xbf{}", Code::invalid, ""},
      {"{\"a\":1,\"a\":2}", Code::invalid, "a"},
      {"{\"a\":1,\"\\u0061\":2}", Code::invalid, "a"},
      {"{\"a\":1,\"b\":2,\"c\":3,\"b\":4}", Code::invalid, "b"},
      {R"({"records":[{},{"email":1,"phone":2,"email":3}]})", Code::invalid, "records[1].email"},
      {"9007199254740992", Code::invalid, ""},
      {"-9007199254740992", Code::invalid, ""},
      {"18446744073709551616", Code::invalid, ""},
      {"99999999999999999999999999999999999999", Code::invalid, ""},
      {"888888888888888888.888", Code::invalid, ""},
      {"1e30", Code::invalid, ""},
      {"[1, 1e400]", Code::invalid, "[1]"},
      {R"({"a":{"b":1e999999999999}})", Code::invalid, "a.b"},
      {nested(33), Code::too_large, ""},
      {nested(10'000), Code::too_large, ""},
  };

  for (const auto& test : cases) {
    auto value = parse_json(test.text);

    ASSERT_FALSE(value) << test.text;
    EXPECT_EQ(value.error().code, test.code) << test.text;
    if (test.code == Code::invalid) EXPECT_EQ(value.error().field.text(), test.field) << test.text;
  }
}

TEST(Json, takes_what_lies_within_the_limits) {
  EXPECT_TRUE(parse_json(nested(32)));
  EXPECT_TRUE(parse_json("[1,2,3]", {.values = 4}));
  EXPECT_FALSE(parse_json("[1,2,3]", {.values = 3}));
  EXPECT_TRUE(parse_json("9007199254740991"));
  EXPECT_TRUE(parse_json("-9007199254740991"));
  EXPECT_TRUE(parse_json(" \t\r\n{\"a\":null} \n"));
}

TEST(Json, keeps_equal_names_of_different_objects_apart) {
  EXPECT_TRUE(parse_json(R"({"a":{"a":{"a":1}},"b":{"a":2}})"));
  EXPECT_TRUE(parse_json(R"([{"a":1},{"a":1}])"));
}

/// RFC 8785, appendix B.
TEST(CanonicalJson, writes_doubles_as_ecmascript_does) {
  struct Case {
    std::uint64_t bits;
    std::string_view text;
  };
  const Case cases[] = {
      {0x0000000000000000, "0"},
      {0x8000000000000000, "0"},
      {0x0000000000000001, "5e-324"},
      {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"},
      {0xc340000000000000, "-9007199254740992"},
      {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"},
      {0x44b52d02c7e14af6, "1e+23"},
      {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"},
      {0x444b1ae4d6e2ef4f, "999999999999999900000"},
      {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
      {0x3eb0c6f7a0b5ed8d, "0.000001"},
      {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"},
      {0x41b3de4355555555, "333333333.3333333"},
      {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"},
      {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"},
  };

  for (const auto& test : cases)
    EXPECT_EQ(canonical_json(boost::json::value(std::bit_cast<double>(test.bits))), test.text);
}

TEST(CanonicalJson, reads_doubles_to_the_last_bit) {
  EXPECT_EQ(canonical("[333333333.33333329, 4.50, 2e-3, 0.000000000000000000000000001]"),
            "[333333333.3333333,4.5,0.002,1e-27]");
  EXPECT_EQ(canonical("[-0, 1.0, 1e3, 0.1, 5e-324]"), "[0,1,1000,0.1,5e-324]");
}

/// RFC 8785, sections 3.2.2 and 3.2.3.
TEST(CanonicalJson, sorts_by_utf16_and_escapes_least) {
  EXPECT_EQ(canonical(R"({"numbers":[],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
                          "literals":[null,true,false]})"),
            "{\"literals\":[null,true,false],\"numbers\":[],"
            "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
  EXPECT_EQ(
      canonical(R"({"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7})"),
      "{\"\\r\":2,\"1\":4,\"\xc2\x80\":6,\"\xc3\xb6\":7,\"\xe2\x82\xac\":1,"
      "\"\xf0\x9f\x98\x80\":5,\"\xef\xac\xb3\":3}");
  EXPECT_EQ(canonical(R"({"b":1,"":2,"a":{},"aa":[{}]})"), R"({"":2,"a":{},"aa":[{}],"b":1})");
}

TEST(JsonString, escapes_and_grows_without_losing_anything) {
  std::string out, text;
  for (int i = 0; i < 3000; ++i) text += static_cast<char>(i % 0x7f);

  append_json_string(out, text);

  auto back = parse_json(out);
  ASSERT_TRUE(back);
  EXPECT_EQ(std::string(back->as_string()), text);
}

TEST(Utf8, knows_valid_from_broken) {
  for (std::string_view good : {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(valid_utf8(good)) << good;
  for (std::string_view bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\x80",
                               "\xed\xa0\x80", "\xe2\x82", "\xf0\x8f\x80\x80", "\xf4\x90\x80\x80",
                               "\xf5\x80\x80\x80", "\xff", "a\xe2\x82z"})
    EXPECT_FALSE(valid_utf8(bad)) << bad;
}

}  // namespace
}  // namespace holdfast
