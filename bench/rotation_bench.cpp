// What rotations cost: wrapping customers' keys again, sealing values again, and what a reveal
// takes meanwhile. Prints JSON lines: name, value, unit, against, against_value, ratio.
//   rotation_bench [CUSTOMERS]   (default 100,000; one record of eight fields each, SQLite)
#include <stdlib.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bench.h"
#include "journal/log.h"
#include "open_to_all.h"
#include "vault/admission.h"
#include "vault/declarations.h"
#include "vault/draft.h"
#include "vault/keys/rotation.h"
#include "vault/keys/rotation_journal.h"
#include "vault/keys/rotation_rows.h"
#include "vault/records/opening.h"

namespace holdfast::vault {
namespace {

using bench::Bar;
using bench::Everyone;
using bench::fail;
using bench::must;
using bench::NoAlarms;
using bench::NoBudgets;
using bench::row;
using bench::run;
using bench::Steady;

constexpr int kFields = 8, kLoaded = 10'000;
constexpr double kBar = 20'000, kSlower = 2;

struct Shop {
  explicit Shop(const std::filesystem::path& dir)
      : keys(std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock.now()))),
        database(must(db::open_sqlite({.dir = dir}, clock))),
        log(must(
            run(journal::Log::open({*database, keys, clock},
                                   {.witness = dir / "witness", .afterlog = dir / "afterlog"})))),
        store(log->reader()),
        schemas(*log, keys),
        context{*log, store, schemas, keys, permits, clock},
        canaries(log->reader(), keys),
        admission({context, budgets, canaries, alarms}),
        declarations(context),
        opening(context, admission),
        renewed(context),
        values(context),
        wrapped(context),
        rotations({context,
                   keys,
                   [](const crypto::Keyring& ring) { return Result<crypto::Keyring>(ring.copy()); },
                   [this] { return Result<Time>(clock.now()); },
                   [](Time) { return Result<std::int64_t>(0); },
                   [](Time) { return Result<std::int64_t>(0); },
                   {&renewed, &values, &wrapped},
                   {.epoch = {}}}) {
    CollectionSpec spec{.collection = "customers", .doc = {}, .fields = {}, .if_match = {}};
    for (int i = 0; i < kFields; ++i)
      spec.fields.push_back({.name = "f" + std::to_string(i), .type = FieldType::text});
    must(run(declarations.put({}, std::move(spec))));
  }
  ~Shop() {
    must(run(log->settle()));
    log.reset();
    database->close();
  }

  void load(int customers) {
    while (static_cast<int>(records.size()) < customers) {
      auto work = must(run(begin(context, Caller{})));
      const auto* collection = work.schema->find("customers");
      Draft draft(*work.keys, work.now);
      for (int i = 0; i < kLoaded && static_cast<int>(records.size()) < customers; ++i) {
        SubjectKeys held{SubjectId{}};
        must(draft.add_subject("c" + std::to_string(records.size()), held));
        std::vector<CheckedValue> given;
        for (const auto& field : collection->fields)
          given.push_back(
              {&field, Secret::copy(std::string_view("some twenty characters")), false});
        records.push_back(must(draft.add_record(held, *collection, {}, given)).id);
      }
      journal::Event event{.activity = "records.create", .touches = std::move(draft.touches())};
      must(run(log->commit(Caller{}, std::move(draft).changes(), std::move(event))));
    }
  }

  /// Reveals one after another until `stop`; microseconds each.
  std::vector<double> reveal_until(const std::function<bool()>& stop) {
    std::vector<double> out;
    for (std::size_t i = 0; !stop(); i = (i + 7919) % records.size()) {
      auto start = Steady::now();
      must(run(
          opening.reveal({.principal = "key_bench"}, {records[i], {"f0", "f1"}, "support", {}})));
      out.push_back(std::chrono::duration<double, std::micro>(Steady::now() - start).count());
    }
    return out;
  }

  SystemClock clock;
  crypto::HeldKeys keys;
  std::unique_ptr<db::Database> database;
  std::unique_ptr<journal::Log> log;
  Everyone permits;
  Store store;
  SchemaCache schemas;
  Context context;
  NoBudgets budgets;
  NoAlarms alarms;
  CanaryCache canaries;
  Admission admission;
  Declarations declarations;
  Opening opening;
  RenewedKeys renewed;
  SealedValues values;
  WrappedKeys wrapped;
  Rotations rotations;
  std::vector<RecordId> records;
};

double p99(std::vector<double> all) {
  std::ranges::sort(all);
  return all[all.size() * 99 / 100];
}

/// Rows a second while rows move: from the first batch to the last.
double rotate(Shop& shop, KeyKind kind) {
  must(run(shop.rotations.rotate({}, {kind, true})));
  std::optional<Steady::time_point> start;
  for (;;) {
    auto open = must(run(open_rotations(shop.log->reader(), MonoTime::max())));
    if (open.empty()) fail("the rotation is gone");
    if (open.back().phase == RotationPhase::stopped) fail("the rotation stopped");
    if (open.back().phase == RotationPhase::moving && !start) start = Steady::now();
    if (open.back().phase == RotationPhase::checking) break;
    must(run(shop.rotations.step()));
  }
  auto seconds = std::chrono::duration<double>(Steady::now() - *start).count();
  while (must(run(shop.rotations.step())) != Rotations::Pace::idle) continue;
  return static_cast<double>(shop.records.size()) / seconds;
}

void measure(Shop& shop, KeyKind kind, const std::string& name) {
  row(name + ", alone", rotate(shop, kind), "records/s", "bar", kBar, Bar::least);

  auto until = Steady::now() + std::chrono::seconds(3);
  auto idle = p99(shop.reveal_until([&] { return Steady::now() >= until; }));
  must(run(shop.rotations.rotate({}, {kind, true})));
  boost::asio::thread_pool thread(1);
  auto start = Steady::now();
  auto working = boost::asio::co_spawn(thread, shop.rotations.run([](const Error* error) {
    if (error) fail(error->text);
  }),
                                       boost::asio::use_future);
  auto busy = p99(shop.reveal_until(
      [&] { return must(run(open_rotations(shop.log->reader(), MonoTime::max()))).empty(); }));
  auto seconds = std::chrono::duration<double>(Steady::now() - start).count();
  shop.rotations.stop();
  working.get();
  shop.rotations.again();
  row(name + ", whole, beside reveals", static_cast<double>(shop.records.size()) / seconds,
      "records/s", "bar", kBar, Bar::least);
  row("reveal p99 while " + name, busy, "us", "twice its idle p99", kSlower * idle, Bar::most);
}

}  // namespace
}  // namespace holdfast::vault

int main(int argc, char** argv) {
  using namespace holdfast;
  if (!prepare_secret_memory()) vault::fail("raise the limit of locked memory");
  char folder[] = "/tmp/holdfast-rotation-XXXXXX";
  if (!mkdtemp(folder)) vault::fail("no temporary folder");
  {
    vault::Shop shop(folder);
    shop.load(argc > 1 ? std::atoi(argv[1]) : 100'000);
    vault::measure(shop, vault::KeyKind::epoch, "wrapping keys again");
    vault::measure(shop, vault::KeyKind::subject, "sealing values again");
  }
  std::filesystem::remove_all(folder);
  return 0;
}
