// The room's routes and their thin handlers. The route table in api.cpp is the list.
#pragma once

#include <vector>

#include "base/clock.h"
#include "http/route.h"
#include "ledger/service.h"

namespace holdfast::ledger {

class Api {
 public:
  /// Both must outlive it.
  Api(Service& service, const Clock& clock) : service_(service), clock_(clock) {}

  /// The rows refer to this Api.
  std::vector<http::Route> routes() { return rows(this); }
  /// The same table; with nullptr only to be described.
  static std::vector<http::Route> rows(Api* api);

  Task<Result<EntryList>> list(Caller caller, ListEntries request);
  Task<Result<JournalEntry>> get(Caller caller, EntryRef request);
  Task<Result<journal::EventProof>> proof(Caller caller, ProofRequest request);
  Task<Result<EntrySides>> sides(Caller caller, EntryRef request);
  Task<Result<Head>> checkpoint(Caller caller, NoArguments request);
  Task<Result<Consistency>> consistency(Caller caller, ConsistencyRequest request);
  Task<Result<Verification>> verify(Caller caller, VerifyLog request);
  Task<Result<Scope>> scope(Caller caller, ScopeRequest request);
  Task<Result<Pseudonym>> pseudonym(Caller caller, PseudonymRequest request);
  Task<Result<void>> export_log(Caller caller, NoArguments request, http::BodyWriter& out);
  Task<Result<void>> events(Caller caller, EventsRequest request, http::BodyWriter& out);

 private:
  Service& service_;
  const Clock& clock_;
};

}  // namespace holdfast::ledger
