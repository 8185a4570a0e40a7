// What a shop must be able to say about the data that it holds.
// Lifetime: everything in Deps outlives the Reports (see app/wiring).
#pragma once

#include <atomic>

#include "http/route.h"
#include "journal/log.h"
#include "vault/context.h"
#include "vault/reports/messages.h"

namespace holdfast::vault {

/// Each walks whole tables or the journal of a period, in slices, within the caller's deadline: one
/// report at a time, and none holds a value. Each is recorded before it is shown.
/// Errors: exhausted (one is being made), invalid, too_large, locked, corrupt, unavailable.
/// Threads: any io_context thread.
class Reports {
 public:
  struct Deps {
    Context context;
    journal::Log& log;
    Controller controller;
  };
  explicit Reports(Deps deps) : deps_(std::move(deps)) {}

  /// What is held, where, how sensitive, what for, for how long, and how much of it there is.
  Task<Result<DataMap>> data_map(Caller caller, NoReportArguments request);
  Task<Result<void>> data_map_csv(Caller caller, NoReportArguments request, http::BodyWriter& out);
  /// Fields that are collected and were not opened, compared or searched by in a period. Where an
  /// event does not say of which collection a field was, it counts for every one that has it.
  Task<Result<UnusedReport>> unused(Caller caller, ReportPeriod request);
  /// Rows under each version of each key.
  Task<Result<KeyVersions>> key_versions(Caller caller, NoReportArguments request);
  /// GDPR art. 30(1).
  Task<Result<Art30Record>> art30(Caller caller, NoReportArguments request);
  Task<Result<void>> art30_page(Caller caller, NoReportArguments request, http::BodyWriter& out);
  /// Who opened how much in a period: different customers and fields, by person and key.
  /// Memory: about 50 bytes for each pair of an actor and a customer, at most two million.
  Task<Result<OpeningsReport>> openings(Caller caller, ReportPeriod request);

 private:
  class Turn;

  Task<Result<DataMap>> mapped(Caller caller, const Working& work);
  Task<Result<Art30Record>> record_of(const Working& work);
  Task<Result<void>> recorded(Caller caller, std::string_view activity);

  Deps deps_;
  std::atomic<bool> busy_ = false;
};

/// nullptr only to be described.
std::vector<http::Route> report_routes(Reports* reports);

}  // namespace holdfast::vault
