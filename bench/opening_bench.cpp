// What an opening costs in the rooms, without HTTP: plain, with a budget of one key that everybody
// shares (its row orders them), with a store-wide ceiling, and under an engagement. 64 callers on
// one SQLite store. Prints JSON lines: name, value, unit, against, against_value, ratio.
//   opening_bench [DIR]   works in a new folder of DIR (default: the temporary directory)
#include <stdlib.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "app/rooms.h"
#include "bench.h"

namespace holdfast::app {
namespace {

using bench::fail;
using bench::must;
using bench::row;
using bench::run;
using bench::Steady;

constexpr int kCallers = 64, kCustomers = 2'000;
constexpr std::chrono::seconds kEach{3};

struct Silent final : access::Notices, vault::Alarms {
  void tampered(std::string_view, std::string_view, std::string_view) override {}
  void policy_seen(std::int64_t) override {}
  void canary_opened(std::string_view, std::string_view, const EventId&) override {}
};

/// Never asked to lock.
struct NoHost final : vault::UnlockHost {
  void forget_keys() override {}
  void locked(bool) override {}
  void abandon() override { std::abort(); }
  std::optional<vault::CertificateDates> certificate() override { return std::nullopt; }
  Task<std::int64_t> api_keys_ending(Millis) override { co_return 0; }
};

/// co_spawn wants a value that can be made from nothing.
template <class T>
Task<std::optional<T>> held(Task<T> task) {
  co_return std::optional<T>(co_await std::move(task));
}
template <class T>
T wait(Task<Result<T>> task) {
  return must(std::move(*run(held(std::move(task)))));
}

/// One store, opened anew for each ceiling.
struct Store {
  std::filesystem::path dir;
  SystemClock clock;
  crypto::HeldKeys& keys;
  Silent silent;
  NoHost host;
  Pool pool{1, 4};
  std::unique_ptr<db::Database> database;
  std::unique_ptr<journal::Log> log;
  std::unique_ptr<journal::AccessIndex> index;
  std::unique_ptr<journal::JournalTime> time;
  std::unique_ptr<Rooms> rooms;

  Store(std::filesystem::path where, crypto::HeldKeys& ring, access::Ceiling ceiling)
      : dir(std::move(where)), keys(ring) {
    database = must(db::open_sqlite({.dir = dir / "data"}, clock));
    log = wait(journal::Log::open({*database, keys, clock},
                                  {.witness = dir / "witness", .afterlog = dir / "afterlog"}));
    index = wait(journal::AccessIndex::open(*log, clock));
    time = std::make_unique<journal::JournalTime>(journal::JournalTime::Deps{*log, keys, clock, {}},
                                                  journal::JournalTime::Options{});
    rooms = std::make_unique<Rooms>(Rooms::Deps{.log = *log,
                                                .index = *index,
                                                .keys = keys,
                                                .clock = clock,
                                                .notices = silent,
                                                .pool = pool,
                                                .time = *time,
                                                .save_keyring = {},
                                                .forget_backups = {},
                                                .count_backups = {},
                                                .rotation = {},
                                                .alarms = silent,
                                                .ceiling = ceiling,
                                                .zone = {},
                                                .unlock_host = host,
                                                .unlock_places = {}});
    (void)run(held(rooms->access.prepare()));
    (void)run(held(access::prepare_observed(log->scratch())));
  }
  ~Store() {
    (void)run(held(log->settle()));
    rooms.reset();
    time.reset();
    index.reset();
    log.reset();
    database->close();
  }

  Caller sign_in(const Secret& key) {
    return wait(
        rooms->access.authenticate({.authorization = "Bearer " + std::string(key.expose_text()),
                                    .address = "192.0.2.1",
                                    .user_agent = "bench",
                                    .request_id = "req_1",
                                    .deadline = MonoTime::max()}));
  }
};

/// Opens records until the time is over; every second one of a customer of the last hour.
Task<void> open_many(Rooms& rooms, Caller caller, const std::vector<RecordId>& records,
                     std::optional<std::string> engagement, unsigned seed, Steady::time_point end,
                     std::int64_t& done) {
  std::mt19937 dice(seed);
  while (Steady::now() < end) {
    auto shown = co_await rooms.opening.reveal(caller, {.record = records[dice() % records.size()],
                                                        .fields = {"email"},
                                                        .purpose = "support",
                                                        .on_behalf_of = {},
                                                        .engagement = engagement});
    if (!shown) fail(shown.error().text);
    ++done;
  }
}

double per_second(Store& store, const Caller& caller, const std::vector<RecordId>& records,
                  std::optional<std::string> engagement = {}) {
  boost::asio::io_context io;
  std::int64_t done = 0;
  const auto begin = Steady::now();
  for (int i = 0; i < kCallers; ++i)
    boost::asio::co_spawn(io,
                          open_many(*store.rooms, caller, records, engagement,
                                    static_cast<unsigned>(i), begin + kEach, done),
                          boost::asio::use_future);
  io.run();
  return static_cast<double>(done) / std::chrono::duration<double>(Steady::now() - begin).count();
}

access::Grant grant(std::optional<access::Budget> budget) {
  return {.collection = "*",
          .classes = {access::FieldClass::personal},
          .view = access::View::clear,
          .purposes = {"support"},
          .budget = budget};
}

Secret make_key(Store& store, const Caller& owner, std::string role,
                std::optional<access::Budget> budget) {
  wait(store.rooms->admin.put_role(owner, {.role = role,
                                           .doc = {},
                                           .permissions = {"records.reveal"},
                                           .grants = {grant(budget)},
                                           .if_match = {}}));
  access::CreateKey spec{.name = "bench"};
  spec.roles = {role};
  return std::move(wait(store.rooms->admin.create_key(owner, std::move(spec))).api_key);
}

void measure(const std::filesystem::path& dir) {
  SystemClock clock;
  crypto::HeldKeys keys(std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock.now())));
  std::optional<Secret> owner_key, free_key, budget_key;
  std::vector<RecordId> records;
  std::optional<SubjectId> first;
  double plain = 0;
  {
    Store store(dir, keys, {});
    owner_key = wait(store.rooms->admin.bootstrap_owner_key("access.bootstrap"));
    auto owner = store.sign_in(*owner_key);
    vault::CollectionSpec spec{.collection = "customers", .doc = {}, .fields = {}, .if_match = {}};
    spec.fields.push_back({.name = "email", .type = vault::FieldType::email});
    wait(store.rooms->declarations.put(owner, std::move(spec)));
    owner = wait(store.rooms->access.renewed(owner));
    for (int i = 0; i < kCustomers; i += 500) {
      vault::CreateRecords request{.collection = "customers",
                                   .subject = {},
                                   .slot = {},
                                   .values = {},
                                   .records = {},
                                   .idempotency_key = {}};
      for (int j = i; j < i + 500; ++j) {
        auto& one = request.records.emplace_back();
        one.subject = "ext:" + std::to_string(j);
        one.values.entries.push_back(
            {{"email", Secret::copy("c" + std::to_string(j) + "@example.org"), false}, false});
      }
      for (auto& made : wait(store.rooms->records.create(owner, std::move(request))).records) {
        records.push_back(made.record);
        if (!first) first = made.subject;
      }
    }
    free_key = make_key(store, owner, "free", {});
    budget_key = make_key(store, owner, "desk",
                          access::Budget{.per_hour = kCustomers, .per_day = kCustomers});
    plain = per_second(store, store.sign_in(*free_key), records);
    row("reveal_without_budget", plain, "1/s");
    row("reveal_with_budget_of_one_key", per_second(store, store.sign_in(*budget_key), records),
        "1/s", "reveal_without_budget", plain);
    auto engagement = wait(store.rooms->engagements.open(wait(store.rooms->access.renewed(owner)),
                                                         {.subject = first->text(),
                                                          .kind = "ticket",
                                                          .reference = "T-1",
                                                          .assignee = {},
                                                          .life = {},
                                                          .on_behalf_of = {},
                                                          .idempotency_key = {}}));
    row("reveal_under_engagement",
        per_second(store, store.sign_in(*free_key), {records.front()},
                   engagement.engagement.text()),
        "1/s", "reveal_without_budget", plain);
  }
  Store store(dir, keys, {.per_hour = kCustomers, .per_day = kCustomers});
  row("reveal_with_store_ceiling", per_second(store, store.sign_in(*free_key), records), "1/s",
      "reveal_without_budget", plain);
}

}  // namespace
}  // namespace holdfast::app

int main(int argc, char** argv) {
  std::string pattern =
      (argc > 1 ? std::string(argv[1]) : std::filesystem::temp_directory_path().string()) +
      "/opening_bench.XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return 1;
  std::filesystem::create_directories(std::filesystem::path(pattern) / "data");
  holdfast::app::measure(pattern);
  std::filesystem::remove_all(pattern);
  return 0;
}
