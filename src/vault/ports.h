// What the vault asks of the rest of the program; app/wiring connects it.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "base/caller.h"
#include "base/result.h"
#include "base/task.h"
#include "db/changes.h"
#include "journal/access_index.h"
#include "vault/types.h"

namespace holdfast::vault {

struct FieldQuestion {
  std::string_view operation;  // "records.reveal"
  std::string_view collection;
  std::string_view field;
  FieldClass field_class;
  std::string_view purpose;  // empty for masked reads, which need none
};

/// Access control: the highest view of a field that this caller has for this purpose.
/// Pure and fast (at most 2 µs); works on the snapshot inside the caller.
class Permits {
 public:
  virtual ~Permits() = default;
  virtual View view(const Caller& caller, const FieldQuestion& question) const = 0;
  /// The caller with `on_behalf_of` set, when its key may speak for that kind of person.
  /// Errors: forbidden, invalid (not `kind:id`).
  virtual Result<Caller> acting_for(Caller caller, std::string_view person) const = 0;
  /// Whether the caller may use a further operation (an import that declares collections).
  virtual bool may(const Caller& caller, std::string_view operation) const = 0;
  /// The same caller under the newest policy, for work that outlasts one. Errors: unauthenticated
  /// when its key has ended, locked, unavailable.
  virtual Task<Result<Caller>> renewed(Caller caller) const = 0;
};

/// The journal's index of who opened what. Errors: corrupt, unavailable.
class Accesses {
 public:
  virtual ~Accesses() = default;
  /// Events that opened something of the subject, below `before`, newest first.
  virtual Task<Result<journal::AccessPage>> accesses(SubjectId subject, std::int64_t before,
                                                     std::size_t limit) = 0;
};

/// Legal holds: what must not be erased, whoever asks. Errors: corrupt, locked, unavailable.
class Holds {
 public:
  virtual ~Holds() = default;
  /// Whether a hold is on anything of this customer now.
  virtual Task<Result<bool>> held(SubjectId subject, MonoTime deadline) = 0;
  /// Makes the commit of `changes` fail with conflict when a hold came meanwhile.
  virtual void guard(db::Changes& changes, SubjectId subject) const = 0;
};
/// For a server without holds.
class NoHolds final : public Holds {
 public:
  Task<Result<bool>> held(SubjectId, MonoTime) override { co_return false; }
  void guard(db::Changes&, SubjectId) const override {}
};

/// Engagements, for keep times that count from the end of one. Errors: corrupt, unavailable.
class Closings {
 public:
  virtual ~Closings() = default;
  /// When the last engagement of each customer closed. Left out: who never had one, and who has one
  /// that is open; their values stay.
  virtual Task<Result<std::map<SubjectId, Time>>> last_closed(std::vector<SubjectId> subjects,
                                                              MonoTime deadline) = 0;
};
/// For a server without engagements: none ever closed.
class NoClosings final : public Closings {
 public:
  Task<Result<std::map<SubjectId, Time>>> last_closed(std::vector<SubjectId>, MonoTime) override {
    co_return std::map<SubjectId, Time>();
  }
};

/// Rows that other rooms forget at a time of their own; the retention sweep asks them to.
class Remains {
 public:
  virtual ~Remains() = default;
  /// A literal name for reports: `answers`.
  virtual std::string_view what() const = 0;
  /// Forgets at most `most` rows whose time ended by `now` (journal time), in one commit with its
  /// event; gives how many went. Errors: those of commit.
  virtual Task<Result<std::int64_t>> forget(Time now, std::int64_t most) = 0;
};

}  // namespace holdfast::vault
