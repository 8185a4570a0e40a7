// Legal holds: what is held is not destroyed, whatever its keep time and whoever asks. Each is on
// one customer or on a whole collection. Rows carry a MAC (KeyUse::authority), leave a digest in
// the journal and a line in the afterlog, so that neither a restore nor a row taken out of the
// database lifts one.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "journal/noted.h"
#include "journal/outside.h"
#include "journal/state_check.h"
#include "vault/context.h"
#include "vault/retention/hold_row.h"

namespace holdfast::vault {

/// Holds in force at the same time.
inline constexpr std::int64_t kMostHolds = 10'000;
/// Rows, with the reasons, are kept for this long after a hold ended: as long as a complaint may
/// come.
inline constexpr Millis kHoldsKept = std::chrono::days(3 * 365);

/// What is held now.
struct Held {
  std::set<SubjectId> subjects;
  std::set<std::uint32_t> collections;
  bool holds(const SubjectId& subject, std::uint32_t collection) const {
    return subjects.contains(subject) || collections.contains(collection);
  }
};

/// What replay() found.
struct HeldAgain {
  std::int64_t again = 0;       // held or lifted again
  std::vector<HoldId> damaged;  // in the database, but not as Holdfast wrote them
};

/// Threads: any io_context thread. Errors of all: locked; corrupt (a row of a hold was written past
/// Holdfast: nothing is destroyed until it is put right, by placing the hold anew and lifting the
/// damaged one); unavailable.
class LegalHolds final : public Holds, public Remains {
 public:
  explicit LegalHolds(Context context) : context_(context) {}

  Task<Result<bool>> held(SubjectId subject, MonoTime deadline) override;
  /// Puts its statements before those that are there: they look at the customer's records as they
  /// were.
  void guard(db::Changes& changes, SubjectId subject) const override;

  /// All in force, read and checked.
  Task<Result<Held>> in_force(MonoTime deadline);
  /// The commit fails with conflict when one of these customers, or the collection, came under a
  /// hold meanwhile. Waits for a hold that is being placed on PostgreSQL.
  static void guard(db::Changes& changes, const std::vector<SubjectId>& subjects,
                    std::uint32_t collection);
  /// The same of anything of these customers: of who they were merged into, and of every collection
  /// with a record of theirs.
  static void guard(db::Changes& changes, const std::vector<SubjectId>& subjects);

  std::string_view what() const override { return "holds"; }
  /// Those that ended kHoldsKept before `now`, but for any that is not as Holdfast wrote it.
  Task<Result<std::int64_t>> forget(Time now, std::int64_t most) override;

  /// By id, oldest first, behind `after`; `ended` shows lifted ones, too.
  Task<Result<std::vector<Hold>>> list(bool ended, HoldId after, std::int64_t limit,
                                       MonoTime deadline);
  /// To be lifted: a damaged one comes, too. Errors: corrupt when it cannot even be read.
  Task<Result<std::optional<Hold>>> find(HoldId id, MonoTime deadline);
  Task<Result<std::int64_t>> count(MonoTime deadline);
  /// Those in force whose `until` has come.
  Task<Result<std::vector<Hold>>> ended_by(Time now, std::int64_t limit);

  /// Adds the row to a commit, and what the event says of it.
  static void add(db::Changes& changes, journal::Event& event, const crypto::KeySet& keys,
                  const Hold& hold);
  /// Lifts it: `hold` as it was read; it is changed to what will be there. A damaged row is written
  /// anew, so that it does not stand in the way any longer.
  static void lift(db::Changes& changes, journal::Event& event, const crypto::KeySet& keys,
                   Hold& hold, std::string by, Time at);

  /// After the commit that placed it: from then on its row neither goes nor changes unseen.
  void know(const Hold& hold);

  /// The afterlog's line of a hold, for journal::commit_noted.
  static journal::Line placed(const Hold& hold);
  /// Writes the line of one that is lifted.
  Task<Result<void>> note_lifted(HoldId id);
  /// Before serving: what the afterlog says is held and the database does not know is held again
  /// (without its reason, which no backup had); what it says was lifted is lifted. A damaged row
  /// stays as it is, and until it is put right nothing is destroyed, whatever the row says.
  Task<Result<HeldAgain>> replay(std::vector<journal::AfterlogEntry> entries);

  /// For `journal verify --state`: with the digests that `keys` make.
  Task<Result<void>> rows(journal::StateSource::Report report,
                          std::shared_ptr<const crypto::KeySet> keys);
  std::shared_ptr<const crypto::KeySet> keys() const { return context_.keys.get(); }

 private:
  Task<Result<std::vector<Hold>>> read(const db::Sql& sql, db::Args args, MonoTime deadline);
  /// Errors: corrupt while one that replay() found damaged is not put right.
  Task<Result<void>> none_damaged(MonoTime deadline);
  /// Those of known_ that are on this customer or on a collection.
  std::vector<Hold> known_on(const SubjectId& subject);
  /// Whether rows of known holds are as Holdfast wrote them. One that is not there is placed again.
  /// Errors: corrupt when one was changed.
  Task<Result<void>> stand(std::vector<Hold> known, MonoTime deadline);
  /// False when the customer or collection is not there either: there is nothing to hold.
  Task<Result<bool>> hold_again(Hold hold);
  void forget_known(const HoldId& id);

  Context context_;
  std::mutex mutex_;              // guards the two below
  std::set<HoldId> damaged_;      // in force by the afterlog
  std::map<HoldId, Hold> known_;  // not lifted, as far as this process knows
};

/// Rows as they are now, for `journal verify --state`. While the digest key is rotated each row is
/// told under each of the keys.
class HoldState final : public journal::StateSource {
 public:
  explicit HoldState(LegalHolds& holds) : holds_(holds) {}
  Task<Result<void>> rows(Report report) override;
  Task<Result<void>> rows_under(std::shared_ptr<const crypto::KeySet> keys, Report report) override;

 private:
  LegalHolds& holds_;
};

std::span<const db::Sql* const> hold_statements();

}  // namespace holdfast::vault
