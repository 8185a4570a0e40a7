#include "http/client.h"

#include <gtest/gtest.h>

#include <thread>

#include "http/server_bench.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

ClientOptions options_for(const ServerBench& bench, std::string_view host = "localhost") {
  ClientOptions out;
  out.url = "https://" + std::string(host) + ':' + std::to_string(bench.port());
  out.ca_file = std::filesystem::path(bench.directory) / "ca.pem";
  out.api_key = Secret::copy("good");
  return out;
}

Client client_for(const ServerBench& bench, std::string_view host = "localhost") {
  return *Client::make(options_for(bench, host));
}

TEST(Client, asks_and_keeps_its_connection) {
  ServerBench bench;
  auto client = client_for(bench);

  for (int i = 0; i < 3; ++i) {
    auto answer = client.send({.method = "POST",
                               .target = "/v1/echo/" + percent_encoded("a b/ü").substr(0, 5),
                               .body = R"({"text":"x"})",
                               .headers = {{"Idempotency-Key", "k1"}}});

    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->type, "application/json");
    EXPECT_EQ(answer->etag, "\"7\"");
    EXPECT_NE(answer->body.find(R"("name":"a b")"), std::string::npos) << answer->body;
    EXPECT_NE(answer->body.find(R"("key":"k1")"), std::string::npos);
    EXPECT_NE(answer->body.find(answer->request_id), std::string::npos);
  }
  EXPECT_EQ(bench.metrics.accepted, 1u);
}

TEST(Client, sends_and_takes_at_once) {
  ServerBench bench;
  auto client = client_for(bench);
  std::string got;
  std::size_t sent = 0;
  ClientRequest request{.method = "POST", .target = "/v1/copy"};
  request.source = [&](std::span<char> to) -> Result<std::size_t> {
    auto size = std::min<std::size_t>(to.size(), 20'000'000 - sent);
    std::fill_n(to.begin(), size, 'x');
    sent += size;
    return size;
  };
  request.sink = [&](std::string_view piece) { return got += piece, true; };

  auto answer = client.send(request);

  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(got, std::string(20'000'000, 'x'));
  ASSERT_EQ(answer->trailer.size(), 1u);
  EXPECT_EQ(answer->trailer[0], (std::pair<std::string, std::string>("X-Copied", "yes")));
  EXPECT_EQ(client.send({.target = "/v1/constant"})->status, 200);
  EXPECT_EQ(bench.metrics.accepted, 1u);
}

TEST(Client, notices_a_copy_that_was_cut_off) {
  ServerBench bench;
  auto client = client_for(bench);
  ClientRequest request{.method = "POST", .target = "/v1/copy"};
  int pieces = 0;
  request.source = [&](std::span<char> to) -> Result<std::size_t> {
    std::fill_n(to.begin(), 60'000, ++pieces == 20 ? '!' : 'x');
    return 60'000;
  };
  request.sink = [](std::string_view) { return true; };

  auto answer = client.send(request);

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::unavailable);
}

TEST(Client, connects_anew_when_the_server_ended_the_connection) {
  ServerBench bench({.limits = {.idle_time = 100ms}});
  auto client = client_for(bench);
  ASSERT_TRUE(client.send({.target = "/v1/constant"}));
  std::this_thread::sleep_for(400ms);

  auto answer = client.send({.target = "/v1/constant"});

  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(answer->status, 200);
}

TEST(Client, reaches_the_server_by_each_name_of_its_certificate_only) {
  ServerBench bench;

  EXPECT_TRUE(client_for(bench, "127.0.0.1").send({.target = "/healthz"}));
  auto other = client_for(bench, "127.0.0.2").send({.target = "/healthz"});

  ASSERT_FALSE(other);
  EXPECT_TRUE(other.error().code == Code::unauthenticated ||
              other.error().code == Code::unavailable);
}

TEST(Client, trusts_only_the_given_authority) {
  ServerBench bench, stranger;
  auto options = options_for(bench);
  options.ca_file = std::filesystem::path(stranger.directory) / "ca.pem";

  auto answer = Client::make(std::move(options))->send({.target = "/healthz"});

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::unauthenticated);
}

TEST(Client, passes_problems_on) {
  ServerBench bench;
  auto client = client_for(bench);

  auto answer = client.send({.target = "/v1/forbidden"});

  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 403);
  EXPECT_EQ(answer->type, "application/problem+json");
  EXPECT_NE(answer->body.find("not for you"), std::string::npos);
}

TEST(Client, sends_an_upload_of_known_or_unknown_size_with_progress) {
  ServerBench bench;
  auto client = client_for(bench);
  for (bool known : {true, false}) {
    std::size_t left = 5'000'000;
    std::uint64_t seen = 0;

    auto answer =
        client.send({.method = "POST",
                     .target = "/v1/upload",
                     .type = "text/csv",
                     .source = [&](std::span<char> to) -> Result<std::size_t> {
                       auto count = std::min(left, to.size());
                       std::fill_n(to.data(), count, 'x');
                       left -= count;
                       return count;
                     },
                     .source_bytes = known ? std::optional<std::uint64_t>(left) : std::nullopt,
                     .progress = [&](std::uint64_t sent) { seen = sent; }});

    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_EQ(answer->body, R"({"bytes":5000000})");
    EXPECT_EQ(seen, 5'000'000u);
  }
  EXPECT_EQ(bench.metrics.accepted, 1u);
}

TEST(Client, learns_why_an_upload_was_refused_without_sending_it) {
  ServerBench bench;
  auto client = client_for(bench);
  bool asked = false;

  auto answer = client.send({.method = "POST",
                             .target = "/v1/careless",
                             .source = [&](std::span<char>) -> Result<std::size_t> {
                               asked = true;
                               return std::size_t(0);
                             },
                             .source_bytes = 1000});

  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(answer->status, 409);
  EXPECT_FALSE(asked);
}

TEST(Client, gives_up_an_upload_whose_source_fails) {
  ServerBench bench;
  auto client = client_for(bench);

  auto answer = client.send({.method = "POST",
                             .target = "/v1/upload",
                             .source = [](std::span<char>) -> Result<std::size_t> {
                               return Error(Code::unavailable, "the disk is gone");
                             }});

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().text, "the disk is gone");
  EXPECT_TRUE(client.send({.target = "/v1/constant"}));
}

TEST(Client, takes_a_download_piece_by_piece_and_can_end_it) {
  ServerBench bench;
  auto client = client_for(bench);
  std::size_t got = 0, pieces = 0;

  auto whole =
      client.send({.target = "/v1/download?bytes=3000000", .sink = [&](std::string_view piece) {
                     got += piece.size();
                     return true;
                   }});
  auto part = client.send({.target = "/v1/download?bytes=3000000",
                           .sink = [&](std::string_view) { return ++pieces < 3; }});

  ASSERT_TRUE(whole) << whole.error().text;
  EXPECT_EQ(got, 3'000'000u);
  EXPECT_EQ(whole->body, "");
  EXPECT_TRUE(part);
  EXPECT_EQ(pieces, 3u);
}

TEST(Client, says_when_an_answer_was_cut_off_or_too_large_or_late) {
  ServerBench bench;
  auto options = options_for(bench);
  options.body_bytes = 1000;
  options.quiet_time = 300ms;
  auto client = *Client::make(std::move(options));

  auto cut = client.send({.target = "/v1/cut_off"});
  auto large = client.send({.target = "/v1/download?bytes=5000"});
  auto late = client.send({.target = "/v1/sleep?ms=900"});

  ASSERT_TRUE(!cut && !large && !late);
  EXPECT_EQ(cut.error().code, Code::unavailable);
  EXPECT_EQ(large.error().code, Code::too_large);
  EXPECT_EQ(late.error().text, "the server did not answer in time");
}

TEST(Client, reads_events) {
  ServerBench bench;
  auto client = client_for(bench);
  std::string seen;

  auto done =
      client.send({.target = "/v1/events", .sink = EventLines([&](const EventLines::Event& event) {
                                             seen = event.data;
                                             return false;
                                           })});

  EXPECT_TRUE(done);
  EXPECT_EQ(seen, "first");
}

TEST(Client, refuses_what_it_cannot_send) {
  ServerBench bench;
  auto client = client_for(bench);

  EXPECT_FALSE(client.send({.target = "/v1/a b"}));
  EXPECT_FALSE(client.send({.target = "/v1/constant", .headers = {{"A", "b\r\nC: d"}}}));
  for (auto url : {"http://localhost", "https://", "localhost:1", "https://localhost/x",
                   "https://u@localhost", ""})
    EXPECT_FALSE(Client::make({.url = url})) << url;
  EXPECT_FALSE(Client::make({.url = "https://localhost", .ca_file = "/nowhere/ca.pem"}));
  auto nobody = Client::make({.url = "https://127.0.0.1:1"})->send({.target = "/"});
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().text, "nothing listens at the server's address");
}

TEST(EventLines, joins_data_lines_across_pieces) {
  std::vector<std::string> seen;
  EventLines lines([&](const EventLines::Event& event) {
    seen.push_back(event.event + '|' + event.id + '|' + event.data);
    return seen.size() < 3;
  });

  EXPECT_TRUE(lines(": comment\n\nid: 7\nda"));
  EXPECT_TRUE(lines("ta: a\r\ndata:b\n\n"));
  EXPECT_FALSE(lines("event: x\ndata: c\n\nid: 9\n\ndata: d\n\ndata: never\n\n"));

  EXPECT_EQ(seen, (std::vector<std::string>{"message|7|a\nb", "x|7|c", "message|9|d"}));
}

}  // namespace
}  // namespace holdfast::http
