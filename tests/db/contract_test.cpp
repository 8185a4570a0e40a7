// Values, expectations and errors, one commit at a time.
#include "db/contract.h"

namespace holdfast::db::contract {
namespace {

TEST_P(Contract, reads_what_was_committed) {
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {1, "Ann", Bytes{0, 1, 0}, "{\"a\":1}"})));

  auto rows = read(kFindItem, {1});

  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].integer(0), 1);
  EXPECT_EQ(rows[0].text(1), "Ann");
  EXPECT_EQ(to_bytes(rows[0].bytes(2)), (Bytes{0, 1, 0}));
  EXPECT_EQ(rows[0].text(3), "{\"a\":1}");
  EXPECT_EQ(rows[0].integer(4), 0);
}

TEST_P(Contract, an_empty_commit_is_fine) {
  auto done = commit(Changes());

  ASSERT_TRUE(done);
  EXPECT_TRUE(done->returned.empty());
}

TEST_P(Contract, keeps_every_value_as_it_was) {
  struct {
    Args args;
  } cases[] = {
      {{kMin, {}, {}, {}}},
      {{kMax, "", Bytes{}, ""}},
      {{0, "Zoë Łukasz 客户 🙂 \"quoted\" 'single' $1 ?1 \\ %", Bytes{0, 0, 255, 39, 92}, "null"}},
      {{-1, std::string(100'000, 'x'), Bytes(100'000, 0), "[]"}},
  };

  for (const auto& c : cases) {
    ASSERT_TRUE(commit(Changes().write(kInsertItem, c.args)));
    auto rows = read(kFindItem, {c.args[0]});

    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].integer(0), std::get<std::int64_t>(c.args[0]));
    bool null = std::holds_alternative<std::monostate>(c.args[1]);
    for (std::size_t column : {1, 2, 3}) EXPECT_EQ(rows[0].null(column), null);
    if (null) continue;
    EXPECT_EQ(rows[0].text(1), std::get<std::string>(c.args[1]));
    EXPECT_EQ(to_bytes(rows[0].bytes(2)), std::get<Bytes>(c.args[2]));
    EXPECT_EQ(rows[0].text(3), std::get<std::string>(c.args[3]));
  }
}

TEST_P(Contract, null_first_and_values_later_are_the_same_statement) {
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {1, {}, {}, {}})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {2, "b", {}, {}})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {3, {}, Bytes{1}, {}})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {4, "d", Bytes{1}, "x"})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {5, {}, {}, {}})));

  EXPECT_EQ(count(kCountItems), 5);
}

TEST_P(Contract, numbers_of_every_kind_come_as_integers) {
  insert(1, 3);

  auto rows = read(kSums);

  EXPECT_EQ(rows[0].integer(0), 0);
  EXPECT_EQ(rows[0].integer(1), 3);
  EXPECT_EQ(rows[0].integer(2), 1);
  EXPECT_EQ(rows[0].integer(3), 7);
  EXPECT_TRUE(rows[0].null(4));
  EXPECT_EQ(rows[0].integer(5), 6);
}

TEST_P(Contract, sums_of_extremes_come_whole) {
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {kMin, {}, {}, {}})));
  EXPECT_EQ(read(kSums)[0].integer(5), kMin);

  ASSERT_TRUE(commit(Changes().write(kDeleteItem, {kMin})));
  ASSERT_TRUE(commit(Changes().write(kInsertItem, {kMax, {}, {}, {}})));
  EXPECT_EQ(read(kSums)[0].integer(5), kMax);

  ASSERT_TRUE(commit(Changes().write(kInsertItem, {-10'000, {}, {}, {}})));
  EXPECT_EQ(read(kSums)[0].integer(5), kMax - 10'000);
}

TEST_P(Contract, like_tells_case) {
  ASSERT_TRUE(
      commit(Changes().write(kInsertItem, item(1, "Ann")).write(kInsertItem, item(2, "ann"))));

  auto rows = read(kLike, {"A%"});

  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].integer(0), 1);
}

TEST_P(Contract, each_expectation_answers_with_its_own_error) {
  insert(1, 3);
  struct {
    const char* what;
    Changes changes;
    Code code;
  } cases[] = {
      {"exactly, none", Changes().write(kBump, {9, 0}, Expect::exactly(1), spent()),
       Code::exhausted},
      {"exactly, more", Changes().write(kBumpAll, {}, Expect::exactly(1), spent()),
       Code::exhausted},
      {"at most, more", Changes().write(kBumpAll, {}, Expect::at_most(2), spent()),
       Code::exhausted},
      {"stale version", Changes().write(kBump, {1, 7}, Expect::exactly(1)), Code::conflict},
      {"unique", Changes().write(kInsertItem, item(1, "other"), Expect::any(), spent()),
       Code::exhausted},
      {"unique index", Changes().write(kInsertItem, item(9, "item 1"), Expect::exactly(1), spent()),
       Code::exhausted},
      {"foreign key", Changes().write(kInsertPart, {1, 99}, Expect::any(), spent()),
       Code::exhausted},
      {"on conflict", Changes().write(kInsertOnce, {1, "x"}, Expect::exactly(1), seen()),
       Code::conflict},
      {"guard", Changes().guard(kGuardVersion, {1, 5}, {Code::stale, "stale"}), Code::stale},
      {"returning, none", Changes().write(kBumpReturning, {9}, Expect::exactly(1), spent()),
       Code::exhausted},
      {"returning, more", Changes().write(kBumpReturning, {1}, Expect::at_most(2), spent()),
       Code::exhausted},
      {"bulk sum", Changes().bulk(kBump, {{1, 0}, {2, 0}, {9, 0}}, Expect::exactly(3), spent()),
       Code::exhausted},
      {"bulk duplicate", Changes().bulk(kInsertEvent, {{1, "a"}, {1, "b"}}, Expect::any(), seen()),
       Code::conflict},
      {"the second of three",
       Changes()
           .write(kInsertEvent, {1, "event"}, Expect::exactly(1), seen())
           .write(kBump, {1, 3}, Expect::exactly(1), spent())
           .write(kBump, {1, 4}, Expect::exactly(1), seen()),
       Code::exhausted},
  };

  for (auto& c : cases) {
    c.changes.write(kInsertEvent, {50, "beside"});
    auto done = commit(std::move(c.changes));

    ASSERT_FALSE(done) << c.what;
    EXPECT_EQ(done.error().code, c.code) << c.what << ": " << done.error().text;
    EXPECT_EQ(count(kCountEvents), 0) << c.what;
    EXPECT_EQ(read(kSums)[0].integer(0), 0) << c.what;
  }
}

TEST_P(Contract, an_event_beside_a_failed_write_is_gone) {
  insert(1, 1);

  auto done = commit(Changes()
                         .write(kInsertEvent, {1, "event"}, Expect::exactly(1))
                         .write(kBump, {1, 99}, Expect::exactly(1)));

  EXPECT_FALSE(done);
  EXPECT_EQ(count(kCountEvents), 0);
}

TEST_P(Contract, met_expectations_commit) {
  insert(1, 3);

  auto done = commit(Changes()
                         .guard(kGuardVersion, {1, 0})
                         .write(kBump, {1, 0}, Expect::exactly(1))
                         .write(kBumpAll, {}, Expect::at_most(3))
                         .write(kBump, {9, 0}, Expect::at_most(1))
                         .write(kBump, {9, 0}, Expect::exactly(0))
                         .bulk(kInsertEvent, {{1, "a"}, {2, "b"}}, Expect::exactly(2))
                         .bulk(kInsertEvent, {}, Expect::exactly(0)));

  ASSERT_TRUE(done) << done.error().text;
  EXPECT_EQ(done->returned.size(), 7u);
  EXPECT_EQ(count(kCountEvents), 2);
  EXPECT_EQ(read(kSums)[0].integer(0), 4);
}

TEST_P(Contract, a_bulk_of_many_rows_keeps_every_value_as_it_was) {
  constexpr std::int64_t kRows = 2'500;
  auto name = [](std::int64_t id) { return "Zoë {\"客户\", 'a', $1, NULL} " + std::to_string(id); };
  std::vector<Args> rows;
  for (std::int64_t id = 1; id <= kRows; ++id) {
    rows.push_back({id, {}, {}, {}});
    if (id % 3 == 0) rows.back()[1] = name(id);
    if (id % 5 == 0) rows.back()[2] = Bytes{0, 255, static_cast<std::uint8_t>(id)};
    if (id % 7 == 0) rows.back()[2] = Bytes{};
  }

  std::vector<Args> full;
  for (std::int64_t id = kRows + 1; id <= kRows + 20; ++id)
    full.push_back({id, name(id), Bytes{1, 2}, "[1]"});
  full.back()[3] = {};

  ASSERT_TRUE(commit(Changes()
                         .bulk(kInsertItem, rows, Expect::exactly(kRows))
                         .bulk(kInsertItem, full, Expect::exactly(20))));

  EXPECT_EQ(count(kCountItems), kRows + 20);
  auto last = read(kFindItem, {kRows + 19});
  EXPECT_EQ(last[0].text(1), name(kRows + 19));
  EXPECT_EQ(last[0].text(3), "[1]");
  EXPECT_TRUE(read(kFindItem, {kRows + 20})[0].null(3));
  for (std::int64_t id : {1, 3, 5, 7, 15, 2'499}) {
    auto found = read(kFindItem, {id});
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].null(1), id % 3 != 0) << id;
    if (id % 3 == 0) EXPECT_EQ(found[0].text(1), name(id));
    EXPECT_EQ(found[0].null(2), id % 5 != 0 && id % 7 != 0) << id;
    if (id == 5) EXPECT_EQ(to_bytes(found[0].bytes(2)), (Bytes{0, 255, 5}));
    if (id == 7) EXPECT_TRUE(found[0].bytes(2).empty());
    EXPECT_TRUE(found[0].null(3));
    EXPECT_EQ(found[0].integer(4), 0);
  }
}

TEST_P(Contract, a_bulk_of_many_rows_meets_rows_that_are_there) {
  insert(1, 5);
  std::vector<Args> once, again;
  for (std::int64_t id = 1; id <= 20; ++id) {
    once.push_back({id, "other " + std::to_string(id)});
    again.push_back(item(id + 20, id == 20 ? "item 3" : "again " + std::to_string(id)));
  }

  auto added = commit(Changes().bulk(kInsertOnce, once, Expect::exactly(15)));
  auto taken = commit(Changes()
                          .write(kInsertEvent, {1, "a"})
                          .bulk(kInsertItem, again, Expect::exactly(20), seen()));

  EXPECT_TRUE(added) << added.error().text;
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().text, seen().text);
  EXPECT_EQ(count(kCountItems), 20);
  EXPECT_EQ(count(kCountEvents), 0);
}

TEST_P(Contract, returns_what_was_asked_for) {
  insert(1, 3);

  auto done = commit(Changes()
                         .write(kBump, {1, 0}, Expect::exactly(1))
                         .guard(kGuardVersion, {1, 1})
                         .write(kBumpReturning, {2}, Expect::exactly(2))
                         .write(kBumpReturning, {9}, Expect::exactly(0))
                         .write(kBumpReturning, {3})
                         .bulk(kUpsertItem, {{1, "one"}, {7, "seven"}}, Expect::exactly(2)));

  ASSERT_TRUE(done) << done.error().text;
  auto& returned = done->returned;
  ASSERT_EQ(returned.size(), 6u);
  EXPECT_TRUE(returned[0].empty());
  ASSERT_EQ(returned[1].size(), 1u);
  EXPECT_EQ(returned[1][0].integer(0), 1);
  EXPECT_EQ(returned[1][0].text(1), "item 1");
  ASSERT_EQ(returned[2].size(), 2u);
  EXPECT_EQ(returned[2][0].integer(0) + returned[2][1].integer(0), 5);
  EXPECT_EQ(returned[2].columns(), 3u);
  EXPECT_TRUE(returned[3].empty());
  ASSERT_EQ(returned[4].size(), 1u);
  EXPECT_EQ(returned[4][0].integer(1), 2);
  ASSERT_EQ(returned[5].size(), 2u);
  EXPECT_EQ(returned[5][0].integer(0), 1);
  EXPECT_EQ(returned[5][0].integer(1), 1);
  EXPECT_EQ(returned[5][1].integer(0), 7);
}

TEST_P(Contract, lists_of_every_length_and_type) {
  insert(1, 5'000);
  auto ids = [](std::int64_t from, std::int64_t to) {
    List list;
    for (std::int64_t id = from; id <= to; ++id) list.cells.emplace_back(id);
    return list;
  };

  EXPECT_EQ(read(kListItems, {ids(1, 0)}).size(), 0u);
  EXPECT_EQ(read(kListItems, {ids(7, 7)}).size(), 1u);
  EXPECT_EQ(read(kListItems, {ids(1, 5'000)}).size(), 5'000u);
  EXPECT_EQ(read(kListItems, {ids(4'990, 20'000)}).size(), 11u);
  EXPECT_EQ(read(kListNames, {List{{"item 3", "item 9", "nobody", "it's \"\\{,}", ""}}, 3}).size(),
            1u);
  EXPECT_EQ(read(kListNames, {List{}, 3}).size(), 0u);
  EXPECT_EQ(read(kListData, {List{{to_bytes("d1"), to_bytes("d5"), Bytes{}, Bytes{0}}}}).size(),
            2u);
}

TEST_P(Contract, refuses_arguments_that_break_a_rule) {
  List mixed{{std::int64_t{1}, "one"}};
  List huge{std::vector<Cell>(20'001, Cell(std::int64_t{1}))};

  struct {
    const Sql& sql;
    Args args;
    Code code;
  } cases[] = {
      {kFindItem, {}, Code::internal},
      {kFindItem, {1, 2}, Code::internal},
      {kListItems, {mixed}, Code::internal},
      {kListItems, {huge}, Code::too_large},
      {kLike, {std::string("a\0b", 3)}, Code::invalid},
      {kLike, {"\xff"}, Code::invalid},
  };

  for (const auto& c : cases) {
    auto rows = context_.run(db_->reader().read(c.sql, c.args));
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, c.code) << rows.error().text;
  }
  auto done = commit(
      Changes().write(kInsertEvent, {1, "event"}).write(kInsertEvent, {2, std::string("\0", 1)}));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::invalid);
  EXPECT_EQ(count(kCountEvents), 0);
}

TEST_P(Contract, a_statement_that_does_not_fit_is_a_bug_and_hurts_nobody_else) {
  static constexpr Sql kNoTable{"contract.no_table", "select id from nowhere"};
  static constexpr Sql kCast{"contract.cast", "select '1'::bigint"};
  static constexpr Sql kUnknown{"contract.unknown", "select {{integer}}"};
  for (const Sql* sql : {&kNoTable, &kCast, &kUnknown}) {
    auto rows = context_.run(db_->reader().read(*sql, {}));
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, Code::internal) << sql->name;
  }
  auto selected = commit(Changes().write(kCountItems, {}));
  auto guarded = commit(Changes().guard(kInsertOnce, {1, "a"}));
  auto typed = commit(Changes().write(kInsertItem, {"text", {}, {}, {}}));

  for (const auto* done : {&selected, &guarded, &typed}) {
    ASSERT_FALSE(*done);
    EXPECT_EQ(done->error().code, Code::internal) << done->error().text;
  }
  EXPECT_EQ(count(kCountItems), 0);
  EXPECT_TRUE(commit(Changes().write(kInsertItem, item(1, "a"))));
}

TEST_P(Contract, a_reader_cannot_write) {
  auto rows = context_.run(db_->reader().read(kInsertEvent, {1, "event"}));

  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Code::internal);
  EXPECT_EQ(count(kCountEvents), 0);
}

INSTANTIATE_TEST_SUITE_P(Databases, Contract, testing::ValuesIn(test::database_kinds()),
                         [](const auto& param) { return test::kind_name(param.param); });

}  // namespace
}  // namespace holdfast::db::contract
