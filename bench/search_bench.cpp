// What a search costs inside the server, at a million records on SQLite, beside opening every
// record and looking. Prints JSON lines: name, value, unit, against, against_value, ratio.
//   search_bench [DIR] [RECORDS]   works in a new folder of DIR (default: the temporary directory)
#include <stdlib.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <random>
#include <thread>

#include "bench.h"
#include "journal/log.h"
#include "open_to_all.h"
#include "vault/admission.h"
#include "vault/declarations.h"
#include "vault/draft.h"
#include "vault/search/rebuild.h"
#include "vault/search/service.h"

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

constexpr int kBatch = 20'000;
constexpr int kSearches = 2000;
constexpr int kScanned = 20'000;  // of the peer; scaled to all records

const char* const kOnsets[] = {"m", "s",  "b", "h",  "w",  "c",  "k",  "l",  "r",  "d",
                               "g", "p",  "f", "t",  "n",  "j",  "br", "st", "gr", "sch",
                               "v", "cl", "z", "sh", "tr", "ch", "kr", "fl", "y",  "th"};
const char* const kNuclei[] = {"a", "e", "o", "i", "u", "ei", "oo", "ie", "y", "au"};
const char* const kCodas[] = {"",  "n", "r",  "l",  "s",  "ll", "t",  "rt", "ck",
                              "m", "d", "nd", "tt", "ng", "x",  "rd", "lm", "ss"};
const char* const kEndings[] = {"son", "er", "mann", "ez", "ov", "ton", "ski", "ley"};

/// The front of a list comes more often than its end.
template <std::size_t N>
std::string_view some(const char* const (&from)[N], std::mt19937& random) {
  return from[std::min({random() % N, random() % N})];
}

/// Made of sounds as surnames are; one in three ends as many do.
std::string surname(std::mt19937& random) {
  std::string out;
  auto count = 2 + random() % 2;
  for (unsigned i = 0; i < count; ++i)
    for (auto part : {some(kOnsets, random), some(kNuclei, random), some(kCodas, random)})
      out += part;
  if (random() % 3 == 0) out += some(kEndings, random);
  return out;
}

struct Store_ {
  SystemClock clock;
  crypto::HeldKeys keys{std::make_shared<crypto::KeySet>(crypto::Keyring::make(clock.now()))};
  std::unique_ptr<db::Database> database;
  std::unique_ptr<journal::Log> log;
};

void load(Context& context, const Collection& collection, int records) {
  std::mt19937 random(7);
  const auto* email = collection.find("email");
  const auto* name = collection.find("last_name");
  for (int from = 0; from < records; from += kBatch) {
    auto keys = context.keys.get();
    Draft draft(*keys, context.clock.now());
    for (int i = from; i < std::min(records, from + kBatch); ++i) {
      SubjectKeys subject{SubjectId{}};
      must(draft.add_subject("c" + std::to_string(i), subject));
      std::vector<CheckedValue> values;
      values.push_back({email, Secret::copy("customer." + std::to_string(i) + "@example.org")});
      values.push_back({name, Secret::copy(surname(random))});
      must(draft.add_record(subject, collection, {}, values));
    }
    journal::Event event{.activity = "imports.create", .touches = std::move(draft.touches())};
    must(run(context.journal.commit({}, std::move(draft).changes(), std::move(event))));
  }
}

struct Spread {
  double p50, p99;
};

template <class Request>
Spread timed(Search& search, Request request) {
  std::vector<double> took;
  for (int i = 0; i < kSearches; ++i) {
    auto wanted = request(i);
    auto began = Steady::now();
    auto found = run(search.search({}, std::move(wanted)));
    took.push_back(std::chrono::duration<double, std::milli>(Steady::now() - began).count());
    must(std::move(found));
  }
  std::ranges::sort(took);
  return {took[took.size() / 2], took[took.size() * 99 / 100]};
}

SearchRecords query(std::string field, const std::string& value) {
  SearchRecords out{.collection = "people",
                    .q = {},
                    .match = {},
                    .filter = {},
                    .sort = {},
                    .purpose = "support",
                    .limit = {},
                    .after = {},
                    .on_behalf_of = {}};
  out.q.entries.push_back({{std::move(field), Secret::copy(value), false}, false});
  return out;
}

/// Milliseconds to open one field of every record and look for a part, as without an index.
double scan(Context& context, const Collection& collection, int records) {
  auto work = must(run(begin(context, Caller{})));
  const auto* name = collection.find("last_name");
  RecordId after{};
  int looked = 0, found = 0;
  auto began = Steady::now();
  while (looked < std::min(records, kScanned)) {
    auto page = must(run(context.store.page(collection.id, after, 1000, MonoTime::max())));
    if (page.empty()) break;
    after = page.back().id;
    auto loaded = must(run(context.store.with_keys(std::move(page), MonoTime::max())));
    for (const auto& one : loaded.records) {
      auto record = must(OpenRecord::of(work, collection, one));
      const auto* value = record.value(*name);
      found += value && value->expose_text().contains("qqq");
      ++looked;
    }
  }
  auto took = std::chrono::duration<double, std::milli>(Steady::now() - began).count();
  if (found > 0) fail("the scan found what is not there");
  return took * records / std::max(looked, 1);
}

void measure_all(const std::filesystem::path& dir, int records) {
  Store_ held;
  held.database = must(db::open_sqlite({.dir = dir}, held.clock));
  held.log =
      must(run(journal::Log::open({*held.database, held.keys, held.clock},
                                  {.witness = dir / "witness", .afterlog = dir / "afterlog"})));
  Store store(held.log->reader());
  SchemaCache schemas(*held.log, held.keys);
  Everyone permits;
  Context context{*held.log, store, schemas, held.keys, permits, held.clock};
  Pool pool(2, 64);
  Declarations declarations(context);
  NoBudgets budgets;
  NoAlarms alarms;
  CanaryCache canaries(held.log->reader(), held.keys);
  Admission admission({context, budgets, canaries, alarms});
  Opening opening(context, admission);
  Search search(context, opening, admission, pool);
  Rebuild rebuild(context, pool);

  CollectionSpec spec{.collection = "people", .doc = {}, .fields = {}, .if_match = {}};
  spec.fields = {{.name = "email", .type = FieldType::email},
                 {.name = "last_name", .type = FieldType::name}};
  must(run(declarations.put({}, spec)));
  auto schema = must(run(schemas.get({})));
  load(context, *schema->find("people"), records);

  spec.fields[0].index = IndexKind::exact;
  spec.fields[1].index = IndexKind::substring;
  must(run(declarations.put({}, spec)));
  auto began = Steady::now();
  must(run(rebuild.finish()));
  auto built = std::chrono::duration<double>(Steady::now() - began).count();
  schema = must(run(schemas.get({})));
  auto peer = scan(context, *schema->find("people"), records);

  row("search: records indexed (exact and substring), per second", records / built, "records/s");
  std::mt19937 random(11);
  auto exact = timed(search, [&](int) {
    auto at = static_cast<int>(random() % static_cast<unsigned>(records));
    return query("email", "Customer." + std::to_string(at) + "@example.org");
  });
  row("search: exact, p50", exact.p50, "ms");
  row("search: exact, p99", exact.p99, "ms", "bar", 2, Bar::most);
  auto part = timed(search, [&](int) {
    auto name = surname(random);
    auto size = std::min<std::size_t>(name.size(), 5 + random() % 4);
    return query("last_name", name.substr(random() % (name.size() - size + 1), size));
  });
  row("search: substring of 5 to 8 characters, p50", part.p50, "ms");
  row("search: substring of 5 to 8 characters, p99", part.p99, "ms", "bar", 25, Bar::most);
  row("the same without an index: opening every record", peer, "ms");
  held.database->close();
}

}  // namespace
}  // namespace holdfast::vault

int main(int count, char** args) {
  std::string made =
      (std::filesystem::path(count > 1 ? args[1] : std::filesystem::temp_directory_path()) /
       "search_bench.XXXXXX")
          .string();
  if (!mkdtemp(made.data())) holdfast::vault::fail("cannot make a folder to work in");
  holdfast::vault::measure_all(made, count > 2 ? std::atoi(args[2]) : 1'000'000);
  std::filesystem::remove_all(made);
  return 0;
}
