#include "vault/retention/due.h"

#include <algorithm>

namespace holdfast::vault {

std::optional<Time> due_at(const Field& field, const Record& record, std::optional<Time> closed) {
  if (!field.keep || !field.keep_for) return std::nullopt;
  switch (field.keep->from.value_or(KeepFrom::created)) {
    case KeepFrom::created:
      return record.created + *field.keep_for;
    case KeepFrom::updated:
      return std::max(record.created, record.updated) + *field.keep_for;
    case KeepFrom::closed:
      if (!closed) return std::nullopt;
      return std::max(record.created, *closed) + *field.keep_for;
  }
  return std::nullopt;
}

std::optional<Millis> shortest_keep(const Collection& collection) {
  std::optional<Millis> out;
  for (const auto& field : collection.fields)
    if (field.keep && field.keep_for) out = std::min(out.value_or(Millis::max()), *field.keep_for);
  return out;
}

bool counts_from_closing(const Collection& collection) {
  return std::ranges::any_of(collection.fields, [](const Field& field) {
    return field.keep && field.keep_for && field.keep->from == KeepFrom::closed;
  });
}

}  // namespace holdfast::vault
