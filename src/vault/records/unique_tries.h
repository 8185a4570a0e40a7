// What a unique field tells whoever writes: a refusal says that another record has the value, and
// its absence that none has. For callers who may not compare the field such refusals count like the
// wrong values of verify, five a key, field and day (UTC), and each is recorded, whoever asked.
//
// A try is counted when its commit has failed. So no more of a key's are under way at once than are
// left of the five, and those behind wait: of many values offered at once no sixth answer says
// whether somebody has one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vault/context.h"
#include "vault/draft.h"

namespace holdfast::vault {

/// For some purpose, by some operation that compares.
bool may_compare(const Context& context, const Working& work, const Caller& caller,
                 const Collection& collection, const Field& field);

/// Threads: one at a time; made per request. Lifetime: what it is made of outlives it, and its try
/// is under way from allowed() until it is destroyed.
class UniqueTries {
 public:
  /// `activity`: the operation that writes.
  UniqueTries(const Context& context, const Working& work, const Caller& caller,
              std::string_view activity)
      : context_(context), work_(work), caller_(caller), activity_(activity) {}
  ~UniqueTries() { move_to(TryPlace::outside); }
  UniqueTries(const UniqueTries&) = delete;
  UniqueTries& operator=(const UniqueTries&) = delete;

  void add(const Collection& collection, std::span<const CheckedValue> values);
  /// Once, before the commit. No I/O where the caller may compare every unique field; else it waits
  /// for as many of the key's tries as could use up what is left. Errors: exhausted (recorded),
  /// unavailable (also when the deadline comes while it waits).
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
  Task<Error> exhausted(std::string field);
  void move_to(TryPlace place);
  journal::Event event(std::string_view reason) const;

  const Context& context_;
  const Working& work_;
  const Caller& caller_;
  std::string_view activity_;
  std::vector<Tried> tried_;
  TryPlace place_ = TryPlace::outside;
};

}  // namespace holdfast::vault
