#include "base/secret.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace holdfast {
namespace {

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(std::is_nothrow_move_constructible_v<Secret>);
static_assert(!std::equality_comparable<Secret>);

bool all_zero(BytesView bytes) {
  for (auto byte : bytes)
    if (byte != 0) return false;
  return true;
}

// Around every size class and the step to mappings of their own.
constexpr std::size_t kSizes[] = {1,    31,   32,   33,   64,   65,   128,  129,   1024,   1025,
                                  2048, 2049, 4095, 4096, 4097, 8192, 8193, 65536, 1 << 20};

TEST(Secret, is_zeroed_when_made) {
  for (auto size : kSizes) {
    for (int turn = 0; turn < 3; ++turn) {
      Secret secret(size);
      EXPECT_EQ(secret.size(), size);
      EXPECT_TRUE(all_zero(secret.expose())) << size;
      for (auto& byte : secret.expose_mut()) byte = 0xee;
    }
  }
}

TEST(Secret, holds_what_it_was_given) {
  auto secret = Secret::copy("correct horse");
  auto clone = secret.clone();

  EXPECT_EQ(secret.expose_text(), "correct horse");
  EXPECT_EQ(clone.expose_text(), "correct horse");
  EXPECT_NE(clone.expose().data(), secret.expose().data());
}

TEST(Secret, may_be_empty) {
  Secret empty, none(0), copied = Secret::copy(""), random = Secret::random(0);

  for (const auto* secret : {&empty, &none, &copied, &random}) {
    EXPECT_TRUE(secret->empty());
    EXPECT_EQ(secret->expose_text(), "");
    EXPECT_TRUE(secret->matches({}));
    EXPECT_TRUE(secret->clone().empty());
  }
  empty.shrink(0);
  EXPECT_TRUE(empty.empty());
}

TEST(Secret, moves_without_leaving_anything) {
  auto one = Secret::copy("one");
  auto two = Secret::copy("two");

  two = std::move(one);

  EXPECT_EQ(two.expose_text(), "one");
  EXPECT_TRUE(one.empty());
  auto& same = two;
  two = std::move(same);
  EXPECT_EQ(two.expose_text(), "one");
  Secret third(std::move(two));
  EXPECT_EQ(third.expose_text(), "one");
  EXPECT_TRUE(two.empty());
}

TEST(Secret, is_wiped_when_it_goes) {
  // The memory stays mapped, as the thread keeps the block at hand, so it may be looked at.
  const std::uint8_t* at = nullptr;
  {
    auto secret = Secret::copy(Bytes(100, 0xee));
    at = secret.expose().data();
  }

  // The first bytes are the link of the free list.
  EXPECT_TRUE(all_zero({at + sizeof(void*), 100 - sizeof(void*)}));
}

TEST(Secret, is_wiped_when_another_is_moved_over_it) {
  auto secret = Secret::copy(Bytes(100, 0xee));
  const auto* at = secret.expose().data();
  auto other = Secret::copy("x");

  secret = std::move(other);

  EXPECT_TRUE(all_zero({at + sizeof(void*), 100 - sizeof(void*)}));
}

TEST(Secret, keeps_its_start_and_wipes_its_end_when_shrunk) {
  for (auto size : kSizes)
    for (std::size_t to : {std::size_t{0}, size / 3, size / 2, size - 1, size, size + 5}) {
      Secret secret(size);
      for (std::size_t i = 0; i < size; ++i)
        secret.expose_mut()[i] = static_cast<std::uint8_t>(i * 7 + 1);
      const auto* before = secret.expose().data();

      secret.shrink(to);

      auto kept = std::min(size, to);
      ASSERT_EQ(secret.size(), kept) << size;
      for (std::size_t i = 0; i < kept; ++i)
        ASSERT_EQ(secret.expose()[i], static_cast<std::uint8_t>(i * 7 + 1));
      if (kept > 0 && secret.expose().data() == before && size <= 4096) {
        EXPECT_TRUE(all_zero({before + kept, size - kept}));
      }
    }
}

TEST(Secret, of_every_shrunk_size_goes_back_where_it_came_from) {
  // A block that returns to the list of another size would be handed out too small or twice.
  for (int turn = 0; turn < 50; ++turn) {
    std::vector<Secret> live;
    for (auto size : kSizes) {
      if (size > 8193) continue;
      auto secret = Secret(size);
      secret.shrink(size - size / 3);
      live.push_back(std::move(secret));
      live.push_back(Secret(size));
    }
    for (std::size_t i = 0; i < live.size(); ++i)
      for (auto& byte : live[i].expose_mut()) byte = static_cast<std::uint8_t>(i + 1);
    for (std::size_t i = 0; i < live.size(); ++i)
      for (auto byte : live[i].expose()) ASSERT_EQ(byte, i + 1);
  }
}

TEST(Secret, compares_by_content_and_length) {
  auto secret = Secret::copy("correct horse");

  EXPECT_TRUE(secret.matches(as_bytes("correct horse")));
  EXPECT_FALSE(secret.matches(as_bytes("correct hors")));
  EXPECT_FALSE(secret.matches(as_bytes("correct horsf")));
  EXPECT_FALSE(secret.matches({}));
}

TEST(Secret, of_one_size_leaves_its_room_to_all_others_when_it_is_gone) {
  // More: spare regions, and those of which this thread keeps blocks at hand.
  constexpr std::size_t kBurst = 3u << 20, kMore = 5u << 20;
  const auto before = locked_secret_bytes();

  for (std::size_t size : {4096, 32, 2049, 65536, 1000, 4096}) {
    {
      std::vector<Secret> burst;
      for (std::size_t used = 0; used < kBurst; used += std::bit_ceil(size))
        burst.emplace_back(size);
      EXPECT_GE(locked_secret_bytes(), kBurst) << size;
      EXPECT_LE(locked_secret_bytes(), before + kBurst + kMore) << size;
    }
    EXPECT_LE(locked_secret_bytes(), before + kMore) << size;
  }
}

TEST(Secret, of_one_size_leaves_its_room_to_others_when_few_of_it_stay) {
  constexpr std::size_t kBurst = 3u << 20;
  const auto before = locked_secret_bytes();
  std::vector<Secret> stay;
  {
    std::vector<Secret> burst;
    for (std::size_t i = 0; i < kBurst / 4096; ++i) {
      burst.emplace_back(std::size_t{4096});
      if (i % 128 == 0) stay.emplace_back(std::size_t{4096});
    }
  }

  std::vector<Secret> others;
  for (std::size_t i = 0; i < kBurst / 2048; ++i) others.emplace_back(std::size_t{2048});

  EXPECT_LE(locked_secret_bytes(), before + kBurst + (2u << 20));
}

TEST(Secret, may_die_on_another_thread_than_it_was_made_on) {
  for (int turn = 0; turn < 20; ++turn) {
    std::vector<Secret> made;
    for (int i = 0; i < 300; ++i) made.push_back(Secret::copy(Bytes(40, 0x5a)));
    std::thread([taken = std::move(made)]() mutable {
      for (const auto& secret : taken) ASSERT_TRUE(secret.matches(Bytes(40, 0x5a)));
      taken.clear();
    }).join();
  }
}

TEST(Secret, may_live_as_long_as_its_thread) {
  // Made before the thread first uses its cache, and freed after the cache has been given back.
  for (int turn = 0; turn < 20; ++turn)
    std::thread([] {
      thread_local std::vector<Secret> held;
      thread_local Secret key = Secret::random(32);
      for (int i = 0; i < 100; ++i) held.push_back(Secret::copy("thread"));
      EXPECT_EQ(key.size(), 32u);
      EXPECT_EQ(held.back().expose_text(), "thread");
    }).join();
}

TEST(Secret, comes_out_right_from_many_threads_at_once) {
  auto work = [](std::uint8_t mark) {
    std::vector<Secret> live;
    for (std::size_t i = 0; i < 20'000; ++i) {
      live.push_back(Secret::copy(Bytes(i % 200 + 1, mark)));
      if (live.size() > 64) live.erase(live.begin(), live.begin() + 32);
      for (auto byte : live.front().expose()) ASSERT_EQ(byte, mark);
    }
  };

  std::thread a(work, 1), b(work, 2), c(work, 3);
  a.join();
  b.join();
  c.join();
}

TEST(Wipe, clears_bytes_and_all_that_a_string_held) {
  Bytes bytes(40, 0xee);
  std::string text(200, 'x');
  const char* at = text.data();
  text.resize(3);

  wipe(bytes);
  wipe(text);

  EXPECT_TRUE(all_zero(bytes));
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(text.data(), at);
  for (int i = 0; i < 200; ++i) text += 'y';
  EXPECT_EQ(text.data(), at) << "the buffer must still be the same to say anything";
  wipe(std::span<std::uint8_t>());
}

TEST(EqualConstantTime, looks_at_content_and_length) {
  EXPECT_TRUE(equal_constant_time({}, {}));
  EXPECT_TRUE(equal_constant_time(as_bytes("ab"), as_bytes("ab")));
  EXPECT_FALSE(equal_constant_time(as_bytes("ab"), as_bytes("aB")));
  EXPECT_FALSE(equal_constant_time(as_bytes("ab"), as_bytes("abc")));
}

TEST(RandomPublic, does_not_repeat) {
  std::set<std::array<std::uint8_t, 12>> seen;
  for (int i = 0; i < 10'000; ++i) {
    std::array<std::uint8_t, 12> nonce;
    random_public(nonce);
    EXPECT_TRUE(seen.insert(nonce).second);
  }
}

TEST(RandomPublic, fills_any_size) {
  for (std::size_t size : {0u, 1u, 767u, 768u, 769u, 5000u}) {
    Bytes one(size), other(size);
    random_public(one);
    random_public(other);
    if (size > 8) {
      EXPECT_NE(one, other);
    }
  }
}

TEST(RandomPublic, differs_in_a_forked_child) {
  std::array<std::uint8_t, 16> mine, theirs;
  random_public(mine);  // fills the pool that a child would inherit
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);

  auto child = ::fork();
  if (child == 0) {
    random_public(theirs);
    auto sent = ::write(ends[1], theirs.data(), theirs.size());
    ::_exit(sent == static_cast<ssize_t>(theirs.size()) ? 0 : 1);
  }
  random_public(mine);
  ASSERT_EQ(::read(ends[0], theirs.data(), theirs.size()), static_cast<ssize_t>(theirs.size()));
  int status = 1;
  ::waitpid(child, &status, 0);
  ::close(ends[0]);
  ::close(ends[1]);

  EXPECT_EQ(status, 0);
  EXPECT_NE(mine, theirs);
}

TEST(PrepareSecretMemory, locks_memory_here) {
  EXPECT_TRUE(prepare_secret_memory());
  EXPECT_TRUE(prepare_secret_memory());
}

TEST(PrepareSecretMemory, leaves_nothing_to_core_files) {
  ASSERT_TRUE(prepare_secret_memory());

  EXPECT_EQ(::prctl(PR_GET_DUMPABLE), 0) << "whatever the limit, also where cores go to a program";
}

/// The flags of the mapping that holds the address (proc_pid_smaps(5), VmFlags).
std::string flags_of(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t from = 0, to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2)
      here = from <= wanted && wanted < to;
    if (here && line.starts_with("VmFlags:")) return line + ' ';
  }
  return {};
}

TEST(Secret, lies_in_memory_that_no_core_file_takes) {
  ASSERT_TRUE(prepare_secret_memory());
  const auto secret = Secret::random(32);

  const auto flags = flags_of(secret.expose().data());

  EXPECT_TRUE(flags.contains(" dd ")) << flags;
}

}  // namespace
}  // namespace holdfast
