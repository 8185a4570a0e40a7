// What a well-behaved client sees.
#include <gtest/gtest.h>

#include <new>

#include "base/json.h"
#include "http/problem.h"
#include "http/server_bench.h"

namespace holdfast::http {
namespace {

TEST(Server, answers_over_tls_and_keeps_the_connection) {
  ServerBench bench;
  auto client = bench.client();

  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send(bench.get("/v1/constant")));
    auto answer = client.answer();

    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "{}");
    EXPECT_EQ(answer.field("Content-Type"), "application/json");
    EXPECT_EQ(answer.field("Cache-Control"), "no-store");
    EXPECT_EQ(answer.field("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(answer.field("Strict-Transport-Security"), "max-age=31536000");
    EXPECT_TRUE(answer.field("Content-Security-Policy").starts_with("default-src 'none'"));
    EXPECT_TRUE(RequestId::parse(answer.field("X-Request-Id")));
    EXPECT_EQ(answer.field("Server"), "");
    EXPECT_EQ(answer.field("Connection"), "");
  }
}

TEST(Server, hands_path_query_body_and_header_fields_to_the_handler) {
  ServerBench bench;

  auto answer = bench.ask(bench.post("/v1/echo/ext:47%2011?tags=a&tags=b+c%26", R"({"text":"hé"})",
                                     "Idempotency-Key: order-4711\r\nIf-Match: \"6\"\r\n"));

  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body,
            R"({"name":"ext:47 11","text":"hé","key":"order-4711","match":"6","behind":")" +
                answer.field("X-Request-Id") + R"(","tags":["a","b c&"]})");
  EXPECT_EQ(answer.field("ETag"), "\"7\"");
}

TEST(Server, hands_an_encoded_slash_to_the_path_parameter_that_holds_it) {
  ServerBench bench;

  auto answer = bench.ask(bench.post("/v1/echo/ext:A%2F1", R"({"text":"a"})"));

  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.body.starts_with(R"({"name":"ext:A/1",)")) << answer.body;
  for (auto path : {"/v1/echo/..%2F1", "/v1/echo/A%252F1", "/v1/echo/A%5C1", "/v1/echo%2FA"})
    EXPECT_EQ(bench.ask(bench.post(path, R"({"text":"a"})")).status, 400) << path;
}

TEST(Server, a_refused_value_comes_with_what_is_allowed) {
  TestApi api;
  ServerBench bench(
      {}, {route<&TestApi::choose>(api, "test.choose", "POST", "/v1/choose/{size}", "Choose")});
  struct Case {
    std::string_view path, body, said;
  };
  const Case cases[] = {
      {"small", R"({"count":101})",
       R"("detail":"out of range: 1 to 100","code":"invalid","field":"count")"},
      {"huge", R"({"count":1})", "not one of the allowed values: small, large"},
      {"small", R"({"count":1e300})", "this number is out of range: 1 to 100"},
      {"small", R"({"count":1,"words":["abcdef"]})", "longer than allowed: at most 5 bytes"},
      {"small", R"({"count":1,"words":["a","b","c"]})", "more elements than allowed: at most 2"},
      {"small", R"({"count":1,"others":[{"count":1},{"count":0}]})", "out of range: 1 to 9"},
      {"small", R"({"count":1,"others":[{"count":1},{"hue":0}]})",
       R"("detail":"not a known member")"},
      {"small", R"({"count":"1"})", R"("detail":"must be an integer")"}};

  for (const auto& test : cases) {
    auto answer = bench.ask(bench.post("/v1/choose/" + std::string(test.path), test.body));

    EXPECT_EQ(answer.status, 400) << test.body;
    EXPECT_NE(answer.body.find(test.said), std::string::npos) << answer.body;
  }
}

TEST(Server, takes_a_json_body_in_chunks) {
  ServerBench bench;

  auto answer = bench.ask(
      "POST /v1/echo/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer good\r\n"
      "Content-Type: Application/JSON; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
      "7\r\n{\"text\"\r\n5;a=b\r\n:\"a\"}\r\n0\r\nTrailer: dropped\r\n\r\n");

  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find(R"("text":"a")"), std::string::npos);
}

TEST(Server, asks_for_an_expected_body_and_only_then_reads_it) {
  ServerBench bench;
  auto client = bench.client();

  client.send(
      "POST /v1/echo/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer good\r\n"
      "Content-Type: application/json\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.answer().status, 100);
  client.send(R"({"text":"a"})");

  EXPECT_EQ(client.answer().status, 200);
}

TEST(Server, answers_head_like_get_without_the_body) {
  ServerBench bench;
  auto client = bench.client();

  for (std::string path : {"/v1/constant", "/healthz"}) {
    client.send("HEAD " + path + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer good\r\n\r\n");
    auto answer = client.answer(true);

    EXPECT_EQ(answer.status, 200);
    EXPECT_NE(answer.field("Content-Length"), "0");
  }
  client.send(bench.get("/v1/constant"));
  EXPECT_EQ(client.answer().body, "{}");
}

TEST(Server, answers_pipelined_requests_in_order) {
  ServerBench bench;
  auto client = bench.client();
  std::string all;
  for (int i = 0; i < 30; ++i)
    all += bench.post("/v1/echo/n" + std::to_string(i), R"({"text":"a"})");

  client.send(all);

  for (int i = 0; i < 30; ++i) {
    auto answer = client.answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.body.starts_with(R"({"name":"n)" + std::to_string(i) + '"')) << answer.body;
  }
}

TEST(Server, speaks_http_1_0) {
  ServerBench bench;
  auto client = bench.client();

  client.send(
      "GET /v1/constant HTTP/1.0\r\nAuthorization: Bearer good\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(client.answer().field("Connection"), "keep-alive");
  client.send("GET /v1/constant HTTP/1.0\r\nAuthorization: Bearer good\r\n\r\n");
  auto last = client.answer();

  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.field("Connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST(Server, ends_the_connection_when_asked) {
  ServerBench bench;
  auto client = bench.client();

  client.send(bench.get("/v1/constant", "Connection: close\r\n"));

  EXPECT_EQ(client.answer().field("Connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST(Server, tells_unknown_paths_from_unknown_methods) {
  ServerBench bench;

  EXPECT_EQ(bench.ask(bench.get("/v1/nothing")).status, 404);
  EXPECT_EQ(bench.ask(bench.get("/v1/constant/")).status, 400);
  EXPECT_EQ(bench.ask(bench.get("/")).status, 404);
  auto method = bench.ask("DELETE /v1/constant HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.field("Allow"), "GET, HEAD");
  EXPECT_EQ(bench.ask("POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").status,
            405);
  EXPECT_EQ(
      bench.ask("OPTIONS /v1/constant HTTP/1.1\r\nHost: h\r\nOrigin: https://x\r\n\r\n").status,
      405);
}

TEST(Server, gives_the_same_answer_to_unknown_and_wrong_keys) {
  ServerBench bench;
  auto ask = [&](std::string_view lines) {
    auto answer =
        bench.ask("GET /v1/constant HTTP/1.1\r\nHost: h\r\n" + std::string(lines) + "\r\n");
    auto id = answer.field("X-Request-Id"), date = answer.field("Date");
    auto all = answer.head + answer.body;
    for (const auto& part : {id, date})
      for (auto at = all.find(part); at != std::string::npos; at = all.find(part))
        all.replace(at, part.size(), "-");
    return all;
  };

  auto missing = ask(""), wrong = ask("Authorization: Bearer bad\r\n"),
       odd = ask("Authorization: x\r\n");

  EXPECT_TRUE(missing.starts_with("HTTP/1.1 401 "));
  EXPECT_NE(missing.find("WWW-Authenticate: Bearer"), std::string::npos);
  EXPECT_EQ(missing, wrong);
  EXPECT_EQ(missing, odd);
}

TEST(Server, refuses_before_it_reads_the_body) {
  ServerBench bench;

  auto unknown = bench.ask("POST /v1/echo/x HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n");
  auto forbidden = bench.ask(bench.get("/v1/forbidden"));

  EXPECT_EQ(unknown.status, 401);
  EXPECT_EQ(forbidden.status, 403);
  EXPECT_NE(forbidden.body.find(R"("code":"forbidden")"), std::string::npos);
}

TEST(Server, maps_each_code_to_its_status) {
  ServerBench bench;
  const std::pair<Code, int> cases[] = {
      {Code::invalid, 400},   {Code::too_large, 413},   {Code::unauthenticated, 401},
      {Code::forbidden, 403}, {Code::not_found, 404},   {Code::conflict, 409},
      {Code::gone, 410},      {Code::exhausted, 429},   {Code::corrupt, 500},
      {Code::locked, 503},    {Code::unavailable, 503}, {Code::stale, 503},
      {Code::internal, 500}};

  for (auto [code, status] : cases) {
    auto answer = bench.ask(bench.get("/v1/fail?ms=" + std::to_string(static_cast<int>(code))));
    auto problem = parse_json(answer.body);

    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.field("Content-Type"), "application/problem+json");
    ASSERT_TRUE(problem) << answer.body;
    EXPECT_NE(answer.body.find("\"code\":\"" + std::string(code_name(code)) + '"'),
              std::string::npos);
    EXPECT_NE(answer.body.find(R"("field":"a_field")"), std::string::npos);
    EXPECT_NE(answer.body.find("\"request_id\":\"" + answer.field("X-Request-Id")),
              std::string::npos);
    EXPECT_EQ(!answer.field("Retry-After").empty(), status == 503 || status == 429);
  }
}

TEST(Server, names_every_violation_of_a_request) {
  ServerBench bench;

  auto answer = bench.ask(bench.post("/v1/echo/x", R"({"txet":1,"more":2})"));

  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find(R"("errors":[{"code":"invalid","field":"txet",)"), std::string::npos);
  EXPECT_NE(answer.body.find(R"({"code":"invalid","field":"text","detail":"is missing"})"),
            std::string::npos)
      << answer.body;
}

TEST(Server, refuses_bad_bodies_with_the_field) {
  ServerBench bench;
  struct Case {
    std::string body;
    int status;
    std::string field;
  };
  std::string deep = R"({"text":)" + std::string(450, '[') + std::string(450, ']') + '}';
  const Case cases[] = {{R"({"text":"a","text":"b"})", 400, "text"},
                        {R"({"text":)", 400, "text"},
                        {R"({"text":"a"} x)", 400, "body"},
                        {"{\"text\":\"\xff\"}", 400, "text"},
                        {R"({"text":1e999})", 400, "text"},
                        {R"([1])", 400, ""},
                        {deep, 413, "text"}};

  for (const auto& test : cases) {
    auto answer = bench.ask(bench.post("/v1/echo/x", test.body));

    EXPECT_EQ(answer.status, test.status) << test.body;
    if (!test.field.empty())
      EXPECT_NE(answer.body.find("\"field\":\"" + test.field), std::string::npos) << answer.body;
  }
}

TEST(Server, takes_only_json_as_json) {
  ServerBench bench;
  auto with_type = [&](std::string_view type) {
    return bench
        .ask("POST /v1/echo/x HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer good\r\n" +
             std::string(type) + "Content-Length: 12\r\n\r\n{\"text\":\"a\"}")
        .status;
  };

  EXPECT_EQ(with_type("Content-Type: application/json\r\n"), 200);
  EXPECT_EQ(with_type(""), 415);
  EXPECT_EQ(with_type("Content-Type: application/x-www-form-urlencoded\r\n"), 415);
  EXPECT_EQ(with_type("Content-Type: application/jsonp\r\n"), 415);
}

TEST(Server, checks_the_fields_that_travel_beside_the_body) {
  ServerBench bench;
  for (std::string line : {"Idempotency-Key: a b", "If-Match: 7", "If-Match: W/\"7\"",
                           "If-Match: \"\"", "If-Match: \"6\", \"7\"", "If-Match: *",
                           "If-Match: ", "Idempotency-Key:", "Idempotency-Key:  "}) {
    auto answer = bench.ask(bench.post("/v1/echo/x", R"({"text":"a"})", line + "\r\n"));

    EXPECT_EQ(answer.status, 400) << line;
  }
  std::string longest(128, 'k');
  EXPECT_EQ(
      bench.ask(bench.post("/v1/echo/x", R"({"text":"a"})", "Idempotency-Key: " + longest + "\r\n"))
          .status,
      200);
  EXPECT_EQ(
      bench
          .ask(bench.post("/v1/echo/x", R"({"text":"a"})", "Idempotency-Key: k" + longest + "\r\n"))
          .status,
      400);
}

TEST(Server, refuses_a_version_where_none_is_taken) {
  TestApi api;
  ServerBench bench(
      {}, {route<&TestApi::choose>(api, "test.choose", "POST", "/v1/choose/{size}", "Choose")});

  auto answer = bench.ask(bench.post("/v1/choose/small", R"({"count":1})", "If-Match: \"6\"\r\n"));

  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find(R"("field":"if-match")"), std::string::npos) << answer.body;
}

TEST(Server, hides_what_a_handler_throws) {
  ServerBench bench;

  auto answer = bench.ask(bench.get("/v1/crash"));

  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("ann"), std::string::npos);
}

TEST(Server, asks_to_try_again_when_memory_runs_out) {
  auto full = route<&TestApi::constant>(static_cast<TestApi*>(nullptr), "test.full", "GET",
                                        "/v1/full", "Run out of memory");
  full.run = [](Call) -> Task<Result<Answer>> {
    throw std::bad_alloc();
    co_return Answer{};
  };
  ServerBench bench({}, {full});
  auto client = bench.client();

  // In the handler, and before it.
  for (std::string key : {"good", "too much"}) {
    client.send("GET /v1/full HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + key + "\r\n\r\n");
    auto answer = client.answer();

    EXPECT_EQ(answer.status, 503) << key;
    EXPECT_EQ(answer.field("Retry-After"), "2") << key;
    EXPECT_NE(answer.body.find(R"("code":"unavailable")"), std::string::npos) << key;
  }
  client.send(bench.get("/v1/constant"));
  EXPECT_EQ(client.answer().status, 200);
}

TEST(Server, answers_about_itself_without_a_key) {
  bool up = false;
  ServerBench bench({.ready = [&] { return up ? Result<void>() : Error(Code::locked, "locked"); }});
  auto get = [&](std::string_view path) {
    return bench.ask("GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n\r\n");
  };

  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").status, 503);
  up = true;
  EXPECT_EQ(get("/readyz").status, 200);
  EXPECT_TRUE(parse_json(get("/openapi.json").body));
  auto metrics = get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_NE(metrics.body.find("holdfast_connections "), std::string::npos) << metrics.body;
}

TEST(Server, shows_metrics_without_a_key_only_to_this_machine_itself) {
  ServerBench bench;

  auto forwarded =
      bench.ask("GET /metrics HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
  auto with_key = bench.ask(bench.get("/metrics", "X-Forwarded-For: 192.0.2.7\r\n"));

  EXPECT_EQ(forwarded.status, 401);
  EXPECT_EQ(with_key.status, 200);
}

TEST(Server, believes_a_forwarded_address_only_from_a_proxy) {
  ServerBench direct;
  ServerBench behind({.proxies = {"127.0.0.0/8"}});
  auto hops = direct.get("/v1/constant", "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n");

  direct.ask(hops);
  behind.ask(hops);

  EXPECT_EQ(direct.gate.last_address(), "127.0.0.1");
  EXPECT_EQ(behind.gate.last_address(), "192.0.2.7");
}

TEST(Server, reads_a_forwarded_address_with_a_port_or_in_brackets) {
  ServerBench behind({.proxies = {"127.0.0.0/8"}});
  const std::pair<std::string_view, std::string_view> hops[] = {
      {"203.0.113.9:51234", "203.0.113.9"},
      {"10.0.0.1, 203.0.113.9:1", "203.0.113.9"},
      {"2001:db8::1", "2001:db8::1"},
      {"[2001:db8::1]", "2001:db8::1"},
      {"[2001:db8::1]:443", "2001:db8::1"}};

  for (auto [hop, address] : hops) {
    auto answer = behind.ask(
        ServerBench::get("/v1/constant", "X-Forwarded-For: " + std::string(hop) + "\r\n"));

    EXPECT_EQ(answer.status, 200) << hop;
    EXPECT_EQ(behind.gate.last_address(), address);
  }
}

TEST(Server, refuses_a_proxy_that_names_its_client_unreadably) {
  ServerBench direct;
  ServerBench behind({.proxies = {"127.0.0.0/8"}});

  for (std::string hop :
       {"unknown", "_hidden", "203.0.113.9, unknown", "203.0.113.9,",
        "203.0.113.9:", "203.0.113.9:x", "203.0.113.9:123456", "203.0.113", "[203.0.113.9]:1",
        "[2001:db8::1", "[2001:db8::1]443", "[]", "shop.example:443", "\"[2001:db8::1]\""}) {
    auto asked = ServerBench::get("/v1/constant", "X-Forwarded-For: " + hop + "\r\n");
    auto answer = behind.ask(asked);
    auto metrics = behind.ask(ServerBench::get("/metrics", "X-Forwarded-For: " + hop + "\r\n"));

    EXPECT_EQ(answer.status, 400) << hop;
    EXPECT_NE(answer.body.find(R"("field":"x-forwarded-for")"), std::string::npos) << answer.body;
    EXPECT_EQ(metrics.status, 400) << hop;
    EXPECT_EQ(direct.ask(asked).status, 200) << hop;
  }

  EXPECT_EQ(behind.gate.last_address(), "");
  EXPECT_EQ(direct.gate.last_address(), "127.0.0.1");
}

TEST(Server, logs_the_operation_and_never_the_path) {
  ServerBench bench;

  bench.ask(bench.post("/v1/echo/ann@example.org", R"({"text":"a"})"));
  bench.ask(bench.get("/v1/ann@example.org"));
  bench.server->stop();

  std::scoped_lock lock(bench.lines_mutex);
  EXPECT_EQ(bench.lines, (std::vector<std::string>{"test.echo 200", "- 404"}));
  EXPECT_EQ(bench.metrics.text().find("ann"), std::string::npos);
  EXPECT_NE(
      bench.metrics.text().find(R"(holdfast_requests_total{operation="test.echo",status="200"} 1)"),
      std::string::npos)
      << bench.metrics.text();
}

}  // namespace
}  // namespace holdfast::http
