#include "vault/search/candidates.h"

#include <algorithm>

#include "vault/index_terms.h"
#include "vault/search/guesses.h"
#include "vault/search/postings.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kRowsPerRead = 1000;
constexpr std::int64_t kMostRows = 200'000;  // of one term, in one page
constexpr std::size_t kMostOfText = 100'000;
constexpr std::size_t kMostWatched = 2'000;  // by one condition

inline constexpr db::Sql kMadeBetween{
    "vault.made_between",
    "select id from vault_records where id >= $1 and id <= $2 and collection = $3 order by id "
    "limit $4"};

Error key_gone() {
  return {Code::unavailable,
          "the key of this index is gone: `holdfast indexes rebuild` makes it anew"};
}

bool is_exact(const Condition& one) {
  return one.index->kind == IndexKind::exact || one.index->kind == IndexKind::unique;
}

std::size_t few_of(const Condition& one) {
  return Guesses::named(one.match == Match::exact ? one.field : nullptr);
}

}  // namespace

/// The records with one value, by an exact condition's terms and tags, in the order of their ids.
class Candidates::Walk {
 public:
  Walk(const Look& look, const Condition& by)
      : by_(&by),
        terms_(*look.work.keys, *by.index),
        term_(terms_.usable() ? terms_.term(by.wanted.expose_text()) : Bytes()) {}

  bool usable() const { return terms_.usable(); }
  /// Looked at every row, or at as many as one page of results may.
  bool over() const { return end_ || rows_ >= kMostRows; }
  bool end() const { return end_; }
  RecordId after() const { return after_; }
  void go_on_after(RecordId after) { after_ = after; }
  const Field* field() const { return by_->field; }

  /// Adds those of the next kRowsPerRead rows.
  Task<Result<void>> step(Store& store, MonoTime deadline, std::deque<RecordId>& into) {
    auto page = co_await store.with_term(by_->index->number, term_, after_, kRowsPerRead, deadline);
    if (!page) co_return std::move(page).error();
    rows_ += static_cast<std::int64_t>(page->size());
    end_ = page->size() < static_cast<std::size_t>(kRowsPerRead);
    if (!page->empty()) after_ = page->back().record;
    auto wanted = by_->wanted.expose_text();
    for (const auto& one : *page)
      if (one.tag.empty() || one.tag == terms_.tag(wanted, one.record)) into.push_back(one.record);
    if (!end_) co_await give_way();
    co_return Result<void>();
  }

 private:
  const Condition* by_;
  BlindTerms terms_;
  Bytes term_;
  RecordId after_{};
  std::int64_t rows_ = 0;
  bool end_ = false;
};

Candidates::Candidates(const Context& context, const Look& look) : context_(context), look_(look) {}
Candidates::~Candidates() = default;

Task<Result<void>> Candidates::prepare(Pool& pool) {
  if (look_.only) {
    auto records = co_await context_.store.records_of(*look_.only, look_.deadline);
    if (!records) co_return std::move(records).error();
    Ids ids;
    for (const auto& one : *records) ids.push_back(one.id);
    take(std::move(ids));
    named_ = true;
    co_return Result<void>();
  }
  const auto& conditions = look_.query.conditions;
  if (look_.guesses &&
      conditions.size() + !look_.query.any.empty() + look_.query.filters.size() > 1) {
    auto whole = co_await watch(pool);
    if (!whole) co_return std::move(whole).error();
    if (*whole) {
      gathered_ = true;
      by_any_ = conditions.empty() && !whole_times_;
      take({watched_.begin(), watched_.end()});
      co_return Result<void>();
    }
  }
  if (conditions.empty()) co_return co_await find_text(pool);
  const Condition* driver = nullptr;
  for (const auto& one : conditions)
    if (is_exact(one) && (!driver || one.index->bits > driver->index->bits)) driver = &one;
  if (!driver) {
    auto records = co_await by_parts(pool, conditions);
    if (!records) co_return std::move(records).error();
    records->insert(records->end(), few_.begin(), few_.end());
    take(std::move(*records));
    co_return Result<void>();
  }
  walk_ = std::make_unique<Walk>(look_, *driver);
  if (!walk_->usable()) co_return key_gone();
  walk_->go_on_after(look_.after);
  others_.assign(few_.upper_bound(look_.after), few_.end());
  co_return Result<void>();
}

/// The records with all parts of these values.
Task<Result<Candidates::Ids>> Candidates::by_parts(Pool& pool,
                                                   std::span<const Condition> conditions) {
  std::deque<BlindTerms> terms;  // outlive what refers to them
  std::vector<PostedTerm> posted;
  for (const auto& one : conditions) {
    terms.emplace_back(*look_.work.keys, *one.index);
    if (!terms.back().usable()) co_return key_gone();
    for (auto& term : terms.back().grams_of_fragment(one.wanted.expose_text()))
      posted.push_back({&terms.back(), std::move(term)});
  }
  co_return co_await records_with_all(context_.journal.reader(), pool, std::move(posted),
                                      look_.deadline);
}

/// Those of one condition; nothing when they are more.
Task<Result<std::optional<Candidates::Ids>>> Candidates::at_most(Pool& pool, const Condition& one,
                                                                 std::size_t most) {
  if (!is_exact(one)) {
    auto found = co_await by_parts(pool, {&one, 1});
    if (!found && found.error().code == Code::invalid) co_return std::nullopt;
    if (!found) co_return std::move(found).error();
    if (found->size() > most) co_return std::nullopt;
    co_return std::move(*found);
  }
  Walk walk(look_, one);
  if (!walk.usable()) co_return key_gone();
  std::deque<RecordId> found;
  while (!walk.over() && found.size() <= most)
    if (auto done = co_await walk.step(context_.store, look_.deadline, found); !done)
      co_return std::move(done).error();
  if (!walk.end() || found.size() > most) co_return std::nullopt;
  co_return Ids(found.begin(), found.end());
}

/// Fills few_ and watched_. True when whoever matches is among the watched: of any one condition
/// all are, of the text all of each of its fields, or of the times of creation.
Task<Result<bool>> Candidates::watch(Pool& pool) {
  bool whole_text = !look_.query.any.empty();
  for (const auto* list : {&look_.query.conditions, &look_.query.any})
    for (const auto& one : *list) {
      auto found = co_await at_most(pool, one, kMostWatched);
      if (!found) co_return std::move(found).error();
      if (list == &look_.query.any && !*found) whole_text = false;
      if (!*found) continue;
      watched_.insert((*found)->begin(), (*found)->end());
      if ((*found)->size() <= few_of(one)) few_.insert((*found)->begin(), (*found)->end());
      if (list == &look_.query.conditions) whole_.insert(one.field->id);
    }
  if (whole_text)
    for (const auto& one : look_.query.any) whole_.insert(one.field->id);
  auto timed = co_await watch_times();
  if (!timed) co_return std::move(timed).error();
  whole_times_ = *timed;
  co_return !whole_.empty() || whole_times_;
}

/// Ids begin with the time of their making. True when filters bound it so that all in between are
/// among the watched.
Task<Result<bool>> Candidates::watch_times() {
  std::optional<Time> from, to;
  for (const auto& one : look_.query.filters) {
    if (one.field || !one.created) continue;
    const bool open = one.op == FilterOp::lt || one.op == FilterOp::gt;
    const auto at = one.time + (open ? Millis(one.op == FilterOp::gt ? 1 : -1) : Millis(0));
    if (one.op == FilterOp::eq || one.op == FilterOp::ge || one.op == FilterOp::gt)
      from = std::max(from.value_or(at), at);
    if (one.op == FilterOp::eq || one.op == FilterOp::le || one.op == FilterOp::lt)
      to = std::min(to.value_or(at), at);
  }
  if (!from && !to) co_return false;
  auto bound = [](std::optional<Time> time, std::uint8_t rest) {
    Bytes out(sizeof(Uuid), rest);
    if (!time) return out;
    auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, to_ms(*time)));
    for (std::size_t i = 6; i-- > 0; ms >>= 8) out[i] = static_cast<std::uint8_t>(ms);
    return out;
  };
  auto rows = co_await context_.journal.reader().read(
      kMadeBetween,
      {bound(from, 0x00), bound(to, 0xff), std::int64_t{look_.query.collection->id},
       static_cast<std::int64_t>(kMostWatched) + 1},
      look_.deadline);
  if (!rows) co_return std::move(rows).error();
  if (rows->size() > kMostWatched) co_return false;
  for (std::size_t i = 0; i < rows->size(); ++i)
    if (auto id = RecordId::from((*rows)[i].bytes(0))) watched_.insert(*id);
  co_return true;
}

/// The records with the text in one of its fields.
Task<Result<void>> Candidates::find_text(Pool& pool) {
  Error many(Code::invalid,
             "more than 100,000 records may have this: give more of it, or narrow it with `q`");
  by_any_ = true;
  Ids all;
  for (const auto& one : look_.query.any) {
    auto found = co_await at_most(pool, one, kMostOfText);
    if (!found) co_return std::move(found).error();
    if (!*found || all.size() + (*found)->size() > kMostOfText)
      co_return std::move(many).at("text");
    if (look_.guesses && (*found)->size() <= few_of(one))
      few_.insert((*found)->begin(), (*found)->end());
    all.insert(all.end(), (*found)->begin(), (*found)->end());
  }
  take(std::move(all));
  co_return Result<void>();
}

void Candidates::take(Ids all) {
  std::ranges::sort(all);
  auto twice = std::ranges::unique(all);
  ready_.assign(std::ranges::upper_bound(all.begin(), twice.begin(), look_.after), twice.begin());
}

/// Puts those among the ready ones that the walk has passed by.
void Candidates::meet_few() {
  bool met = false;
  while (!others_.empty() && (walk_->end() || others_.front() <= walk_->after())) {
    ready_.push_back(others_.front());
    others_.pop_front();
    met = true;
  }
  if (!met) return;
  std::ranges::sort(ready_);
  auto twice = std::ranges::unique(ready_);
  ready_.erase(twice.begin(), twice.end());
}

Task<Result<std::vector<RecordId>>> Candidates::next(std::size_t count) {
  while (ready_.size() < count && walk_ && !walk_->over()) {
    if (auto done = co_await walk_->step(context_.store, look_.deadline, ready_); !done)
      co_return std::move(done).error();
    meet_few();
  }
  Ids out;
  while (!ready_.empty() && out.size() < count) {
    out.push_back(ready_.front());
    ready_.pop_front();
  }
  if (!out.empty()) last_ = out.back();
  co_return out;
}

bool Candidates::done() const {
  return ready_.empty() && (!walk_ || walk_->end());
}

RecordId Candidates::place() const {
  return ready_.empty() && walk_ && !walk_->end() ? walk_->after() : last_;
}

const Field* Candidates::driver() const {
  return walk_ ? walk_->field() : nullptr;
}

bool Candidates::whole_without(const std::vector<std::uint16_t>& fields) const {
  auto outside = [&fields](std::uint16_t field) {
    return std::ranges::find(fields, field) == fields.end();
  };
  if (walk_) return walk_->end() && outside(walk_->field()->id);
  return whole_times_ || std::ranges::any_of(whole_, outside);
}

std::span<const db::Sql* const> candidate_statements() {
  static constexpr const db::Sql* kAll[] = {&kMadeBetween};
  return kAll;
}

bool Candidates::names(RecordId record, std::size_t looked) const {
  if (tells(record)) return true;
  if (by_any_ || gathered_) return false;
  const auto most = Guesses::named(driver());
  // More than a few are of one person even when not all were looked at.
  return looked <= most && (done() || most > Guesses::named(nullptr));
}

}  // namespace holdfast::vault
