#include "vault/draft.h"

#include <algorithm>

#include "vault/policy.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::size_t kViolations = 20;
constexpr std::string_view kAccount = "account";

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

}  // namespace

Result<std::vector<CheckedValue>> check_values(const Collection& collection, const Values& values,
                                               const FieldPath& where) {
  std::vector<CheckedValue> out;
  std::vector<Error> wrong;
  for (const auto& entry : values.entries) {
    if (wrong.size() >= kViolations) break;
    const auto* field = collection.find(entry.name);
    if (!field) {
      wrong.push_back(Error(Code::invalid, "the collection does not declare this field")
                          .at(where / entry.name));
    } else if (entry.null) {
      out.push_back({field, Secret(), true});
    } else if (entry.json != (field->type == FieldType::json) && entry.json) {
      wrong.push_back(Error(Code::invalid, "this field takes a string").at(where / entry.name));
    } else {
      auto checked = checked_value(*field, entry.value.expose_text());
      if (checked)
        out.push_back({field, std::move(*checked), false});
      else
        wrong.push_back(std::move(checked).error().at(where / entry.name));
    }
  }
  if (wrong.empty()) return out;
  auto first = std::move(wrong.front());
  wrong.erase(wrong.begin());
  first.also = std::move(wrong);
  return first;
}

bool loses(std::span<const CheckedValue> values) {
  return std::ranges::any_of(values, &CheckedValue::remove);
}

Error value_taken() {
  return {Code::conflict, "another record has this value, which must be unique"};
}

Result<SubjectId> Draft::add_subject(std::string_view external_id, SubjectKeys& out) {
  Subject subject{.id = SubjectId::make(now_),
                  .external_term = {},
                  .external_sealed = {},
                  .created = now_,
                  .erased = {},
                  .version = 1,
                  .merged_into = {},
                  .standing = encode_standing({}),
                  .mac = {}};
  out = SubjectKeys(subject.id);
  if (!external_id.empty()) {
    auto made = out.ensure(keys_, kAccount, subject_keys_);
    if (!made) return std::move(made).error();
    auto sealed = out.seal(keys_, kAccount, external_binding(subject.id), as_bytes(external_id));
    if (!sealed) return std::move(sealed).error();
    subject.external_term = external_term(keys_, external_id);
    subject.external_other = external_term_also(keys_, external_id);
    subject.external_sealed = std::move(*sealed);
  }
  subject.mac = subject_mac(keys_, subject);
  auto nullable = [](const Bytes& bytes) { return bytes.empty() ? db::Value() : db::Value(bytes); };
  subjects_.push_back({blob(subject.id), nullable(subject.external_term),
                       nullable(subject.external_sealed), to_ms(subject.created), subject.version,
                       subject.standing, subject.mac, nullable(subject.external_other)});
  touches_.push_back({subject.id, "subjects", blob(subject.id), subject_digest(keys_, subject)});
  return subject.id;
}

const BlindTerms& Draft::terms_of(const IndexInfo& index) {
  auto found = indexes_.find(index.number);
  if (found == indexes_.end()) found = indexes_.try_emplace(index.number, keys_, index).first;
  return found->second;
}

void Draft::post(const BlindTerms& terms, std::string_view normal, RecordId record,
                 std::int64_t version, bool adds) {
  for (auto& term : terms.grams(normal))
    postings_[{terms.index().number, std::move(term)}].push_back(
        {record, static_cast<std::uint32_t>(version), adds});
}

void Draft::add_terms(const Field& field, RecordId record, std::int64_t version, BytesView value) {
  for (const auto& index : field.indexes) {
    const auto& terms = terms_of(index);
    if (!terms.usable()) continue;
    auto normalised = index_term(field, as_text(value), index.calling_code);
    if (normalised.empty()) continue;
    auto normal = normalised.expose_text();
    if (index.kind == IndexKind::prefix || index.kind == IndexKind::substring) {
      post(terms, normal, record, version, true);
      continue;
    }
    auto term = terms.term(normal);
    if (index.kind == IndexKind::unique) unique_.push_back({index.number, term, blob(record)});
    terms_.push_back({index.number, std::move(term), blob(record), terms.tag(normal, record)});
  }
}

/// Under the version that the record gets. The terms of a damaged value cannot be made any more;
/// taking the value out must work all the same.
void Draft::drop_terms(SubjectKeys& keys, const Collection& collection, const Record& record,
                       const Field& field, const SealedField& old) {
  if (field.indexes.empty()) return;
  auto value =
      keys.open(keys_, field.keep_group,
                {record.subject, record.id, collection.id, field.id, old.since}, old.sealed);
  if (!value) return;
  for (const auto& index : field.indexes) {
    const auto& terms = terms_of(index);
    if (!terms.usable()) continue;
    auto normalised = index_term(field, value->expose_text(), index.calling_code);
    if (normalised.empty()) continue;
    auto normal = normalised.expose_text();
    if (index.kind == IndexKind::prefix || index.kind == IndexKind::substring) {
      post(terms, normal, record.id, record.version + 1, false);
      continue;
    }
    old_terms_.push_back({index.number, terms.term(normal), blob(record.id)});
  }
}

/// One block a term, however many records got or lost it.
void Draft::add_blocks(db::Changes& out) {
  std::vector<db::Args> blocks;
  for (auto& [place, entries] : postings_) {
    const auto& [number, term] = place;
    const auto& terms = indexes_.at(number);
    // Lost and got again in one change: what stands in the index stays right.
    std::ranges::sort(entries, [](const Posting& a, const Posting& b) {
      return a.record != b.record ? a.record < b.record : a.version < b.version;
    });
    std::vector<Posting> kept;
    kept.reserve(entries.size());
    for (const auto& entry : entries) {
      if (!kept.empty() && kept.back().record == entry.record &&
          kept.back().version == entry.version && kept.back().adds != entry.adds)
        kept.pop_back();
      else
        kept.push_back(entry);
    }
    for (std::size_t at = 0; at < kept.size(); at += kBlockEntries) {
      auto part = std::span(kept).subspan(at, std::min(kBlockEntries, kept.size() - at));
      Bytes id(8);
      random_public(id);
      auto sealed = terms.seal_block(term, id, part);
      blocks.push_back({number, term, std::move(id), block_kind(part),
                        static_cast<std::int64_t>(part.size()), std::move(sealed)});
    }
  }
  auto expect = db::Expect::exactly(static_cast<std::int64_t>(blocks.size()));
  out.bulk(kAddBlock, std::move(blocks), expect,
           Error(Code::conflict, "the index changed meanwhile: repeat"));
}

Result<Record> Draft::add_record(SubjectKeys& keys, const Collection& collection,
                                 std::optional<std::string> slot,
                                 std::span<const CheckedValue> values) {
  Record record{.id = RecordId::make(now_),
                .subject = keys.subject(),
                .collection = collection.id,
                .slot = std::move(slot),
                .version = 1,
                .created = now_,
                .updated = now_,
                .sealed = {}};
  std::vector<SealedField> fields;
  for (const auto& value : values) {
    if (value.remove) continue;
    const auto& field = *value.field;
    if (field.type == FieldType::card_verification)
      return Error(Code::internal, "a card verification code on its way into a record");
    auto ready = keys.ensure(keys_, field.keep_group, subject_keys_);
    if (!ready) return std::move(ready).error();
    auto sealed = keys.seal(keys_, field.keep_group,
                            {record.subject, record.id, collection.id, field.id, field.since},
                            value.value.expose());
    if (!sealed) return std::move(sealed).error();
    fields.push_back({field.id, field.since, std::move(*sealed)});
    add_terms(field, record.id, record.version, value.value.expose());
  }
  record.sealed = pack(fields);
  records_.push_back({blob(record.id), blob(record.subject), std::int64_t{record.collection},
                      record.slot ? db::Value(*record.slot) : db::Value(), record.version,
                      to_ms(record.created), to_ms(record.updated), record.sealed});
  touches_.push_back({record.subject, "records", blob(record.id), record_digest(keys_, record)});
  return record;
}

Result<bool> Draft::change_record(SubjectKeys& keys, const Collection& collection, Record& record,
                                  std::span<const CheckedValue> values) {
  auto fields = unpack(record.sealed);
  if (!fields) return std::move(fields).error();
  // What may fail comes before anything is gathered: a refused change leaves nothing behind.
  std::vector<std::pair<const CheckedValue*, Bytes>> different;
  for (const auto& value : values) {
    const auto& field = *value.field;
    auto old = std::ranges::find(*fields, field.id, &SealedField::field);
    if (value.remove) {
      if (old != fields->end()) different.emplace_back(&value, Bytes());
      continue;
    }
    if (old != fields->end()) {
      auto before =
          keys.open(keys_, field.keep_group,
                    {record.subject, record.id, collection.id, field.id, old->since}, old->sealed);
      if (before && before->matches(value.value.expose())) continue;
    }
    auto ready = keys.ensure(keys_, field.keep_group, subject_keys_);
    if (!ready) return std::move(ready).error();
    auto sealed = keys.seal(keys_, field.keep_group,
                            {record.subject, record.id, collection.id, field.id, field.since},
                            value.value.expose());
    if (!sealed) return std::move(sealed).error();
    different.emplace_back(&value, std::move(*sealed));
  }
  if (different.empty()) return false;
  for (auto& [value, sealed] : different) {
    const auto& field = *value->field;
    auto old = std::ranges::find(*fields, field.id, &SealedField::field);
    if (old != fields->end()) {
      drop_terms(keys, collection, record, field, *old);
      fields->erase(old);
    }
    if (value->remove) {
      lost_.emplace(record.subject, field.keep_group);
      continue;
    }
    fields->push_back({field.id, field.since, std::move(sealed)});
    add_terms(field, record.id, record.version + 1, value->value.expose());
  }
  auto before = record.version++;
  if (!keeps_updated_) record.updated = now_;
  record.sealed = pack(*fields);
  puts_.push_back({blob(record.id), before, record.version, to_ms(record.updated), record.sealed});
  touches_.push_back({record.subject, "records", blob(record.id), record_digest(keys_, record)});
  return true;
}

Result<void> Draft::move_record(SubjectKeys& from, SubjectKeys& to, const Collection& collection,
                                Record& record, std::optional<std::string> slot) {
  auto fields = unpack(record.sealed);
  if (!fields) return std::move(fields).error();
  std::vector<SealedField> moved;
  for (const auto& one : *fields) {
    const auto* field = collection.find(one.field);
    if (!field) return Error(Code::corrupt, "a stored value has no declared field");
    Binding place{record.subject, record.id, collection.id, field->id, one.since};
    auto value = from.open(keys_, field->keep_group, place, one.sealed);
    if (!value && value.error().code == Code::gone) continue;  // erased with its group
    if (!value) return std::move(value).error().at(field->name);
    if (auto ready = to.ensure(keys_, field->keep_group, subject_keys_); !ready)
      return std::move(ready).error();
    place.subject = to.subject();
    auto sealed = to.seal(keys_, field->keep_group, place, value->expose());
    if (!sealed) return std::move(sealed).error();
    moved.push_back({field->id, one.since, std::move(*sealed)});
    lost_.emplace(from.subject(), field->keep_group);  // what was under that one's key is no more
  }
  auto before = record.version++;
  record.subject = to.subject();
  record.slot = std::move(slot);
  record.sealed = pack(moved);
  moves_.push_back({blob(record.id), before, record.version, blob(record.subject),
                    record.slot ? db::Value(*record.slot) : db::Value(), to_ms(record.updated),
                    record.sealed});
  touches_.push_back({record.subject, "records", blob(record.id), record_digest(keys_, record)});
  return {};
}

Result<void> Draft::drop_record(SubjectKeys& keys, const Collection& collection,
                                const Record& record, std::span<const TokenOf> tokens) {
  auto fields = unpack(record.sealed);
  if (!fields) return std::move(fields).error();
  for (const auto& old : *fields) {
    const auto* field = collection.find(old.field);
    if (!field || !keys.has(field->keep_group)) continue;
    lost_.emplace(record.subject, field->keep_group);
    drop_terms(keys, collection, record, *field, old);
  }
  drops_.push_back({blob(record.id), record.version});
  touches_.push_back({record.subject, "records", blob(record.id), crypto::Digest{}});
  drop_tokens(record.subject, tokens);
  return {};
}

void Draft::drop_tokens(SubjectId subject, std::span<const TokenOf> tokens) {
  for (const auto& token : tokens) {
    token_drops_.cells.emplace_back(blob(token.id));
    touches_.push_back({subject, "tokens", blob(token.id), crypto::Digest{}});
  }
}

db::Changes Draft::changes() && {
  auto count = [](const std::vector<db::Args>& rows) {
    return db::Expect::exactly(static_cast<std::int64_t>(rows.size()));
  };
  auto by_term = [](const db::Args& a, const db::Args& b) {
    auto place = [](const db::Args& row) {
      return std::pair(std::get<std::int64_t>(row[0]), std::cref(std::get<Bytes>(row[1])));
    };
    auto left = place(a), right = place(b);
    return left.first != right.first ? left.first < right.first
                                     : left.second.get() < right.second.get();
  };
  std::ranges::sort(terms_, by_term);  // neighbours in the index are written together
  db::Changes out;
  auto add = [&](const db::Sql& sql, std::vector<db::Args>& rows, Error error) {
    auto expect = count(rows);
    out.bulk(sql, std::move(rows), expect, std::move(error));
  };
  add(kAddSubject, subjects_,
      Error(Code::conflict, "a customer with this external id was added meanwhile: repeat"));
  add(kAddKey, subject_keys_,
      Error(Code::conflict, "this customer's keys changed meanwhile: repeat"));
  add(kAddRecord, records_,
      Error(Code::conflict, "a record in this slot exists already").at("slot"));
  add(kPutRecord, puts_, Error(Code::conflict, "the record changed meanwhile: read it and repeat"));
  add(kMoveRecord, moves_, Error(Code::conflict, "the record changed meanwhile: repeat"));
  add(kDropRecord, drops_,
      Error(Code::conflict, "the record changed meanwhile: read it and repeat"));
  if (auto tokens = static_cast<std::int64_t>(token_drops_.cells.size()); tokens > 0)
    out.write(kDropTokens, {std::move(token_drops_)}, db::Expect::exactly(tokens),
              Error(Code::conflict, "the record's tokens changed meanwhile: repeat"));
  // One may not be there: an index that is being built may not have come to this record yet, and
  // where somebody took it out nothing else is to be hindered by that.
  out.bulk(kDropTerm, std::move(old_terms_));
  std::vector<db::Args> lost;
  for (const auto& [subject, group] : lost_) lost.push_back({blob(subject), group, to_ms(now_)});
  out.bulk(kLostValue, std::move(lost));
  add(kAddTerm, terms_, Error(Code::conflict, "the record changed meanwhile: read it and repeat"));
  add_blocks(out);
  for (auto subject : living_)
    out.guard(kGuardSubject, {blob(subject)},
              Error(Code::gone, "this customer was erased, or merged into another meanwhile")
                  .at("subject"));
  if (!unique_.empty()) out.guard(kTakeUniqueTurn, {});
  for (auto& row : unique_) out.guard(kGuardUnique, std::move(row), value_taken());
  return out;
}

}  // namespace holdfast::vault
