// What the vault asks of the rest of the program; app/wiring connects it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/caller.h"
#include "base/result.h"
#include "base/task.h"
#include "db/changes.h"
#include "journal/access_index.h"
#include "journal/event.h"
#include "journal/proof.h"
#include "vault/types.h"

namespace holdfast::crypto {
struct KeySet;
}

namespace holdfast::vault {

class SubjectKeys;  // sealing.h
struct Working;     // context.h

struct FieldQuestion {
  std::string_view operation;  // "records.reveal"
  std::string_view collection;
  std::string_view field;
  FieldClass field_class;
  std::string_view purpose;  // empty for masked reads, which need none
  /// The kind of the live engagement that the call names and that covers this field; empty without.
  std::string_view engagement{};
  bool assignee = false;  // the caller is the one that the engagement was given to
};

/// A view, and what showing it brings with it. `terms` is access control's own number (0: nothing);
/// whoever shows the field hands it to Budgets.
struct Permitted {
  View view = View::none;
  std::uint32_t terms = 0;
  /// A literal, where a grant shows more to whoever has what it demands: `engagement`, `assignee`,
  /// `hours`, `network`, `person`.
  std::string_view missing{};
};

/// Access control: the highest view of a field that this caller has for this purpose.
/// Pure and fast (at most 2 µs); works on the snapshot inside the caller.
class Permits {
 public:
  virtual ~Permits() = default;
  virtual View view(const Caller& caller, const FieldQuestion& question) const = 0;
  /// The same with what it brings with it: for whoever opens.
  virtual Permitted decide(const Caller& caller, const FieldQuestion& question) const {
    return {view(caller, question)};
  }
  /// The caller with `on_behalf_of` set, when its key may speak for that kind of person.
  /// Errors: forbidden, invalid (not `kind:id`).
  virtual Result<Caller> acting_for(Caller caller, std::string_view person) const = 0;
  /// Whether the caller may use a further operation (an import that declares collections).
  virtual bool may(const Caller& caller, std::string_view operation) const = 0;
  /// Whether both are one key, or keys of one that was rotated. Errors: locked, unavailable.
  virtual Task<Result<bool>> same_account(std::string one, std::string other,
                                          MonoTime deadline) const = 0;
  /// The same caller under the newest policy, for work that outlasts one. Errors: unauthenticated
  /// when its key has ended, locked, unavailable.
  virtual Task<Result<Caller>> renewed(Caller caller) const = 0;
  /// Whether the caller's key lives and may use `operation` at this moment, for streams, which
  /// outlast keys. Cheap. Errors: unauthenticated, forbidden, locked, unavailable.
  virtual Task<Result<void>> still(Caller caller, std::string_view operation) const = 0;
};

/// How many different customers a principal may open, kept by access control. Charges are made in
/// the commit of the opening itself, so that they are exact under any race and on any node.
class Budgets {
 public:
  virtual ~Budgets() = default;

  /// Statements that stand before all others of the commit; settle() looks at what the watched ones
  /// gave.
  struct Watched {
    std::size_t statement = 0;
    std::uint16_t rule = 0;
    std::int64_t limit = 0;
  };
  struct Charge {
    db::Changes changes;
    std::vector<Watched> watched;
  };
  struct Spent {
    Error error;
    journal::Event event;
  };
  /// Whether openings under these terms are counted anywhere, or watched. No I/O; false where
  /// nobody has a budget and the store has no ceiling.
  virtual bool counts(std::span<const std::uint32_t> terms) const = 0;
  /// How many customers more fit in now, whoever they are; nothing where nobody has a limit.
  /// Cost: a read for each limit. Errors: exhausted (as the commit of a charge: not one fits in),
  /// locked, unavailable.
  virtual Task<Result<std::optional<std::int64_t>>> room(Caller caller,
                                                         std::vector<std::uint32_t> terms) = 0;
  /// What counts these customers (each once) for the caller: locks, counters and guards, which fail
  /// the commit with `exhausted` at `budget`. For nobody it demands room for one customer more.
  /// `beyond` are counted whether they fit in or not. Errors: locked, unauthenticated, unavailable.
  virtual Task<Result<Charge>> charge(Caller caller, std::vector<SubjectId> subjects,
                                      std::vector<SubjectId> beyond,
                                      std::vector<std::uint32_t> terms) = 0;
  /// What opening engagements costs: the terms of the caller's budgets.
  virtual std::vector<std::uint32_t> opener_terms(const Caller& caller) const = 0;
  /// After a commit failed: an `exhausted` budget's error with the time at which it frees, and the
  /// event with the facts of it. Anything else comes back as it is.
  virtual Task<Spent> spent(Caller caller, std::size_t subjects, std::vector<std::uint32_t> terms,
                            Error error, journal::Event event) = 0;
  /// After a commit that held: tells and counts what rules under observation would have refused.
  /// `used` is what the watched statements gave.
  virtual Task<void> settle(Caller caller, std::vector<std::uint32_t> terms,
                            std::vector<Watched> watched, std::vector<std::int64_t> used) = 0;
};

/// Told when an invented customer was opened. Called on any io_context thread; must not block.
class Alarms {
 public:
  virtual ~Alarms() = default;
  virtual void canary_opened(std::string_view principal, std::string_view operation,
                             const EventId& event) = 0;
};

/// The journal's index of who opened what. Errors: corrupt, unavailable.
class Accesses {
 public:
  virtual ~Accesses() = default;
  /// Events that opened something of the subject, below `before`, newest first.
  virtual Task<Result<journal::AccessPage>> accesses(SubjectId subject, std::int64_t before,
                                                     std::size_t limit) = 0;
};

/// The journal's word on one customer, and proofs of it that verify offline.
/// Errors: not_found (prove: no such event), corrupt, unavailable.
class Proofs {
 public:
  virtual ~Proofs() = default;
  /// Every event that touched the subject, below `before`, newest first, opened or not.
  virtual Task<Result<journal::AccessPage>> events(SubjectId subject, std::int64_t before,
                                                   std::size_t limit) = 0;
  /// With the leaves of a batch that name the subject.
  virtual Task<Result<journal::EventProof>> prove(EventId event, SubjectId subject) = 0;
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

/// When a key is destroyed on every node, backups past their window included.
struct KeyEnd {
  std::optional<Time> at;        // absent: not scheduled yet
  std::optional<EventId> event;  // present once it was done
};
/// The dates of keys that erased data was sealed under. Errors: unavailable.
class Epochs {
 public:
  virtual ~Epochs() = default;
  /// Of the epoch key that wrapped subject keys at that time.
  virtual Task<Result<KeyEnd>> epoch_end(Time at, MonoTime deadline) = 0;
  /// Of the last key that made terms then: of fields, external ids, tokens.
  virtual Task<Result<KeyEnd>> index_end(Time at, MonoTime deadline) = 0;
};

/// Rows of other rooms that name a customer: they follow when one is merged into another.
class Follows {
 public:
  virtual ~Follows() = default;
  /// Adds to `changes` what makes them the other customer's, and their touches to `event`; both go
  /// into the one commit of the merge. `into` holds the keys that the merge itself adds, and gets
  /// what further ones it lacks. Errors: conflict (something forbids it), corrupt, those of reads.
  virtual Task<Result<void>> follow(const Working& work, SubjectKeys& from, SubjectKeys& into,
                                    db::Changes& changes, journal::Event& event,
                                    MonoTime deadline) = 0;
};

/// What a token stands for.
struct TokenTarget {
  SubjectId subject;
  RecordId record;
  std::uint16_t field = 0;
};
/// Tokens by the text that the shop holds. Errors: corrupt (a row that Holdfast did not write),
/// unavailable.
class TokenTargets {
 public:
  virtual ~TokenTargets() = default;
  /// At most 1,000 different texts, whatever their shape; those that are no token (any more) are
  /// left out. Of a text that several customers share the newest, or that of `own`.
  virtual Task<Result<std::map<std::string, TokenTarget>>> targets(const crypto::KeySet& keys,
                                                                   std::vector<std::string> texts,
                                                                   std::optional<SubjectId> own,
                                                                   MonoTime deadline) = 0;
};

/// Engagements, for keep times that count from the end of one. Errors: corrupt, unavailable.
class Closings {
 public:
  virtual ~Closings() = default;
  /// When the last engagement of each customer closed. Left out: who never had one, and who has one
  /// that is open; their values stay.
  virtual Task<Result<std::map<SubjectId, Time>>> last_closed(std::vector<SubjectId> subjects,
                                                              MonoTime deadline) = 0;
  /// The commit fails with conflict when one of these customers has an engagement that is open, or
  /// that closed after the time beside which they stand. On PostgreSQL it waits for one that is
  /// being opened, and none is opened until it is done.
  virtual void guard(db::Changes& changes,
                     const std::map<Time, std::set<SubjectId>>& closed_by) const = 0;
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
