#include "vault/search/guesses.h"

#include <algorithm>

#include "vault/records/opening.h"
#include "vault/records/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kMsADay = 86'400'000;

std::int64_t day_of(Time now) {
  return to_ms(now) / kMsADay;
}

}  // namespace

Guesses::Guesses(const Query& query, std::vector<const Field*> blind, bool one_customer,
                 const Field* driver)
    : query_(&query),
      blind_(std::move(blind)),
      driver_(driver),
      one_customer_(one_customer),
      watching_(!blind_.empty() &&
                (one_customer || query.conditions.size() + query.filters.size() > 1)) {}

Task<Result<void>> Guesses::read_spent(db::Reader& reader, const std::vector<Openable>& candidates,
                                       Time now, MonoTime deadline) {
  if (!watching_ || candidates.empty()) co_return Result<void>();
  db::List subjects;
  for (const auto& one : candidates)
    subjects.cells.emplace_back(to_bytes(one.record.subject.bytes()));
  auto rows = co_await reader.read(
      kReadSpent, {std::move(subjects), std::int64_t{query_->collection->id}, day_of(now)},
      deadline);
  if (!rows) co_return std::move(rows).error();
  for (std::size_t i = 0; i < rows->size(); ++i)
    spent_.insert({SubjectId::from((*rows)[i].bytes(0)).value_or(SubjectId{}),
                   static_cast<std::uint32_t>((*rows)[i].integer(1))});
  co_return Result<void>();
}

bool Guesses::matches(OpenRecord& record) {
  if (!watching_) return vault::matches(*query_, record);
  auto subject = record.record().subject;
  auto missed = misses(*query_, record);
  bool spent = std::ranges::any_of(
      blind_, [&](const Field* field) { return spent_.contains({subject, field->id}); });
  if (missed.empty()) {
    for (const auto* field : blind_) right_.insert({subject, field->id});
    return !spent;
  }
  const auto* field = missed.front();
  if (driver_ && field == driver_)
    return false;  // another value by now: nobody asked for this record
  bool known = driver_ && std::ranges::find(blind_, driver_) != blind_.end();
  if (known) compared_.push_back(subject);
  if (std::ranges::all_of(missed, [&](const auto* other) { return other == field; }) &&
      std::ranges::find(blind_, field) != blind_.end()) {
    wrong_.insert({subject, field->id});
    missed_.emplace_back(subject, record.record().id);
  }
  return false;
}

void Guesses::count(db::Changes& changes, std::size_t looked, Time now) {
  if (looked > kNamed && !one_customer_) {
    wrong_.clear();
    right_.clear();
    missed_.clear();
  }
  if (wrong_.empty() && right_.empty()) return;
  auto row = [&](const Compared& one, std::int64_t wrong) {
    return db::Args{to_bytes(one.subject.bytes()), std::int64_t{query_->collection->id},
                    std::int64_t{one.field}, day_of(now), wrong};
  };
  changes.write(kDropWrong, {day_of(now)});
  for (const auto& one : wrong_) changes.write(kCountWrong, row(one, 1));
  for (const auto& one : right_)
    if (!spent_.contains(one))
      changes.write(kCountWrong, row(one, 0), db::Expect::exactly(1), values_used_up());
}

}  // namespace holdfast::vault
