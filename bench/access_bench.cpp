// What access control costs on the way of every request: one decision under a large policy (bar:
// 2 µs, no allocation) and one API-key check (bar: 100,000 a second and core).
#include <benchmark/benchmark.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <new>
#include <string>

#include "access/admin.h"
#include "access/authority.h"
#include "access/key_text.h"
#include "access/service.h"
#include "access/snapshot.h"

namespace {

thread_local std::size_t allocations = 0;

}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (auto* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace holdfast::access {
namespace {

constexpr int kRoles = 100, kGrants = 50;

std::string numbered(std::string_view name, int n) {
  return std::string(name) + std::to_string(n);
}

/// 100 roles of 50 grants: 500 collections, fields and classes, 5 purposes.
std::vector<Role> large_policy(bool conditions = false) {
  std::vector<Role> out(kRoles);
  for (int r = 0; r < kRoles; ++r) {
    out[r].permissions = {numbered("group", r) + ".*", numbered("records.op", r)};
    for (int g = 0; g < kGrants; ++g) {
      Grant grant{.collection = numbered("collection", (r * kGrants + g) % 500),
                  .view = static_cast<View>(1 + g % 3),
                  .purposes = {numbered("purpose", g % 5), numbered("purpose", r % 5)},
                  .needs_person = g % 7 == 0};
      if (g % 2 == 0)
        grant.fields = {numbered("field", g), numbered("field", g + 1)};
      else
        grant.classes = {static_cast<FieldClass>(g % 4)};
      if (conditions && g % 3 == 0) {
        grant.engagements = {"ticket", "call"};
        grant.hours = {"mon-fri 08:00-18:00"};
        grant.networks = {"192.0.2.0/24"};
        grant.budget = Budget{.per_hour = 1 + g};
      }
      out[r].grants.push_back(std::move(grant));
    }
  }
  return out;
}

/// With an argument of 1 every third grant has all conditions.
void decide_100_roles_of_50_grants(benchmark::State& state) {
  const auto roles = large_policy(state.range(0) != 0);
  const auto address = parse_address("192.0.2.7");
  std::vector<const Role*> pointers;
  for (const auto& role : roles) pointers.push_back(&role);
  const auto rights = Rights::compile(pointers);
  std::vector<std::string> collections, fields, purposes;
  for (int i = 0; i < 512; ++i) {
    collections.push_back(numbered("collection", i % 500));
    fields.push_back(numbered("field", i % 50));
    purposes.push_back(numbered("purpose", i % 5));
  }
  std::size_t i = 0;
  const auto before = allocations;

  for (auto _ : state) {
    i = (i + 1) % 512;
    auto decision = decide(*rights, {.operation = "records.op99",
                                     .collection = collections[i],
                                     .field = fields[i],
                                     .field_class = FieldClass::personal,
                                     .purpose = purposes[i],
                                     .on_behalf_of = "staff:17",
                                     .engagement = "ticket",
                                     .minute_of_week = 600,
                                     .address = &*address});
    benchmark::DoNotOptimize(decision);
  }

  state.counters["allocations"] =
      static_cast<double>(allocations - before) / static_cast<double>(state.iterations());
}
BENCHMARK(decide_100_roles_of_50_grants)->Arg(0)->Arg(1);

/// A journal over given rows that never change, so that only the check itself is measured.
class StillJournal final : public journal::Journal, public db::Reader, public db::Scratch {
 public:
  explicit StillJournal(std::vector<Row> rows) : rows_(std::move(rows)) {}

  Task<Result<journal::Written>> commit(const Caller&, db::Changes, journal::Event) override {
    co_return journal::Written{};
  }
  db::Reader& reader() override { return *this; }
  db::Scratch& scratch() override { return *this; }
  db::Load load() const override { return db::Load::none; }
  Task<Result<std::uint64_t>> generation(MonoTime) override { co_return 1; }
  Task<Result<void>> afterlog(std::string_view, Bytes) override { co_return Result<void>(); }

  Task<Result<db::Rows>> read(const db::Sql&, db::Args, MonoTime) override {
    db::Rows out(6);
    for (const auto& row : rows_) {
      out.add_text(row.kind);
      out.add_text(row.id);
      out.add_integer(row.version);
      out.add_text(row.content);
      out.add_integer(row.mac_key);
      out.add_bytes(row.mac);
    }
    co_return out;
  }
  Task<Result<db::Committed>> commit(db::Changes, MonoTime) override { co_return db::Committed{}; }

 private:
  std::vector<Row> rows_;
};

struct Silent final : Notices {
  void tampered(std::string_view, std::string_view, std::string_view) override {}
  void policy_seen(std::int64_t) override {}
};

Task<void> check_many(Service& service, benchmark::State& state, std::string authorization) {
  for (auto _ : state) {
    auto caller = co_await service.authenticate({.authorization = authorization,
                                                 .address = "192.0.2.1",
                                                 .user_agent = "bench",
                                                 .request_id = "req_01j00000000000000000000000",
                                                 .deadline = MonoTime::max()});
    if (!caller) {
      state.SkipWithError("the key is refused");
      co_return;
    }
    auto allowed = co_await service.allow(*caller, "records.reveal");
    if (!allowed) state.SkipWithError("the operation is refused");
  }
}

/// So many keys, as they lie in the database; and the text of the last.
struct Stock {
  explicit Stock(std::int64_t count)
      : held(std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock.now()))) {
    const auto keys = held.get();
    const Authority fresh;
    Edit edit(fresh, *keys);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto id = make_key_id();
      const auto secret = make_key_text(Environment::live, id);
      last = secret.expose_text();
      ApiKey key{.key = principal_of(id),
                 .name = "bench",
                 .roles = {"support"},
                 .networks = {"192.0.2.0/24"},
                 .created = clock.now(),
                 .expires = clock.now() + kDefaultLife,
                 .version = edit.version()};
      edit.put(kKeys, key.key, stored_text(key, digest_of(parse_key_text(last)->hashed), {}));
    }
    auto done = std::move(edit).done();
    rows = std::move(done.put);
    rows.push_back(std::move(done.manifest));
  }

  SystemClock clock;
  crypto::HeldKeys held;
  std::vector<Row> rows;
  std::string last;
};

/// Authenticate and allow, among so many keys.
void check_api_key(benchmark::State& state) {
  Stock stock(state.range(0));
  StillJournal journal(stock.rows);
  Silent silent;
  Cache cache({journal, stock.held, stock.clock, silent});
  Service service({cache, journal, stock.held, stock.clock});

  boost::asio::io_context context;
  boost::asio::co_spawn(context, check_many(service, state, "Bearer " + stock.last),
                        boost::asio::detached);
  context.run();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(check_api_key)->Arg(1)->Arg(10'000);

Task<void> inspect_many(Cache& cache, benchmark::State& state) {
  for (auto _ : state)
    if (auto done = co_await cache.inspect(MonoTime::max()); !done) state.SkipWithError("inspect");
}

/// Looking over all rows, as each minute while serving.
void inspect(benchmark::State& state) {
  Stock stock(state.range(0));
  StillJournal journal(stock.rows);
  Silent silent;
  Cache cache({journal, stock.held, stock.clock, silent});

  boost::asio::io_context context;
  boost::asio::co_spawn(context, inspect_many(cache, state), boost::asio::detached);
  context.run();
}
BENCHMARK(inspect)->Arg(100)->Arg(10'000)->Unit(benchmark::kMillisecond);

void load_policy(benchmark::State& state) {
  Stock stock(state.range(0));
  const auto keys = stock.held.get();
  for (auto _ : state)
    benchmark::DoNotOptimize(make_snapshot(1, check(stock.rows, keys->ring, 0), nullptr));
}
BENCHMARK(load_policy)->Arg(100)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace holdfast::access

BENCHMARK_MAIN();
