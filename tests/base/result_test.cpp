#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace holdfast {
namespace {

TEST(FieldPath, joins_names_and_indexes) {
  EXPECT_EQ(FieldPath("email").text(), "email");
  EXPECT_EQ((FieldPath("customer") / "email").text(), "customer.email");
  EXPECT_EQ((FieldPath("records")[3] / "email").text(), "records[3].email");
  EXPECT_EQ((FieldPath() / "email").text(), "email");
  EXPECT_TRUE(FieldPath().empty());
}

TEST(FieldPath, keeps_names_as_schemas_have_them) {
  for (auto name : {"a", "billing_address_1", "_website", "X-Request-Id", "line2", "H1"})
    EXPECT_EQ(FieldPath(name).text(), name);
}

TEST(FieldPath, lets_no_value_travel_in_it) {
  for (auto value : {"", "ann@example.org", "Ann Lee", "+43 660 1234567", "4111111111111111",
                     "4111-1111-1111-1111", "4111_1111_1111_1111", "a4111111111111111", "12345",
                     "M\xc3\xbcller", "a\nb", "a.b", "a[0]", "<script>", "\"", "---", "_"})
    EXPECT_EQ(FieldPath(value).text(), "?") << value;
  EXPECT_EQ(FieldPath(std::string(65, 'a')).text(), "?");
  EXPECT_EQ((FieldPath("customer") / "ann@example.org").text(), "customer.?");
}

// Of random ids, one in some hundred has seven digits in a row: it is to be named all the same.
TEST(FieldPath, names_an_id_that_the_server_made_whatever_its_digits) {
  EXPECT_EQ(FieldPath::made_id("key_8qwzc6897367").text(), "key_8qwzc6897367");
  EXPECT_EQ(FieldPath("key_8qwzc6897367").text(), "?");
  for (auto value : {"", "ann@example.org", "4111111111111111", "Ann Lee"})
    EXPECT_EQ(FieldPath::made_id(value).text(), "?") << value;
}

TEST(FieldPath, never_grows_past_its_limit) {
  FieldPath path("start");
  for (int i = 0; i < 100; ++i) path = path / std::string(60, 'a');
  EXPECT_LE(path.text().size(), 128u);
  for (int i = 0; i < 100; ++i) path = path[static_cast<std::size_t>(-1)];
  EXPECT_LE(path.text().size(), 128u);
}

TEST(Error, names_its_field) {
  auto error = Error(Code::invalid, "too long").at("email");

  EXPECT_EQ(error.code, Code::invalid);
  EXPECT_EQ(error.text, "too long");
  EXPECT_EQ(error.field.text(), "email");
}

TEST(Result, holds_a_value_or_an_error) {
  Result<int> value = 5;
  Result<int> error = Error(Code::not_found, "gone");
  Result<void> done;
  Result<void> failed = Error(Code::internal, "bug");
  Result<std::unique_ptr<int>> moved = std::make_unique<int>(7);

  EXPECT_EQ(*value, 5);
  EXPECT_EQ(error.error().code, Code::not_found);
  EXPECT_TRUE(done);
  EXPECT_FALSE(failed);
  EXPECT_EQ(**moved, 7);
}

TEST(Code, has_a_stable_name) {
  EXPECT_EQ(code_name(Code::invalid), "invalid");
  EXPECT_EQ(code_name(Code::too_large), "too_large");
  EXPECT_EQ(code_name(Code::unauthenticated), "unauthenticated");
  EXPECT_EQ(code_name(Code::stale), "stale");
  EXPECT_EQ(code_name(Code::internal), "internal");
}

}  // namespace
}  // namespace holdfast
