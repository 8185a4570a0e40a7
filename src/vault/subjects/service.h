// The customers themselves, and their rights under GDPR art. 7 and 15 to 21: what is held of them
// and who opened it, rectified, restricted, objected to, agreed to, merged, and erased for good.
#pragma once

#include <functional>
#include <set>

#include "http/route.h"
#include "journal/outside.h"
#include "vault/admission.h"
#include "vault/context.h"
#include "vault/draft.h"
#include "vault/subjects/erasure.h"
#include "vault/subjects/messages.h"

namespace holdfast::vault {

/// What was done again out of the afterlog.
struct Replayed {
  std::int64_t erased = 0, merged = 0, decided = 0;
  std::int64_t held = 0;  // left, as a legal hold forbids it
};

/// Errors: invalid, not_found, forbidden (another customer's; recorded), gone (erased before),
/// conflict, stale, locked, corrupt, unavailable. Threads: any io_context thread.
class Subjects {
 public:
  struct Deps {
    Accesses& accesses;
    Proofs& proofs;
    Holds& holds;
    Epochs& epochs;
    Closings& closings;
    Admission& admission;
    std::vector<Follows*> follows;  // rows of other rooms that name a customer
  };
  Subjects(Context context, Deps deps) : context_(context), deps_(std::move(deps)) {}

  Task<Result<SubjectView>> get(Caller caller, SubjectRequest request);

  /// Destroys the customer's keys of every keep group that no duty holds, or of the groups named;
  /// with them go values, index terms and tokens. What a duty holds opens for that duty alone until
  /// its date. A legal hold and a restriction forbid it. What is erased is noted outside the
  /// database before the deed, so that a restored backup does not bring it back.
  Task<Result<ErasedSubject>> erase(Caller caller, EraseSubject request);
  /// The last erasure of this customer as a statement that verifies offline (erasure.h). Recorded.
  Task<Result<ErasureStatement>> erasure(Caller caller, SubjectRequest request);

  /// Puts values of a record right (art. 16), also while restricted; its tokens stay.
  Task<Result<RectifiedRecord>> rectify(Caller caller, RectifyRecord request);

  /// Decisions (standing.h) hold on every core and node before the reply. What closes something,
  /// and what opens it again, survives a restore.
  Task<Result<StandingView>> restrict(Caller caller, RestrictSubject request);
  Task<Result<StandingView>> unrestrict(Caller caller, UnrestrictSubject request);
  /// Errors also: conflict where the purpose's legal basis knows no objection (art. 21).
  Task<Result<StandingView>> object(Caller caller, ObjectSubject request);
  /// Errors also: conflict where nothing given is taken back of a purpose on another basis.
  Task<Result<StandingView>> consent(Caller caller, ConsentSubject request);
  /// What stands, and every decision with its evidence: recorded as an opening.
  Task<Result<StandingHistory>> standing(Caller caller, SubjectRequest request);

  /// Makes one customer another name of a second (a guest of their account): records, tokens and
  /// what else names them follow in one commit; both ids and external ids answer from then on. Of
  /// records in the same slot the staying customer's keeps it, the other moves to the next free
  /// `slot_2`, `slot_3`. Each purpose has the later decision; restrictions forbid a merge.
  /// At most 2,000 records. Errors also: too_large.
  Task<Result<MergedSubjects>> merge(Caller caller, MergeSubjects request);

  /// Everything held of the customer, streamed (document.h): an opening like any other, of one
  /// customer, whose record is durable before the first byte. Of fields each has the caller's view;
  /// external ids and evidence are for whoever sees a personal field in the clear. Memory: the
  /// sealed records of one customer. Errors also: exhausted (a budget).
  Task<Result<void>> export_all(Caller caller, ExportSubject request, http::BodyWriter& out);

  /// Who opened what of this customer, newest first, out of the verified journal.
  Task<Result<AccessList>> accesses(Caller caller, AccessesRequest request);

  /// Does again, in order, what the afterlog says was erased, merged and decided and the database
  /// does not have: at each start, before serving. In an `older` database, that of a backup, all of
  /// it was done once. In the one that was in use it never was, and a legal hold that came since
  /// forbids it: such a line is taken back.
  Task<Result<Replayed>> replay(std::vector<journal::AfterlogEntry> entries, bool older);

 private:
  friend class Replay;

  /// What a duty holds, and what that was found by.
  struct Duty {
    std::vector<HeldGroup> held;
    std::optional<Time> closed;  // of the last engagement, where the duty counts from it
  };

  /// One decision about a standing.
  struct Ruling {
    std::string_view activity;
    std::string_view decision;  // "restricted"
    std::string purpose;
    std::string note;
    bool lasting = false;       // goes to the afterlog
    std::int64_t at_least = 0;  // the row's version afterwards
  };

  Task<Result<Subject>> living(const crypto::KeySet& keys, std::string ref, MonoTime deadline);
  Task<Result<StandingView>> rule(Caller caller, Subject subject, Standing next, Ruling ruling);
  Task<Result<EventId>> put_standing(Caller caller, Subject& subject, const Standing& next,
                                     Ruling ruling);
  Task<Result<ErasedSubject>> destroy(Caller caller, Subject subject,
                                      std::vector<std::string> groups, Duty duty,
                                      std::string_view activity, std::string note,
                                      std::int64_t at_least);
  Task<Result<void>> forget(const crypto::KeySet& keys, std::vector<Subject> whose,
                            std::int64_t at_least, Time now, db::Changes& changes,
                            journal::Event& event, MonoTime deadline);
  Task<Result<MergedSubjects>> join(Caller caller, Subject into, Subject from,
                                    std::string_view activity, std::string note);
  Task<Result<std::vector<SubjectId>>> names_of(SubjectId subject, MonoTime deadline);
  Task<Result<std::vector<std::string>>> groups_of(SubjectId subject, MonoTime deadline);
  Task<Result<Duty>> held_by_duty(const Working& work, SubjectId subject,
                                  const std::vector<Record>& records, MonoTime deadline);

  Context context_;
  Deps deps_;
  std::int64_t least_noted_version_ = 0;  // of rows that a line names; set by replay()
};

/// nullptr only to be described.
std::vector<http::Route> subject_routes(Subjects* subjects);
std::span<const db::Sql* const> subject_statements();

}  // namespace holdfast::vault
