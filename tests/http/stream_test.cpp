// Uploads, downloads and event streams.
#include <gtest/gtest.h>

#include <thread>

#include "http/server_bench.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

std::string upload_head(std::string_view framing) {
  return "POST /v1/upload HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer good\r\nContent-Type: "
         "text/csv\r\n" +
         std::string(framing) + "\r\n\r\n";
}

TEST(Streams, takes_an_upload_of_known_size) {
  ServerBench bench;
  auto client = bench.client();

  client.send(upload_head("Content-Length: 3000000"));
  for (int i = 0; i < 300; ++i) client.send(std::string(10'000, 'x'));

  EXPECT_EQ(client.answer().body, R"({"bytes":3000000})");
  client.send(bench.get("/v1/constant"));
  EXPECT_EQ(client.answer().status, 200);
}

TEST(Streams, takes_an_upload_in_chunks_up_to_its_limit) {
  ServerBench bench;
  auto client = bench.client(), greedy = bench.client();
  std::string chunk = "2710\r\n" + std::string(10'000, 'x') + "\r\n";

  client.send(upload_head("Transfer-Encoding: chunked"));
  for (int i = 0; i < 100; ++i) client.send(chunk);
  client.send("0\r\n\r\n");
  greedy.send(upload_head("Transfer-Encoding: chunked"));
  for (int i = 0; i < 1010 && greedy.send(chunk); ++i) {
  }

  EXPECT_EQ(client.answer().body, R"({"bytes":1000000})");
  EXPECT_EQ(greedy.answer().status, 413);
}

TEST(Streams, holds_a_chunk_head_to_the_buffer) {
  ServerBench bench;
  auto client = bench.client();

  client.send(upload_head("Transfer-Encoding: chunked"));
  for (int i = 0; i < 10; ++i) client.send(std::string(10'000, i == 0 ? '1' : 'x'));

  EXPECT_EQ(client.answer().status, 400);
}

TEST(Streams, says_so_when_an_upload_is_cut_off) {
  ServerBench bench;
  {
    auto client = bench.client();
    client.send(upload_head("Content-Length: 1000"));
    client.send("half");
  }
  while (bench.metrics.accepted < 1 || bench.metrics.connections > 0) std::this_thread::yield();

  std::scoped_lock lock(bench.lines_mutex);
  ASSERT_EQ(bench.lines.size(), 1u);
  EXPECT_TRUE(bench.lines[0] == "test.upload 0" || bench.lines[0] == "test.upload 400")
      << bench.lines[0];
}

TEST(Streams, gives_a_download_and_keeps_the_connection) {
  ServerBench bench;
  auto client = bench.client();

  client.send(bench.get("/v1/download?bytes=2000000"));
  auto file = client.answer();

  EXPECT_EQ(file.status, 200);
  EXPECT_EQ(file.field("Content-Type"), "text/csv");
  EXPECT_EQ(file.body, std::string(2'000'000, 'x'));
  client.send(bench.get("/v1/constant"));
  EXPECT_EQ(client.answer().status, 200);
}

TEST(Streams, give_no_download_to_http_1_0_where_a_part_would_look_like_the_whole) {
  ServerBench bench;
  auto client = bench.client();

  client.send("GET /v1/download?bytes=5000 HTTP/1.0\r\nAuthorization: Bearer good\r\n\r\n");

  EXPECT_EQ(client.answer().status, 505);
}

TEST(Streams, refuses_a_download_as_a_problem) {
  ServerBench bench;

  EXPECT_EQ(bench.ask(bench.get("/v1/download?bytes=x")).status, 400);
  EXPECT_EQ(bench.ask("GET /v1/download?bytes=1 HTTP/1.1\r\nHost: h\r\n\r\n").status, 401);
}

TEST(Streams, leaves_a_failed_download_without_its_end) {
  ServerBench bench;
  auto client = bench.client();

  client.send(bench.get("/v1/cut_off"));

  EXPECT_EQ(client.answer().status, 0);
}

TEST(Streams, tell_a_client_that_left_from_an_error_of_the_server) {
  ServerBench bench;
  {
    auto client = bench.client();
    client.send(bench.get("/v1/download?bytes=100000000"));
    EXPECT_FALSE(client.receive().empty());
  }
  while (bench.metrics.accepted < 1 || bench.metrics.connections > 0) std::this_thread::yield();

  std::scoped_lock lock(bench.lines_mutex);
  EXPECT_EQ(bench.lines, std::vector<std::string>{"test.download 0"});
}

// ── a stream in, a stream out

std::string copy_head(std::string_view version = "1.1") {
  return "POST /v1/copy HTTP/" + std::string(version) +
         "\r\nHost: h\r\nAuthorization: Bearer good\r\nTransfer-Encoding: chunked\r\n\r\n";
}
std::string chunk_of(std::string_view text) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + std::string(text) + "\r\n";
}

TEST(Streams, answers_while_it_reads_and_says_the_last_word_in_the_trailer) {
  ServerBench bench;
  auto client = bench.client();

  client.send(copy_head() + chunk_of("first"));
  std::string seen;
  while (seen.find("first") == std::string::npos) seen += client.receive();
  client.send(chunk_of("second") + "0\r\n\r\n");
  while (seen.find("0\r\n") == std::string::npos || !seen.ends_with("\r\n\r\n"))
    seen += client.receive();

  EXPECT_NE(seen.find("HTTP/1.1 200"), std::string::npos);
  EXPECT_NE(seen.find("X-Copy: begun\r\n"), std::string::npos);
  EXPECT_TRUE(seen.ends_with("6\r\nsecond\r\n0\r\nX-Copied: yes\r\n\r\n")) << seen;
  client.send(bench.get("/v1/constant"));
  EXPECT_EQ(client.answer().status, 200) << "the connection is kept";
}

TEST(Streams, breaks_an_answer_that_fails_in_the_middle) {
  ServerBench bench;
  auto client = bench.client(), early = bench.client(), old = bench.client();

  client.send(copy_head() + chunk_of("first"));
  std::string seen;
  while (seen.find("first") == std::string::npos) seen += client.receive();
  client.send(chunk_of("!"));
  for (auto piece = client.receive(); !piece.empty(); piece = client.receive()) seen += piece;
  early.send(copy_head() + chunk_of("!"));
  old.send("POST /v1/copy HTTP/1.0\r\nAuthorization: Bearer good\r\nContent-Length: 1\r\n\r\nx");

  EXPECT_TRUE(seen.ends_with("first\r\n")) << "no last chunk: " << seen;
  EXPECT_EQ(early.answer().status, 400) << "before the first byte it is a problem like others";
  EXPECT_EQ(old.answer().status, 505) << "what was cut off would look whole";
}

TEST(Streams, hold_a_client_that_does_not_read_while_it_sends) {
  ServerBench bench({.limits = {.write_time = 300ms}});
  auto client = bench.client();
  const auto piece = chunk_of(std::string(60'000, 'x'));

  client.send(copy_head());
  bool sending = true;
  for (int i = 0; i < 1600 && sending; ++i) sending = client.send(piece);

  EXPECT_FALSE(sending) << "the server stops reading, and then ends it";
}

TEST(Streams, keeps_a_quiet_event_stream_alive_and_ends_it_when_the_server_stops) {
  ServerBench bench({.limits = {.heartbeat = 100ms}});
  auto client = bench.client();
  client.send(bench.get("/v1/events"));
  std::string seen;
  while (seen.find(": \n\n") == std::string::npos) {
    auto piece = client.receive();
    ASSERT_FALSE(piece.empty()) << seen;
    seen += piece;
  }

  auto began = MonoTime::clock::now();
  bench.server->stop();

  EXPECT_NE(seen.find("Content-Type: text/event-stream"), std::string::npos);
  EXPECT_NE(seen.find("data: first\n\n"), std::string::npos);
  EXPECT_LT(MonoTime::clock::now() - began, 3s);
}

TEST(Streams, end_when_their_time_is_over) {
  for (const auto* path : {"/v1/events", "/v1/download?bytes=50000000000"}) {
    ServerBench bench({.limits = {.overrun_time = 50ms, .stream_time = 250ms, .heartbeat = 20ms}});
    auto client = bench.client();
    auto began = MonoTime::clock::now();
    auto took = [&] { return MonoTime::clock::now() - began; };

    client.send(bench.get(path));
    while (took() < 5s && !client.receive().empty()) {
    }

    EXPECT_GT(took(), 250ms) << path;
    EXPECT_LT(took(), 5s) << path << ": neither heartbeats nor a busy reader make it longer";
  }
}

TEST(Streams, notices_a_client_that_left_its_events) {
  ServerBench bench({.limits = {.heartbeat = 50ms}});
  {
    auto client = bench.client();
    client.send(bench.get("/v1/events"));
    EXPECT_FALSE(client.receive().empty());
  }

  for (int i = 0; i < 100 && bench.metrics.connections > 0; ++i) std::this_thread::sleep_for(20ms);

  EXPECT_EQ(bench.metrics.connections, 0);
}

}  // namespace
}  // namespace holdfast::http
