#include "vault/search/rebuild.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "vault/declarations.h"
#include "vault/index_plan.h"
#include "vault/index_terms.h"
#include "vault/policy.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kBatch = 2000;
constexpr std::int64_t kContendedBatch = 150;
constexpr std::int64_t kDropBatch = 5000;
constexpr std::int64_t kFirstCheck = 1024;
constexpr std::int64_t kDuplicateWait = 600;  // steps of run(): about ten minutes
constexpr Millis kTurn{2};
constexpr Millis kRest{100};
constexpr int kRests = 10;

inline constexpr db::Sql kAllStates{
    "vault.all_states",
    "select number, collection, field, after, done, total, counted, largest, duplicates, damaged "
    "from vault_index_state order by number"};
inline constexpr db::Sql kGoOn{
    "vault.index_go_on",
    "update vault_index_state set after = $3, done = done + $4, damaged = "
    "damaged + $5 where number = $1 and after = $2"};
inline constexpr db::Sql kSetTotal{"vault.index_set_total",
                                   "update vault_index_state set total = $2 where number = $1"};
inline constexpr db::Sql kSetCounts{
    "vault.index_set_counts",
    "update vault_index_state set counted = $2, largest = $3, duplicates = $4, total = $5 "
    "where number = $1"};
inline constexpr db::Sql kForgetState{"vault.index_forget",
                                      "delete from vault_index_state where number = $1"};
inline constexpr db::Sql kFillTerm{"vault.fill_term",
                                   "insert into vault_index (number, term, record, tag) "
                                   "values ($1, $2, $3, $4) on conflict do nothing"};
/// Versions only grow, so that count and sum are as they were read only if every record is.
inline constexpr db::Sql kUnchanged{
    "vault.records_unchanged",
    "select count(*) from (select version from vault_records where id {{in $1}} {{for share}}) r "
    "having count(*) = $2 and cast(sum(version) as {{int}}) = $3"};
inline constexpr db::Sql kSomeTerms{
    "vault.some_terms", "select term, record from vault_index where number = $1 limit $2"};
inline constexpr db::Sql kSomeBlocks{
    "vault.some_blocks", "select term, block from vault_postings where number = $1 limit $2"};
inline constexpr db::Sql kDropBlock{
    "vault.drop_block",
    "delete from vault_postings where number = $1 and term = $2 and block = $3"};

Task<void> rest(Millis time) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

bool is_posted(IndexKind kind) {
  return kind == IndexKind::prefix || kind == IndexKind::substring;
}

/// What a batch of records adds to an index.
struct Filled {
  std::vector<db::Args> terms, blocks;
  std::int64_t damaged = 0;
};

Filled fill(const Working& work, const Collection& collection, const Field& field,
            const BlindTerms& terms, const Loaded& loaded) {
  Filled out;
  std::map<Bytes, std::vector<Posting>> postings;
  for (const auto& openable : loaded.records) {
    const auto& record = openable.record;
    auto fields = unpack(record.sealed);
    if (!fields) {
      ++out.damaged;
      continue;
    }
    auto sealed = std::ranges::find(*fields, field.id, &SealedField::field);
    if (sealed == fields->end()) continue;
    auto value = openable.keys->open(
        *work.keys, field.keep_group,
        {record.subject, record.id, collection.id, field.id, sealed->since}, sealed->sealed);
    if (!value) {
      out.damaged += value.error().code == Code::corrupt;
      continue;
    }
    auto normal = index_term(field, value->expose_text(), terms.index().calling_code);
    if (normal.empty()) continue;
    auto text = normal.expose_text();
    auto id = to_bytes(record.id.bytes());
    if (!is_posted(terms.index().kind)) {
      out.terms.push_back(
          {terms.index().number, terms.term(text), std::move(id), terms.tag(text, record.id)});
      continue;
    }
    for (auto& term : terms.grams(text))
      postings[std::move(term)].push_back(
          {record.id, static_cast<std::uint32_t>(record.version), true});
  }
  std::ranges::sort(out.terms, [](const db::Args& a, const db::Args& b) {
    return std::get<Bytes>(a[1]) < std::get<Bytes>(b[1]);
  });
  for (auto& [term, entries] : postings)
    for (std::size_t at = 0; at < entries.size(); at += kBlockEntries) {
      auto part = std::span(entries).subspan(at, std::min(kBlockEntries, entries.size() - at));
      Bytes block(8);
      random_public(block);
      auto sealed = terms.seal_block(term, block, part);
      out.blocks.push_back({terms.index().number, term, std::move(block), block_kind(part),
                            static_cast<std::int64_t>(part.size()), std::move(sealed)});
    }
  return out;
}

Field* find_field(Collection& collection, std::uint16_t id) {
  auto found = std::ranges::find(collection.fields, id, &Field::id);
  return found == collection.fields.end() ? nullptr : &*found;
}

int bits_in_use(const Collection& collection) {
  std::int64_t out = 0;
  for (const auto& field : collection.fields)
    if (const auto* index = field.serving(); index && index->kind == IndexKind::exact)
      out += index->bits;
  return static_cast<int>(out);
}

}  // namespace

Task<Result<Rebuild::States>> Rebuild::states() {
  auto rows = co_await context_.journal.reader().read(kAllStates, {});
  if (!rows) co_return std::move(rows).error();
  States out;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = (*rows)[i];
    out.emplace(row.integer(0), State{row.integer(0),
                                      row.integer(1),
                                      row.integer(2),
                                      row.integer(4),
                                      row.integer(5),
                                      to_bytes(row.bytes(3)),
                                      {row.integer(6), row.integer(7), row.integer(8)},
                                      row.integer(9)});
  }
  co_return out;
}

/// A new version of a collection's declaration, with what goes with it in the same commit.
Task<Result<void>> Rebuild::change(const Working& work, const Collection& old, Collection next,
                                   db::Changes more, journal::Event event) {
  next.version = old.version + 1;
  next.updated = work.now;
  db::Changes changes;
  publish(*work.keys, &old, next, changes, event);
  changes.append(std::move(more));
  auto done = co_await context_.journal.commit(Caller{.generation = work.schema->generation},
                                               std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return Result<void>();
}

/// Declares what is missing: after a change of the index key, or where an index was never made.
Task<Result<bool>> Rebuild::settle(const Working& work) {
  auto key = work.keys->ring.active_id(crypto::KeyUse::index);
  for (const auto& [name, collection] : work.schema->collections) {
    auto next = collection;
    if (!settle_indexes(next, 1, key, work.schema->generation)) continue;
    auto done = co_await change(work, collection, std::move(next), {},
                                {.activity = "collections.index_declare"});
    if (!done) co_return std::move(done).error();
    co_return true;
  }
  co_return false;
}

/// Sizes the index by the records that there are, before its first batch.
Task<Result<bool>> Rebuild::begin_build(const Working& work, const Collection& collection,
                                        const Field& field, const IndexInfo& index) {
  auto count = co_await growth_.look(context_.journal.reader(), collection.id);
  if (!count) co_return std::move(count).error();
  if (!count->complete) co_return true;
  auto total = std::max<std::int64_t>(count->records, 1);
  db::Changes changes;
  if (index.kind == IndexKind::exact) {
    int most = 24;
    if (const auto* serving = field.serving(); serving && serving->kind == IndexKind::exact) {
      auto all = co_await states();
      if (!all) co_return std::move(all).error();
      if (auto found = all->find(serving->number); found != all->end())
        most = bits_for_skew(found->second.found, static_cast<int>(serving->bits));
    }
    auto bits = planned_bits(field, total, exact_indexes(collection), most);
    if (bits != index.bits) {
      auto next = collection;
      renew_index(next, *find_field(next, field.id), bits, static_cast<std::uint32_t>(index.key),
                  work.schema->generation);
      changes.write(kSetTotal, {find_field(next, field.id)->indexes.back().number, total},
                    db::Expect::exactly(1));
      auto done = co_await change(work, collection, std::move(next), std::move(changes),
                                  {.activity = "collections.index_declare"});
      if (!done) co_return std::move(done).error();
      co_return true;
    }
  }
  changes.write(kSetTotal, {index.number, total}, db::Expect::exactly(1));
  auto done = co_await context_.journal.commit(
      Caller{.generation = work.schema->generation}, std::move(changes),
      {.activity = "collections.index_begin",
       .collection = collection.name,
       .fields = {field.name},
       .facts = {{"index", index.number}, {"records", total}}});
  if (!done) co_return std::move(done).error();
  co_return true;
}

Task<Result<bool>> Rebuild::build(const Working& work, const Collection& collection,
                                  const Field& field, const IndexInfo& index, const State& state) {
  if (state.total == 0) co_return co_await begin_build(work, collection, field, index);
  auto limit = context_.journal.busy() ? kContendedBatch : kBatch;
  auto after = RecordId::from(state.after).value_or(RecordId{});
  auto page = co_await context_.store.page(collection.id, after, limit, MonoTime::max());
  if (!page) co_return std::move(page).error();
  if (page->empty()) co_return co_await end_build(work, collection, field, index, state);
  db::List ids;
  std::int64_t count = 0, versions = 0;
  for (const auto& record : *page) {
    ids.cells.emplace_back(to_bytes(record.id.bytes()));
    ++count;
    versions += record.version;
  }
  // Whoever writes since the index was declared fills it too. So the first page that is not full is
  // the last: else records that come meanwhile, whose ids lie behind, would be followed for ever.
  const bool whole = count < limit;
  auto last = whole ? Bytes(sizeof(Uuid), 0xff) : to_bytes(page->back().id.bytes());
  auto loaded = co_await context_.store.with_keys(std::move(*page), MonoTime::max());
  if (!loaded) co_return std::move(loaded).error();
  BlindTerms terms(*work.keys, index);
  if (!terms.usable()) co_return false;  // settle() declares another
  auto filled = co_await pool_.run(
      [&]() -> Result<Filled> { return fill(work, collection, field, terms, *loaded); });
  if (!filled) co_return std::move(filled).error();

  db::Changes changes;
  changes.write(kGoOn, {index.number, state.after, last, count, filled->damaged},
                db::Expect::exactly(1));
  changes.bulk(kFillTerm, std::move(filled->terms));
  changes.bulk(kAddBlock, std::move(filled->blocks));
  changes.guard(kUnchanged, {std::move(ids), count, versions});
  changes.growing();
  auto done = co_await context_.journal.commit(
      Caller{.generation = work.schema->generation}, std::move(changes),
      {.activity = "collections.index_build",
       .collection = collection.name,
       .fields = {field.name},
       .facts = {{"index", index.number}, {"records", count}}});
  if (!done) co_return std::move(done).error();
  looked_ += count;
  co_return true;
}

/// The fresh index answers from here on. The old one's rows are nobody's, and drop() takes them.
Task<Result<bool>> Rebuild::end_build(const Working& work, const Collection& collection,
                                      const Field& field, const IndexInfo& index,
                                      const State& state) {
  Distribution found;
  if (!is_posted(index.kind)) {
    if (auto& wait = waits_[index.number]; wait > 0) {
      --wait;
      co_return false;
    }
    auto measured = co_await measure(context_.journal.reader(), index.number);
    if (!measured) co_return std::move(measured).error();
    found = *measured;
  }
  if (index.kind != IndexKind::unique) found.duplicates = 0;
  const bool alarm = !alarm_of(field, index, found, state.damaged).empty();
  const auto bits = static_cast<int>(index.bits);
  const auto* serving = field.serving();  // begin_build() has its distribution, if it is exact too
  const bool fewer_bits_help = index.kind == IndexKind::exact &&
                               (!serving || serving->kind != IndexKind::exact) &&
                               bits_for_skew(found, bits) < bits;
  // Records at the last look: with none, check() looks at once, and makes the index smaller.
  const auto looked_at = fewer_bits_help ? 0 : state.total;
  db::Changes changes;
  changes.write(kSetCounts, {index.number, found.rows, found.largest, found.duplicates, looked_at},
                db::Expect::exactly(1));
  journal::Event event{.activity = alarm ? "collections.index_alarm" : "collections.index_ready",
                       .collection = collection.name,
                       .fields = {field.name},
                       .facts = {{"index", index.number},
                                 {"rows", found.rows},
                                 {"largest", found.largest},
                                 {"duplicates", found.duplicates}}};
  if (found.duplicates > 0) {
    waits_[index.number] = kDuplicateWait;
    if (state.found.duplicates == found.duplicates) co_return false;
    auto done = co_await context_.journal.commit(Caller{.generation = work.schema->generation},
                                                 std::move(changes), std::move(event));
    if (!done) co_return std::move(done).error();
    co_return false;
  }
  waits_.erase(index.number);
  auto next = collection;
  auto& changed = *find_field(next, field.id);
  std::erase_if(changed.indexes, [&](const IndexInfo& one) { return one.number != index.number; });
  changed.indexes.front().serving = true;
  auto done =
      co_await change(work, collection, std::move(next), std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return true;
}

/// Rows of an index that no field declares any more.
Task<Result<bool>> Rebuild::drop(const Working& work, const State& state) {
  auto& reader = context_.journal.reader();
  auto limit = context_.journal.busy() ? kContendedBatch : kDropBatch;
  db::Changes changes;
  auto terms = co_await reader.read(kSomeTerms, {state.number, limit});
  if (!terms) co_return std::move(terms).error();
  auto blocks = co_await reader.read(kSomeBlocks, {state.number, limit});
  if (!blocks) co_return std::move(blocks).error();
  std::vector<db::Args> gone;
  for (std::size_t i = 0; i < terms->size(); ++i)
    gone.push_back({state.number, to_bytes((*terms)[i].bytes(0)), to_bytes((*terms)[i].bytes(1))});
  changes.bulk(kDropTerm, std::move(gone));
  gone.clear();
  for (std::size_t i = 0; i < blocks->size(); ++i)
    gone.push_back(
        {state.number, to_bytes((*blocks)[i].bytes(0)), to_bytes((*blocks)[i].bytes(1))});
  changes.bulk(kDropBlock, std::move(gone));
  bool last = terms->empty() && blocks->empty();
  if (last) changes.write(kForgetState, {state.number});
  auto rows = static_cast<std::int64_t>(terms->size() + blocks->size());
  auto done = co_await context_.journal.commit(
      Caller{.generation = work.schema->generation}, std::move(changes),
      {.activity = "collections.index_drop",
       .facts = {{"index", state.number}, {"rows", rows}, {"last", std::int64_t{last}}}});
  if (!done) co_return std::move(done).error();
  co_return true;
}

Task<Result<bool>> Rebuild::check_one(const Working& work, const Collection& collection,
                                      const Field& field, const IndexInfo& index,
                                      std::int64_t records) {
  auto found = co_await measure(context_.journal.reader(), index.number);
  if (!found) co_return std::move(found).error();
  found->duplicates = 0;
  auto bits = static_cast<int>(index.bits);
  auto planned =
      planned_bits(field, records, exact_indexes(collection), bits_for_skew(*found, bits));
  bool resize = resize_due(bits, planned, records, bits_in_use(collection));
  bool alarm = !alarm_of(field, index, *found, 0).empty();
  db::Changes changes;
  changes.write(kSetCounts, {index.number, found->rows, found->largest, std::int64_t{0}, records},
                db::Expect::exactly(1));
  journal::Event event{.activity = alarm ? "collections.index_alarm" : "collections.index_check",
                       .collection = collection.name,
                       .fields = {field.name},
                       .facts = {{"index", index.number},
                                 {"rows", found->rows},
                                 {"largest", found->largest},
                                 {"bits", index.bits},
                                 {"planned_bits", std::int64_t{planned}}}};
  if (!resize) {
    auto done = co_await context_.journal.commit(Caller{.generation = work.schema->generation},
                                                 std::move(changes), std::move(event));
    if (!done) co_return std::move(done).error();
    co_return true;
  }
  auto next = collection;
  renew_index(next, *find_field(next, field.id), planned, static_cast<std::uint32_t>(index.key),
              work.schema->generation);
  auto done =
      co_await change(work, collection, std::move(next), std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  co_return true;
}

/// Looks at the distribution again at each doubling of the records, and when most of them went. Not
/// during an import: it would make an index larger again and again.
Task<Result<bool>> Rebuild::check(const Working& work, const States& states) {
  if (context_.journal.load() == db::Load::bulk) co_return false;
  bool more = false;
  for (const auto& [name, collection] : work.schema->collections) {
    if (exact_indexes(collection) == 0) continue;
    auto count = co_await growth_.look(context_.journal.reader(), collection.id);
    if (!count) co_return std::move(count).error();
    if (!count->complete) {
      more = true;
      continue;
    }
    for (const auto& field : collection.fields) {
      const auto* index = field.serving();
      if (!index || index->kind != IndexKind::exact || field.indexes.size() != 1) continue;
      auto state = states.find(index->number);
      if (state == states.end()) continue;
      auto counted = state->second.total;  // records at the last look
      bool grew = count->records >= kFirstCheck && count->records >= 2 * counted;
      bool shrank = counted >= 4 * std::max(count->records, kFirstCheck);
      if (grew || shrank)
        co_return co_await check_one(work, collection, field, *index, count->records);
    }
  }
  co_return more;
}

void Rebuild::count(const Working& work, const States& states) {
  std::int64_t building = 0, alarms = 0;
  for (const auto& [name, collection] : work.schema->collections)
    for (const auto& field : collection.fields)
      for (const auto& index : field.indexes) {
        building += !index.serving;
        if (auto state = states.find(index.number); state != states.end())
          alarms += !alarm_of(field, index, state->second.found, state->second.damaged).empty();
      }
  building_ = building;
  alarms_ = alarms;
}

Task<Result<bool>> Rebuild::step() {
  while (busy_.exchange(true)) co_await rest(kTurn);
  struct Turn {
    std::atomic<bool>& busy;
    ~Turn() { busy = false; }
  } turn{busy_};
  co_return co_await step_in_turn();
}

Task<Result<bool>> Rebuild::step_in_turn() {
  auto work = co_await begin(context_, Caller{});
  if (!work) co_return std::move(work).error();
  auto settled = co_await settle(*work);
  if (!settled || *settled) co_return settled;
  auto all = co_await states();
  if (!all) co_return std::move(all).error();
  count(*work, *all);
  std::map<std::int64_t, IndexInfo> declared;
  for (const auto& [name, collection] : work->schema->collections)
    for (const auto& field : collection.fields)
      for (const auto& index : field.indexes) {
        declared.emplace(index.number, index);
        if (index.serving) continue;
        auto state = all->find(index.number);
        if (state == all->end())
          co_return Error(Code::corrupt,
                          "the state of an index is missing: `holdfast indexes rebuild`");
        auto more = co_await build(*work, collection, field, index, state->second);
        if (!more || *more) co_return more;
      }
  for (const auto& [number, state] : *all)
    if (!declared.contains(number)) co_return co_await drop(*work, state);
  auto merged = co_await compaction_.step(*work, std::move(declared));
  if (!merged || *merged) co_return merged;
  co_return co_await check(*work, *all);
}

Task<Result<void>> Rebuild::finish() {
  for (;;) {
    auto more = co_await step();
    if (!more && more.error().code != Code::conflict && more.error().code != Code::stale)
      co_return std::move(more).error();
    if (more && !*more && !compaction_.scanning()) co_return Result<void>();
  }
}

Task<void> Rebuild::run(std::function<void(const Error*)> tell) {
  bool failing = false;
  while (!stopping_) {
    auto more = co_await step();
    bool again = !more && (more.error().code == Code::conflict || more.error().code == Code::stale);
    bool failed = !more && !again && more.error().code != Code::locked;
    if (failed && !failing) tell(&more.error());
    if (!failed && failing) tell(nullptr);
    failing = failed;
    if (more && *more) {
      // Others go first.
      co_await rest(context_.journal.busy() ? Millis{20} : Millis{1});
      continue;
    }
    for (int i = 0; i < (again ? 1 : kRests) && !stopping_; ++i) co_await rest(kRest);
  }
}

Task<Result<void>> Rebuild::renew_damaged() {
  auto work = co_await begin(context_, Caller{});
  if (!work) co_return std::move(work).error();
  auto all = co_await states();
  if (!all) co_return std::move(all).error();
  auto key = work->keys->ring.active_id(crypto::KeyUse::index);
  std::vector<std::string> names;
  for (const auto& [name, collection] : work->schema->collections) names.push_back(name);
  for (const auto& name : names) {
    const auto* collection = work->schema->find(name);
    if (!collection) continue;
    auto next = *collection;
    bool renewed = false;
    for (auto& field : next.fields) {
      const auto* serving = field.serving();
      if (!serving || field.indexes.size() != 1 || !fits(next, field, *serving, key)) continue;
      auto state = all->find(serving->number);
      if (state == all->end() || state->second.damaged == 0) continue;
      renew_index(next, field, 0, key, work->schema->generation);
      renewed = true;
    }
    if (!renewed) continue;
    auto done = co_await change(*work, *collection, std::move(next), {},
                                {.activity = "collections.index_declare"});
    if (!done) co_return done;
    work = co_await begin(context_, Caller{});
    if (!work) co_return std::move(work).error();
  }
  co_return Result<void>();
}

Task<Result<std::int64_t>> Rebuild::under_key(std::uint32_t key) {
  auto work = co_await begin(context_, Caller{});
  if (!work) co_return std::move(work).error();
  auto all = co_await states();
  if (!all) co_return std::move(all).error();
  std::int64_t out = 0;
  for (const auto& [name, collection] : work->schema->collections)
    for (const auto& field : collection.fields)
      for (const auto& index : field.indexes) {
        out += index.key == key;
        all->erase(index.number);
      }
  // What is left has rows of any key.
  co_return out + static_cast<std::int64_t>(all->size());
}

std::span<const db::Sql* const> rebuild_statements() {
  static constexpr const db::Sql* kAll[] = {&kAllStates,   &kGoOn,     &kSetTotal,  &kSetCounts,
                                            &kForgetState, &kFillTerm, &kUnchanged, &kSomeTerms,
                                            &kSomeBlocks,  &kDropBlock};
  return kAll;
}

}  // namespace holdfast::vault
