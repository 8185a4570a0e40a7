// Many large requests at once.
#include "http/body_budget.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "http/server_bench.h"

namespace holdfast::http {
namespace {

TEST(BodyBudget, gives_back_what_a_share_held) {
  BodyBudget budget(100);
  {
    BodyBudget::Share one(budget), other(budget);

    EXPECT_TRUE(one.grow_to(60));
    EXPECT_TRUE(one.grow_to(40));
    EXPECT_FALSE(other.grow_to(50));
    EXPECT_TRUE(other.grow_to(40));
    EXPECT_FALSE(one.grow_to(61));
    EXPECT_EQ(budget.held(), 100u);
  }
  EXPECT_EQ(budget.held(), 0u);
}

/// A server with room for little more than one body of 300 kB.
struct Crowd {
  static ServerOptions narrow() {
    ServerOptions out;
    out.limits.bodies_together = 700'000;
    return out;
  }
  std::string head(std::size_t size) const {
    return "POST /v1/large/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer good\r\n"
           "Content-Type: application/json\r\nContent-Length: " +
           std::to_string(size) + "\r\n\r\n";
  }
  static std::string body(std::size_t size) {
    return R"({"text":")" + std::string(size - 11, 'x') + R"("})";
  }
  RawAnswer ask(std::size_t size) const { return bench.ask(head(size) + body(size)); }
  /// Until the room is free again; the server lets go of a cut connection on its own time.
  bool gets_through(std::size_t size) const {
    for (int i = 0; i < 200; ++i) {
      if (ask(size).status == 200) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

  TestApi api;
  ServerBench bench{
      narrow(),
      {route<&TestApi::echo>(api, "test.large", "POST", "/v1/large/{name}", "Echo a lot")}};
};

TEST(BodyBudget, large_bodies_are_refused_while_others_hold_the_room_and_small_ones_never) {
  Crowd crowd;
  const auto all = crowd.body(500'000);
  RawAnswer refused, kept;
  // Whose body is refused while both still grow is chance: begun anew until it was the second.
  for (int tries = 0; tries < 20 && (kept.status != 200 || refused.status != 503); ++tries) {
    auto first = crowd.bench.client();
    ASSERT_TRUE(first.send(crowd.head(all.size()) + all.substr(0, 450'000)));
    refused = {};
    for (int i = 0; i < 200 && refused.status != 503; ++i) refused = crowd.ask(300'000);
    EXPECT_EQ(crowd.ask(BodyBudget::kSmall).status, 200);
    if (first.send(all.substr(450'000))) kept = first.answer();
  }

  EXPECT_EQ(kept.status, 200);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.field("Retry-After"), "1");
  EXPECT_NE(refused.body.find(R"("code":"exhausted")"), std::string::npos) << refused.body;
  EXPECT_TRUE(crowd.gets_through(300'000));
}

TEST(BodyBudget, room_comes_back_from_who_hung_up_and_who_was_refused) {
  Crowd crowd;
  for (int i = 0; i < 5; ++i) {
    auto gone = crowd.bench.client();
    ASSERT_TRUE(gone.send(crowd.head(500'000) + crowd.body(500'000).substr(0, 450'000)));
  }
  for (int i = 0; i < 5; ++i) EXPECT_NE(crowd.ask(1'000'000).status, 200);

  EXPECT_TRUE(crowd.gets_through(500'000));
}

}  // namespace
}  // namespace holdfast::http
