#include "vault/import/run.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "vault/records/unique_tries.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kBatch = 2'000;
constexpr std::size_t kContendedBatch = 150;
constexpr std::size_t kSealedAtOnce = 2;  // while one is written
constexpr int kOutrun = 30;               // times that a batch is made again
constexpr std::size_t kListedRefusals = 10'000;
constexpr std::string_view kMainSlot = "main";
constexpr std::string_view kCreate = "imports.create";

/// Errors: those of carry_over() for one row.
template <class Rows>
Result<void> carry_all(const Working& work, Rows& rows) {
  for (auto& row : rows)
    if (auto done = carry_over(work, row); !done) return done;
  return {};
}

}  // namespace

void ImportRun::refuse(Place place, std::string_view reason, const FieldPath& field) {
  staged_.refused += 1;
  if (staged_.refusals.size() < kListedRefusals)
    staged_.refusals.push_back(refusal(place, reason, field.text()));
}

void ImportRun::unstage() {
  report_.rows += staged_.rows;
  report_.refused += staged_.refused;
  for (auto& one : staged_.refusals)
    if (report_.refusals.size() < kListedRefusals) report_.refusals.push_back(std::move(one));
  staged_ = {};
}

void ImportRun::check_row(ImportRow& row) {
  CheckedRow out{.external_id = std::move(row.external_id), .place = row.place, .records = {}};
  for (auto& record : row.records) {
    const auto* collection = work_.schema->find(record.collection);
    if (!collection)
      return refuse(row.place, "the collection is not declared", FieldPath(record.collection));
    CheckedRecord checked{
        .collection = collection,
        .slot = record.key.empty() ? std::string(kMainSlot) : std::move(record.key),
        .values = {},
        .unique = {}};
    for (std::size_t i = 0; i < record.values.size(); ++i) {
      auto& [name, text] = record.values[i];
      auto place = i < record.places.size() ? record.places[i] : row.place;
      const auto* field = collection->find(name);
      if (!field)
        return refuse(place, "the collection does not declare this field", FieldPath(name));
      auto value = checked_value(*field, text);
      wipe(text);
      if (!value) return refuse(place, value.error().text, FieldPath(name));
      add_unique(*work_.keys, *field, *value, checked.unique);
      checked.values.push_back({field, std::move(*value), false});
    }
    out.records.push_back(std::move(checked));
  }
  ready_.push_back(std::move(out));
}

/// On the pool: everything that the chunk makes complete.
Result<ImportRun::Step> ImportRun::parse(std::string_view chunk, bool end) {
  if (end)
    source_.finish();
  else
    source_.feed(chunk);
  for (;;) {
    switch (source_.next()) {
      case ReadEvent::more:
        return Step::more;
      case ReadEvent::end:
        return Step::end;
      case ReadEvent::row:
        staged_.rows += 1;
        check_row(source_.row());
        break;
      case ReadEvent::refused:
        staged_.rows += 1;
        refuse(source_.refusal().place, source_.refusal().reason, source_.refusal().field);
        break;
      case ReadEvent::failed:
        refuse(source_.refusal().place, source_.refusal().reason, source_.refusal().field);
        failure_ = source_.refusal().reason;
        return Step::failed;
    }
  }
}

/// A unique field that the caller may not compare: which of the rows are refused would say who has
/// a value, of as many as a file has lines.
Task<Result<void>> ImportRun::may_compare_unique(const Working& work,
                                                 const std::vector<CheckedRow>& rows) {
  std::set<const Field*> asked;
  for (const auto& row : rows)
    for (const auto& record : row.records)
      for (const auto& [field, index, term] : record.unique) {
        if (!asked.insert(field).second ||
            may_compare(context_, work, caller_, *record.collection, *field))
          continue;
        journal::Event event{.activity = kCreate,
                             .outcome = journal::Outcome::refused,
                             .reason = "forbidden",
                             .collection = record.collection->name,
                             .fields = {field->name}};
        auto caller = caller_;
        caller.generation = 0;  // a refusal holds under any policy
        auto recorded = co_await context_.journal.commit(caller, {}, std::move(event));
        if (!recorded) co_return std::move(recorded).error();
        co_return Error(Code::forbidden,
                        "this field is unique, and an import says which of its rows others have: "
                        "it takes a key with view verify on it, such as the owner's; this try was "
                        "recorded")
            .at(field->name);
      }
  co_return Result<void>();
}

Task<Result<SealedRows>> ImportRun::prepare(Working work, const std::vector<CheckedRow>& rows) {
  if (auto may = co_await may_compare_unique(work, rows); !may) co_return std::move(may).error();
  auto stored = co_await known_of(context_, *work.keys, rows, caller_.deadline);
  if (!stored) co_return std::move(stored).error();
  co_return co_await uses_.pool.run([&] { return seal_rows(work, report_.import, rows, *stored); });
}

/// When somebody else wrote or erased one of these customers meanwhile, or the policy changed, the
/// batch is made again from what is stored now.
Task<Result<void>> ImportRun::write(Working work, std::vector<CheckedRow> rows, SealedRows sealed) {
  // A key that expires makes nothing stale.
  if (auto may = co_await context_.permits.still(caller_, kCreate); !may) co_return may;
  for (int tries = 0; !sealed.event.touches.empty(); ++tries) {
    auto done = co_await context_.journal.commit(caller_, std::move(sealed.changes.growing()),
                                                 std::move(sealed.event));
    if (done) break;
    auto code = done.error().code;
    if (tries == kOutrun || (code != Code::stale && code != Code::conflict && code != Code::gone))
      co_return std::move(done).error();
    auto renewed = co_await context_.permits.renewed(caller_);
    if (!renewed) co_return std::move(renewed).error();
    if (!context_.permits.may(*renewed, kCreate))
      co_return Error(Code::forbidden,
                      "this key may not import any more: what went in before stays");
    caller_ = std::move(*renewed);
    auto fresh = co_await begin(context_, caller_);
    if (!fresh) co_return std::move(fresh).error();
    auto carried = carry_all(*fresh, rows);  // before the old schema goes
    if (!carried) co_return carried;
    work = *fresh;
    renewed_ = std::move(*fresh);
    auto again = co_await prepare(work, rows);
    if (!again) co_return std::move(again).error();
    sealed = std::move(*again);
  }
  for (auto& one : sealed.refused) {
    report_.refused += 1;
    if (report_.refusals.size() < kListedRefusals) report_.refusals.push_back(std::move(one));
  }
  report_.customers += sealed.customers;
  report_.created += sealed.created;
  report_.updated += sealed.updated;
  report_.unchanged += sealed.unchanged;
  uses_.publish(report_);
  if (sealed.later.empty()) co_return Result<void>();
  std::vector<CheckedRow> later;
  for (auto row : sealed.later) later.push_back(std::move(rows[row]));
  auto next = co_await prepare(work, later);
  if (!next) co_return std::move(next).error();
  co_return co_await write(work, std::move(later), std::move(*next));
}

/// Waits for the batch that is being written.
Task<Result<void>> ImportRun::landed() {
  if (!writing_) co_return Result<void>();
  auto done = co_await writing_->wait();
  writing_.reset();
  writing_customers_.clear();
  co_return done;
}

/// After a batch landed: true when it was decided under a newer policy, which then holds for these
/// rows, for those that are being sealed, and for what waits behind them.
Task<Result<bool>> ImportRun::caught_up(std::vector<CheckedRow>& rows) {
  if (!renewed_) co_return false;
  auto newer = std::move(*renewed_);
  renewed_.reset();
  if (auto done = carry_all(newer, rows); !done) co_return std::move(done).error();
  for (auto& batch : sealing_) {
    (void)co_await batch.sealed.wait();  // it reads the rows; what it made is made again
    if (auto done = carry_all(newer, *batch.rows); !done) co_return std::move(done).error();
    batch.sealed = Later<Result<SealedRows>>(co_await boost::asio::this_coro::executor,
                                             prepare(newer, *batch.rows));
  }
  if (next_)
    if (auto done = carry_all(newer, *next_); !done) co_return std::move(done).error();
  if (auto done = carry_all(newer, ready_); !done) co_return std::move(done).error();
  work_ = std::move(newer);
  co_return true;
}

/// Hands sealed batches to the database, one after another, until at most `most` are left. After
/// a failure the rest is waited for, but not written.
Task<Result<void>> ImportRun::pass_on(std::size_t most) {
  Result<void> out;
  while (sealing_.size() > most || (!out && !sealing_.empty())) {
    auto batch = std::move(sealing_.front());
    sealing_.pop_front();
    auto sealed = co_await batch.sealed.wait();
    if (out && !sealed) out = sealed.error();
    if (auto done = co_await landed(); out && !done) out = std::move(done);
    if (!out) continue;
    auto newer = co_await caught_up(*batch.rows);
    if (newer && *newer) sealed = co_await prepare(work_, *batch.rows);
    if (!newer || !sealed) {
      out = newer ? std::move(sealed).error() : std::move(newer).error();
      continue;
    }
    writing_customers_ = std::move(batch.customers);
    writing_.emplace(co_await boost::asio::this_coro::executor,
                     write(work_, std::move(*batch.rows), std::move(*sealed)));
  }
  co_return out;
}

Task<Result<void>> ImportRun::flush(bool all) {
  while (ready_.size() >= batch_ || (all && !ready_.empty())) {
    next_ = std::make_unique<std::vector<CheckedRow>>();
    std::set<std::string> customers;
    bool repeats = false;
    while (!ready_.empty() && next_->size() < batch_ &&
           customers.insert(ready_.front().external_id).second) {
      const auto& one = ready_.front().external_id;
      auto has_it = [&](const Batch& batch) { return batch.customers.contains(one); };
      repeats |= writing_customers_.contains(one) || std::ranges::any_of(sealing_, has_it);
      next_->push_back(std::move(ready_.front()));
      ready_.pop_front();
    }
    if (auto done = co_await pass_on(repeats ? 0 : kSealedAtOnce - 1); !done) co_return done;
    // A customer who comes again must be seen as the batch before left them.
    if (repeats)
      if (auto done = co_await landed(); !done) co_return done;
    // Ids begin with the time: those of a batch lie side by side, behind those of the one before.
    // All of one time would be spread over everything that this import wrote.
    work_.now = context_.clock.now();
    auto sealed = Later<Result<SealedRows>>(co_await boost::asio::this_coro::executor,
                                            prepare(work_, *next_));
    sealing_.push_back({std::move(next_), std::move(customers), std::move(sealed)});
    batch_ = context_.journal.load() == db::Load::others ? kContendedBatch : kBatch;
  }
  if (all) co_return co_await pass_on(0);
  co_return Result<void>();
}

Task<Result<ImportReport>> ImportRun::run(http::BodyReader& body) {
  Step step = Step::more;
  Result<void> outcome;
  while (step == Step::more && outcome) {
    auto chunk = co_await body.next();
    if (!chunk) {
      outcome = std::move(chunk).error();
      break;
    }
    report_.bytes += static_cast<std::int64_t>(chunk->size());
    auto parsed = co_await uses_.pool.run([&] { return parse(*chunk, chunk->empty()); });
    unstage();
    if (!parsed) {
      outcome = std::move(parsed).error();
      break;
    }
    step = *parsed;
    outcome = co_await flush(step == Step::end);
  }
  auto last = co_await pass_on(0);
  if (outcome && !last) outcome = std::move(last);
  last = co_await landed();
  if (outcome && !last) outcome = std::move(last);
  const auto& columns = source_.columns();
  report_.shape = columns.shape;
  report_.unknown_columns = columns.unknown;
  for (const auto& one : columns.left_out)
    report_.left_out.push_back({one.column, std::string(one.reason)});
  if (!outcome) failure_ = outcome.error().text;
  report_.failure = failure_;
  report_.state = failure_.empty() ? ImportState::done : ImportState::failed;
  uses_.publish(report_);
  if (!outcome) co_return std::move(outcome).error();
  co_return std::move(report_);
}

}  // namespace holdfast::vault
