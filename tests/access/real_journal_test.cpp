// Access control on the real journal and both databases: every statement of the room runs here.
#include <gtest/gtest.h>

#include "access/access_bench.h"
#include "journal/log.h"
#include "support/postgres.h"

namespace holdfast::access {
namespace {

using db::Database;

class RealJournal : public testing::TestWithParam<Database::Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Database::Kind::sqlite) {
      database_ = AccessBench::must(db::open_sqlite({.dir = dir_.path()}, clock_));
    } else {
      auto* server = test::shared_postgres();
      if (server == nullptr) GTEST_SKIP() << "no PostgreSQL here";
      database_ = AccessBench::must(
          db::open_postgres({.url = server->url(), .schema = test::fresh_schema()}, clock_));
    }
    log_ = AccessBench::must(
        run(journal::Log::open({*database_, keys_, clock_},
                               {.witness = dir_ / "witness", .afterlog = dir_ / "afterlog"})));
    restart();
    AccessBench::must(run(process_->service.prepare()));
  }
  void TearDown() override {
    process_.reset();
    log_.reset();
    if (database_) database_->close();
  }

  void restart() { process_ = std::make_unique<Process>(*log_, keys_, clock_); }
  template <class T>
  T run(Task<T> task) {
    return context_.run(std::move(task));
  }
  template <class T>
  T get(Task<Result<T>> task) {
    return AccessBench::must(run(std::move(task)));
  }
  Result<Caller> sign_in(std::string_view key) {
    return run(process_->service.authenticate({.authorization = "Bearer " + std::string(key),
                                               .address = "192.0.2.1",
                                               .user_agent = {},
                                               .request_id = {},
                                               .deadline = MonoTime::max()}));
  }

  test::TempDir dir_;
  test::FakeClock clock_;
  test::RunContext context_;
  crypto::HeldKeys keys_{std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock_.now()))};
  std::unique_ptr<Database> database_;
  std::unique_ptr<journal::Log> log_;
  std::unique_ptr<Process> process_;
};

TEST_P(RealJournal, carries_a_policy_through_changes_and_a_new_start) {
  const auto owner_key = get(process_->admin.bootstrap_owner_key("access.bootstrap"));
  const auto owner = AccessBench::must(sign_in(owner_key.expose_text()));
  auto role =
      get(process_->admin.put_role(owner, {.role = "desk", .permissions = {"records.get"}}));
  get(process_->admin.put_role(owner, {.role = "depot", .permissions = {"records.get"}}));
  get(process_->admin.delete_role(owner, {.role = "depot"}));
  auto made = get(process_->admin.create_key(owner, {.name = "x", .roles = {"desk"}}));
  auto next = get(process_->admin.rotate_key(owner, {.key = made.info.key}));
  get(process_->admin.revoke_key(owner, {.key = made.info.key}));

  restart();

  EXPECT_FALSE(sign_in(made.api_key.expose_text()));
  auto caller = sign_in(next.api_key.expose_text());
  ASSERT_TRUE(caller);
  EXPECT_TRUE(caller->rights->may("records.get"));
  EXPECT_EQ(run(process_->service.allow(*caller, "roles.put")).error().code, Code::forbidden);
  EXPECT_EQ(get(process_->api.get_role(owner, {.role = "desk"})).version, role.version);
  EXPECT_TRUE(get(process_->api.get_key(owner, {next.info.key})).last_used);
  EXPECT_TRUE(process_->notices.seen.empty());
  const auto outside = log_->afterlog_entries();
  ASSERT_EQ(outside.size(), 3u);
  EXPECT_EQ(outside[0].kind, kRoleNarrowed);
  EXPECT_EQ(outside[1].kind, kKeyEnds);
  EXPECT_EQ(as_text(outside[2].id), made.info.key);
}

TEST_P(RealJournal, lets_two_processes_change_the_policy_side_by_side) {
  const auto owner_key = get(process_->admin.bootstrap_owner_key("access.bootstrap"));
  const auto owner = AccessBench::must(sign_in(owner_key.expose_text()));
  Process other(*log_, keys_, clock_);

  std::vector<Task<Result<NewKey>>> race;
  for (auto* process : {process_.get(), &other})
    race.push_back(process->admin.create_key(owner, {.name = "x", .roles = {"support"}}));
  const auto made = context_.run_all(std::move(race));

  restart();
  for (const auto& one : made) {
    ASSERT_TRUE(one) << one.error().text;
    EXPECT_TRUE(sign_in(one->api_key.expose_text()));
  }
  EXPECT_TRUE(process_->notices.seen.empty());
}

TEST_P(RealJournal, takes_every_event_of_a_stranger) {
  get(process_->admin.bootstrap_owner_key("access.bootstrap"));
  EXPECT_FALSE(sign_in("nonsense"));
  const auto before = log_->size();

  AccessBench::must(run(process_->service.flush(true)));
  AccessBench::must(run(log_->sequence()));

  EXPECT_GT(log_->size(), before);
  const auto entries = get(log_->read_before(log_->size(), 1));
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_NE(entries[0].entry.find("access.refused_unknown"), std::string::npos);
  EXPECT_EQ(entries[0].entry.find("192.0.2.1"), std::string::npos) << "the prefix is sealed";
}

INSTANTIATE_TEST_SUITE_P(Databases, RealJournal,
                         testing::Values(Database::Kind::sqlite, Database::Kind::postgres),
                         [](const auto& one) {
                           return one.param == Database::Kind::sqlite ? "sqlite" : "postgres";
                         });

}  // namespace
}  // namespace holdfast::access
