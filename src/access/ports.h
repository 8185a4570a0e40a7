// What access control needs of the rest of the program; app/wiring connects it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "access/types.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"

namespace holdfast::access {

/// What access control tells. Called from any io_context thread; must not block.
class Notices {
 public:
  virtual ~Notices() = default;
  /// Authority rows that do not count, once each and process: to log and to alarm. `id` is the
  /// row's key as stored, at most 64 bytes of names (what does not fit is `?`).
  virtual void tampered(std::string_view kind, std::string_view id, std::string_view what) = 0;
  /// A manifest of this version was in force: to be kept where the database cannot change it, and
  /// given to the next process as Cache::Deps::policy_known.
  virtual void policy_seen(std::int64_t version) = 0;
};

/// What is declared. Errors: not_found at `collection` or `field`, or invalid at `purpose`, for
/// what is not; unavailable, corrupt.
class Fields {
 public:
  virtual ~Fields() = default;
  virtual Task<Result<FieldClass>> class_of(std::string collection, std::string field,
                                            MonoTime deadline) = 0;
  virtual Task<Result<void>> purpose(std::string name, MonoTime deadline) = 0;
};

}  // namespace holdfast::access
