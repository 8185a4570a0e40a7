#include "ledger/api.h"

#include <boost/json.hpp>
#include <functional>
#include <set>

#include "base/json.h"
#include "journal/export.h"
#include "journal/log_bench.h"
#include "support/database.h"

namespace holdfast::ledger {
namespace {

using journal::Event;
using journal::LogBench;
using journal::must;
using journal::subject;

/// Keeps what is written; closes after some pieces, or when it was asked so often.
struct Page : http::BodyWriter {
  std::string type, text;
  int pieces_left = 1'000'000;
  mutable int looks_left = 1'000'000;

  Task<Result<void>> start(std::string_view media) override {
    type = media;
    co_return Result<void>();
  }
  Task<Result<void>> write(std::string_view bytes) override {
    text += bytes;
    --pieces_left;
    co_return Result<void>();
  }
  bool closing() const override { return pieces_left <= 0 || --looks_left <= 0; }
};

/// Everybody may go on until a test says otherwise.
struct FakePermits final : Permits {
  std::function<Result<void>(std::string_view operation)> answer;
  Task<Result<void>> still(Caller, std::string_view operation) const override {
    co_return answer ? answer(operation) : Result<void>();
  }
  std::set<std::string> keys;
  Task<Result<bool>> known(std::string principal, MonoTime) const override {
    co_return keys.contains(principal);
  }
};

/// Requests go through the routes, as the server runs them.
class LedgerBench : public LogBench {
 public:
  using Named = std::vector<std::pair<std::string, std::string>>;

  explicit LedgerBench(db::Database::Kind kind) : LogBench(kind) {
    index_ = (*this)(journal::AccessIndex::open(log(), clock()));
    service_.emplace(Service::Deps{log(), *index_, keys(), permits, {}});
    api_.emplace(*service_, permits, clock());
    routes_ = api_->routes();
  }
  ~LedgerBench() {
    service_.reset();
    index_.reset();
  }

  Result<boost::json::value> call(std::string_view operation, Named query = {}, Named path = {},
                                  std::string body = {}, Page* page = nullptr) {
    auto route = std::ranges::find(routes_, operation, &http::Route::id);
    http::Call call;
    call.caller.principal = "key_auditor";
    call.caller.deadline = deadline;
    call.parts = {.body = body, .path = path, .query = query};
    call.download = page;
    auto answer = run(route->run(std::move(call)));
    if (!answer) return std::move(answer).error();
    if (answer->json.empty()) return boost::json::value();
    return parse_json(answer->json);
  }
  boost::json::value good(std::string_view operation, Named query = {}, Named path = {},
                          std::string body = {}) {
    return must(call(operation, std::move(query), std::move(path), std::move(body)));
  }
  std::int64_t reveal(std::uint8_t of, std::string key = "key_a",
                      journal::Outcome outcome = journal::Outcome::success) {
    clock().advance(Millis{1000});
    Event event{.activity = "records.reveal",
                .outcome = outcome,
                .opened = outcome == journal::Outcome::success,
                .purpose = "support",
                .collection = "customers",
                .fields = {"email"},
                .touches = {{.subject = subject(of), .kind = "records", .row = {of}}}};
    auto receipt =
        commit(std::move(event), {.principal = std::move(key), .address = "203.0.113.9"});
    return (*this)(log().find(receipt.event)).seq;
  }
  /// Numbers of all pages.
  std::vector<std::int64_t> listed(Named query) {
    std::vector<std::int64_t> out;
    query.emplace_back("limit", "3");
    for (;;) {
      auto page = good("journal.list", query);
      for (const auto& entry : page.at("entries").as_array())
        out.push_back(entry.at("seq").as_int64());
      const auto* next = page.as_object().if_contains("next");
      if (!next) return out;
      std::erase_if(query, [](const auto& one) { return one.first == "after"; });
      query.emplace_back("after", next->as_string());
    }
  }
  FakePermits permits;
  MonoTime deadline = MonoTime::max();  // of the calls

  std::string last_operation() {
    (*this)(log().sequence());
    auto last = (*this)(log().read_before(1LL << 40, 1)).at(0);
    return journal::decode_entry(last.entry)->operation;
  }

 private:
  std::unique_ptr<journal::AccessIndex> index_;
  std::optional<Service> service_;
  std::optional<Api> api_;
  std::vector<http::Route> routes_;
};

class Ledger : public journal::OnBoth {
 protected:
  LedgerBench bench_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Databases, Ledger, testing::ValuesIn(test::database_kinds()),
                         [](const auto& info) { return test::kind_name(info.param); });

TEST_P(Ledger, lists_newest_first_and_filters) {
  auto one = bench_.reveal(1), two = bench_.reveal(2, "key_b"),
       three = bench_.reveal(1, "key_b", journal::Outcome::refused);
  auto at_two = rfc3339(bench_.clock().now() - Millis{1000}),
       at_three = rfc3339(bench_.clock().now());

  using Seqs = std::vector<std::int64_t>;
  EXPECT_EQ(bench_.listed({{"operation", "records.reveal"}}), (Seqs{three, two, one}));
  EXPECT_EQ(bench_.listed({{"actor", "key_b"}}), (Seqs{three, two}));
  EXPECT_EQ(bench_.listed({{"subject", subject(1).text()}}), (Seqs{three, one}));
  EXPECT_EQ(bench_.listed({{"subject", subject(1).text()}, {"outcome", "success"}}), Seqs{one});
  EXPECT_EQ(bench_.listed({{"outcome", "refused"}}), Seqs{three});
  EXPECT_EQ(bench_.listed({{"since", at_two}}), (Seqs{three, two}));
  EXPECT_EQ(bench_.listed({{"operation", "records.reveal"}, {"until", at_three}}),
            (Seqs{two, one}));
  EXPECT_EQ(bench_.listed({}).size(), static_cast<std::size_t>(bench_.log().size()));
}

TEST_P(Ledger, finds_what_lies_far_back) {
  for (int i = 0; i < 20; ++i) {
    bench_.reveal(1);
    bench_.clock().advance(std::chrono::days(3));
  }
  auto middle = bench_.clock().now() - std::chrono::days(30);

  auto older = bench_.listed({{"operation", "records.reveal"}, {"until", rfc3339(middle)}});
  auto newer = bench_.listed({{"operation", "records.reveal"}, {"since", rfc3339(middle)}});

  EXPECT_EQ(older.size(), 11u);
  EXPECT_EQ(newer.size(), 9u);
}

TEST_P(Ledger, shows_one_event_by_number_and_by_id) {
  auto seq = bench_.reveal(1);

  auto shown = bench_.good("journal.get", {}, {{"entry", std::to_string(seq)}});
  auto again = bench_.good("journal.get", {}, {{"entry", std::string(shown.at("id").as_string())}});

  EXPECT_EQ(shown, again);
  EXPECT_EQ(shown.at("operation").as_string(), "records.reveal");
  EXPECT_EQ(shown.at("subject").as_string(), subject(1).text());
  EXPECT_EQ(shown.at("event").at("class_uid").as_int64(), 6003);
  EXPECT_EQ(bench_.call("journal.get", {}, {{"entry", "999999"}}).error().code, Code::not_found);
  EXPECT_EQ(bench_.call("journal.get", {}, {{"entry", "x"}}).error().code, Code::invalid);
  EXPECT_EQ(bench_.call("journal.get", {}, {{"entry", "-1"}}).error().code, Code::invalid);
}

TEST_P(Ledger, gives_a_proof_that_verifies_offline) {
  auto seq = bench_.reveal(1);

  auto proof = bench_.good("journal.proof", {}, {{"entry", std::to_string(seq)}});
  auto head = bench_.good("journal.checkpoint");

  auto proved = journal::verify_proof(boost::json::serialize(proof),
                                      std::string_view(head.at("verifier").as_string()));
  ASSERT_TRUE(proved);
  EXPECT_EQ(proved->rows.at(0).subject, subject(1));
}

TEST_P(Ledger, proves_to_a_customer_nothing_about_another) {
  auto seq = std::to_string(bench_.reveal(1));
  auto proof_for = [&](SubjectId whom) {
    return bench_.call("journal.proof", {{"subject", whom.text()}}, {{"entry", seq}});
  };

  EXPECT_TRUE(proof_for(subject(1)));
  auto other = proof_for(subject(2));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::not_found);
  EXPECT_EQ(other.error().field.text(), "subject");
}

TEST_P(Ledger, shows_no_entry_that_was_changed_in_the_database) {
  auto good = bench_.reveal(1), bent = bench_.reveal(2), last = bench_.reveal(3);
  bench_(bench_.log().sequence());
  auto text = bench_(bench_.log().read(bent, 1)).at(0).entry;
  text.replace(text.find("key_a"), 5, "key_z");
  auto raw = bench_.raw();
  raw.run("update journal_entries set entry = " + raw.literal(as_bytes(text)) +
          " where seq = " + std::to_string(bent));

  for (auto operation : {"journal.get", "journal.proof", "journal.sides"}) {
    auto shown = bench_.call(operation, {}, {{"entry", std::to_string(bent)}});
    ASSERT_FALSE(shown) << operation;
    EXPECT_EQ(shown.error().code, Code::corrupt) << operation;
    EXPECT_TRUE(bench_.call(operation, {}, {{"entry", std::to_string(good)}})) << operation;
  }
  auto page = bench_.good("journal.list", {{"operation", "records.reveal"}});
  const auto& rows = page.at("entries").as_array();
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("seq"), last);
  EXPECT_EQ(rows[1].at("seq"), bent);
  EXPECT_EQ(rows[1].at("outcome"), "damaged");
  EXPECT_EQ(rows[1].at("principal"), "");
  EXPECT_EQ(rows[2].at("seq"), good);
}

TEST_P(Ledger, proves_that_the_log_only_grew) {
  auto older = bench_.good("journal.checkpoint").at("size").as_int64();
  bench_.reveal(1);

  auto proof = bench_.good("journal.consistency", {{"from", std::to_string(older)}});

  EXPECT_EQ(proof.at("from").as_int64(), older);
  EXPECT_EQ(proof.at("to").as_int64(), older + 1);
  EXPECT_FALSE(proof.at("path").as_array().empty());
}

TEST_P(Ledger, opens_what_is_sealed_beside_an_event_and_records_that_first) {
  auto receipt =
      bench_.commit({.activity = "test.note", .note = "a reason"}, {.principal = "key_a",
                                                                    .on_behalf_of = "staff:17",
                                                                    .address = "203.0.113.9",
                                                                    .user_agent = "Agent/1"});

  auto sides = bench_.good("journal.sides", {}, {{"entry", receipt.event.text()}});

  EXPECT_EQ(sides.at("address").as_string(), "203.0.113.9");
  EXPECT_EQ(sides.at("user_agent").as_string(), "Agent/1");
  EXPECT_EQ(sides.at("on_behalf_of").as_string(), "staff:17");
  EXPECT_EQ(sides.at("note").as_string(), "a reason");
  EXPECT_FALSE(sides.at("gone").as_bool());
  EXPECT_EQ(bench_.last_operation(), "journal.sides");
}

TEST_P(Ledger, says_whom_an_actor_saw_and_records_that) {
  bench_.reveal(1);
  auto last = bench_.reveal(1);
  bench_.reveal(2);
  bench_.reveal(3, "key_b");

  auto scope = bench_.good("journal.scope", {{"actor", "key_a"}});

  EXPECT_EQ(scope.at("total").as_int64(), 2);
  const auto& first = scope.at("subjects").at(0);
  EXPECT_EQ(first.at("subject").as_string(), subject(1).text());
  EXPECT_EQ(first.at("events").as_int64(), 2);
  EXPECT_EQ(first.at("last_seq").as_int64(), last);
  EXPECT_EQ(bench_.last_operation(), "journal.scope");
}

TEST_P(Ledger, tells_an_actor_who_saw_nobody_from_one_who_was_mistyped) {
  bench_.reveal(1);
  bench_.permits.keys = {"key_idle"};

  auto idle = bench_.good("journal.scope", {{"actor", "key_idle"}});
  EXPECT_EQ(idle.at("total").as_int64(), 0);
  auto person = bench_.good("journal.scope", {{"actor", "per_0123456789abcdef"}});
  EXPECT_EQ(person.at("total").as_int64(), 0);

  auto refused = bench_.call("journal.scope", {{"actor", "key_b"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::not_found);
  EXPECT_EQ(refused.error().field.text(), "actor");
}

TEST_P(Ledger, knows_people_by_the_name_that_entries_give_them) {
  auto receipt =
      bench_.commit({.activity = "test.note"}, {.principal = "key_a", .on_behalf_of = "staff:17"});

  auto name = bench_.good("journal.pseudonym", {}, {}, R"({"person":"staff:17"})").at("actor");

  auto entry = bench_.good("journal.get", {}, {{"entry", receipt.event.text()}});
  EXPECT_EQ(entry.at("actor"), name);
}

TEST_P(Ledger, verifies_the_log_and_records_the_result) {
  bench_.reveal(1);

  auto report = bench_.good("journal.verify", {}, {}, R"({"state":true})");

  EXPECT_TRUE(report.at("good").as_bool());
  EXPECT_TRUE(report.at("root_matches").as_bool());
  EXPECT_EQ(report.at("faults_total").as_int64(), 0);
  EXPECT_EQ(report.at("state").at("rows").as_int64(), 0);
  EXPECT_EQ(bench_.last_operation(), "journal.verify");
}

TEST_P(Ledger, exports_a_file_that_verifies) {
  bench_.reveal(1);
  Page page;

  ASSERT_TRUE(bench_.call("journal.export", {}, {}, {}, &page));

  std::string_view rest = page.text;
  auto report = journal::verify_export(
      [&rest](std::span<char> into) -> Result<std::size_t> {
        auto count = std::min(into.size(), rest.size());
        std::copy_n(rest.begin(), count, into.begin());
        rest.remove_prefix(count);
        return count;
      },
      bench_.log().verifier());
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->good());
  EXPECT_NE(page.text.find("journal.export"), std::string::npos)
      << "the export records itself first";
}

TEST_P(Ledger, streams_events_from_where_a_reader_was) {
  auto one = bench_.reveal(1), two = bench_.reveal(2);
  Page page;
  page.pieces_left = 1;

  ASSERT_TRUE(bench_.call("journal.events", {{"after", std::to_string(one - 1)}}, {}, {}, &page));

  EXPECT_EQ(page.type, "text/event-stream");
  EXPECT_TRUE(page.text.starts_with("id: " + std::to_string(one) + "\ndata: {"));
  EXPECT_NE(page.text.find("\n\nid: " + std::to_string(two) + "\ndata: {"), std::string::npos);
  EXPECT_TRUE(page.text.ends_with("}\n\n"));
}

TEST_P(Ledger, gives_no_further_event_to_a_key_that_ended) {
  bench_.commit_many(150);
  bench_(bench_.log().sequence());
  Page page;
  page.pieces_left = 2;
  int asked = 0;
  bench_.permits.answer = [&](std::string_view operation) -> Result<void> {
    EXPECT_EQ(operation, "journal.events");
    if (++asked == 1) return {};
    return Error(Code::unauthenticated, "this key has ended");
  };

  auto ended = bench_.call("journal.events", {{"after", "0"}}, {}, {}, &page);

  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::unauthenticated);
  EXPECT_NE(page.text.find("id: 100\n"), std::string::npos);
  EXPECT_EQ(page.text.find("id: 101\n"), std::string::npos);
}

TEST_P(Ledger, ends_a_quiet_stream_of_a_key_that_ended) {
  Page page;
  page.looks_left = 10;
  bench_.permits.answer = [](std::string_view) -> Result<void> {
    return Error(Code::unauthenticated, "this key has ended");
  };

  auto ended = bench_.call("journal.events", {}, {}, {}, &page);

  ASSERT_FALSE(ended);
  EXPECT_EQ(page.text, "");
}

TEST_P(Ledger, ends_a_stream_in_order_when_its_time_is_over) {
  bench_.commit_many(150);
  bench_(bench_.log().sequence());
  Page page;
  page.looks_left = 10;
  bench_.deadline = bench_.clock().mono() + std::chrono::hours(12);
  bench_.permits.answer = [&](std::string_view) -> Result<void> {
    bench_.clock().advance(std::chrono::hours(12));
    return {};
  };

  ASSERT_TRUE(bench_.call("journal.events", {{"after", "0"}}, {}, {}, &page));

  EXPECT_NE(page.text.find("id: 100\n"), std::string::npos);
  EXPECT_EQ(page.text.find("id: 101\n"), std::string::npos);
}

TEST_P(Ledger, gives_no_piece_of_an_export_to_a_key_that_ended) {
  bench_.reveal(1);
  Page page;
  bench_.permits.answer = [](std::string_view operation) -> Result<void> {
    EXPECT_EQ(operation, "journal.export");
    return Error(Code::unauthenticated, "this key has ended");
  };

  auto ended = bench_.call("journal.export", {}, {}, {}, &page);

  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::unauthenticated);
  EXPECT_EQ(page.text, "");
}

TEST_P(Ledger, refuses_malformed_questions_by_name) {
  for (const auto& [operation, name, value] :
       {std::tuple("journal.list", "limit", "501"), std::tuple("journal.list", "limit", "0"),
        std::tuple("journal.list", "after", "x"), std::tuple("journal.list", "outcome", "maybe"),
        std::tuple("journal.list", "subject", "sub_x"),
        std::tuple("journal.list", "since", "yesterday"),
        std::tuple("journal.list", "colour", "red"),
        std::tuple("journal.consistency", "from", "-1")}) {
    auto answer = bench_.call(operation, {{name, value}});

    ASSERT_FALSE(answer) << operation << ' ' << name;
    EXPECT_EQ(answer.error().code, Code::invalid);
    EXPECT_EQ(answer.error().field.text(), name);
  }
}

}  // namespace
}  // namespace holdfast::ledger
