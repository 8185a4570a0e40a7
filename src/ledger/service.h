// The ledger is how the journal is read: entries, proofs, verification, and who saw whom.
// Lifetime: everything in Deps outlives the Service (see app/wiring).
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <vector>

#include "base/caller.h"
#include "base/clock.h"
#include "crypto/key_set.h"
#include "journal/access_index.h"
#include "journal/log.h"
#include "journal/state_check.h"
#include "ledger/ports.h"
#include "ledger/types.h"

namespace holdfast::ledger {

class Service {
 public:
  struct Deps {
    journal::Log& log;
    journal::AccessIndex& index;
    const crypto::HeldKeys& keys;
    const Permits& permits;
    /// Who tells of rows for `journal verify --state`.
    std::vector<journal::StateSource*> state;
  };

  explicit Service(Deps deps) : deps_(std::move(deps)) {}
  ~Service();

  /// Newest first. Looks at no more than 20,000 entries a call. The clock may have been set by up
  /// to a day between entries; entries further out of order than that can be missed by since and
  /// until. With a subject, the index of accesses finds the entries. Errors: invalid.
  Task<Result<EntryList>> list(ListEntries request);
  /// By number or `evt_...`. Errors: not_found.
  Task<Result<JournalEntry>> get(std::string entry);
  /// Errors: not_found (also for a subject whom the batch did not touch).
  Task<Result<journal::EventProof>> proof(ProofRequest request);
  Task<Result<journal::Head>> checkpoint();
  Task<Result<journal::ConsistencyProof>> consistency(ConsistencyRequest request);

  /// What lies sealed beside an entry; that somebody looked is recorded first.
  Task<Result<EntrySides>> sides(Caller caller, std::string entry);
  /// Of which subjects an actor opened values. Recorded. Errors: not_found (an actor who opened
  /// nothing and of whom nothing is known: most likely mistyped).
  Task<Result<Scope>> scope(Caller caller, ScopeRequest request);
  /// Errors: locked.
  Result<Pseudonym> pseudonym(const PseudonymRequest& request) const;
  /// One at a time; the result is recorded. Errors: exhausted (one is running).
  Task<Result<Verification>> verify(Caller caller, VerifyLog request);
  /// To be called before the first byte of an export leaves.
  Task<Result<void>> record_export(Caller caller);

  journal::Log& log() { return deps_.log; }

 private:
  /// As the tree has it. Errors: not_found, invalid, corrupt.
  Task<Result<journal::Stored>> find(std::string entry);
  Task<Result<journal::Stored>> look_up(std::string entry);
  Task<Result<std::int64_t>> start_of(const ListEntries& request);
  Task<Result<EntryList>> list_of_subject(ListEntries request, std::int64_t before);
  Task<Result<void>> record(Caller caller, journal::Event event);

  Deps deps_;
  std::atomic<bool> verifying_ = false;
  boost::asio::thread_pool pool_{1};  // hashes of large batches
};

}  // namespace holdfast::ledger
