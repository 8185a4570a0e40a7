#include "http/router.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "http/target.h"

namespace holdfast::http {
namespace {

Route row(std::string_view id, std::string_view method, std::string_view path,
          RouteKind kind = RouteKind::json) {
  Route out;
  out.id = id;
  out.method = method;
  out.path = path;
  out.kind = kind;
  return out;
}

std::vector<Route> rows() {
  return {row("records.get", "GET", "/v1/records/{record}"),
          row("records.update", "PATCH", "/v1/records/{record}"),
          row("records.reveal", "POST", "/v1/records/{record}/reveal"),
          row("records.reveal_batch", "POST", "/v1/records/reveal"),
          row("records.list", "GET", "/v1/collections/{collection}/records"),
          row("files.get", "GET", "/v1/files/{file}", RouteKind::download),
          row("root", "GET", "/")};
}

TEST(Router, finds_routes_by_method_and_path) {
  Router router(rows());
  struct Case {
    std::string_view method, path, id, allow;
    std::vector<std::pair<std::string, std::string>> parts;
  };
  const Case cases[] = {
      {"GET", "/v1/records/r1", "records.get", "GET, HEAD, PATCH", {{"record", "r1"}}},
      {"HEAD", "/v1/records/r1", "records.get", "GET, HEAD, PATCH", {{"record", "r1"}}},
      {"PATCH", "/v1/records/r1", "records.update", "GET, HEAD, PATCH", {{"record", "r1"}}},
      {"POST", "/v1/records/r1/reveal", "records.reveal", "POST", {{"record", "r1"}}},
      {"POST", "/v1/records/reveal", "records.reveal_batch", "POST", {}},
      {"POST", "/v1/records/reveal/reveal", "records.reveal", "POST", {{"record", "reveal"}}},
      {"GET", "/v1/collections/c/records", "records.list", "GET, HEAD", {{"collection", "c"}}},
      {"HEAD", "/v1/files/f", "", "GET", {}},
      {"get", "/v1/records/r1", "", "GET, HEAD, PATCH", {}},
      {"GET", "/", "root", "GET, HEAD", {}},
      {"GET", "/v1", "", "", {}},
      {"GET", "/v1/records", "", "", {}},
      {"GET", "/v1/records/r1/reveal/more", "", "", {}}};

  for (const auto& test : cases) {
    auto target = parse_target(test.path, "h");
    ASSERT_TRUE(target);
    auto match = router.match(test.method, target->segments);

    EXPECT_EQ(match.route ? match.route->id : "", test.id) << test.method << ' ' << test.path;
    EXPECT_EQ(match.allow, test.allow) << test.path;
    EXPECT_EQ(match.path, test.parts) << test.path;
  }
}

TEST(Router, refuses_routes_that_contradict_each_other) {
  auto same_id = rows(), same_path = rows();
  same_id.push_back(row("root", "GET", "/other"));
  same_path.push_back(row("other", "GET", "/v1/records/{id}"));

  EXPECT_THROW(Router{same_id}, std::logic_error);
  EXPECT_THROW(Router{same_path}, std::logic_error);
}

TEST(Target, decodes_path_and_query) {
  auto target = parse_target("/v1/a%20b/%C3%BC/x+y?q=a+b&q=%2B&empty=&bare", "h");

  ASSERT_TRUE(target);
  EXPECT_EQ(target->segments, (std::vector<std::string>{"v1", "a b", "ü", "x+y"}));
  EXPECT_EQ(target->query, (std::vector<std::pair<std::string, std::string>>{
                               {"q", "a b"}, {"q", "+"}, {"empty", ""}, {"bare", ""}}));
  EXPECT_TRUE(parse_target("https://h:8443/v1", "H:8443"));
  EXPECT_FALSE(parse_target("https://h:8443/v1", "h"));
}

}  // namespace
}  // namespace holdfast::http
