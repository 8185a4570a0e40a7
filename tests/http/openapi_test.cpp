#include "http/openapi.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <stdexcept>

#include "base/json.h"
#include "http/server_bench.h"

namespace holdfast::http {
namespace {

TEST(OpenApi, describes_each_route_once_and_always_alike) {
  TestApi api;
  auto routes = api.routes();
  routes[0].examples = {{.title = "short", .body = R"({"text":"a"})"}};

  auto text = openapi_document(routes, "Holdfast", "1.2.3");

  EXPECT_EQ(text, openapi_document(routes, "Holdfast", "1.2.3"));
  auto parsed = parse_json(text);
  ASSERT_TRUE(parsed) << text;
  auto& root = parsed->as_object();
  EXPECT_EQ(root.at("openapi").as_string(), "3.1.0");
  auto& echo = root.at("paths").at("/v1/echo/{name}").at("post").as_object();
  EXPECT_EQ(echo.at("operationId").as_string(), "test.echo");
  EXPECT_EQ(echo.at("tags").as_array().at(0).as_string(), "test");
  EXPECT_EQ(canonical_json(echo.at("parameters").as_array().at(0)),
            R"({"description":"From the path.","in":"path","name":"name","required":true,)"
            R"("schema":{"maxLength":64,"type":"string"}})");
  EXPECT_EQ(echo.at("parameters").as_array().size(), 4u);  // name, tags and the two headers
  auto& content = echo.at("requestBody").at("content").at("application/json");
  EXPECT_EQ(canonical_json(content.at("schema").at("required")), R"(["text"])");
  EXPECT_EQ(canonical_json(content.at("examples")), R"({"short":{"value":{"text":"a"}}})");
  EXPECT_TRUE(echo.at("responses").at("200").as_object().contains("content"));
  EXPECT_TRUE(echo.at("responses").as_object().contains("default"));
  EXPECT_TRUE(root.at("components").at("schemas").as_object().contains("EchoAnswer"));
  EXPECT_TRUE(root.at("paths").as_object().contains("/healthz"));
}

TEST(OpenApi, refuses_a_table_that_contradicts_itself) {
  TestApi api;
  auto wrong_path = api.routes(), wrong_example = api.routes();
  wrong_path[0].path = "/v1/echo/{other}";
  wrong_example[0].examples = {{.title = "bad", .body = "{"}};

  EXPECT_THROW(openapi_document(wrong_path, "t", "1"), std::logic_error);
  EXPECT_THROW(openapi_document(wrong_example, "t", "1"), std::logic_error);
}

}  // namespace
}  // namespace holdfast::http
