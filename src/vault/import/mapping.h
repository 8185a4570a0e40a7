// A mapping of one's own: which columns of a file go into which fields of one collection.
//
//   {"external_id": "Kundennummer", "collection": "customers",
//    "fields": {"email": "E-Mail", "last_name": "Nachname"}, "delimiter": ";"}
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/described.h"
#include "base/result.h"
#include "vault/import/shape.h"
#include "vault/types.h"

namespace holdfast::vault {

struct Mapping {
  std::string external_id;  // the column with the shop's own number of the customer
  std::string collection;
  Dict<std::string> fields;        // field: column
  std::optional<std::string> key;  // the column that tells several records of one customer apart
  std::optional<std::string> delimiter;  // "," ";" "|" or a tab; told from the header unless said
  static std::span<const Member> described();
};

/// Errors: invalid, naming the member (`fields.email`), all of them in one Error: a name that is
/// none, no column, no fields, an unknown delimiter.
Result<Shape> shape_of(const Mapping& mapping);

/// Whether the collection has all the fields. Errors: invalid at each `fields.name` that it lacks.
Result<void> check_fields(const Mapping& mapping, const Collection& collection);

/// 0 when the header is to tell.
char delimiter_of(const Mapping& mapping);

}  // namespace holdfast::vault
