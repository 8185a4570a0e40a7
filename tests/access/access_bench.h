// A store with a working access room, for tests: real SQLite, fake clock and journal.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "access/admin.h"
#include "access/api.h"
#include "support/fake_clock.h"
#include "support/fake_journal.h"
#include "support/run.h"
#include "support/temp_dir.h"

namespace holdfast::access {

struct FakeNotices final : Notices {
  void tampered(std::string_view kind, std::string_view id, std::string_view what) override {
    seen.push_back(std::string(kind) + ' ' + std::string(id) + ' ' + std::string(what));
  }
  void policy_seen(std::int64_t version) override { policy = std::max(policy, version); }
  std::vector<std::string> seen;
  std::int64_t policy = 0;
};

struct FakeFields final : Fields {
  Task<Result<FieldClass>> class_of(std::string collection, std::string field, MonoTime) override {
    if (lost) co_return Error(Code::unavailable, "the database is away");
    if (collection != "customers")
      co_return Error(Code::not_found, "no such collection").at("collection");
    if (field.empty() || field == "emial")
      co_return Error(Code::not_found, "no such field").at("field");
    co_return field == "card" ? FieldClass::payment : FieldClass::personal;
  }
  Task<Result<void>> purpose(std::string name, MonoTime) override {
    if (name == "suport") co_return Error(Code::invalid, "no such purpose").at("purpose");
    co_return Result<void>();
  }
  bool lost = false;
};

/// Cache, service and admin, as one process has them.
struct Process {
  Process(journal::Journal& journal, const crypto::HeldKeys& keys, const Clock& clock,
          std::int64_t policy_known = 0)
      : cache({journal, keys, clock, notices, policy_known}),
        service({cache, journal, keys, clock}, {.prefixes = 100, .tries = 20}),
        admin({cache, service, journal, keys, clock}),
        budgets({cache, journal, keys, clock}, {.per_hour = 0, .per_day = 0}),
        api({admin, service, cache, journal, clock, fields, budgets}) {}

  FakeNotices notices;
  FakeFields fields;
  Cache cache;
  Service service;
  Admin admin;
  Budgets budgets;
  Api api;
};

struct AccessBench {
  test::TempDir dir;
  test::FakeClock clock;
  test::RunContext context;
  std::unique_ptr<db::Database> database;
  std::unique_ptr<test::FakeJournal> journal;
  crypto::HeldKeys keys;
  std::unique_ptr<Process> process;
  std::string owner_key;
  Caller owner;

  AccessBench() {
    database = must(db::open_sqlite({.dir = dir.path()}, clock));
    journal = std::make_unique<test::FakeJournal>(*database, clock);
    must(run(journal->migrate()));
    keys.set(std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock.now())));
    restart();
    must(run(service().prepare()));
    owner_key = must(run(admin().bootstrap_owner_key("access.bootstrap"))).expose_text();
    owner = must(sign_in(owner_key));
    journal->forget_events();
  }
  ~AccessBench() {
    process.reset();
    journal.reset();
    database->close();
  }

  /// Nothing is remembered but what is stored, and what the witness keeps.
  void restart() {
    const auto kept = process ? process->notices.policy : 0;
    process = std::make_unique<Process>(*journal, keys, clock, kept);
  }
  Service& service() { return process->service; }
  Admin& admin() { return process->admin; }
  Api& api() { return process->api; }

  template <class T>
  T run(Task<T> task) {
    return context.run(std::move(task));
  }
  template <class T>
  static T must(Result<T> result) {
    if (!result) throw std::runtime_error(std::string(result.error().text));
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }

  Result<Caller> sign_in(std::string_view key, std::string address = "192.0.2.1") {
    return run(service().authenticate({.authorization = "Bearer " + std::string(key),
                                       .address = std::move(address),
                                       .user_agent = "test",
                                       .request_id = "req_1",
                                       .deadline = MonoTime::max()}));
  }

  NewKey make_key(CreateKey spec) {
    if (spec.name.empty()) spec.name = "test";
    return must(run(admin().create_key(owner, std::move(spec))));
  }
  Caller caller_with(CreateKey spec) {
    auto made = make_key(std::move(spec));
    return must(sign_in(made.api_key.expose_text()));
  }
};

}  // namespace holdfast::access
