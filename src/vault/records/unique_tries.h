// What a unique field tells whoever writes: a refusal says that another record has the value. For
// callers who may not compare the field such answers count like the wrong values of verify, five a
// key, field and day (UTC), and each refusal is recorded, whoever asked.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "vault/context.h"
#include "vault/draft.h"

namespace holdfast::vault {

/// Threads: one at a time; made per request. Lifetime: what it is made of outlives it.
class UniqueTries {
 public:
  /// `activity`: the operation that writes.
  UniqueTries(const Context& context, const Working& work, const Caller& caller,
              std::string_view activity)
      : context_(context), work_(work), caller_(caller), activity_(activity) {}

  void add(const Collection& collection, std::span<const CheckedValue> values);
  /// Before the commit. No I/O where the caller may compare every unique field. Errors: exhausted
  /// (recorded), unavailable.
  Task<Result<void>> allowed();
  /// After the commit failed: records and counts when another record has a value. Gives what the
  /// caller is told.
  Task<Error> refused(Error why);

 private:
  struct Tried {
    const Collection* collection;
    const Field* field;
    bool blind;  // the caller may not compare it
  };
  bool may_compare(const Collection& collection, const Field& field) const;
  journal::Event event(std::string_view reason) const;

  const Context& context_;
  const Working& work_;
  const Caller& caller_;
  std::string_view activity_;
  std::vector<Tried> tried_;
};

}  // namespace holdfast::vault
