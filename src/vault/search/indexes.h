// What people do about indexes: have one built anew, and consent to one that shows more.
#pragma once

#include "http/route.h"
#include "vault/context.h"
#include "vault/declarations.h"

namespace holdfast::vault {

struct RebuildIndex {
  std::string collection;
  std::string field;
  static std::span<const Member> described();
};

struct ConsentIndex {
  std::string collection;
  std::string field;
  std::int64_t counted = 0;
  std::int64_t largest = 0;
  std::optional<std::string> reason;
  static std::span<const Member> described();
};

/// Both change the collection's declaration, which is an authority row, and are recorded.
/// Errors: not_found, invalid (no such index, other numbers than were counted), conflict, stale,
/// locked, unavailable. Threads: any io_context thread.
class Indexes {
 public:
  explicit Indexes(Context context) : context_(context) {}

  /// Declares a fresh index beside the one that answers; Rebuild builds it.
  Task<Result<CollectionView>> rebuild(Caller caller, RebuildIndex request);
  /// Records the owner's consent to a skewed distribution, with the numbers that `collections.get`
  /// shows. It covers a share of the commonest term up to a quarter larger.
  Task<Result<CollectionView>> consent(Caller caller, ConsentIndex request);

 private:
  Context context_;
};

/// nullptr only to be described.
std::vector<http::Route> index_routes(Indexes* indexes);

}  // namespace holdfast::vault
