#include "vault/search/service.h"

#include <set>

#include "vault/vault_bench.h"

namespace holdfast::vault {
namespace {

/// Searches among many count on who asks, which is nobody's row here.
constexpr const char* kCustomersCounted =
    "vault_wrong_values where wrong > 0 and subject in (select id from vault_subjects)";

class VaultSearch : public Vault {
 protected:
  VaultSearch() { put(people()); }

  static CollectionSpec people() {
    CollectionSpec out{.collection = "people", .doc = {}, .fields = {}, .if_match = {}};
    out.fields = {field("email", FieldType::email, IndexKind::exact),
                  field("first_name", FieldType::name, IndexKind::prefix),
                  field("last_name", FieldType::name, IndexKind::substring),
                  field("phone", FieldType::phone, IndexKind::exact),
                  field("born", FieldType::date),
                  field("tier", FieldType::text),
                  field("code", FieldType::text, IndexKind::prefix),
                  field("note", FieldType::text)};
    out.fields[5].field_class = FieldClass::plain;
    out.fields[6].field_class = FieldClass::plain;
    out.fields[6].mask = Mask::none;
    out.calling_code = "49";
    return out;
  }
  CollectionView put(CollectionSpec spec) {
    return bench_(bench_.declarations().put({}, std::move(spec)));
  }
  CollectionView view() { return bench_(bench_.declarations().get({}, {"people", {}})); }
  const FieldView& named(const CollectionView& view, std::string_view name) {
    return *std::ranges::find(view.fields, name, &FieldView::name);
  }
  CreatedRecord create(std::string subject, Named named) {
    CreateRecords request{.collection = "people",
                          .subject = std::move(subject),
                          .slot = {},
                          .values = values(named),
                          .records = {},
                          .idempotency_key = {}};
    auto made = bench_(bench_.records().create({}, std::move(request))).records.front();
    bench_.clock().advance(Millis{1});
    return made;
  }
  /// Records of customers that nobody named, with the same values but for `last_name` and `email`.
  void create_many(int count, const std::function<std::string(int)>& last_name) {
    for (int from = 0; from < count; from += 1000) {
      CreateRecords many{.collection = "people",
                         .subject = {},
                         .slot = {},
                         .values = {},
                         .records = {},
                         .idempotency_key = {}};
      for (int i = from; i < std::min(count, from + 1000); ++i)
        many.records.push_back({{},
                                {},
                                values({{"last_name", last_name(i)},
                                        {"email", "c" + std::to_string(i) + "@example.org"}})});
      bench_(bench_.records().create({}, std::move(many)));
      bench_.clock().advance(Millis{1});
    }
  }
  SearchRecords query(Named q) {
    return {.collection = "people",
            .q = values(q),
            .match = {},
            .filter = {},
            .sort = {},
            .purpose = "support",
            .limit = {},
            .after = {},
            .on_behalf_of = {}};
  }
  Result<FoundRecords> find(Named q, Caller caller = {}) {
    return bench_.search(std::move(caller), query(q));
  }
  /// A text in any of the fields, beside what `q` asks.
  SearchRecords anywhere(std::string text, std::vector<std::string> fields, Named q = {}) {
    auto out = query(q);
    out.text = std::move(text);
    out.fields = std::move(fields);
    return out;
  }
  std::size_t hits(Named q) { return must(find(q)).records.size(); }
  std::int64_t rows(const std::string& table) {
    return bench_.raw().number("select count(*) from " + table);
  }
  const journal::Event& last() { return bench_.journal().events.back(); }
  std::string alarm(std::string_view name) {
    auto shown = view();
    for (const auto& index : named(shown, name).indexes)
      if (index.alarm) return *index.alarm;
    return "";
  }

  Caller agent_{.principal = "key_a"};
};
INSTANTIATE_TEST_SUITE_P(Databases, VaultSearch, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

// ── what is found

TEST_P(VaultSearch, finds_a_text_in_any_of_several_fields) {
  auto by_first = create("ext:1", {{"first_name", "Müllerin"}, {"email", "ann@example.org"}});
  auto by_last = create("ext:2", {{"last_name", "Obermüller"}, {"email", "bob@example.org"}});
  auto by_both = create("ext:3", {{"first_name", "Mulle"}, {"last_name", "Muller"}});
  create("ext:4", {{"last_name", "Smith"}, {"email", "cyd@example.org"}});
  const std::vector<std::string> fields = {"first_name", "last_name", "email", "phone"};
  auto found = [&](SearchRecords request) {
    std::vector<RecordId> out;
    for (const auto& one : must(bench_.search({}, std::move(request))).records)
      out.push_back(one.record);
    return out;
  };

  EXPECT_EQ(found(anywhere("müll", fields)),
            (std::vector{by_first.record, by_last.record, by_both.record}));
  EXPECT_EQ(found(anywhere("BOB@example.org", fields)), std::vector{by_last.record});
  EXPECT_EQ(found(anywhere("müll", fields, {{"email", "ann@example.org"}})),
            std::vector{by_first.record});
  auto whole = anywhere("muller", fields);
  whole.match = {{"last_name", Match::exact}};
  EXPECT_EQ(found(std::move(whole)), (std::vector{by_first.record, by_both.record}));
  auto sorted = anywhere("mull", fields);
  sorted.sort = Sort{"created", SortOrder::descending};
  sorted.limit = 2;
  EXPECT_EQ(found(std::move(sorted)), (std::vector{by_both.record, by_last.record}));
  auto paged = anywhere("mull", fields);
  paged.limit = 2;
  auto page = must(bench_.search({}, std::move(paged)));
  ASSERT_TRUE(page.next);
  auto rest = anywhere("mull", fields);
  rest.after = page.next;
  EXPECT_EQ(found(std::move(rest)), std::vector{by_both.record});
  auto other = anywhere("smith", fields);
  other.after = page.next;
  EXPECT_EQ(code_of(bench_.search({}, std::move(other))), Code::invalid) << "of another search";
}

TEST_P(VaultSearch, says_which_text_or_field_cannot_be_searched) {
  struct {
    SearchRecords request;
    std::string_view field;
  } cases[] = {
      {anywhere("müll", {}), "text"},
      {anywhere("mü", {"first_name", "last_name"}), "text"},
      {anywhere("   ", {"email"}), "text"},
      {anywhere("müll", {"last_name", "note"}), "fields[1]"},
      {anywhere("müll", {"last_name", "nowhere"}), "fields[1]"},
      {anywhere("müll", {"last_name", "last_name"}), "fields[1]"},
  };
  for (auto& one : cases) {
    auto refused = bench_.search({}, std::move(one.request));

    ASSERT_EQ(code_of(refused), Code::invalid) << one.field;
    EXPECT_EQ(refused.error().field.text(), one.field);
  }
  auto no_text = query({});
  no_text.fields = {"email"};
  EXPECT_EQ(code_of(bench_.search({}, std::move(no_text))), Code::invalid);
}

TEST_P(VaultSearch, finds_a_beginning_that_grows_character_by_character) {
  create("ext:1", {{"first_name", "Maximiliane-Sophie"}});
  create("ext:2", {{"first_name", "Maxim"}});
  create("ext:3", {{"first_name", "Zoë"}});
  const std::string whole = "maximiliane-sophie";

  for (std::size_t size = 3; size <= whole.size(); ++size)
    EXPECT_EQ(hits({{"first_name", whole.substr(0, size)}}), size <= 5 ? 2u : 1u) << size;
  EXPECT_EQ(hits({{"first_name", "ZOE"}}), 1u);
  EXPECT_EQ(hits({{"first_name", "axim"}}), 0u) << "a beginning, not any part";
  EXPECT_EQ(hits({{"first_name", "maximiliane-sophiex"}}), 0u);
}

TEST_P(VaultSearch, finds_any_part_of_a_value) {
  create("ext:1", {{"last_name", "Straßenmüller"}});
  create("ext:2", {{"last_name", "von der Mühlen"}});
  create("ext:3", {{"last_name", "Li"}});

  EXPECT_EQ(hits({{"last_name", "mull"}}), 1u);
  EXPECT_EQ(hits({{"last_name", "MÜHL"}}), 1u);
  EXPECT_EQ(hits({{"last_name", "strasse"}}), 1u);
  EXPECT_EQ(hits({{"last_name", "der muh"}}), 1u);
  EXPECT_EQ(hits({{"last_name", "ssenmuller"}}), 1u);
  EXPECT_EQ(hits({{"last_name", "mullen"}}), 0u) << "all parts are there, but not in a row";
}

TEST_P(VaultSearch, compares_whole_values_with_an_index_of_parts_when_asked) {
  create("ext:1", {{"last_name", "Miller"}});
  create("ext:2", {{"last_name", "Millerson"}});
  auto whole = query({{"last_name", "MILLER"}});
  whole.match = {{"last_name", Match::exact}};
  auto beginning = query({{"last_name", "ill"}});
  beginning.match = {{"last_name", Match::prefix}};
  auto part_of_exact = query({{"email", "ann"}});
  part_of_exact.match = {{"email", Match::substring}};
  auto of_nothing = query({{"last_name", "miller"}});
  of_nothing.match = {{"email", Match::exact}};

  EXPECT_EQ(must(bench_.search({}, std::move(whole))).records.size(), 1u);
  EXPECT_EQ(must(bench_.search({}, std::move(beginning))).records.size(), 0u);
  EXPECT_EQ(code_of(bench_.search({}, std::move(part_of_exact))), Code::invalid);
  EXPECT_EQ(code_of(bench_.search({}, std::move(of_nothing))), Code::invalid);
}

TEST_P(VaultSearch, takes_three_characters_at_least) {
  create("ext:1", {{"last_name", "Miller"}});

  auto refused = find({{"last_name", "mi"}});

  ASSERT_EQ(code_of(refused), Code::invalid);
  EXPECT_EQ(refused.error().field.text(), "q.last_name");
  EXPECT_EQ(code_of(find({{"first_name", "üß"}})), std::nullopt) << "folded it has three";
  EXPECT_EQ(code_of(find({{"note", "tea"}})), Code::invalid) << "no index";
}

TEST_P(VaultSearch, finds_records_that_match_all_of_several_fields) {
  create("ext:1", {{"first_name", "Anna"}, {"last_name", "Miller"}, {"email", "a@example.org"}});
  create("ext:2", {{"first_name", "Anna"}, {"last_name", "Smith"}, {"email", "b@example.org"}});

  EXPECT_EQ(hits({{"first_name", "ann"}, {"last_name", "ill"}}), 1u);
  EXPECT_EQ(hits({{"first_name", "ann"}, {"email", "B@example.org"}}), 1u);
  EXPECT_EQ(hits({{"last_name", "mil"}, {"email", "b@example.org"}}), 0u);
}

TEST_P(VaultSearch, meets_national_phone_numbers_in_their_international_form) {
  create("ext:1", {{"phone", "030 1234567"}});
  create("ext:2", {{"phone", "+49 30 7654321"}});

  EXPECT_EQ(hits({{"phone", "+49 30 1234567"}}), 1u);
  EXPECT_EQ(hits({{"phone", "0049 (0)30 1234567"}}), 1u);
  EXPECT_EQ(hits({{"phone", "030/7654321"}}), 1u);
  EXPECT_EQ(hits({{"phone", "+43 30 1234567"}}), 0u);
}

TEST_P(VaultSearch, follows_a_calling_code_that_changes) {
  create("ext:1", {{"phone", "030 1234567"}});
  auto spec = people();
  spec.calling_code = "43";
  put(spec);

  EXPECT_EQ(hits({{"phone", "+49 30 1234567"}}), 1u) << "the old index answers until then";
  bench_.build_indexes();

  EXPECT_EQ(hits({{"phone", "+49 30 1234567"}}), 0u);
  EXPECT_EQ(hits({{"phone", "+43 30 1234567"}}), 1u);
  EXPECT_THROW(put([] {
                 auto bad = people();
                 bad.calling_code = "049";
                 return bad;
               }()),
               std::runtime_error);
}

TEST_P(VaultSearch, shows_tokens_and_the_shops_own_id) {
  auto made = bench_(bench_.tokens().create(
      {}, {"ext:471100", "people", values({{"last_name", "Miller"}, {"note", "tea"}}), {}, {}}));
  bench_.permits().rules = {{"key_a", "last_name", View::clear}};

  auto clear = must(find({{"last_name", "mill"}}));
  auto hidden = must(find({{"last_name", "mill"}}, agent_));
  bench_.permits().rules.push_back({"key_a", "external_id", View::masked});
  auto masked = must(find({{"last_name", "mill"}}, agent_));

  ASSERT_EQ(clear.records.size(), 1u);
  EXPECT_EQ(clear.records[0].external_id->expose_text(), "471100");
  EXPECT_FALSE(clear.records[0].external_id_masked);
  EXPECT_EQ(clear.records[0].tokens.size(), 2u);
  EXPECT_EQ(clear.records[0].record, made.items[0].record);
  ASSERT_EQ(hidden.records.size(), 1u);
  EXPECT_FALSE(hidden.records[0].external_id);
  EXPECT_EQ(shown(hidden.records[0].values, "last_name"), "M•••") << "results are masked";
  ASSERT_EQ(masked.records.size(), 1u);
  EXPECT_NE(masked.records[0].external_id->expose_text(), "471100");
  EXPECT_TRUE(masked.records[0].external_id_masked);
}

TEST_P(VaultSearch, shows_tokens_in_the_shape_that_the_shop_keeps) {
  auto spec = people();
  spec.fields[3].token = TokenSpec{TokenShape::digits, {}, TokenScope::field};
  put(spec);
  auto made = bench_(bench_.tokens().create(
      {}, {"ext:471101", "people", values({{"phone", "+49 30 7654321"}}), {}, {}}));
  const auto token = made.items[0].tokens.front().second.token;

  auto found = must(find({{"phone", "+49 30 7654321"}}));

  ASSERT_EQ(found.records.size(), 1u);
  ASSERT_EQ(found.records[0].tokens.size(), 1u);
  EXPECT_EQ(found.records[0].tokens[0].token, token);
  EXPECT_FALSE(token.starts_with("tok_"));
  bench_.permits().rules = {{"key_a", "email", View::clear}};
  bench_(bench_.tokens().create(
      {}, {"ext:471101",
           "people",
           values({{"email", "bob@example.org"}, {"phone", "+49 30 7654323"}}),
           {},
           {}}));
  auto other = must(find({{"email", "bob@example.org"}}, agent_));
  ASSERT_EQ(other.records.size(), 1u);
  ASSERT_EQ(other.records[0].tokens.size(), 1u) << "that of the phone stays out, as its mask does";
  EXPECT_EQ(other.records[0].tokens[0].field, "email");
}

// ── filter and sort

TEST_P(VaultSearch, narrows_by_dates_by_plain_fields_and_by_its_own_times) {
  create("ext:1", {{"last_name", "Miller"}, {"born", "1990-12-31"}, {"tier", "Gold"}});
  auto later = bench_.clock().now();
  create("ext:2", {{"last_name", "Miller"}, {"born", "2001-01-01"}, {"tier", "Silver"}});
  create("ext:3", {{"last_name", "Miller"}});
  auto narrowed = [&](std::vector<Filter> filters) {
    auto request = query({{"last_name", "mill"}});
    request.filter = std::move(filters);
    return must(bench_.search({}, std::move(request))).records.size();
  };

  EXPECT_EQ(narrowed({{"born", FilterOp::lt, "2000-01-01"}}), 1u);
  EXPECT_EQ(narrowed({{"born", FilterOp::ge, "1990-12-31"}}), 2u);
  EXPECT_EQ(narrowed({{"born", FilterOp::gt, "1990-12-31"}, {"tier", FilterOp::eq, "silver"}}), 1u);
  EXPECT_EQ(narrowed({{"tier", FilterOp::ne, "gold"}}), 1u) << "who has none is not unequal";
  EXPECT_EQ(narrowed({{"created", FilterOp::ge, rfc3339(later)}}), 2u);
  EXPECT_EQ(narrowed({{"created", FilterOp::lt, "2026-01-01"}}), 0u);
  EXPECT_EQ(narrowed({{"updated", FilterOp::ge, "2026-01-01"}}), 3u);
}

TEST_P(VaultSearch, refuses_filters_that_are_none) {
  auto refused = [&](Filter filter) {
    auto request = query({{"last_name", "mill"}});
    request.filter = {std::move(filter)};
    auto done = bench_.search({}, std::move(request));
    return done ? std::string("taken") : done.error().field.text();
  };

  EXPECT_EQ(refused({"email", FilterOp::eq, "a@example.org"}), "filter[0].field") << "personal";
  EXPECT_EQ(refused({"tier", FilterOp::lt, "gold"}), "filter[0].op");
  EXPECT_EQ(refused({"born", FilterOp::lt, "yesterday"}), "filter[0].value");
  EXPECT_EQ(refused({"created", FilterOp::lt, "31.12.2026"}), "filter[0].value");
  EXPECT_EQ(refused({"shoe_size", FilterOp::eq, "44"}), "filter[0].field");
}

TEST_P(VaultSearch, sorts_by_sealed_values_over_several_pages) {
  for (const char* name : {"Cmiller", "Amiller", "Dmiller", "bmiller", "Ämiller"})
    create(std::string("ext:") + name, {{"last_name", name}, {"note", name}});
  auto page = [&](std::optional<std::string> after, SortOrder order) {
    auto request = query({{"last_name", "miller"}});
    request.sort = Sort{"last_name", order};
    request.limit = 2;
    request.after = std::move(after);
    return must(bench_.search({}, std::move(request)));
  };
  auto walk = [&](SortOrder order) {
    std::string out;
    std::optional<std::string> after;
    do {
      auto found = page(std::exchange(after, {}), order);
      for (const auto& one : found.records) out += bench_.opened(one.record, "note") + ' ';
      after = found.next;
      EXPECT_EQ(found.more, found.next.has_value());
    } while (after);
    return out;
  };

  EXPECT_EQ(walk(SortOrder::ascending), "Amiller Ämiller bmiller Cmiller Dmiller ");
  EXPECT_EQ(walk(SortOrder::descending), "Dmiller Cmiller bmiller Amiller Ämiller ");
}

TEST_P(VaultSearch, pages_through_everything_once) {
  create_many(45, [](int) { return "Miller"; });
  std::set<RecordId> seen;
  std::optional<std::string> after;
  int pages = 0;
  do {
    auto request = query({{"last_name", "miller"}});
    request.after = after;
    auto found = must(bench_.search({}, std::move(request)));
    for (const auto& one : found.records)
      EXPECT_TRUE(seen.insert(one.record).second) << "shown twice";
    after = found.next;
  } while (after && ++pages < 10);

  EXPECT_EQ(seen.size(), 45u);
  EXPECT_EQ(pages, 2);
}

TEST_P(VaultSearch, goes_on_only_where_the_same_search_ended) {
  create_many(25, [](int) { return "Miller"; });
  auto next = *must(find({{"last_name", "miller"}})).next;
  auto with = [&](SearchRecords request, std::string after, Caller caller = {}) {
    request.after = std::move(after);
    return code_of(bench_.search(std::move(caller), std::move(request)));
  };
  auto bent = next;
  bent[5] = bent[5] == 'A' ? 'B' : 'A';
  bench_.permits().rules = {{"key_a", "*", View::clear}};

  EXPECT_EQ(with(query({{"last_name", "miller"}}), next), std::nullopt);
  EXPECT_EQ(with(query({{"last_name", "mill"}}), next), Code::invalid);
  EXPECT_EQ(with(query({{"last_name", "miller"}}), bent), Code::invalid);
  EXPECT_EQ(with(query({{"last_name", "miller"}}), "x"), Code::invalid);
  EXPECT_EQ(with(query({{"last_name", "miller"}}), next, agent_), Code::invalid)
      << "somebody else's";
}

TEST_P(VaultSearch, sorts_ten_thousand_candidates_and_says_so_beyond) {
  create_many(10'000, [](int i) { return "Miller" + std::to_string(i); });
  auto sorted = [&] {
    auto request = query({{"last_name", "miller"}});
    request.sort = Sort{"last_name", SortOrder::descending};
    return bench_.search({}, std::move(request));
  };

  auto found = must(sorted());
  create_many(1, [](int) { return "Miller"; });
  auto refused = sorted();
  auto unsorted = must(find({{"last_name", "miller"}}));

  ASSERT_EQ(found.records.size(), 20u);
  EXPECT_EQ(bench_.opened(found.records[0].record, "last_name"), "Miller9999");
  ASSERT_EQ(code_of(refused), Code::invalid);
  EXPECT_EQ(refused.error().field.text(), "sort");
  EXPECT_EQ(unsorted.records.size(), 20u);
  EXPECT_TRUE(unsorted.more);
}

// ── who may

TEST_P(VaultSearch, takes_clear_for_parts_and_verify_for_whole_values) {
  create("ext:1", {{"last_name", "Miller"}, {"email", "ann@example.org"}, {"code", "AB-123"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto filtered = query({{"email", "ann@example.org"}});
  filtered.filter = {{"born", FilterOp::lt, "2000-01-01"}};
  auto sorted = query({{"email", "ann@example.org"}});
  sorted.sort = Sort{"last_name", {}};

  EXPECT_EQ(must(find({{"email", "ann@example.org"}}, agent_)).records.size(), 1u);
  EXPECT_EQ(code_of(find({{"last_name", "mill"}}, agent_)), Code::forbidden);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_EQ(last().fields, std::vector<std::string>{"last_name"});
  EXPECT_TRUE(last().touches.empty()) << "nothing was looked at";
  EXPECT_EQ(code_of(bench_.search(agent_, std::move(filtered))), Code::forbidden);
  EXPECT_EQ(code_of(bench_.search(agent_, std::move(sorted))), Code::forbidden);
  bench_.permits().rules = {{"key_a", "*", View::masked}};
  EXPECT_EQ(code_of(find({{"email", "ann@example.org"}}, agent_)), Code::forbidden);
  EXPECT_EQ(must(find({{"code", "ab1"}}, agent_)).records.size(), 0u);
  EXPECT_EQ(must(find({{"code", "ab-1"}}, agent_)).records.size(), 1u) << "its mask shows it all";
}

TEST_P(VaultSearch, counts_values_tried_on_a_customer_whom_another_value_names) {
  auto spec = people();
  spec.fields[4].index = IndexKind::exact;
  put(spec);
  auto ann = create("ext:1", {{"email", "ann@example.org"}, {"born", "1980-02-29"}});
  create("ext:2", {{"email", "bob@example.org"}, {"born", "1990-01-01"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto tried = [&](std::string born) {
    return must(find({{"born", born}, {"email", "ann@example.org"}}, agent_)).records.size();
  };

  EXPECT_EQ(tried("1980-02-29"), 1u);
  for (int day = 1; day <= 5; ++day) {
    EXPECT_EQ(tried("1980-03-0" + std::to_string(day)), 0u);
    ASSERT_EQ(last().touches.size(), 1u) << "who was compared is told in the history of access";
    EXPECT_EQ(last().touches[0].subject, ann.subject);
    EXPECT_FALSE(last().opened);
  }
  EXPECT_EQ(tried("1980-02-29"), 0u) << "as if it were wrong";
  EXPECT_EQ(code_of(bench_.verify(ann.record, "born", "1980-02-29", agent_)), Code::exhausted)
      << "one count for both ways";
  EXPECT_EQ(must(find({{"email", "ann@example.org"}}, agent_)).records.size(), 1u);
  EXPECT_EQ(hits({{"born", "1980-02-29"}, {"email", "ann@example.org"}}), 1u)
      << "who may see the value does not guess";
  bench_.clock().advance(std::chrono::hours{24});
  EXPECT_EQ(tried("1980-02-29"), 1u);
}

TEST_P(VaultSearch, counts_values_tried_on_who_hides_among_records_with_the_same_email) {
  auto ann = create("ext:1", {{"email", "ann@example.org"}, {"born", "1980-02-29"}});
  for (int i = 0; i < 11; ++i)
    create("ext:pad" + std::to_string(i), {{"email", "ann@example.org"}, {"born", "1970-01-01"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto tried = [&](std::string born, FilterOp op = FilterOp::eq) {
    auto narrowed = query({{"email", "ann@example.org"}});
    narrowed.filter = {{"born", op, std::move(born)}};
    return bench_.search(agent_, std::move(narrowed));
  };

  for (int day = 1; day <= 5; ++day)
    EXPECT_EQ(must(tried("1980-03-0" + std::to_string(day))).records.size(), 0u);
  EXPECT_EQ(must(tried("1980-02-29")).records.size(), 0u) << "as if it were wrong";
  EXPECT_EQ(code_of(bench_.verify(ann.record, "born", "1980-02-29", agent_)), Code::exhausted);
  EXPECT_EQ(code_of(tried("1980-02-29", FilterOp::ne)), Code::forbidden)
      << "one search would find whose value it is not";
}

TEST_P(VaultSearch, counts_values_tried_beside_others_that_name_few_each) {
  auto spec = people();
  spec.fields[4].index = IndexKind::exact;
  put(spec);
  auto ann = create("ext:ann", {{"email", "ann@example.org"}, {"born", "1980-02-29"}});
  for (int i = 0; i < 10; ++i)
    create("ext:" + std::to_string(i),
           {{"email", "c" + std::to_string(i) + "@example.org"}, {"born", "1990-01-01"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};

  EXPECT_EQ(
      must(find({{"born", "1990-01-01"}, {"email", "ann@example.org"}}, agent_)).records.size(),
      0u);
  EXPECT_NE(std::ranges::find(last().touches, ann.subject, &journal::Touch::subject),
            last().touches.end())
      << "eleven candidates, but each is named";
}

TEST_P(VaultSearch, charges_whom_a_blind_value_names_although_the_rest_leaves_them_out) {
  auto ann = create("ext:1", {{"email", "ann@example.org"}, {"tier", "gold"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  bench_.budgets().counting = true;
  auto narrowed = query({{"email", "ann@example.org"}});
  narrowed.filter = {{"created", FilterOp::gt, "2199-01-01T00:00:00Z"}};

  EXPECT_EQ(must(bench_.search(agent_, std::move(narrowed))).records.size(), 0u);
  ASSERT_EQ(bench_.budgets().charged.size(), 1u);
  EXPECT_EQ(bench_.budgets().charged[0], std::vector{ann.subject});
}

TEST_P(VaultSearch, counts_texts_tried_on_a_customer_whom_another_value_names) {
  auto spec = people();
  spec.fields[4].index = IndexKind::exact;
  put(spec);
  auto ann = create("ext:1", {{"email", "ann@example.org"}, {"born", "1980-02-29"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto found = [&](SearchRecords request) {
    return must(bench_.search(agent_, std::move(request))).records.size();
  };

  for (int day = 1; day <= 3; ++day)
    EXPECT_EQ(found(anywhere("1980-03-0" + std::to_string(day), {"born", "phone"},
                             {{"email", "ann@example.org"}})),
              0u);
  EXPECT_EQ(last().touches.size(), 1u);
  for (int day = 4; day <= 5; ++day)
    EXPECT_EQ(found(anywhere("ann@example.org", {"email", "phone"},
                             {{"born", "1980-03-0" + std::to_string(day)}})),
              0u)
        << "and the other way round";

  EXPECT_EQ(found(anywhere("1980-02-29", {"born"}, {{"email", "ann@example.org"}})), 0u)
      << "as if it were wrong";
  EXPECT_EQ(code_of(bench_.verify(ann.record, "born", "1980-02-29", agent_)), Code::exhausted);
  bench_.permits().rules = {{"key_a", "email", View::verify}, {"key_a", "born", View::masked}};
  EXPECT_EQ(code_of(bench_.search(agent_, anywhere("ann@example.org", {"email", "born"}))),
            Code::forbidden)
      << "every field needs its view";
}

TEST_P(VaultSearch, counts_a_value_that_a_text_and_a_filter_try_together) {
  auto spec = people();
  spec.fields[4].index = IndexKind::exact;
  put(spec);
  auto ann = create("ext:1", {{"email", "ann@example.org"}, {"born", "1980-02-29"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};

  for (int day = 1; day <= 5; ++day) {
    const auto guess = "1980-03-0" + std::to_string(day);
    auto request = anywhere(guess, {"born", "phone"}, {{"email", "ann@example.org"}});
    request.filter = {{"born", FilterOp::eq, guess}};
    EXPECT_EQ(must(bench_.search(agent_, std::move(request))).records.size(), 0u);
  }

  EXPECT_EQ(code_of(bench_.verify(ann.record, "born", "1980-02-29", agent_)), Code::exhausted);
}

TEST_P(VaultSearch, counts_values_tried_on_whom_a_text_names_among_many_of_a_name) {
  auto spec = people();
  spec.fields[4].index = IndexKind::exact;
  put(spec);
  create_many(30, [](int) { return "Miller"; });
  auto ann = create(
      "ext:1", {{"email", "ann@example.org"}, {"last_name", "Miller"}, {"born", "1980-02-29"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto tried = [&](std::string born) {
    auto request = anywhere("ann@example.org", {"email", "phone"}, {{"last_name", "miller"}});
    request.match = {{"last_name", Match::exact}};
    request.filter = {{"born", FilterOp::eq, std::move(born)}};
    return must(bench_.search(agent_, std::move(request))).records.size();
  };
  auto as_condition = [&](std::string born) {
    auto request =
        query({{"last_name", "miller"}, {"born", std::move(born)}, {"email", "ann@example.org"}});
    request.match = {{"last_name", Match::exact}};
    return must(bench_.search(agent_, std::move(request))).records.size();
  };

  EXPECT_EQ(tried("1980-02-29"), 1u);
  for (int day = 1; day <= 3; ++day) EXPECT_EQ(tried("1980-03-0" + std::to_string(day)), 0u);
  for (int day = 4; day <= 5; ++day) EXPECT_EQ(as_condition("1980-03-0" + std::to_string(day)), 0u);

  EXPECT_EQ(tried("1980-02-29"), 0u);
  EXPECT_EQ(code_of(bench_.verify(ann.record, "born", "1980-02-29", agent_)), Code::exhausted);
  EXPECT_EQ(rows(kCustomersCounted), 1) << "nobody else of that name is counted";
}

/// Five wrong birthdays through `search`, after which the right one is not found by verify either.
#define EXPECT_COUNTED(ann, search)                                                            \
  for (int day = 1; day <= 5; ++day)                                                           \
    EXPECT_EQ(                                                                                 \
        must(bench_.search(agent_, search("1980-03-0" + std::to_string(day)))).records.size(), \
        0u);                                                                                   \
  EXPECT_EQ(code_of(bench_.verify((ann).record, "born", "1980-02-29", agent_)), Code::exhausted)

TEST_P(VaultSearch, counts_values_tried_on_whom_only_all_the_rest_together_names) {
  auto spec = people();
  spec.fields[4].index = IndexKind::exact;
  spec.fields[1].index = IndexKind::exact;
  put(spec);
  for (int i = 0; i < 16; ++i) {
    create("ext:a" + std::to_string(i), {{"first_name", "Anna"}, {"last_name", "Smith"}});
    create("ext:b" + std::to_string(i), {{"first_name", "Eva"}, {"last_name", "Miller"}});
  }
  auto ann =
      create("ext:ann", {{"first_name", "Anna"}, {"last_name", "Miller"}, {"born", "1980-02-29"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto search = [&](std::string born) {
    auto request = query({{"first_name", "anna"}, {"last_name", "miller"}, {"born", born}});
    request.match = {{"last_name", Match::exact}};
    return request;
  };

  EXPECT_EQ(must(bench_.search(agent_, search("1980-02-29"))).records.size(), 1u);
  EXPECT_COUNTED(ann, search);
  EXPECT_EQ(rows(kCustomersCounted), 1);
}

TEST_P(VaultSearch, counts_values_tried_on_whom_the_time_of_creation_names) {
  auto spec = people();
  spec.fields[4].index = IndexKind::exact;
  put(spec);
  const auto made = rfc3339(bench_.clock().now());
  auto ann = create("ext:ann", {{"last_name", "Miller"}, {"born", "1980-02-29"}});
  create_many(30, [](int) { return "Miller"; });
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto search = [&](std::string born) {
    auto request = query({{"born", born}});
    request.filter = {{"created", FilterOp::eq, made}};
    return request;
  };
  auto updated = search("1980-02-29");
  updated.filter[0].field = "updated";

  EXPECT_EQ(must(bench_.search(agent_, search("1980-02-29"))).records.size(), 1u);
  EXPECT_COUNTED(ann, search);
  EXPECT_EQ(code_of(bench_.search(agent_, std::move(updated))), Code::invalid);
}

TEST_P(VaultSearch, counts_a_value_that_two_fields_have) {
  auto spec = people();
  spec.fields[4].index = IndexKind::exact;
  auto again = field("birthday", FieldType::date);
  spec.fields.push_back(again);
  put(spec);
  auto ann =
      create("ext:ann",
             {{"email", "ann@example.org"}, {"born", "1980-02-29"}, {"birthday", "1980-02-29"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto search = [&](std::string born) {
    auto request = query({{"email", "ann@example.org"}, {"born", born}});
    request.filter = {{"birthday", FilterOp::eq, born}};
    return request;
  };

  EXPECT_COUNTED(ann, search);
}

TEST_P(VaultSearch, tells_of_no_match_that_it_does_not_record) {
  auto own = create("ext:own", {{"email", "ann@example.org"}});
  auto ann = create("ext:ann", {{"email", "ann@example.org"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  bench_.budgets().counting = true;
  auto one = query({{"email", "ann@example.org"}});
  one.limit = 1;
  auto sorted = query({{"email", "ann@example.org"}});
  sorted.limit = 1;
  sorted.sort = Sort{"created", {}};

  for (auto* request : {&one, &sorted}) {
    auto found = must(bench_.search(agent_, std::move(*request)));

    ASSERT_EQ(found.records.size(), 1u);
    EXPECT_EQ(found.records[0].record, own.record);
    EXPECT_TRUE(found.more);
    EXPECT_EQ(last().touches.size(), 2u) << "that there is more is told of the other one";
    EXPECT_EQ(bench_.budgets().charged.back(), (std::vector{own.subject, ann.subject}));
  }
}

TEST_P(VaultSearch, counts_nobody_whom_a_common_text_finds) {
  create_many(30, [](int) { return "Miller"; });
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto request = anywhere("miller", {"last_name", "email"});
  request.match = {{"last_name", Match::exact}};
  request.filter = {{"born", FilterOp::eq, "1980-02-29"}};

  EXPECT_EQ(must(bench_.search(agent_, std::move(request))).records.size(), 0u);

  EXPECT_EQ(rows(kCustomersCounted), 0);
}

TEST_P(VaultSearch, counts_values_that_customers_try_on_themselves) {
  create("ext:1", {{"email", "ann@example.org"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  Caller shop{.principal = "key_a", .on_behalf_of = "customer:1"};
  auto tried = [&](std::string email) {
    auto request = query({{"email", email}});
    request.purpose = "self_service";
    request.on_behalf_of = "customer:1";
    return must(bench_.search(shop, std::move(request))).records.size();
  };

  for (int i = 0; i < 5; ++i) EXPECT_EQ(tried("wrong" + std::to_string(i) + "@example.org"), 0u);
  EXPECT_EQ(last().touches.size(), 1u);
  EXPECT_EQ(tried("ann@example.org"), 0u);
  bench_.clock().advance(std::chrono::hours{24});
  EXPECT_EQ(tried("ann@example.org"), 1u);
}

TEST_P(VaultSearch, does_not_count_a_value_that_leaves_many_to_choose_from) {
  create_many(30, [](int) { return "Miller"; });
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  auto narrowed = query({{"last_name", "miller"}, {"email", "c7@example.org"}});
  narrowed.match = {{"last_name", Match::exact}};

  EXPECT_EQ(must(bench_.search(agent_, std::move(narrowed))).records.size(), 1u);
  EXPECT_EQ(rows(kCustomersCounted), 0);
}

/// Whoever may write hides the customer among records of their own, and then tries values.
TEST_P(VaultSearch, lets_nobody_guess_without_end_among_records_that_fit_too) {
  create("ext:ann", {{"last_name", "Miller"}, {"born", "1980-02-29"}});
  create_many(30, [](int) { return "Miller"; });
  bench_.permits().rules = {{"key_a", "*", View::verify}, {"key_b", "*", View::verify}};
  auto tried = [&](std::string born, const Caller& caller) {
    auto narrowed = query({{"last_name", "miller"}});
    narrowed.match = {{"last_name", Match::exact}};
    narrowed.filter = {{"born", FilterOp::eq, std::move(born)}};
    return bench_.search(caller, std::move(narrowed));
  };
  must(tried("1980-03-01", agent_));
  EXPECT_EQ(rows("vault_wrong_values where wrong > 0"), 1) << "on who asked, and on nobody else";
  EXPECT_EQ(rows("vault_wrong_values where subject in (select id from vault_subjects)"), 0);
  bench_.raw().run("update vault_wrong_values set wrong = 199 where wrong = 1");

  EXPECT_EQ(must(tried("1980-02-29", agent_)).records.size(), 1u) << "the last one";
  EXPECT_EQ(code_of(tried("1980-02-29", agent_)), Code::exhausted);
  EXPECT_EQ(last().outcome, journal::Outcome::refused);
  EXPECT_EQ(must(tried("1980-02-29", {.principal = "key_b"})).records.size(), 1u);
  bench_.clock().advance(std::chrono::hours{24});
  EXPECT_EQ(must(tried("1980-02-29", agent_)).records.size(), 1u);
}

TEST_P(VaultSearch, counts_each_match_as_opened) {
  auto ann = create("ext:1", {{"last_name", "Miller"}});
  auto bob = create("ext:2", {{"last_name", "Millerson"}});
  create("ext:3", {{"last_name", "Smith"}});

  must(find({{"last_name", "mill"}}));

  EXPECT_TRUE(last().opened);
  ASSERT_EQ(last().touches.size(), 2u);
  EXPECT_EQ(last().touches[0].subject, ann.subject);
  EXPECT_EQ(last().touches[1].subject, bob.subject);
  EXPECT_EQ(bench_(bench_.subjects().accesses({}, {"ext:1", {}, {}})).accesses.size(), 1u);
  must(find({{"last_name", "nobody"}}));
  EXPECT_FALSE(last().opened);
  bench_.journal().fail = true;
  EXPECT_EQ(code_of(find({{"last_name", "mill"}})), Code::unavailable)
      << "what cannot be recorded is not shown";
}

TEST_P(VaultSearch, shows_customers_themselves_and_nobody_else) {
  create("ext:4711", {{"last_name", "Miller"}});
  create("ext:4712", {{"last_name", "Millerson"}});
  auto as = [&](std::string person, std::optional<Sort> sort) {
    auto request = query({{"last_name", "mill"}});
    request.purpose = "self_service";
    request.on_behalf_of = std::move(person);
    request.sort = std::move(sort);
    return must(bench_.search({}, std::move(request))).records.size();
  };

  EXPECT_EQ(as("customer:4711", {}), 1u);
  EXPECT_EQ(as("customer:4711", Sort{"last_name", {}}), 1u);
  EXPECT_EQ(as("customer:4713", {}), 0u);
  EXPECT_EQ(as("staff:4711", {}), 0u);
}

TEST_P(VaultSearch, leaves_out_customers_who_closed_themselves_for_the_purpose) {
  create("ext:1", {{"last_name", "Miller"}});
  create("ext:2", {{"last_name", "Millerson"}});
  auto marketing = query({{"last_name", "mill"}});
  marketing.purpose = "marketing";
  auto sorted = query({{"last_name", "mill"}});
  sorted.sort = Sort{"last_name", {}};

  EXPECT_EQ(must(bench_.search({}, std::move(marketing))).records.size(), 0u) << "nobody agreed";
  EXPECT_EQ(std::get<std::int64_t>(last().facts.at(0).second), 2) << "closed";
  EXPECT_TRUE(last().touches.empty());
  bench_(bench_.subjects().restrict({}, {"ext:1", Ground::accuracy_contested, "by letter"}));
  EXPECT_EQ(hits({{"last_name", "mill"}}), 1u);
  EXPECT_EQ(must(bench_.search({}, std::move(sorted))).records.size(), 1u);
  bench_.raw().run("update vault_subjects set standing = standing, mac = " +
                   bench_.raw().literal(Bytes(20)) + " where erased_ms is null");
  EXPECT_EQ(hits({{"last_name", "mill"}}), 0u) << "a decision that was bent opens nothing";
}

TEST_P(VaultSearch, charges_every_customer_who_matched_and_shows_nothing_beyond_the_budget) {
  auto ann = create("ext:1", {{"last_name", "Miller"}});
  auto bob = create("ext:2", {{"last_name", "Millerson"}});
  bench_.budgets().counting = true;

  must(find({{"last_name", "mill"}}));
  must(find({{"last_name", "millers"}}));
  ASSERT_EQ(bench_.budgets().charged.size(), 2u);
  EXPECT_EQ(bench_.budgets().charged[0], (std::vector{ann.subject, bob.subject}));
  EXPECT_EQ(bench_.budgets().charged[1], std::vector{bob.subject});
  bench_.budgets().full = true;
  for (auto name : {"miller", "nobody"})
    EXPECT_EQ(code_of(find({{"last_name", name}})), Code::unavailable)
        << "whose room is gone each time that it would be charged";
}

TEST_P(VaultSearch, shows_as_many_as_the_budget_has_room_for_and_looks_for_no_more) {
  create("ext:1", {{"email", "both@example.org"}});
  create("ext:2", {{"email", "both@example.org"}});
  create("ext:3", {{"email", "one@example.org"}});
  bench_.permits().rules = {{"key_a", "*", View::verify}};
  bench_.budgets().counting = true;
  bench_.budgets().left = 1;
  auto plain = query({{"email", "both@example.org"}});
  auto sorted = query({{"email", "both@example.org"}});
  sorted.sort = Sort{"created", {}};
  auto last_of_all = query({{"email", "one@example.org"}});

  for (auto* request : {&plain, &sorted, &last_of_all}) {
    auto found = must(bench_.search(agent_, std::move(*request)));

    ASSERT_EQ(found.records.size(), 1u);
    EXPECT_TRUE(found.more) << "whether there is was not looked at";
    EXPECT_EQ(last().touches.size(), 1u);
    EXPECT_EQ(bench_.budgets().charged.back(), std::vector{found.records[0].subject});
  }
}

TEST_P(VaultSearch, raises_the_alarm_when_an_invented_customer_matches_a_part) {
  auto view = bench_(bench_.canaries().plant({}, {.collection = "people",
                                                  .locale = Locale::de,
                                                  .external_id = {},
                                                  .email = {},
                                                  .email_domain = "post.example.org",
                                                  .slot = {}}));
  auto name = must(bench_.reveal(*view.record, {"last_name"})).values;
  auto part = shown(name, "last_name").substr(0, 3);
  bench_.alarms().seen.clear();

  must(find({{"last_name", part}}, {}));

  ASSERT_EQ(bench_.alarms().seen.size(), 1u);
  EXPECT_TRUE(bench_.alarms().seen[0].contains("records.search"));
  EXPECT_TRUE(last().alarm);
}

TEST_P(VaultSearch, does_not_go_on_for_a_purpose_that_the_field_lost) {
  create("ext:1", {{"last_name", "Miller"}});
  create("ext:2", {{"last_name", "Millerson"}});
  auto request = query({{"last_name", "mill"}});
  request.limit = 1;
  auto first = must(bench_.search({}, std::move(request)));
  ASSERT_TRUE(first.next);
  auto spec = people();
  spec.fields[2].purposes = {"accounting"};
  put(std::move(spec));

  auto next = query({{"last_name", "mill"}});
  next.limit = 1;
  next.after = first.next;

  EXPECT_EQ(code_of(bench_.search({}, std::move(next))), Code::forbidden);
}

TEST_P(VaultSearch, refuses_an_index_on_a_flag) {
  auto spec = people();
  spec.fields.push_back(field("vip", FieldType::text, IndexKind::exact));
  spec.fields.back().max_bytes = 1;

  EXPECT_EQ(code_of(bench_.run(bench_.declarations().put({}, std::move(spec)))), Code::invalid);
}

TEST_P(VaultSearch, needs_a_declared_purpose) {
  auto request = query({{"last_name", "mill"}});
  request.purpose = "curiosity";

  EXPECT_EQ(code_of(bench_.search({}, std::move(request))), Code::invalid);
}

// ── as values change

TEST_P(VaultSearch, follows_values_that_change_and_forgets_those_that_went) {
  auto made = create("ext:1", {{"last_name", "Miller"}, {"first_name", "Anna"}});
  create("ext:2", {{"last_name", "Millerson"}});

  bench_(bench_.records().update({}, {made.record, values({{"last_name", "Smith"}}), {}, {}}));
  EXPECT_EQ(hits({{"last_name", "mill"}}), 1u);
  EXPECT_EQ(hits({{"last_name", "smith"}}), 1u);
  bench_(bench_.records().update({}, {made.record, values({{"last_name", "Miller"}}), {}, {}}));
  bench_.build_indexes();
  EXPECT_EQ(hits({{"last_name", "mill"}}), 2u);
  EXPECT_EQ(hits({{"last_name", "smith"}}), 0u);
  bench_(bench_.records().remove({}, {made.record, {}}));
  EXPECT_EQ(hits({{"last_name", "mill"}}), 1u);
  must(bench_.erase("ext:2"));
  EXPECT_EQ(hits({{"last_name", "mill"}}), 0u);
  bench_.build_indexes();

  EXPECT_EQ(rows("vault_postings"), 0) << "what was taken back goes for good";
  EXPECT_EQ(rows("vault_index"), 0);
}

TEST_P(VaultSearch, merges_many_small_blocks_into_few) {
  for (int i = 0; i < 40; ++i) create("ext:" + std::to_string(i), {{"first_name", "Anna"}});
  auto before = rows("vault_postings");

  bench_.build_indexes();

  EXPECT_EQ(before, 80) << "ann and anna";
  EXPECT_EQ(rows("vault_postings"), 2);
  EXPECT_TRUE(must(find({{"first_name", "anna"}})).more);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSearch, leaves_a_stolen_file_sizes_and_not_who_shares_a_term) {
  create("ext:1", {{"last_name", "Miller"}, {"email", "a@example.org"}});
  auto second = create("ext:2", {{"last_name", "Miller"}, {"email", "b@example.org"}});
  auto raw = bench_.raw();

  std::set<Bytes> blocks;
  for (std::int64_t i = 0; i < rows("vault_postings"); ++i) {
    auto sealed =
        raw.bytes("select sealed from vault_postings order by term, block limit 1 offset " +
                  std::to_string(i));
    EXPECT_TRUE(blocks.insert(sealed).second);
    EXPECT_EQ(std::ranges::search(sealed, second.record.bytes()).begin(), sealed.end());
  }
  EXPECT_EQ(blocks.size(), 8u) << "four parts each";
  EXPECT_EQ(raw.number("select count(distinct tag) from vault_index"), 2);
}

// ── indexes that come, change and go

TEST_P(VaultSearch, builds_an_index_over_what_is_there_although_it_is_killed_on_the_way) {
  create_many(2500, [](int i) { return i % 2 ? "Miller" : "Smith"; });
  auto early = create("ext:1", {{"note", "likes tea"}, {"last_name", "Early"}});
  auto spec = people();
  spec.fields[7].index = IndexKind::exact;
  spec.fields[2].index = IndexKind::exact;
  put(spec);

  EXPECT_EQ(code_of(find({{"note", "likes tea"}})), Code::unavailable) << "none answers yet";
  EXPECT_EQ(hits({{"last_name", "earl"}}), 1u) << "the old one answers";
  for (int steps = 0; steps < 3; ++steps) EXPECT_TRUE(bench_(bench_.rebuild().step()));
  auto shown_before = view();
  bench_.reopen();
  auto late = create("ext:2", {{"note", "likes tea"}, {"last_name", "Late"}});
  bench_(bench_.records().update({}, {early.record, values({{"note", "likes mate"}}), {}, {}}));
  bench_.build_indexes();

  EXPECT_GT(named(shown_before, "last_name").indexes.back().done.value_or(0) +
                named(shown_before, "note").indexes.back().done.value_or(0),
            0);
  EXPECT_EQ(hits({{"note", "likes mate"}}), 1u);
  auto tea = must(find({{"note", "likes tea"}}));
  ASSERT_EQ(tea.records.size(), 1u);
  EXPECT_EQ(tea.records[0].record, late.record);
  EXPECT_EQ(hits({{"last_name", "earl"}}), 0u) << "by now it compares whole values";
  EXPECT_EQ(hits({{"last_name", "early"}}), 1u);
  EXPECT_EQ(named(view(), "last_name").indexes.size(), 1u);
  EXPECT_EQ(rows("vault_postings"), 0) << "the old index is gone";
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSearch, builds_parts_of_values_that_are_there) {
  auto spec = people();
  spec.fields[7].max_bytes = 1000;
  put(spec);
  create_many(30, [](int) { return "Miller"; });
  auto made = create("ext:1", {{"note", "likes green tea"}});
  spec.fields[7].index = IndexKind::substring;
  put(spec);
  bench_.build_indexes();

  auto found = must(find({{"note", "GREEN"}}));

  ASSERT_EQ(found.records.size(), 1u);
  EXPECT_EQ(found.records[0].record, made.record);
}

TEST_P(VaultSearch, takes_an_index_away_with_all_its_rows) {
  create_many(30, [](int) { return "Miller"; });
  auto spec = people();
  for (auto& one : spec.fields) one.index = IndexKind::none;
  put(spec);
  bench_.build_indexes();

  EXPECT_EQ(code_of(find({{"last_name", "mill"}})), Code::invalid);
  EXPECT_EQ(
      rows("vault_index") + rows("vault_postings") + rows("vault_index_state"),
      bench_.raw().number("select count(*) from vault_index_state where collection <> (select "
                          "id from vault_collections where name = 'people')"));
}

TEST_P(VaultSearch, does_not_call_unique_what_is_not) {
  create("ext:1", {{"note", "twice"}});
  create("ext:2", {{"note", "Twice"}});
  auto spec = people();
  spec.fields[7].index = IndexKind::unique;
  put(spec);
  bench_.build_indexes();

  EXPECT_NE(alarm("note").find("unique"), std::string::npos);
  EXPECT_EQ(bench_.rebuild().alarms(), 0) << "counted by the next step";
  bench_(bench_.rebuild().step());
  EXPECT_EQ(bench_.rebuild().alarms(), 1);
  EXPECT_EQ(code_of(find({{"note", "twice"}})), Code::unavailable);
  EXPECT_THROW(create("ext:3", {{"note", "twice"}}), std::runtime_error) << "not a third one";
  spec.fields[7].index = IndexKind::exact;
  put(spec);
  bench_.build_indexes();
  EXPECT_EQ(hits({{"note", "twice"}}), 2u);
  EXPECT_EQ(alarm("note"), "");
}

TEST_P(VaultSearch, grows_its_terms_with_the_records_and_asks_for_consent_to_common_values) {
  create_many(1500, [](int i) { return "N" + std::to_string(i); });
  auto spec = people();
  spec.fields[7].index = IndexKind::exact;
  put(spec);
  bench_.build_indexes();
  auto sized = view();
  CreateRecords many{.collection = "people",
                     .subject = {},
                     .slot = {},
                     .values = {},
                     .records = {},
                     .idempotency_key = {}};
  for (int batch = 0; batch < 4; ++batch) {
    many.records.clear();
    for (int i = 0; i < 800; ++i)
      many.records.push_back(
          {{}, {}, values({{"note", i % 4 ? std::to_string(batch * 1000 + i) : "Smith"}})});
    CreateRecords one{.collection = "people",
                      .subject = {},
                      .slot = {},
                      .values = {},
                      .records = std::move(many.records),
                      .idempotency_key = {}};
    bench_(bench_.records().create({}, std::move(one)));
  }
  bench_.build_indexes();
  auto skewed_view = view();
  const auto& note = named(skewed_view, "note").indexes.front();

  EXPECT_EQ(named(sized, "email").indexes.front().bits, 3) << "log2(1500 / 2), shared by three";
  EXPECT_NE(alarm("note"), "");
  auto consent = [&](std::int64_t counted, std::int64_t largest) {
    return bench_.run(bench_.indexes().consent({}, {"people", "note", counted, largest, "known"}));
  };
  EXPECT_EQ(code_of(consent(*note.counted, *note.largest + 1)), Code::invalid);
  auto agreed = must(consent(*note.counted, *note.largest));
  EXPECT_EQ(named(agreed, "note").consent->largest, *note.largest);
  EXPECT_EQ(alarm("note"), "");
  EXPECT_EQ(must(find({{"note", "smith"}})).records.size(), 20u);
  EXPECT_EQ(hits({{"email", "c77@example.org"}}), 1u);
  EXPECT_TRUE(bench_.state().good());
}

TEST_P(VaultSearch, alarms_and_takes_fewer_bits_where_an_index_is_declared_over_common_values) {
  for (int batch = 0; batch < 2; ++batch) {
    CreateRecords many{.collection = "people",
                       .subject = {},
                       .slot = {},
                       .values = {},
                       .records = {},
                       .idempotency_key = {}};
    for (int i = 0; i < 1000; ++i)
      many.records.push_back(
          {{}, {}, values({{"note", i % 5 ? "Smith" : std::to_string(batch * 1000 + i)}})});
    bench_(bench_.records().create({}, std::move(many)));
  }
  auto spec = people();
  spec.fields[7].index = IndexKind::exact;

  put(spec);
  bench_.build_indexes();

  const auto declared = view();
  const auto& events = bench_.journal().events;
  auto about_note = [](std::string_view activity) {
    return [activity](const journal::Event& event) {
      return event.activity == activity && event.fields == std::vector<std::string>{"note"};
    };
  };
  EXPECT_EQ(named(declared, "email").indexes.front().bits, 3);
  EXPECT_EQ(named(declared, "note").indexes.front().bits, 2) << "four fifths are one value";
  EXPECT_NE(alarm("note"), "");
  EXPECT_TRUE(std::ranges::any_of(events, about_note("collections.index_alarm")));
  EXPECT_FALSE(std::ranges::any_of(events, about_note("collections.index_ready")));
}

TEST_P(VaultSearch, goes_over_to_a_new_index_key) {
  create("ext:1", {{"last_name", "Miller"}, {"email", "ann@example.org"}});
  auto old = bench_.keys().get();
  auto old_id = old->ring.active_id(crypto::KeyUse::index);
  auto ring = old->ring.with_new(crypto::KeyUse::index, bench_.clock().now());
  bench_.keys().set(std::make_shared<crypto::KeySet>(std::move(ring)));
  EXPECT_GT(bench_(bench_.rebuild().under_key(old_id)), 0);
  EXPECT_EQ(hits({{"email", "ann@example.org"}}), 1u) << "found under the old key";

  bench_.build_indexes();
  EXPECT_EQ(bench_(bench_.rebuild().under_key(old_id)), 0);
  auto without = bench_.keys().get()->ring.without(crypto::KeyUse::index, old_id);
  bench_.keys().set(std::make_shared<crypto::KeySet>(std::move(without)));

  EXPECT_EQ(hits({{"email", "ann@example.org"}}), 1u);
  EXPECT_EQ(hits({{"last_name", "mill"}}), 1u);
}

TEST_P(VaultSearch, gives_an_import_the_index_that_was_declared_meanwhile) {
  bench_.journal().before_commit = [&]() -> Task<void> {
    auto spec = people();
    spec.fields[7].index = IndexKind::exact;
    must(co_await bench_.declarations().put({}, spec));
  };
  class Body final : public http::BodyReader {
   public:
    Task<Result<std::string_view>> next() override {
      co_return std::exchange(text_, std::string_view());
    }
    std::uint64_t size() const override { return 0; }
    std::string_view type() const override { return "text/csv"; }

   private:
    std::string_view text_ = "id,note\n1,likes tea\n2,likes mate\n";
  } body;
  Caller caller{.generation = bench_(bench_.journal().generation(MonoTime::max()))};
  auto report = bench_(bench_.imports().create(
      caller, {{}, R"({"collection":"people","external_id":"id","fields":{"note":"note"}})", {}},
      body));
  bench_.build_indexes();

  EXPECT_EQ(report.created, 2);
  EXPECT_EQ(hits({{"note", "likes tea"}}), 1u);
}

TEST_P(VaultSearch, finds_parts_and_whole_values_at_every_step_of_a_rotation) {
  create("ext:1", {{"last_name", "Miller"}, {"email", "ann@example.org"}, {"first_name", "Ann"}});
  create_many(30, [](int i) { return "Name" + std::to_string(i); });
  bench_(bench_.rotations().rotate({}, {KeyKind::index, true}));
  int steps = 0;
  for (auto pace = Rotations::Pace::more; pace != Rotations::Pace::idle; ++steps) {
    ASSERT_LT(steps, 300);
    pace = bench_(bench_.rotations().step());
    auto number = std::to_string(steps);
    auto made = create("ext:n" + number, {{"last_name", "Fresh" + number}});
    if (steps % 3 == 1) bench_(bench_.records().remove({}, {made.record, {}}));
    if (steps % 5 == 4) bench_.reopen();
    EXPECT_EQ(hits({{"last_name", "ille"}}), 1u) << steps;
    EXPECT_EQ(hits({{"email", "ann@example.org"}}), 1u) << steps;
    EXPECT_EQ(hits({{"first_name", "ann"}}), 1u) << steps;
    EXPECT_EQ(hits({{"last_name", "fresh" + number}}), steps % 3 == 1 ? 0u : 1u) << steps;
  }

  auto row = bench_(bench_.rotations().progress({}, {})).rotations.back();
  EXPECT_EQ(row.phase, RotationPhase::done) << row.doing;
  EXPECT_EQ(bench_.keys().get()->ring.find(crypto::KeyUse::index, 1), nullptr);
  for (const auto& one : view().fields)
    for (const auto& index : one.indexes) EXPECT_EQ(index.key, 2);
  EXPECT_TRUE(bench_.state().good());
  auto counted = bench_(bench_.reports().key_versions({}, {}));
  ASSERT_EQ(counted.index_keys.size(), 1u);
  EXPECT_EQ(counted.index_keys[0].key, 2);
}

TEST_P(VaultSearch, stops_a_rotation_over_a_term_that_went_behind_its_back) {
  auto made = create("ext:1", {{"email", "ann@example.org"}});
  create("ext:2", {{"email", "bob@example.org"}});
  bench_(bench_.rotations().rotate({}, {KeyKind::index, true}));
  bench_.build_indexes();
  for (int i = 0; i < 100 && bench_.keys().get()->ring.active_id(crypto::KeyUse::index) == 1; ++i)
    bench_(bench_.rotations().step());
  bench_.build_indexes();
  bench_.raw().run("delete from vault_index where record = " +
                   bench_.raw().literal(made.record.bytes()));

  for (int i = 0; i < 100 && bench_(bench_.rotations().step()) != Rotations::Pace::idle; ++i) {
  }

  auto row = bench_(bench_.rotations().progress({}, {})).rotations.back();
  EXPECT_EQ(row.phase, RotationPhase::stopped);
  EXPECT_EQ(row.refused_rows, std::vector{"records " + made.record.text()});
  EXPECT_NE(bench_.keys().get()->ring.find(crypto::KeyUse::index, 1), nullptr);
  bench_(bench_.indexes().rebuild({}, {"people", "email"}));
  bench_(bench_.rotations().rotate({}, {KeyKind::index, true}));
  for (int i = 0; i < 100 && bench_(bench_.rotations().step()) != Rotations::Pace::idle; ++i) {
  }
  EXPECT_EQ(bench_(bench_.rotations().progress({}, {})).rotations.back().phase,
            RotationPhase::done);
  EXPECT_EQ(hits({{"email", "ann@example.org"}}), 1u);
}

TEST_P(VaultSearch, follows_a_merge_and_forgets_what_the_sweep_took) {
  auto spec = people();
  spec.fields[2].keep = Keep{"30 days", KeepFrom::created};
  put(std::move(spec));
  auto guest = create("ext:guest-9", {{"last_name", "Miller"}});
  create("ext:1", {{"first_name", "Ann"}});

  bench_(bench_.subjects().merge({}, {"ext:1", "ext:guest-9", {}}));
  auto found = must(find({{"last_name", "ille"}}));
  ASSERT_EQ(found.records.size(), 1u);
  EXPECT_NE(found.records[0].subject, guest.subject);
  bench_.clock().advance(Millis(31LL * 86'400'000));
  bench_.journal_time = bench_.clock().now();
  EXPECT_EQ(hits({{"last_name", "ille"}}), 0u) << "past its time, swept or not";
  must(bench_.swept());
  bench_.build_indexes();

  EXPECT_EQ(rows("vault_postings"), 1) << "that of Ann's first name";
  EXPECT_TRUE(bench_.state().good());
}

// ── tampered with

TEST_P(VaultSearch, names_postings_that_were_bent_and_heals_when_they_are_made_anew) {
  create("ext:1", {{"last_name", "Miller"}});
  create("ext:2", {{"last_name", "Smith"}});
  auto raw = bench_.raw();
  raw.run("update vault_postings set entries = entries");
  auto other = raw.bytes("select sealed from vault_postings order by term desc limit 1");
  raw.run("update vault_postings set sealed = " + raw.literal(other));

  auto bent = find({{"last_name", "mill"}});
  bench_(bench_.indexes().rebuild({}, {"people", "last_name"}));
  bench_.build_indexes();

  EXPECT_EQ(code_of(bent), Code::corrupt);
  EXPECT_EQ(hits({{"last_name", "mill"}}), 1u);
  EXPECT_EQ(hits({{"last_name", "smi"}}), 1u);
}

TEST_P(VaultSearch, shows_nothing_for_a_term_that_was_bent_to_other_values) {
  create("ext:1", {{"email", "ann@example.org"}});
  auto raw = bench_.raw();
  auto tag = raw.bytes("select tag from vault_index");
  tag[0] ^= 1;
  raw.run("update vault_index set tag = " + raw.literal(tag));

  EXPECT_EQ(hits({{"email", "ann@example.org"}}), 0u);
  bench_(bench_.indexes().rebuild({}, {"people", "email"}));
  bench_.build_indexes();
  EXPECT_EQ(hits({{"email", "ann@example.org"}}), 1u);
}

TEST_P(VaultSearch, notes_a_damaged_block_that_it_cannot_merge) {
  auto made = create("ext:1", {{"first_name", "Ann"}});
  auto raw = bench_.raw();
  auto sealed = raw.bytes("select sealed from vault_postings");
  sealed.back() ^= 1;
  raw.run("update vault_postings set sealed = " + raw.literal(sealed));
  bench_(bench_.records().remove({}, {made.record, {}}));

  bench_.build_indexes();

  EXPECT_NE(alarm("first_name").find("damaged"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::vault
