#include "vault/import/mapping.h"

#include <utility>

#include "base/text.h"
#include "vault/policy.h"

namespace holdfast::vault {
namespace {

void add(std::optional<Error>& errors, Literal text, FieldPath at) {
  auto error = Error(Code::invalid, text).at(std::move(at));
  if (errors)
    errors->also.push_back(std::move(error));
  else
    errors = std::move(error);
}

bool is_delimiter(std::string_view text) {
  return text == "," || text == ";" || text == "|" || text == "\t";
}

}  // namespace

std::span<const Member> Mapping::described() {
  using M = Mapping;
  static constexpr Member kMembers[] = {
      member<&M::external_id>("external_id", "The column with the shop's number of the customer."),
      member<&M::collection>("collection", "The collection that is filled.", {.bytes = 63}),
      member<&M::fields>("fields", "Fields of the collection, each with the column it comes from.",
                         {.count = 200}),
      member<&M::key>("key", "The column that tells several records of one customer apart."),
      member<&M::delimiter>("delimiter", "`,` `;` `|` or a tab; told from the header unless said.",
                            {.bytes = 1})};
  return kMembers;
}

Result<Shape> shape_of(const Mapping& mapping) {
  std::optional<Error> errors;
  if (trim(mapping.external_id).empty())
    add(errors, "name the column that has it", FieldPath("external_id"));
  if (!is_name(mapping.collection))
    add(errors, "a collection's name is [a-z][a-z0-9_]{0,62}", FieldPath("collection"));
  if (mapping.fields.empty()) add(errors, "name at least one field", FieldPath("fields"));
  for (const auto& [field, column] : mapping.fields) {
    if (!is_name(field))
      add(errors, "a field's name is [a-z][a-z0-9_]{0,62}", FieldPath("fields") / field);
    if (trim(column).empty())
      add(errors, "name the column that it comes from", FieldPath("fields") / field);
  }
  if (mapping.key && trim(*mapping.key).empty())
    add(errors, "name a column, or leave it out", FieldPath("key"));
  if (mapping.delimiter && !is_delimiter(*mapping.delimiter))
    add(errors, "a delimiter is , ; | or a tab", FieldPath("delimiter"));
  if (errors) return std::move(*errors);

  Shape out{.name = "mapping", .required = {}, .external_id = {}, .records = {}, .rules = {}};
  out.external_id = {{mapping.external_id, 0, "", Clean::apostrophe}};
  out.records = {{.collection = mapping.collection, .key_column = mapping.key.value_or("")}};
  for (const auto& [field, column] : mapping.fields) out.rules.push_back({column, 0, field});
  out.required.push_back(mapping.external_id);
  for (const auto& rule : out.rules) out.required.push_back(rule.column);
  if (mapping.key) out.required.push_back(*mapping.key);
  return out;
}

Result<void> check_fields(const Mapping& mapping, const Collection& collection) {
  std::optional<Error> errors;
  for (const auto& [field, column] : mapping.fields)
    if (!collection.find(field))
      add(errors, "the collection has no such field", FieldPath("fields") / field);
  if (errors) return std::move(*errors);
  return {};
}

char delimiter_of(const Mapping& mapping) {
  return mapping.delimiter && !mapping.delimiter->empty() ? mapping.delimiter->front() : '\0';
}

}  // namespace holdfast::vault
