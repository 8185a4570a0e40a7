#include "access/authority.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace holdfast::access {
namespace {

/// The rows of a database, changed by edits only (unless a test reaches in).
struct Table {
  crypto::KeySet keys{crypto::Keyring::make(from_ms(0))};
  std::vector<Row> rows;

  Authority now(std::int64_t at_least = 0) const { return check(rows, keys.ring, at_least); }

  void apply(Edit::Done done) {
    done.put.push_back(done.manifest);
    for (auto& row : done.put) {
      std::erase_if(rows, [&](const Row& r) { return r.kind == row.kind && r.id == row.id; });
      rows.push_back(std::move(row));
    }
    for (const auto& [kind, id] : done.removed)
      std::erase_if(rows, [&](const Row& r) { return r.kind == kind && r.id == id; });
  }
  void put(std::string id, std::string content) {
    const auto before = now();
    Edit edit(before, keys);
    edit.put(kRoles, std::move(id), std::move(content));
    apply(std::move(edit).done());
  }
  void remove(std::string id) {
    const auto before = now();
    Edit edit(before, keys);
    edit.remove(kRoles, std::move(id));
    apply(std::move(edit).done());
  }
  Row& row(std::string_view id) { return *std::ranges::find(rows, id, &Row::id); }
  Row& manifest() { return *std::ranges::find(rows, kManifest, &Row::kind); }
};

Table two_roles() {
  Table table;
  table.put("desk", "first");
  table.put("depot", "second");
  return table;
}

TEST(Authority, of_a_fresh_database_is_empty_and_intact) {
  const auto authority = Table().now();

  EXPECT_TRUE(authority.manifest_intact);
  EXPECT_TRUE(authority.rows.empty());
  EXPECT_TRUE(authority.findings.empty());
}

TEST(Authority, holds_what_was_put) {
  const auto authority = two_roles().now();

  ASSERT_EQ(authority.rows.size(), 2u);
  EXPECT_EQ(authority.rows[0].id, "depot");
  EXPECT_EQ(authority.rows[1].content, "first");
  EXPECT_EQ(authority.version, 2);
  EXPECT_TRUE(authority.findings.empty());
}

TEST(Authority, gives_nothing_for_a_row_with_any_part_changed) {
  const std::initializer_list<void (*)(Row&)> changes = {
      [](Row& row) { row.content += ' '; }, [](Row& row) { row.content = "second"; },
      [](Row& row) { row.mac[0] ^= 1; },    [](Row& row) { row.mac.pop_back(); },
      [](Row& row) { row.mac.clear(); },    [](Row& row) { row.version = 9; },
      [](Row& row) { row.mac_key += 1; },   [](Row& row) { row.kind = kKeys; }};
  for (auto change : changes) {
    auto table = two_roles();
    change(table.row("desk"));

    const auto authority = table.now();

    ASSERT_EQ(authority.rows.size(), 1u);
    EXPECT_EQ(authority.rows[0].id, "depot");
    ASSERT_FALSE(authority.findings.empty());
    EXPECT_EQ(authority.findings[0].what, "changed");
  }
}

TEST(Authority, gives_nothing_for_an_older_version_put_back) {
  auto table = two_roles();
  const auto old = table.row("desk");
  table.put("desk", "third");
  table.row("desk") = old;

  const auto authority = table.now();

  EXPECT_EQ(authority.rows.size(), 1u);
  EXPECT_EQ(authority.findings, (std::vector<Finding>{{"roles", "desk", "replaced"}}));
}

TEST(Authority, gives_nothing_for_a_deleted_row_put_back_even_after_the_name_came_again) {
  auto table = two_roles();
  const auto old = table.row("desk");
  table.remove("desk");
  table.rows.push_back(old);
  EXPECT_EQ(table.now().findings, (std::vector<Finding>{{"roles", "desk", "unlisted"}}));

  std::erase_if(table.rows, [](const Row& row) { return row.id == "desk"; });
  table.put("desk", "again");
  table.row("desk") = old;

  EXPECT_EQ(table.now().findings, (std::vector<Finding>{{"roles", "desk", "replaced"}}));
}

TEST(Authority, notices_a_row_that_was_taken_out) {
  auto table = two_roles();
  std::erase_if(table.rows, [](const Row& row) { return row.id == "desk"; });

  EXPECT_EQ(table.now().findings, (std::vector<Finding>{{"roles", "desk", "missing"}}));
}

TEST(Authority, gives_nothing_at_all_without_its_manifest) {
  auto missing = two_roles();
  std::erase_if(missing.rows, [](const Row& row) { return row.kind == kManifest; });
  auto changed = two_roles();
  changed.manifest().content += "roles other 2\n";
  auto rolled_back = two_roles();
  const auto old = rolled_back.manifest();
  rolled_back.put("desk", "third");
  rolled_back.manifest() = old;

  for (const auto& [authority, what] :
       {std::pair(missing.now(), "missing"), std::pair(changed.now(), "changed"),
        std::pair(rolled_back.now(3), "rolled_back")}) {
    EXPECT_FALSE(authority.manifest_intact);
    EXPECT_TRUE(authority.rows.empty());
    ASSERT_FALSE(authority.findings.empty());
    EXPECT_EQ(authority.findings[0].what, what);
  }
}

TEST(Authority, started_over_after_a_roll_back_goes_on_above_what_was_in_force) {
  auto table = two_roles();
  const auto broken = check(table.rows, table.keys.ring, 7);
  ASSERT_EQ(broken.findings.at(0).what, "rolled_back");
  const auto afresh = start_over(broken);
  Edit edit(afresh, table.keys);
  edit.put(kRoles, "new", "x");
  table.apply(std::move(edit).done());

  const auto authority = table.now(8);

  EXPECT_EQ(authority.version, 8);
  ASSERT_EQ(authority.rows.size(), 1u);
}

TEST(Authority, of_another_store_gives_nothing) {
  const auto rows = two_roles().rows;

  const auto authority = check(rows, crypto::Keyring::make(from_ms(1)), 0);

  EXPECT_TRUE(authority.rows.empty());
  EXPECT_FALSE(authority.manifest_intact);
}

TEST(Authority, started_over_lists_nothing_and_reuses_no_version) {
  auto table = two_roles();
  table.manifest().mac[0] ^= 1;
  const auto broken = table.now();
  const auto afresh = start_over(broken);
  Edit edit(afresh, table.keys);
  edit.put(kRoles, "new", "x");
  table.apply(std::move(edit).done());

  const auto authority = table.now();

  EXPECT_EQ(authority.version, 3);
  ASSERT_EQ(authority.rows.size(), 1u);
  EXPECT_EQ(authority.rows[0].id, "new");
  EXPECT_EQ(authority.findings.size(), 2u) << "the old rows are unlisted";
}

TEST(Authority, rows_under_an_older_key_stand_until_that_key_goes) {
  auto table = two_roles();
  const auto old = table.keys.ring.active_id(crypto::KeyUse::authority);
  const auto next = table.keys.ring.with_new(crypto::KeyUse::authority, from_ms(1));

  EXPECT_EQ(check(table.rows, next, 0).rows.size(), 2u);
  EXPECT_EQ(check(table.rows, next.without(crypto::KeyUse::authority, old), 0).rows.size(), 0u);
}

TEST(Edit, leaves_a_touch_with_the_digest_of_each_row) {
  Table table;
  const auto before = table.now();
  Edit edit(before, table.keys);
  edit.put(kRoles, "desk", "x");
  edit.remove(kRoles, "depot");
  auto done = std::move(edit).done();

  ASSERT_EQ(done.touches.size(), 3u);
  EXPECT_EQ(done.touches[0].left, digest_of(done.put[0], table.keys));
  EXPECT_EQ(done.touches[1].left, crypto::Digest{});
  EXPECT_EQ(done.touches[2].kind, kManifest);
  EXPECT_EQ(done.touches[2].left, digest_of(done.manifest, table.keys));
}

}  // namespace
}  // namespace holdfast::access
