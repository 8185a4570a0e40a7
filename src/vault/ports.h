// What the vault asks of the rest of the program; app/wiring connects it.
#pragma once

#include <string_view>

#include "base/caller.h"
#include "base/result.h"
#include "base/task.h"
#include "journal/access_index.h"
#include "vault/types.h"

namespace holdfast::vault {

struct FieldQuestion {
  std::string_view operation;  // "records.reveal"
  std::string_view collection;
  std::string_view field;
  FieldClass field_class;
  std::string_view purpose;  // empty for masked reads, which need none
};

/// Access control: the highest view of a field that this caller has for this purpose.
/// Pure and fast (at most 2 µs); works on the snapshot inside the caller.
class Permits {
 public:
  virtual ~Permits() = default;
  virtual View view(const Caller& caller, const FieldQuestion& question) const = 0;
  /// The caller with `on_behalf_of` set, when its key may speak for that kind of person.
  /// Errors: forbidden, invalid (not `kind:id`).
  virtual Result<Caller> acting_for(Caller caller, std::string_view person) const = 0;
  /// Whether the caller may use a further operation (an import that declares collections).
  virtual bool may(const Caller& caller, std::string_view operation) const = 0;
  /// The same caller under the newest policy, for work that outlasts one. Errors: unauthenticated
  /// when its key has ended, locked, unavailable.
  virtual Task<Result<Caller>> renewed(Caller caller) const = 0;
};

/// The journal's index of who opened what. Errors: corrupt, unavailable.
class Accesses {
 public:
  virtual ~Accesses() = default;
  /// Events that opened something of the subject, below `before`, newest first.
  virtual Task<Result<journal::AccessPage>> accesses(SubjectId subject, std::int64_t before,
                                                     std::size_t limit) = 0;
};

}  // namespace holdfast::vault
