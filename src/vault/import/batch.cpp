#include "vault/import/batch.h"

#include "vault/index_terms.h"
#include "vault/sealing.h"

namespace holdfast::vault {

RefusedRow refusal(Place place, std::string_view reason, std::string field) {
  return {static_cast<std::int64_t>(place.line), static_cast<std::int64_t>(place.column),
          std::move(field), std::string(reason)};
}

void add_unique(const crypto::KeySet& keys, const Field& field, const Secret& value,
                std::vector<UniqueTerm>& out) {
  for (const auto& index : field.indexes) {
    if (index.kind != IndexKind::unique) continue;
    BlindTerms terms(keys, index);
    auto normal = index_term(field, value.expose_text(), index.calling_code);
    if (terms.usable() && !normal.empty())
      out.push_back({&field, index.number, terms.term(normal.expose_text())});
  }
}

Result<void> carry_over(const Working& work, CheckedRow& row) {
  const Error gone(Code::conflict, "the collection was changed during the import: run it again");
  for (auto& record : row.records) {
    const auto* collection = work.schema->find(record.collection->id);
    if (!collection) return gone;
    record.unique.clear();
    for (auto& value : record.values) {
      const auto* field = collection->find(value.field->id);
      if (!field || field->type != value.field->type) return gone;
      value.field = field;
      add_unique(*work.keys, *field, value.value, record.unique);
    }
    record.collection = collection;
  }
  return {};
}

Task<Result<KnownRows>> known_of(const Context& context, const crypto::KeySet& keys,
                                 const std::vector<CheckedRow>& rows, MonoTime deadline) {
  std::map<Bytes, const std::string*> names;  // external ids by their terms
  std::vector<Bytes> terms;
  terms.reserve(rows.size());
  for (const auto& row : rows) {
    terms.push_back(external_term(keys, row.external_id));
    names.emplace(terms.back(), &row.external_id);
  }
  KnownRows out;
  auto subjects = co_await subjects_of(context, keys, std::move(terms), deadline);
  if (!subjects) co_return std::move(subjects).error();
  std::set<SubjectId> whose;
  for (const auto& [term, subject] : *subjects) {
    out.subjects.emplace(*names.at(term), subject.id);
    whose.insert(subject.id);
    auto standing = decode_standing(subject.standing);  // its MAC was checked
    if (!standing || standing->restricted) out.restricted.insert(subject.id);
  }
  out.aliases = whose.size() < subjects->size();
  std::vector<SubjectId> ids(whose.begin(), whose.end());
  auto wrapped = co_await context.store.keys(ids, deadline);
  if (!wrapped) co_return std::move(wrapped).error();
  out.keys = std::move(*wrapped);
  auto records = co_await context.store.slots_of(std::move(ids), deadline);
  if (!records) co_return std::move(records).error();
  for (auto& record : *records) {
    auto place = std::tuple(record.subject, record.collection, *record.slot);
    out.records.emplace(std::move(place), std::move(record));
  }
  std::map<std::int64_t, std::vector<Bytes>> unique;
  for (const auto& row : rows)
    for (const auto& record : row.records)
      for (const auto& one : record.unique) unique[one.index].push_back(one.term);
  for (auto& [index, wanted] : unique) {
    auto taken = co_await context.store.with_unique_terms(index, std::move(wanted), deadline);
    if (!taken) co_return std::move(taken).error();
    for (auto& [term, record] : *taken) out.taken.emplace(std::pair(index, term), record);
  }
  co_return out;
}

namespace {

/// The field of the row whose value must be unique and is another record's; nullptr without.
const Field* taken_field(const CheckedRow& row, const KnownRows& known) {
  auto subject = known.subjects.find(row.external_id);
  for (const auto& record : row.records) {
    auto own = subject == known.subjects.end()
                   ? known.records.end()
                   : known.records.find({subject->second, record.collection->id, record.slot});
    for (const auto& [field, index, term] : record.unique) {
      auto found = known.taken.find({index, term});
      if (found != known.taken.end() &&
          (own == known.records.end() || own->second.id != found->second))
        return field;
    }
  }
  return nullptr;
}

/// Whether the row would change a record of a customer whose data is restricted.
bool changes_restricted(const CheckedRow& row, const KnownRows& known) {
  auto subject = known.subjects.find(row.external_id);
  return subject != known.subjects.end() && known.restricted.contains(subject->second) &&
         std::ranges::any_of(row.records, [&](const auto& record) {
           return known.records.contains({subject->second, record.collection->id, record.slot});
         });
}

}  // namespace

Result<SealedRows> seal_rows(const Working& work, ImportId import,
                             const std::vector<CheckedRow>& rows, KnownRows& known) {
  Draft draft(*work.keys, work.now);
  SealedRows out;
  std::set<SubjectId> written;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    auto stored = known.subjects.find(row.external_id);
    if (known.aliases && stored != known.subjects.end() && !written.insert(stored->second).second) {
      out.later.push_back(i);
      continue;
    }
    if (const auto* field = taken_field(row, known)) {
      out.refused.push_back(
          refusal(row.place, "another record has this value, which must be unique", field->name));
      continue;
    }
    if (changes_restricted(row, known)) {
      out.refused.push_back(
          refusal(row.place, "this customer's data is restricted: rectify it instead"));
      continue;
    }
    SubjectKeys* keys = nullptr;
    if (stored != known.subjects.end()) {
      keys = &known.keys.at(stored->second);
      draft.expect_living(stored->second);
    } else {
      SubjectKeys fresh{SubjectId{}};
      auto id = draft.add_subject(row.external_id, fresh);
      if (!id) return std::move(id).error();
      keys = &known.keys.insert_or_assign(*id, std::move(fresh)).first->second;
      out.customers += 1;
    }
    for (const auto& record : row.records) {
      auto take = [&](RecordId id) {
        for (const auto& one : record.unique)
          known.taken.insert_or_assign({one.index, one.term}, id);
      };
      auto existing = known.records.find({keys->subject(), record.collection->id, record.slot});
      if (existing == known.records.end()) {
        auto made = draft.add_record(*keys, *record.collection, record.slot, record.values);
        if (!made) return std::move(made).error();
        take(made->id);
        out.created += 1;
        continue;
      }
      auto changed =
          draft.change_record(*keys, *record.collection, existing->second, record.values);
      if (!changed) {
        out.refused.push_back(refusal(
            row.place, "the stored record is damaged: run `holdfast journal verify --state`"));
        continue;
      }
      take(existing->second.id);
      (*changed ? out.updated : out.unchanged) += 1;
    }
  }
  out.event = {
      .activity = "imports.create",
      .touches = std::move(draft.touches()),
      .facts = {{"import", import.text()}, {"rows", static_cast<std::int64_t>(rows.size())}}};
  out.changes = std::move(draft).changes();
  return out;
}

}  // namespace holdfast::vault
