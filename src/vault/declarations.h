// Collections and purposes: what may be stored, and what for.
#pragma once

#include "http/route.h"
#include "vault/context.h"

namespace holdfast::vault {

struct CollectionRequest {
  std::string collection;
  std::string if_match;
  static std::span<const Member> described();
};
struct Nothing {
  static std::span<const Member> described() { return {}; }
};
struct CollectionList {
  std::vector<CollectionView> collections;
  static std::span<const Member> described();
};
struct PurposeList {
  std::vector<Purpose> purposes;
  static std::span<const Member> described();
};
struct PurposeRequest {
  std::string purpose;
  static std::span<const Member> described();
};
struct DeletedPurpose {
  std::string purpose;
  EventId event;
  static std::span<const Member> described();
};
struct DeletedCollection {
  std::string collection;
  EventId event;
  static std::span<const Member> described();
};

/// Adds to `changes` and `event` the next version of a collection, which is `old` now (nullptr: a
/// new one), and the state of each index that is new in it; bumps the policy's generation. The
/// commit fails with conflict when somebody else was faster.
void publish(const crypto::KeySet& keys, const Collection* old, const Collection& next,
             db::Changes& changes, journal::Event& event);
/// The view with how far each index is and what it warns of. Errors: unavailable.
Task<Result<CollectionView>> view_with_indexes(db::Reader& reader, const Collection& collection,
                                               MonoTime deadline);

/// Declaring is a change of policy: it takes effect on every core before the reply.
/// Errors: invalid, conflict (a change that would lose data, a version), not_found, stale, locked,
/// unavailable. Threads: any io_context thread.
class Declarations {
 public:
  explicit Declarations(Context context) : context_(context) {}

  /// Declares a collection or changes it. Saying again what is in force changes nothing.
  Task<Result<CollectionView>> put(Caller caller, CollectionSpec spec);
  Task<Result<CollectionView>> get(Caller caller, CollectionRequest request);
  Task<Result<CollectionList>> list(Caller caller, Nothing request);
  /// Only an empty collection can be deleted.
  Task<Result<DeletedCollection>> remove(Caller caller, CollectionRequest request);

  Task<Result<Purpose>> put_purpose(Caller caller, Purpose purpose);
  /// Nothing opens for it any more, and grants that name it give nothing by it. Its name is not
  /// given again. Errors also: conflict (built in; a field names it, which the error's place says),
  /// gone (removed before).
  Task<Result<DeletedPurpose>> remove_purpose(Caller caller, PurposeRequest request);
  Task<Result<PurposeList>> list_purposes(Caller caller, Nothing request);

 private:
  Task<Result<EventId>> publish_purpose(Caller caller, const crypto::KeySet& keys,
                                        std::string_view operation, std::string name,
                                        std::int64_t version, std::string declared);

  Context context_;
};

/// nullptr only to be described.
std::vector<http::Route> declaration_routes(Declarations* declarations);

}  // namespace holdfast::vault
