#include "vault/search/query.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "vault/formats.h"
#include "vault/index_terms.h"
#include "vault/policy.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kSortBytes = 256;

Match default_match(IndexKind kind) {
  if (kind == IndexKind::prefix) return Match::prefix;
  return kind == IndexKind::substring ? Match::substring : Match::exact;
}

bool offers(IndexKind kind, Match match) {
  switch (match) {
    case Match::exact:
      return kind != IndexKind::none;
    case Match::prefix:
      return kind == IndexKind::prefix || kind == IndexKind::substring;
    case Match::substring:
      return kind == IndexKind::substring;
  }
  return false;
}

std::optional<Time> time_of(std::string_view text) {
  if (is_date(text)) return parse_rfc3339(std::string(text) + "T00:00:00Z");
  return parse_rfc3339(text);
}

/// The field of that name, or the record's time.
Result<Comparable> comparable(const Collection& collection, std::string_view name) {
  if (const auto* field = collection.find(name)) return Comparable{field, false};
  if (name == "created" || name == "updated") return Comparable{nullptr, name == "created"};
  return Error(Code::invalid, "the collection does not declare this field");
}

/// How a value is compared with one field. `wanted` is empty where nothing is left of the value.
Result<Condition> read_condition(const Collection& collection, const Dict<Match>& matches,
                                 std::string_view name, std::string_view text) {
  const auto* field = collection.find(name);
  if (!field) return Error(Code::invalid, "the collection does not declare this field");
  if (field->index == IndexKind::none && field->indexes.empty())
    return Error(Code::invalid, "this field has no index to find it by");
  const auto* index = field->serving();
  if (!index)
    return Error(Code::unavailable,
                 "this index is still being built: `holdfast collections get` shows how far");
  auto match = default_match(index->kind);
  for (const auto& [of, said] : matches)
    if (of == name) match = said;
  if (!offers(index->kind, match))
    return Error(Code::invalid, "the field's index does not find values that way");
  Condition out{field, index, match, {}};
  out.wanted = match == Match::exact
                   ? index_term(*field, text, index->calling_code)
                   : index_fragment(*field, text, index->calling_code, match == Match::prefix);
  return out;
}

bool is_too_short(const Condition& one) {
  bool by_parts = one.index->kind == IndexKind::prefix || one.index->kind == IndexKind::substring;
  return by_parts && code_points(one.wanted.expose_text()) < kFragmentCharacters;
}

constexpr Literal kNothingLeft = "nothing is left of this value to search for";
constexpr Literal kTooShort = "give at least three characters";

Result<void> read_values(const Collection& collection, const SearchRecords& request, Query& out) {
  for (const auto& entry : request.q.entries) {
    const auto at = FieldPath("q") / entry.name;
    auto one = read_condition(collection, request.match, entry.name, entry.value.expose_text());
    if (!one) return std::move(one).error().at(at);
    if (one->wanted.empty()) return Error(Code::invalid, kNothingLeft).at(at);
    if (is_too_short(*one)) return Error(Code::invalid, kTooShort).at(at);
    out.conditions.push_back(std::move(*one));
  }
  return {};
}

/// A field in which such a text cannot be (a name among phones) is left out.
Result<void> read_text(const Collection& collection, const SearchRecords& request, Query& out) {
  if (request.text.has_value() == request.fields.empty())
    return Error(Code::invalid, "`text` and the `fields` to find it in go together").at("text");
  bool any_short = false;
  for (std::size_t i = 0; i < request.fields.size(); ++i) {
    const auto at = FieldPath("fields")[i];
    const auto& name = request.fields[i];
    if (std::ranges::find(out.any, name, [](const auto& had) { return had.field->name; }) !=
        out.any.end())
      return Error(Code::invalid, "this field is there twice").at(at);
    auto one = read_condition(collection, request.match, name, *request.text);
    if (!one) return std::move(one).error().at(at);
    if (one->wanted.empty()) continue;
    if (is_too_short(*one)) {
      any_short = true;
      continue;
    }
    out.any.push_back(std::move(*one));
  }
  if (request.text && out.any.empty())
    return Error(Code::invalid, any_short ? kTooShort : kNothingLeft).at("text");
  return {};
}

Result<Narrowing> read_filter(const Collection& collection, const Filter& filter) {
  auto place = comparable(collection, filter.field);
  if (!place) return std::move(place).error().at("field");
  Narrowing out{{*place}, filter.op, {}, {}};
  if (!out.field) {
    auto time = time_of(filter.value);
    if (!time)
      return Error(Code::invalid, "a time is written 2026-01-31 or 2026-01-31T09:30:00Z")
          .at("value");
    out.time = *time;
    return out;
  }
  if (out.field->type == FieldType::date) {
    if (!is_date(filter.value))
      return Error(Code::invalid, "a date is written 2026-01-31").at("value");
    out.value = Secret::copy(filter.value);
    return out;
  }
  if (out.field->field_class != FieldClass::plain)
    return Error(Code::invalid, "only dates and fields of class plain narrow a search").at("field");
  if (filter.op != FilterOp::eq && filter.op != FilterOp::ne)
    return Error(Code::invalid, "only dates and times are compared in order").at("op");
  out.value = index_term(*out.field, filter.value, collection.calling_code);
  if (out.value.empty())
    return Error(Code::invalid, "nothing is left of this value to compare").at("value");
  return out;
}

bool holds(FilterOp op, std::strong_ordering order) {
  switch (op) {
    case FilterOp::eq:
      return order == 0;
    case FilterOp::ne:
      return order != 0;
    case FilterOp::lt:
      return order < 0;
    case FilterOp::le:
      return order <= 0;
    case FilterOp::gt:
      return order > 0;
    case FilterOp::ge:
      return order >= 0;
  }
  return false;
}

Time time_of(const Comparable& place, const Record& record) {
  return place.created ? record.created : record.updated;
}

}  // namespace

Result<Query> read_query(const Collection& collection, const SearchRecords& request) {
  if (request.q.entries.empty() && !request.text)
    return Error(Code::invalid, "name at least one value to find").at("q");
  Query out{.collection = &collection, .conditions = {}, .any = {}, .filters = {}, .sort = {}};
  if (auto done = read_values(collection, request, out); !done) return std::move(done).error();
  if (auto done = read_text(collection, request, out); !done) return std::move(done).error();
  for (const auto& [name, match] : request.match)
    if (std::ranges::find(request.q.entries, name, &Values::Entry::name) ==
            request.q.entries.end() &&
        std::ranges::find(request.fields, name) == request.fields.end())
      return Error(Code::invalid, "neither `q` nor `fields` has this field")
          .at(FieldPath("match") / name);
  for (std::size_t i = 0; i < request.filter.size(); ++i) {
    auto one = read_filter(collection, request.filter[i]);
    if (!one) {
      auto where = FieldPath("filter")[i] / one.error().field.text();
      return std::move(one).error().at(std::move(where));
    }
    out.filters.push_back(std::move(*one));
  }
  if (request.sort) {
    auto place = comparable(collection, request.sort->field);
    if (!place) return std::move(place).error().at(FieldPath("sort") / "field");
    if (place->field && place->field->type == FieldType::json)
      return Error(Code::invalid, "json values have no order").at(FieldPath("sort") / "field");
    out.sort = Ordering{{*place}, request.sort->order == SortOrder::descending};
  }
  return out;
}

std::vector<std::pair<const Field*, View>> views_needed(const Query& query) {
  std::vector<std::pair<const Field*, View>> out;
  auto add = [&out](const Field* field, View view) {
    if (!field) return;
    if (shown_whole(*field)) view = View::masked;
    auto found = std::ranges::find(out, field, &std::pair<const Field*, View>::first);
    if (found == out.end())
      out.emplace_back(field, view);
    else
      found->second = std::max(found->second, view);
  };
  for (const auto* list : {&query.conditions, &query.any})
    for (const auto& one : *list)
      add(one.field, one.match == Match::exact ? View::verify : View::clear);
  for (const auto& one : query.filters)
    add(one.field, one.op == FilterOp::eq ? View::verify : View::clear);
  if (query.sort) add(query.sort->field, View::clear);
  return out;
}

Result<OpenRecord> OpenRecord::of(const Working& work, const Collection& collection,
                                  const Openable& openable) {
  OpenRecord out(work, collection, openable);
  auto fields = unpack(openable.record.sealed);
  if (!fields) return std::move(fields).error();
  out.fields_ = std::move(*fields);
  return out;
}

const Secret* OpenRecord::value(const Field& field) {
  auto [slot, fresh] = opened_.try_emplace(field.id);
  auto& held = slot->second;
  if (!fresh) return held ? &*held : nullptr;
  const auto& record = openable_->record;
  auto sealed = std::ranges::find(fields_, field.id, &SealedField::field);
  if (sealed == fields_.end() || expired(field, record, work_->now)) return nullptr;
  auto opened = openable_->keys->open(
      *work_->keys, field.keep_group,
      {record.subject, record.id, collection_->id, field.id, sealed->since}, sealed->sealed);
  if (!opened) return nullptr;
  held = std::move(*opened);
  return &*held;
}

namespace {

bool fits(const Condition& one, OpenRecord& record) {
  const auto* value = record.value(*one.field);
  if (!value) return false;
  auto normal = index_term(*one.field, value->expose_text(), one.index->calling_code);
  auto has = normal.expose_text(), wanted = one.wanted.expose_text();
  switch (one.match) {
    case Match::exact:
      return normal.matches(one.wanted.expose());
    case Match::prefix:
      return has.starts_with(wanted);
    case Match::substring:
      return has.contains(wanted);
  }
  std::unreachable();
}

bool fits(const Narrowing& one, OpenRecord& record, const Collection& collection) {
  if (!one.field) return holds(one.op, time_of(one, record.record()) <=> one.time);
  const auto* value = record.value(*one.field);
  if (!value) return false;
  auto normal = one.field->type == FieldType::date
                    ? value->clone()
                    : index_term(*one.field, value->expose_text(), collection.calling_code);
  return holds(one.op, normal.expose_text() <=> one.value.expose_text());
}

}  // namespace

bool matches_any(const Query& query, OpenRecord& record) {
  return query.any.empty() ||
         std::ranges::any_of(query.any, [&](const auto& one) { return fits(one, record); });
}

bool matches(const Query& query, OpenRecord& record) {
  return std::ranges::all_of(query.conditions,
                             [&](const auto& one) { return fits(one, record); }) &&
         std::ranges::all_of(
             query.filters,
             [&](const auto& one) { return fits(one, record, *query.collection); }) &&
         matches_any(query, record);
}

std::vector<std::vector<const Field*>> misses(const Query& query, OpenRecord& record) {
  std::vector<std::vector<const Field*>> out;
  for (const auto& one : query.conditions)
    if (!fits(one, record)) out.push_back({one.field});
  for (const auto& one : query.filters)
    if (!fits(one, record, *query.collection)) out.push_back({one.field});
  if (matches_any(query, record)) return out;
  auto& fields = out.emplace_back();
  for (const auto& one : query.any) fields.push_back(one.field);
  return out;
}

Secret sort_key(const Query& query, OpenRecord& record) {
  if (!query.sort) return {};
  if (!query.sort->field) {
    Bytes out;
    put_u64(out, static_cast<std::uint64_t>(to_ms(time_of(*query.sort, record.record()))));
    return Secret::copy(out);
  }
  const auto* value = record.value(*query.sort->field);
  if (!value) return {};
  auto out = index_term(*query.sort->field, value->expose_text(), query.collection->calling_code);
  if (out.size() > kSortBytes) out.shrink(kSortBytes);
  return out;
}

}  // namespace holdfast::vault
