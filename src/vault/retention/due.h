// When a value's keep time ends. Pure.
#pragma once

#include <optional>

#include "vault/store.h"
#include "vault/types.h"

namespace holdfast::vault {

/// Counted from the record's creation or last change, or from the end of the customer's last
/// engagement, but not from before the record was made. Nothing: the value stays (no keep time of
/// its own, or no engagement has closed).
std::optional<Time> due_at(const Field& field, const Record& record, std::optional<Time> closed);

/// The shortest keep time of a collection's fields, from whatever it counts: no value of a record
/// is due before its creation and this. Nothing when no field has one.
std::optional<Millis> shortest_keep(const Collection& collection);

bool counts_from_closing(const Collection& collection);

}  // namespace holdfast::vault
