// Start, load, reload and stop.
#include <gtest/gtest.h>

#include <thread>

#include "http/server_bench.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

TEST(Lifecycle, finishes_a_slow_request_before_it_stops) {
  ServerBench bench;
  auto slow = bench.client(), idle = bench.client();
  slow.send(bench.get("/v1/sleep?ms=500"));
  std::this_thread::sleep_for(100ms);

  auto began = MonoTime::clock::now();
  std::thread stop([&] { bench.server->stop(); });
  bool idle_ended = idle.ended();
  auto idle_took = MonoTime::clock::now() - began;
  auto answer = slow.answer();
  stop.join();

  EXPECT_TRUE(idle_ended);
  EXPECT_LT(idle_took, 300ms);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.field("Connection"), "close");
  EXPECT_LT(MonoTime::clock::now() - began, 3s);
  EXPECT_FALSE(bench.client().connected());
}

TEST(Lifecycle, does_not_wait_longer_than_allowed) {
  ServerBench bench({.limits = {.stop_time = 200ms}});
  auto slow = bench.client();
  slow.send(bench.get("/v1/sleep?ms=900"));
  std::this_thread::sleep_for(100ms);

  auto began = MonoTime::clock::now();
  bench.server->stop();

  EXPECT_LT(MonoTime::clock::now() - began, 2s);
  EXPECT_EQ(slow.answer().status, 0);
}

TEST(Lifecycle, says_whether_handlers_outlasted_it) {
  ServerBench bench({.limits = {.stop_time = 100ms, .end_time = 100ms}});
  auto slow = bench.client();
  slow.send(bench.get("/v1/sleep?ms=3000"));
  std::this_thread::sleep_for(100ms);

  bool at_once = bench.server->stop();
  bool over = false;
  for (int i = 0; i < 100 && !over; ++i) over = bench.server->stop();

  EXPECT_FALSE(at_once);
  EXPECT_TRUE(over);
}

TEST(Lifecycle, serves_new_connections_with_a_reloaded_certificate) {
  ServerBench bench;
  auto before = bench.client();
  auto renewed = ensure_local_certificate(bench.directory, {"vault.example"}, bench.clock.now());
  ASSERT_TRUE(renewed);

  bench.server->reload(*server_context(*renewed));
  auto after = bench.client();

  EXPECT_NE(before.fingerprint(), after.fingerprint());
  EXPECT_EQ(after.fingerprint(), certificate_fingerprint(renewed->chain));
  before.send(bench.get("/v1/constant"));
  EXPECT_EQ(before.answer().status, 200);
}

TEST(Lifecycle, serves_many_clients_at_once) {
  ServerBench bench;
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&bench, &good, t] {
      for (int c = 0; c < 5; ++c) {
        auto client = bench.client();
        for (int i = 0; i < 20; ++i) {
          auto name = std::to_string(t * 1000 + c * 100 + i);
          client.send(bench.post("/v1/echo/" + name, R"({"text":"a"})"));
          good += client.answer().body.starts_with(R"({"name":")" + name + '"');
        }
      }
    });
  for (auto& thread : threads) thread.join();

  EXPECT_EQ(good, 800);
  EXPECT_EQ(bench.metrics.accepted, 40u);
}

TEST(Lifecycle, refuses_a_taken_port_and_a_foreign_address) {
  ServerBench bench;
  auto start = [&](std::string address, std::uint16_t port) {
    Server server({bench.cores, bench.gate, bench.clock, bench.metrics},
                  {.listen = {{.address = std::move(address), .port = port}}}, {},
                  *server_context(bench.certificate));
    auto started = server.start();
    return started ? std::string() : std::string(started.error().text);
  };

  EXPECT_EQ(start("127.0.0.1", bench.port()),
            "the port to listen on is taken by another program (server.listen, or --listen)");
  EXPECT_EQ(start("localhost", 0), "the address to listen on is not an IP address");
  EXPECT_EQ(start("192.0.2.1", 0), "the address to listen on is not one of this machine");
}

TEST(Lifecycle, starts_and_stops_again_and_again) {
  for (int i = 0; i < 10; ++i) {
    ServerBench bench;
    auto client = bench.client();
    client.send(bench.get("/v1/constant"));
    bench.server->stop();
    bench.server->stop();
  }
}

}  // namespace
}  // namespace holdfast::http
