#include "access/store.h"

#include <gtest/gtest.h>

#include <set>

#include "access/access_bench.h"

namespace holdfast::access {
namespace {

TEST(AccessStore, names_each_statement_once_and_for_this_room) {
  std::set<std::string_view> names;
  for (auto list :
       {statements(), scratch_statements(), budget_statements(), budget_scratch_statements()})
    for (const auto* sql : list) {
      EXPECT_TRUE(sql->name.starts_with("access.")) << sql->name;
      EXPECT_TRUE(names.insert(sql->name).second) << sql->name;
    }
}

TEST(AccessStore, keeps_the_last_use_through_a_new_start) {
  AccessBench bench;
  auto& scratch = bench.journal->scratch();
  ASSERT_TRUE(bench.run(write_last_use(scratch, "key_a", from_ms(1))));
  ASSERT_TRUE(bench.run(write_last_use(scratch, "key_a", from_ms(2))));
  ASSERT_TRUE(bench.run(prepare_scratch(scratch)));

  const auto uses = bench.must(bench.run(read_last_uses(scratch, MonoTime::max())));

  EXPECT_EQ(uses.at("key_a"), from_ms(2));
}

TEST(AccessStore, refuses_a_manifest_that_somebody_else_changed) {
  AccessBench bench;
  const auto keys = bench.keys.get();
  auto change = [&](std::string id) {
    auto rows = bench.must(bench.run(read_authority(bench.journal->reader(), MonoTime::max())));
    const auto before = check(std::move(rows), keys->ring, 0);
    Edit edit(before, *keys);
    edit.put(kRoles, std::move(id), "{}");
    auto done = std::move(edit).done();
    return changes_of(done);
  };
  auto first = change("a"), second = change("b");

  ASSERT_TRUE(bench.run(bench.journal->commit(Caller{}, std::move(first), {.activity = "test"})));
  auto refused =
      bench.run(bench.journal->commit(Caller{}, std::move(second), {.activity = "test"}));

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::stale);
}

}  // namespace
}  // namespace holdfast::access
