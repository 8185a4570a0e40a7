// What a hostile or broken client sees.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "http/server_bench.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

const std::string kHost = "Host: localhost\r\n";
const std::string kKey = "Authorization: Bearer good\r\n";

/// A bare TCP connection.
class Tcp {
 public:
  explicit Tcp(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    timeval wait{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    sockaddr_in to{
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~Tcp() { ::close(fd_); }
  void send(std::string_view bytes) {
    (void)!::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  /// All that comes until the end.
  std::string rest() {
    std::string out;
    char buffer[4096];
    for (ssize_t got; (got = ::recv(fd_, buffer, sizeof buffer, 0)) > 0;)
      out.append(buffer, static_cast<std::size_t>(got));
    return out;
  }

 private:
  int fd_;
  bool connected_ = false;
};

bool still_serves(ServerBench& bench) {
  return bench.ask(bench.get("/v1/constant")).status == 200;
}

TEST(Hardening, refuses_what_could_be_read_in_two_ways) {
  ServerBench bench;
  struct Case {
    std::string request;
    int status;
  };
  const std::string body = R"({"text":"a"})";
  const std::string post =
      "POST /v1/echo/x HTTP/1.1\r\n" + kHost + kKey + "Content-Type: application/json\r\n";
  auto get = [](std::string_view target, std::string_view lines = kHost) {
    return "GET " + std::string(target) + " HTTP/1.1\r\n" + std::string(lines) + kKey + "\r\n";
  };
  const Case cases[] = {
      // framing
      {post + "Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\nContent-Length: 12\r\n\r\n0\r\n\r\n", 400},
      {post + "Content-Length: 12\r\nContent-Length: 12\r\n\r\n" + body, 400},
      {post + "Content-Length: 12\r\nContent-Length: 13\r\n\r\n" + body, 400},
      {post + "Content-Length: 12, 12\r\n\r\n" + body, 400},
      {post + "Content-Length: +12\r\n\r\n" + body, 400},
      {post + "Content-Length: -1\r\n\r\n" + body, 400},
      {post + "Content-Length: 0x0c\r\n\r\n" + body, 400},
      {post + "Content-Length: 99999999999999999999999\r\n\r\n" + body, 400},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {post + "Transfer-Encoding: chunked, identity\r\n\r\n", 501},
      {post + "Transfer-Encoding: xchunked\r\n\r\n", 501},
      {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400},
      {"POST /v1/echo/x HTTP/1.0\r\n" + kKey + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      // fields
      {"GET /v1/constant HTTP/1.1\r\n" + kKey + "\r\n", 400},
      {get("/v1/constant", kHost + kHost), 400},
      {get("/v1/constant", "Host: a b\r\n"), 400},
      {get("/v1/constant", "Host: user@h\r\n"), 400},
      {get("/v1/constant", "Host: h/x\r\n"), 400},
      {get("/v1/constant", "Host:\r\n"), 400},
      {get("/v1/constant", kHost + "Folded: a\r\n b\r\n"), 400},
      {get("/v1/constant", kHost + "Folded: a\r\n\tb\r\n"), 400},
      {get("/v1/constant", kHost + kKey), 400},
      {get("/v1/constant", kHost + "Bad Name: a\r\n"), 400},
      {get("/v1/constant", kHost + "Space : a\r\n"), 400},
      {get("/v1/constant", kHost + ": a\r\n"), 400},
      {get("/v1/constant", kHost + "NoColon\r\n"), 400},
      {get("/v1/constant", kHost + "Nul: a" + std::string(1, '\0') + "b\r\n"), 400},
      {get("/v1/constant", kHost + "Bare: a\nb: c\r\n"), 400},
      {get("/v1/constant", kHost + "Bare: a\rb\r\n"), 400},
      {get("/v1/constant", kHost + "Expect: the-unexpected\r\n"), 417},
      // the request line
      {"GET  /v1/constant HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"GET /v1/constant\r\n" + kHost + "\r\n", 400},
      {"GET /v1/constant HTTP/2.0\r\n" + kHost + "\r\n", 505},
      {"GET /v1/constant HTTP/1.2\r\n" + kHost + "\r\n", 505},
      {"GET /v1/constant http/1.1\r\n" + kHost + "\r\n", 505},
      {"G@T /v1/constant HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"\r\n\r\n", 400},
      // the target
      {get("v1/constant"), 400},
      {get("*"), 400},
      {get("//v1/constant"), 400},
      {get("/v1//constant"), 400},
      {get("/v1/./constant"), 400},
      {get("/v1/x/../constant"), 400},
      {get("/v1/%2e%2e/constant"), 400},
      {get("/v1%2fconstant"), 400},
      {get("/v1%5Cconstant"), 400},
      {get("/v1/constant%2F"), 400},
      {get("/v1/constant%252F"), 400},
      {get("/healthz%2F"), 400},
      {get("/%2Fhealthz"), 400},
      {get("/v1/constant%00"), 400},
      {get("/v1/constant%0a"), 400},
      {get("/v1/%ff"), 400},
      {get("/v1/%c0%af"), 400},
      {get("/v1/%zz"), 400},
      {get("/v1/%2"), 400},
      {get("/v1/constant#x"), 400},
      {get("/v1/constant?a=%00"), 400},
      {get("/v1/constant?a=%ff"), 400},
      {get("/v1/sleep?ms=1&ms=1"), 400},
      {get("/v1/sleep?ms=1&other=1"), 400},
      {get("https://elsewhere/v1/constant"), 400},
      {get("http://localhost/v1/constant"), 400},
      {get("https://user@localhost/v1/constant"), 400},
      {"CONNECT localhost:443 HTTP/1.1\r\n" + kHost + "\r\n", 400},
      {get("https://LOCALHOST/v1/constant"), 200},
      {get("/v1/%63onstant"), 200},
      {get("/v1/constant?"), 200},
      {get("/v1/constant", "Host: [::1]:8443\r\n"), 200},
  };

  for (const auto& test : cases) {
    auto answer = bench.ask(test.request);

    EXPECT_EQ(answer.status, test.status) << test.request << '\n' << answer.body;
  }
  EXPECT_TRUE(still_serves(bench));
}

TEST(Hardening, answers_nothing_that_was_smuggled_behind_a_bad_request) {
  ServerBench bench;
  auto client = bench.client();

  client.send("POST /v1/echo/x HTTP/1.1\r\n" + kHost + kKey +
              "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
              bench.get("/v1/constant"));

  EXPECT_EQ(client.answer().status, 400);
  EXPECT_TRUE(client.ended());
}

TEST(Hardening, limits_header_and_target) {
  ServerBench bench;
  auto with_header = [&](std::size_t bytes) {
    return bench.ask(bench.get("/v1/constant", "X: " + std::string(bytes, 'x') + "\r\n")).status;
  };

  EXPECT_EQ(with_header(15 * 1024), 200);
  EXPECT_EQ(with_header(17 * 1024), 431);
  EXPECT_EQ(with_header(200 * 1024), 431);
  EXPECT_EQ(bench.ask(bench.get("/v1/sleep?ms=1&x=" + std::string(8'000, 'x'))).status, 400);
  EXPECT_EQ(bench.ask(bench.get("/v1/sleep?ms=1&x=" + std::string(8'200, 'x'))).status, 414);
  EXPECT_EQ(bench.ask(bench.get("/" + std::string(100'000, 'x'))).status, 414);
  std::string segments, parts = "?a=1";
  for (int i = 0; i < 40; ++i) segments += "/x";
  for (int i = 0; i < 101; ++i) parts += "&a=1";
  EXPECT_EQ(bench.ask(bench.get(segments)).status, 400);
  EXPECT_EQ(bench.ask(bench.get("/v1/constant" + parts)).status, 400);
}

TEST(Hardening, refuses_a_large_body_before_reading_it) {
  ServerBench bench;
  auto head = [&](std::string_view path, std::string_view size) {
    return "POST " + std::string(path) + " HTTP/1.1\r\n" + kHost + kKey +
           "Content-Type: application/json\r\n" + std::string(size) + "\r\n\r\n";
  };
  for (auto path : {"/v1/echo/x", "/v1/upload"}) {
    auto client = bench.client();

    client.send(head(path, "Content-Length: 10000001"));

    auto answer = client.answer();
    EXPECT_EQ(answer.status, 413) << path;
    EXPECT_EQ(answer.field("Connection"), "close");
  }
  auto chunked = bench.client();
  chunked.send(head("/v1/echo/x", "Transfer-Encoding: chunked") + "3e9\r\n" +
               std::string(1001, 'x') + "\r\n");
  EXPECT_EQ(chunked.answer().status, 413);
}

TEST(Hardening, lets_a_client_that_still_sends_see_why_it_was_refused) {
  ServerBench bench;
  auto client = bench.client();

  client.send("POST /v1/careless HTTP/1.1\r\n" + kHost + kKey + "Content-Length: 500000\r\n\r\n");
  for (int i = 0; i < 20; ++i) client.send(std::string(10'000, 'x'));

  EXPECT_EQ(client.answer().status, 409);
}

TEST(Hardening, cuts_a_slow_header) {
  ServerBench bench({.limits = {.header_time = 300ms}});
  auto client = bench.client();
  auto began = MonoTime::clock::now();

  client.send("GET /v1/constant HTTP/1.1\r\nX: ");
  std::thread drip([&] {
    for (int i = 0; i < 20 && client.send("x"); ++i) std::this_thread::sleep_for(50ms);
  });
  drip.join();

  EXPECT_EQ(client.answer().status, 408);
  EXPECT_TRUE(client.ended());
  EXPECT_LT(MonoTime::clock::now() - began, 3s);
  EXPECT_EQ(bench.metrics.timed_out, 1u);
}

TEST(Hardening, cuts_a_slow_body) {
  ServerBench bench({.limits = {.body_rate = 100'000, .body_patience = 200ms}});
  for (auto path : {"/v1/upload", "/v1/echo/x"}) {
    auto client = bench.client();

    client.send("POST " + std::string(path) + " HTTP/1.1\r\n" + kHost + kKey +
                "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{");

    EXPECT_EQ(client.answer().status, 408) << path;
    EXPECT_TRUE(client.ended());
  }
}

TEST(Hardening, cuts_a_body_that_drips_below_the_rate) {
  ServerBench bench({.limits = {.body_rate = 100'000, .body_patience = 300ms}});
  auto client = bench.client();
  auto began = MonoTime::clock::now();

  client.send("POST /v1/upload HTTP/1.1\r\n" + kHost + kKey + "Content-Length: 1000000\r\n\r\n");
  std::thread drip([&] {
    for (int i = 0; i < 40 && client.send("xxxxxxxxxx"); ++i) std::this_thread::sleep_for(25ms);
  });
  drip.join();

  EXPECT_EQ(client.answer().status, 408);
  EXPECT_LT(MonoTime::clock::now() - began, 3s);
}

TEST(Hardening, ends_idle_connections) {
  ServerBench bench({.limits = {.idle_time = 200ms}});
  auto silent = bench.client(), served = bench.client();
  served.send(bench.get("/v1/constant"));
  EXPECT_EQ(served.answer().status, 200);

  EXPECT_TRUE(silent.ended());
  EXPECT_TRUE(served.ended());
}

TEST(Hardening, ends_handshakes_that_do_not_come) {
  ServerBench bench({.limits = {.handshake_time = 200ms}});
  Tcp silent(bench.port()), half(bench.port());
  half.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));

  EXPECT_EQ(silent.rest(), "");
  half.rest();
  EXPECT_TRUE(still_serves(bench));
  EXPECT_EQ(bench.metrics.failed_handshakes, 2u);
}

TEST(Hardening, cuts_a_client_that_does_not_read) {
  ServerBench bench({.limits = {.write_time = 300ms}});
  auto client = bench.client();
  client.send(bench.get("/v1/download?bytes=1000000000"));

  auto until = MonoTime::clock::now() + 8s;
  bool cut = false;
  while (!cut && MonoTime::clock::now() < until) {
    std::this_thread::sleep_for(50ms);
    cut = bench.metrics.connections == 0;
  }

  EXPECT_TRUE(cut);
}

TEST(Hardening, cuts_a_handler_that_overruns) {
  ServerBench bench({.limits = {.overrun_time = 200ms}});
  auto began = MonoTime::clock::now();

  auto answer = bench.ask(bench.get("/v1/sleep?ms=3000"));

  EXPECT_EQ(answer.status, 0);
  EXPECT_LT(MonoTime::clock::now() - began, 2500ms);
}

TEST(Hardening, limits_connections_per_address_and_in_all) {
  ServerBench per_address({.limits = {.connections_per_address = 3}});
  ServerBench in_all({.limits = {.connections = 3}});
  for (auto* bench : {&per_address, &in_all}) {
    auto kept = std::make_unique<std::vector<RawClient>>();
    for (int i = 0; i < 3; ++i) {
      kept->push_back(bench->client());
      EXPECT_TRUE(kept->back().connected());
    }

    EXPECT_FALSE(bench->client().connected());
    EXPECT_EQ(bench->metrics.refused, 1u);

    kept.reset();
    bool again = false;
    for (int i = 0; i < 50 && !again; ++i) {
      std::this_thread::sleep_for(20ms);
      again = bench->client().connected();
    }
    EXPECT_TRUE(again);
  }
}

TEST(Hardening, limits_requests_per_connection) {
  ServerBench bench({.limits = {.requests_per_connection = 2}});
  auto client = bench.client();

  for (int i = 0; i < 2; ++i) {
    client.send(bench.get("/v1/constant"));
    EXPECT_EQ(client.answer().status, 200);
  }

  EXPECT_TRUE(client.ended());
}

TEST(Hardening, speaks_tls_1_2_and_1_3_with_forward_secrecy_only) {
  ServerBench bench;

  EXPECT_FALSE(bench.client(TLS1_VERSION).connected());
  EXPECT_FALSE(bench.client(TLS1_1_VERSION).connected());
  auto old = bench.client(TLS1_2_VERSION), fresh = bench.client(TLS1_3_VERSION);
  ASSERT_TRUE(old.connected());
  EXPECT_TRUE(old.cipher().starts_with("ECDHE-ECDSA-")) << old.cipher();
  ASSERT_TRUE(fresh.connected());
  EXPECT_EQ(fresh.version(), "TLSv1.3");
}

TEST(Hardening, tells_plain_http_that_this_is_https) {
  ServerBench bench;
  Tcp plain(bench.port());

  plain.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");

  auto answer = plain.rest();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << answer;
  EXPECT_NE(answer.find("use https://"), std::string::npos);
  EXPECT_TRUE(still_serves(bench));
}

TEST(Hardening, survives_random_bytes) {
  ServerBench bench({.limits = {.handshake_time = 200ms, .header_time = 200ms}});
  std::mt19937 random(4711);
  auto noise = [&](std::size_t most) {
    std::string out(random() % most + 1, '\0');
    for (char& c : out) c = static_cast<char>(random());
    return out;
  };

  for (int i = 0; i < 40; ++i) {
    Tcp tcp(bench.port());
    tcp.send(i % 2 ? "\x16\x03\x01" + noise(3000) : noise(3000));
    auto client = bench.client();
    auto request = bench.post("/v1/echo/x", R"({"text":"a"})");
    for (int flips = 0; flips < 3; ++flips)
      request[random() % request.size()] = static_cast<char>(random());
    client.send(i % 2 ? request : noise(20'000));
  }

  EXPECT_TRUE(still_serves(bench));
}

}  // namespace
}  // namespace holdfast::http
