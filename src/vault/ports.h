// What the vault asks of the rest of the program; app/wiring connects it.
#pragma once

#include <string_view>

#include "base/caller.h"
#include "vault/types.h"

namespace holdfast::vault {

struct FieldQuestion {
  std::string_view operation;   // "records.reveal"
  std::string_view collection;
  std::string_view field;
  FieldClass field_class;
  std::string_view purpose;     // empty for masked reads, which need none
};

/// Access control: the highest view of a field that this caller has for this purpose.
/// Pure and fast (at most 2 µs); works on the snapshot inside the caller.
class Permits {
 public:
  virtual ~Permits() = default;
  virtual View view(const Caller& caller, const FieldQuestion& question) const = 0;
};

}  // namespace holdfast::vault
