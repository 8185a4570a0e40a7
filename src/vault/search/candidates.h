// Candidates of a search, by record id: what its terms name, before anything is opened.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/pool.h"
#include "vault/context.h"
#include "vault/search/query.h"

namespace holdfast::vault {

/// What is needed of a search. What it refers to outlives the candidates.
struct Look {
  const Working& work;
  const Query& query;
  MonoTime deadline{};
  std::optional<SubjectId> only{};  // the one customer whom the search may see
  bool guesses = false;             // fields are compared that the caller may not see
  RecordId after{};                 // they come after this one
};

/// All of the one customer whom the search may see; else those that one exact condition names, or
/// all that share the terms of the others, or that have the text in one of its fields. A search
/// that guesses gets everybody whom one of its conditions, its text or its times of creation name,
/// where these are not too many: so that who misses another is seen. Threads: one at a time.
class Candidates {
 public:
  Candidates(const Context& context, const Look& look);
  ~Candidates();

  /// Errors: unavailable (a key or the database), invalid (too many have what is searched for).
  Task<Result<void>> prepare(Pool& pool);
  /// The next ones, at most `count`; none at the end or when enough rows were looked at.
  Task<Result<std::vector<RecordId>>> next(std::size_t count);
  bool done() const;
  /// Where to go on when nothing more is shown now.
  RecordId place() const;

  /// By whose values the candidates were found.
  const Field* driver() const;
  /// By the fields in which a text is looked for.
  bool by_any() const { return by_any_; }
  /// Whether few have what this one is found by, apart from the driver.
  bool tells(RecordId record) const { return named_ || few_.contains(record); }
  /// Whether it is as good as named by one condition, after so many were looked at.
  bool names(RecordId record, std::size_t looked) const;
  /// Whether all that fit the search without these fields are among the candidates.
  bool whole_without(const std::vector<std::uint16_t>& fields) const;

 private:
  class Walk;
  using Ids = std::vector<RecordId>;

  Task<Result<Ids>> by_parts(Pool& pool, std::span<const Condition> conditions);
  Task<Result<std::optional<Ids>>> at_most(Pool& pool, const Condition& one, std::size_t most);
  Task<Result<bool>> watch(Pool& pool);
  Task<Result<bool>> watch_times();
  Task<Result<void>> find_text(Pool& pool);
  void take(Ids all);
  void meet_few();

  const Context& context_;
  Look look_;
  std::unique_ptr<Walk> walk_;
  RecordId last_{};
  std::deque<RecordId> ready_, others_;  // others_: few_ that the walk has not come to
  std::set<RecordId> few_, watched_;
  std::set<std::uint16_t> whole_;  // fields by which all are among the watched
  bool whole_times_ = false;       // or by the times of their creation
  bool gathered_ = false;          // the watched are the candidates
  bool named_ = false;             // all of them
  bool by_any_ = false;
};

std::span<const db::Sql* const> candidate_statements();

}  // namespace holdfast::vault
