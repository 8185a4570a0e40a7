// The room's routes and their thin handlers. The route table in api.cpp is the list.
#pragma once

#include <vector>

#include "base/clock.h"
#include "http/route.h"
#include "ledger/ports.h"
#include "ledger/service.h"

namespace holdfast::ledger {

class Api {
 public:
  /// All must outlive it.
  Api(Service& service, const Permits& permits, const Clock& clock)
      : service_(service), permits_(permits), clock_(clock) {}

  /// The rows refer to this Api.
  std::vector<http::Route> routes() { return rows(this); }
  /// The same table; with nullptr only to be described.
  static std::vector<http::Route> rows(Api* api);

  Task<Result<EntryList>> list(Caller caller, ListEntries request);
  Task<Result<JournalEntry>> get(Caller caller, EntryRef request);
  Task<Result<journal::EventProof>> proof(Caller caller, ProofRequest request);
  Task<Result<EntrySides>> sides(Caller caller, EntryRef request);
  Task<Result<journal::Head>> checkpoint(Caller caller, NoArguments request);
  Task<Result<journal::ConsistencyProof>> consistency(Caller caller, ConsistencyRequest request);
  Task<Result<Verification>> verify(Caller caller, VerifyLog request);
  Task<Result<Scope>> scope(Caller caller, ScopeRequest request);
  Task<Result<Pseudonym>> pseudonym(Caller caller, PseudonymRequest request);
  /// Both look before each piece whether the caller may still have it, and end without their last
  /// chunk when not. Events end by themselves, in order, at the caller's deadline.
  Task<Result<void>> export_log(Caller caller, NoArguments request, http::BodyWriter& out);
  Task<Result<void>> events(Caller caller, EventsRequest request, http::BodyWriter& out);

 private:
  Task<Result<void>> give(Caller caller, http::BodyWriter* out, std::string_view bytes);

  Service& service_;
  const Permits& permits_;
  const Clock& clock_;
};

}  // namespace holdfast::ledger
