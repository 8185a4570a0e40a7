#include "base/described.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace holdfast {
namespace {

enum class Colour : std::uint8_t { red, green, blue };
std::span<const std::string_view> enum_names(Colour) {
  static constexpr std::string_view kNames[] = {"red", "green", "blue"};
  return kNames;
}

struct Inner {
  std::string name;
  std::optional<std::int64_t> count;
  static std::span<const Member> described() {
    static constexpr Member kMembers[] = {
        member<&Inner::name>("name", "A name.", {.bytes = 8}),
        member<&Inner::count>("count", "How many.", {.min = 1, .max = 10})};
    return kMembers;
  }
};

struct Request {
  RecordId record;
  std::int64_t limit = 50;
  std::vector<std::string> tags;
  std::string text;
  std::optional<std::string> maybe;
  bool flag = false;
  std::optional<Time> when;
  std::optional<Colour> colour;
  std::optional<Secret> password;
  std::optional<Inner> inner;
  std::vector<Inner> many;
  Dict<Inner> named;
  Values values;
  std::optional<JsonText> any;
  static std::span<const Member> described() {
    using R = Request;
    static constexpr Member kMembers[] = {
        member<&R::record>("record", "The record.", {}, Place::path),
        member<&R::tags>("tags", "Tags.", {.bytes = 4, .count = 3}, Place::query),
        member<&R::text>("text", "Some text.", {.bytes = 8}),
        member<&R::maybe>("maybe", "More text.", {.bytes = 8}),
        member<&R::flag>("flag", "A flag."),
        member<&R::when>("when", "A time."),
        member<&R::colour>("colour", "A colour."),
        member<&R::password>("password", "A password.", {}, Place::body, Sensitivity::secret),
        member<&R::inner>("inner", "One."),
        member<&R::many>("many", "Many.", {.count = 2}),
        member<&R::named>("named", "Named.", {.count = 2}),
        member<&R::values>("values", "Values.", {.bytes = 16, .count = 3}, Place::body,
                           Sensitivity::personal),
        member<&R::any>("any", "Anything.", {.bytes = 16})};
    return kMembers;
  }
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

const std::string kRecord = "rec_01hf6e2s00e8v9x4m0n7qz3k5t";

Result<Request> parse(std::string_view body, const Pairs& query = {},
                      const Pairs& path = {{"record", kRecord}}) {
  return parse_described<Request>({.body = body, .path = path, .query = query});
}

/// "field: text" of each violation, in order.
std::vector<std::string> violations(const Result<Request>& result) {
  std::vector<std::string> out;
  if (result) return out;
  auto add = [&](const Error& e) { out.push_back(e.field.text() + ": " + std::string(e.text)); };
  add(result.error());
  for (const auto& error : result.error().also) add(error);
  return out;
}

TEST(Described, fills_every_kind_of_member_from_path_query_and_body) {
  auto parsed = parse(R"({"text":"héllo","flag":true,"when":"2026-11-23T09:30:00Z","colour":"blue",
      "password":"s3cret","inner":{"name":"a","count":3},"many":[{"name":"b"},{"name":"c","count":1.0}],
      "named":{"z":{"name":"1"},"a":{"name":"2"}},"any":{"b":1,"a":[2.0]},
      "values":{"email":"ann@example.org","age":41.0,"birthday":null}})",
                      {{"tags", "x"}, {"tags", "y"}});

  ASSERT_TRUE(parsed) << violations(parsed).front();
  EXPECT_EQ(parsed->record.text(), kRecord);
  EXPECT_EQ(parsed->tags, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(parsed->text, "héllo");
  EXPECT_FALSE(parsed->maybe);
  EXPECT_TRUE(parsed->flag);
  EXPECT_EQ(rfc3339(*parsed->when), "2026-11-23T09:30:00.000Z");
  EXPECT_EQ(parsed->colour, Colour::blue);
  EXPECT_EQ(parsed->password->expose_text(), "s3cret");
  EXPECT_EQ(parsed->inner->count, 3);
  ASSERT_EQ(parsed->many.size(), 2u);
  EXPECT_EQ(parsed->many[1].count, 1);
  ASSERT_EQ(parsed->named.size(), 2u);
  EXPECT_EQ(parsed->named[0].first, "z");
  EXPECT_EQ(parsed->any->text, R"({"a":[2],"b":1})");
  ASSERT_EQ(parsed->values.entries.size(), 3u);
  EXPECT_FALSE(parsed->values.entries[0].json);
  EXPECT_EQ(parsed->values.entries[1].value.expose_text(), "41");
  EXPECT_TRUE(parsed->values.entries[1].json);
  EXPECT_TRUE(parsed->values.entries[2].null);
}

TEST(Described, names_each_violation) {
  struct Case {
    std::string_view body;
    std::vector<std::string> found;
  };
  const Case cases[] = {
      {"", {"text: is missing"}},
      {"[]", {": must be an object"}},
      {"{", {"body: the JSON ends too early"}},
      {R"({"text":"a","text":"b"})", {"text: this name is given twice"}},
      {R"({"text":1})", {"text: must be a string"}},
      {R"({"text":null})", {"text: must not be null"}},
      {R"({"text":"a","maybe":null})", {"maybe: must not be null"}},
      {R"({"text":"123456789"})", {"text: longer than allowed"}},
      {R"({"text":"a\u0000"})", {"text: has a NUL character"}},
      {R"({"text":"a","record":"x"})", {"record: not a known member"}},
      {R"({"text":"a","tags":["x"]})", {"tags: not a known member"}},
      {R"({"text":"a","ann@example.org":1})", {"?: not a known member"}},
      {R"({"text":"a","":1})", {"?: not a known member"}},
      {R"({"text":"a","flag":"true"})", {"flag: must be true or false"}},
      {R"({"text":"a","when":"yesterday"})",
       {"when: not an RFC 3339 time, as in 2026-11-20T09:00:00Z"}},
      {R"({"text":"a","colour":"RED"})", {"colour: not one of the allowed values"}},
      {R"({"text":"a","inner":{"name":"a","count":0}})", {"inner.count: out of range"}},
      {R"({"text":"a","inner":{"name":"a","count":1.5}})", {"inner.count: must be an integer"}},
      {R"({"text":"a","inner":{"name":"a","count":1e300}})",
       {"inner.count: this number is out of range"}},
      {R"({"text":"a","inner":{}})", {"inner.name: is missing"}},
      {R"({"text":"a","many":[{"name":"a"},{"nmae":"b"}]})",
       {"many[1].nmae: not a known member", "many[1].name: is missing"}},
      {R"({"text":"a","many":[{"name":"a"},{"name":"a"},{"name":"a"}]})",
       {"many: more elements than allowed"}},
      {R"({"text":"a","many":{}})", {"many: must be a list"}},
      {R"({"text":"a","named":{"x":{"name":1}}})", {"named.x.name: must be a string"}},
      {R"({"text":"a","values":{"x":"12345678901234567"}})", {"values.x: longer than allowed"}},
      {R"({"text":"a","values":{"x":[1,2,3,4,5,6,7,8,9]}})", {"values.x: longer than allowed"}},
      {R"({"text":"a","values":{"a":1,"b":1,"c":1,"d":1}})", {"values: more entries than allowed"}},
      {R"({"text":"a","any":"12345678901234567"})", {"any: longer than allowed"}},
      {R"({"maybe":7,"flag":7,"surplus":7})",
       {"maybe: must be a string", "flag: must be true or false", "surplus: not a known member",
        "text: is missing"}},
  };

  for (const auto& test : cases) EXPECT_EQ(violations(parse(test.body)), test.found) << test.body;
}

TEST(Described, reads_path_and_query_as_strictly) {
  const std::string_view kBody = R"({"text":"a"})";
  EXPECT_EQ(violations(parse(kBody, {{"tags", "12345"}})),
            std::vector<std::string>{"tags: longer than allowed"});
  EXPECT_EQ(violations(parse(kBody, {{"tags", "1"}, {"tags", "2"}, {"tags", "3"}, {"tags", "4"}})),
            std::vector<std::string>{"tags: more elements than allowed"});
  EXPECT_EQ(violations(parse(kBody, {{"tags", "\xff"}})),
            std::vector<std::string>{"tags: not valid UTF-8"});
  EXPECT_EQ(violations(parse(kBody, {{"text", "x"}})),
            std::vector<std::string>{"text: not a known parameter"});
  EXPECT_EQ(violations(parse(kBody, {}, {{"record", "sub_01hf6e2s00e8v9x4m0n7qz3k5t"}})),
            std::vector<std::string>{"record: not an id of this kind"});
  EXPECT_EQ(violations(parse(kBody, {}, {})), std::vector<std::string>{"record: is missing"});
}

TEST(Described, reports_at_most_twenty_violations) {
  std::string body = "{";
  for (int i = 0; i < 100; ++i) body += "\"x" + std::to_string(i) + "\":1,";
  body += "\"text\":\"a\"}";

  EXPECT_EQ(violations(parse(body)).size(), 20u);
}

TEST(Described, writes_compact_json_in_table_order_that_reads_back) {
  auto parsed = parse(R"({"values":{"b":"x\ny","n":1,"z":null},"named":{"k":{"name":"v"}},
      "any":[1],"text":"t","colour":"green","many":[{"name":"m","count":2}]})");
  ASSERT_TRUE(parsed);

  auto text = to_json(*parsed);

  EXPECT_EQ(text, R"({"record":")" + kRecord +
                      R"(","tags":[],"text":"t","flag":false,"colour":"green",)"
                      R"("many":[{"name":"m","count":2}],"named":{"k":{"name":"v"}},)"
                      R"("values":{"b":"x\ny","n":1,"z":null},"any":[1]})");
  EXPECT_TRUE(parse_json(text));
}

TEST(Described, makes_a_schema_with_limits_and_words) {
  Schemas schemas;
  auto schema = json_schema_object(type_of<Request>(), Place::body, schemas);

  ASSERT_TRUE(parse_json(schema)) << schema;
  EXPECT_NE(schema.find(R"("text":{"type":"string","maxLength":8,"description":"Some text."})"),
            std::string::npos)
      << schema;
  EXPECT_NE(schema.find(R"("required":["text"])"), std::string::npos) << schema;
  EXPECT_NE(schema.find(R"("x-sensitivity":"personal")"), std::string::npos) << schema;
  EXPECT_EQ(schema.find("\"record\""), std::string::npos) << schema;
  ASSERT_EQ(schemas.entries.size(), 1u);
  EXPECT_EQ(schemas.entries[0].name, "Inner");
}

}  // namespace
}  // namespace holdfast
