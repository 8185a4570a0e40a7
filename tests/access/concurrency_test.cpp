#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "access/access_bench.h"

namespace holdfast::access {
namespace {

http::Credentials with(const std::string& key, std::string address) {
  return {.authorization = "Bearer " + key,
          .address = std::move(address),
          .user_agent = {},
          .request_id = {},
          .deadline = MonoTime::max()};
}

// Run under TSan as well. Each thread is a core with an io_context of its own.
TEST(AccessConcurrency, a_revoked_key_opens_on_no_core_once_the_reply_is_out) {
  AccessBench bench;
  constexpr int kCores = 3, kRounds = 20;
  std::vector<std::string> keys(kRounds), names(kRounds);
  for (int i = 0; i < kRounds; ++i) {
    auto made = bench.make_key({.roles = {"support"}});
    keys[static_cast<std::size_t>(i)] = made.api_key.expose_text();
    names[static_cast<std::size_t>(i)] = made.info.key;
  }
  std::atomic<int> revoked = 0;  // keys below this were revoked, and their callers told
  std::atomic<int> late = 0, checked = 0;
  std::atomic<bool> stop = false;

  std::vector<std::thread> cores;
  for (int core = 0; core < kCores; ++core)
    cores.emplace_back([&, core] {
      test::RunContext context;
      for (int i = core; !stop; ++i) {
        const auto which = i % kRounds;
        const bool dead = which < revoked.load();
        auto caller = context.run(bench.service().authenticate(
            with(keys[static_cast<std::size_t>(which)], "192.0.2." + std::to_string(core))));
        late += dead && caller.has_value();
        ++checked;
      }
    });
  for (int i = 0; i < kRounds; ++i) {
    auto done = bench.run(
        bench.admin().revoke_key(bench.owner, {.key = names[static_cast<std::size_t>(i)]}));
    EXPECT_TRUE(done);
    revoked = i + 1;
  }
  while (checked < 200) std::this_thread::yield();
  stop = true;
  for (auto& core : cores) core.join();

  EXPECT_EQ(late, 0);
}

TEST(AccessConcurrency, admins_on_several_cores_lose_no_key) {
  AccessBench bench;
  constexpr int kCores = 3, kEach = 8;
  std::atomic<int> made = 0;

  std::vector<std::thread> cores;
  for (int core = 0; core < kCores; ++core)
    cores.emplace_back([&] {
      test::RunContext context;
      for (int i = 0; i < kEach;) {
        auto key =
            context.run(bench.admin().create_key(bench.owner, {.name = "x", .roles = {"support"}}));
        if (key) ++made, ++i;  // else: changed by others twice in a row, ask again
      }
    });
  for (auto& core : cores) core.join();

  bench.restart();
  const auto list = bench.must(bench.run(bench.api().list_keys(bench.owner, {})));
  EXPECT_EQ(made, kCores * kEach);
  EXPECT_EQ(list.keys.size(), 1u + kCores * kEach);
  EXPECT_TRUE(bench.process->notices.seen.empty());
}

}  // namespace
}  // namespace holdfast::access
