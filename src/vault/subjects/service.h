// The customers themselves: what is held of them, who opened it, and erasing it for good.
#pragma once

#include "http/route.h"
#include "journal/outside.h"
#include "vault/context.h"

namespace holdfast::vault {

struct SubjectRequest {
  std::string subject;
  static std::span<const Member> described();
};
struct RecordNote {
  RecordId record;
  std::string collection;
  std::optional<std::string> slot;
  std::int64_t version = 0;
  static std::span<const Member> described();
};
struct SubjectView {
  SubjectId subject;
  Time created{};
  std::optional<Time> erased;
  bool has_external_id = false;
  std::vector<std::string> keep_groups;
  std::vector<RecordNote> records;
  static std::span<const Member> described();
};
struct EraseSubject {
  std::string subject;
  std::vector<std::string> groups;
  std::optional<std::string> reason;
  static std::span<const Member> described();
};
struct HeldGroup {
  std::string group;
  Time until{};
  static std::span<const Member> described();
};
struct ErasedSubject {
  SubjectId subject;
  std::vector<std::string> erased;
  std::vector<HeldGroup> held;
  std::int64_t records = 0;
  std::int64_t values = 0;
  std::int64_t tokens = 0;
  EventId event;
  static std::span<const Member> described();
};
struct AccessesRequest {
  std::string subject;
  std::optional<std::int64_t> before;
  std::optional<std::int64_t> limit;
  static std::span<const Member> described();
};
struct AccessNote {
  std::int64_t seq = 0;
  std::string event;
  Time at{};
  std::string actor;
  std::string key;
  std::string operation;
  std::string purpose;
  std::vector<std::string> fields;
  static std::span<const Member> described();
};
struct AccessList {
  SubjectId subject;
  std::vector<AccessNote> accesses;
  std::optional<std::int64_t> before;
  static std::span<const Member> described();
};

/// Errors: invalid, not_found, gone (erased before), conflict, stale, locked, corrupt, unavailable.
/// Threads: any io_context thread.
class Subjects {
 public:
  Subjects(Context context, Accesses& accesses) : context_(context), index_(accesses) {}

  Task<Result<SubjectView>> get(Caller caller, SubjectRequest request);

  /// Destroys the customer's keys of every keep group that no duty holds, or of the groups named;
  /// with them go values, index terms and tokens. What is erased is noted outside the database
  /// before the deed, so that a restored backup does not bring it back.
  Task<Result<ErasedSubject>> erase(Caller caller, EraseSubject request);

  /// Who opened what of this customer, newest first, out of the verified journal.
  Task<Result<AccessList>> accesses(Caller caller, AccessesRequest request);

  /// Does again what the afterlog says was erased: after a restore, before serving. Gives the
  /// number of customers that had come back.
  Task<Result<std::int64_t>> replay(std::vector<journal::AfterlogEntry> entries);

 private:
  Task<Result<ErasedSubject>> destroy(Caller caller, Subject subject,
                                      std::vector<std::string> groups, std::vector<HeldGroup> held,
                                      std::string_view activity, std::string note);

  Context context_;
  Accesses& index_;
};

/// nullptr only to be described.
std::vector<http::Route> subject_routes(Subjects* subjects);
std::span<const db::Sql* const> subject_statements();

}  // namespace holdfast::vault
