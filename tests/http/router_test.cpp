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

TEST(Target, keeps_an_encoded_slash_inside_its_segment) {
  auto target = parse_target("/v1/ext:A%2F1/%2f/100%25", "h");

  ASSERT_TRUE(target);
  EXPECT_EQ(target->segments, (std::vector<std::string>{"v1", "ext:A/1", "/", "100%"}));
  EXPECT_TRUE(target->slash_inside);
  EXPECT_FALSE(parse_target("/v1/ext:A?x=%2F", "h")->slash_inside);
  for (auto bad : {"/v1/..%2Fx", "/v1/x%2F..", "/v1/x%2f%2e%2e%2fy", "/v1/.%2Fx", "/v1/x%2F.",
                   "/v1/x%2F%2E", "/v1/x%252Fy", "/v1/x%252e%252e", "/v1/x%255Cy", "/v1/x%2500",
                   "/v1/x%2F%5Cy", "/v1/x%2F%00", "/v1/x%2F%0d%0a", "/v1/x%2F%7f", "/v1/%2F/..",
                   "/v1/x%2F//y", "/v1/x%c0%afy", "/v1/x%e0%80%afy", "/v1/x%2"})
    EXPECT_FALSE(parse_target(bad, "h")) << bad;
}

TEST(Router, an_encoded_slash_never_changes_the_route) {
  Router router(rows());
  auto found = [&](std::string_view method, std::string_view path) {
    auto target = parse_target(path, "h");
    return target ? router.match(method, target->segments) : Router::Match();
  };

  auto one = found("GET", "/v1/records/r1%2Freveal");
  ASSERT_TRUE(one.route);
  EXPECT_EQ(one.route->id, "records.get");
  EXPECT_EQ(one.path, (std::vector<std::pair<std::string, std::string>>{{"record", "r1/reveal"}}));
  EXPECT_EQ(found("POST", "/v1/records/r1%2Freveal").route, nullptr);
  EXPECT_EQ(found("POST", "/v1/records/reveal%2F").route, nullptr);
  EXPECT_EQ(found("POST", "/v1/records%2Freveal").route, nullptr);
  EXPECT_EQ(found("GET", "/v1%2Frecords/r1").route, nullptr);
  EXPECT_EQ(found("GET", "/%2F").route, nullptr);
}

}  // namespace
}  // namespace holdfast::http
