#include "vault/tokens/rows.h"

#include <algorithm>
#include <map>

#include "crypto/aead.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kCountPage = 5'000;

inline constexpr db::Sql kTokensFrom{
    "vault.tokens_from",
    "select id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed, "
    "value_term, sharer from vault_tokens where id > $1 order by id limit $2"};
inline constexpr db::Sql kTextTokensFrom{
    "vault.text_tokens_from",
    "select id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed, "
    "value_term, sharer from vault_tokens where id > $1 and text_sealed is not null "
    "order by id limit $2"};
inline constexpr db::Sql kTermTokensFrom{
    "vault.term_tokens_from",
    "select id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed, "
    "value_term, sharer from vault_tokens where id > $1 and key_id > 0 and key_id < $3 "
    "order by id limit $2"};
inline constexpr db::Sql kPutToken{
    "vault.put_token",
    "update vault_tokens set key_id = $3, text_term = $4, text_sealed = $5, value_term = $6, "
    "sharer = $7, mac = $8 where id = $1 and mac = $2"};
inline constexpr db::Sql kCountOlderTerms{
    "vault.count_older_token_terms",
    "select count(*) from vault_tokens where key_id > 0 and key_id < $1"};
inline constexpr db::Sql kCountTokens{"vault.count_tokens", "select count(*) from vault_tokens"};

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

Error damaged() {
  return {Code::corrupt, "a token's row does not fit its record"};
}

bool seals_again(KeyKind kind) {
  return kind == KeyKind::subject || kind == KeyKind::epoch;
}

/// The field that a token stands for; nullptr when the row does not fit its record.
const Field* field_of(const Schema& schema, const Record& record, const TokenRow& row) {
  const auto* collection = schema.find(record.collection);
  return collection && record.subject == row.subject ? collection->find(row.field) : nullptr;
}

/// The row with its text under the newest key of its keep group; nothing when it is already.
Result<std::optional<TokenRow>> sealed_again(const MoveJob& job, const Openable& of,
                                             const TokenRow& row) {
  const auto* field = field_of(*job.schema, of.record, row);
  if (!field) return damaged();
  auto fresh =
      of.keys->resealed(*job.keys, field->keep_group, token_text_place(row), row.text_sealed);
  if (!fresh && fresh.error().code == Code::gone && !of.keys->has(field->keep_group))
    return std::nullopt;  // erased
  if (!fresh) return std::move(fresh).error();
  if (!*fresh) return std::nullopt;
  auto out = row;
  out.text_sealed = std::move(**fresh);
  return out;
}

const crypto::TokenKey* token_key(const crypto::KeySet& keys, std::uint32_t id) {
  auto at = std::ranges::find(keys.tokens, id, &crypto::TokenKey::id);
  return at == keys.tokens.end() ? nullptr : &*at;
}

/// What the token is found by under `to`; empty when its record has another value by now, or its
/// field another shape.
Result<Bytes> value_term_under(const crypto::TokenKey& to, const crypto::TokenKey& from,
                               const crypto::KeySet& keys, const Openable& of, const Field& field,
                               const TokenRow& row) {
  if (!field.token) return Bytes();
  const auto& record = of.record;
  auto fields = unpack(record.sealed);
  if (!fields) return std::move(fields).error();
  auto sealed = std::ranges::find(*fields, field.id, &SealedField::field);
  if (sealed == fields->end()) return Bytes();
  auto value = of.keys->open(
      keys, field.keep_group,
      {record.subject, record.id, record.collection, field.id, sealed->since}, sealed->sealed);
  if (!value && value.error().code == Code::gone) return Bytes();
  if (!value) return std::move(value).error();
  auto term = [&](const crypto::TokenKey& key) {
    return token_value_term(key, record.collection, field, row.subject, value->expose());
  };
  return equal_constant_time(term(from), row.value_term) ? term(to) : Bytes();
}

/// The row with its terms under `job.to`. What was erased is found by nothing any more.
Result<TokenRow> found_by_new(const MoveJob& job, const Openable& of, const TokenRow& row) {
  const auto& keys = *job.keys;
  const auto* field = field_of(*job.schema, of.record, row);
  const auto* from = token_key(keys, row.key_id);
  const auto* to = token_key(keys, job.to);
  if (!field || !from || !to) return damaged();
  auto out = row;
  out.key_id = job.to;
  if (!row.text_term.empty()) {
    auto text = of.keys->open(keys, field->keep_group, token_text_place(row), row.text_sealed);
    if (!text && text.error().code == Code::gone) {
      out.key_id = 0;
      for (auto* part : {&out.text_term, &out.text_sealed, &out.value_term, &out.sharer})
        part->clear();
      return out;
    }
    if (!text) return std::move(text).error();
    if (!equal_constant_time(token_text_term(*from, text->expose_text()), row.text_term))
      return damaged();
    out.text_term = token_text_term(*to, text->expose_text());
  }
  if (row.value_term.empty()) return out;
  auto term = value_term_under(*to, *from, keys, of, *field, row);
  if (!term) return std::move(term).error();
  out.value_term = std::move(*term);
  return out;
}

db::Args put_args(const TokenRow& row, const Bytes& before) {
  auto nullable = [](const Bytes& bytes) { return bytes.empty() ? db::Value() : db::Value(bytes); };
  return {blob(row.id),
          before,
          std::int64_t{row.key_id},
          nullable(row.text_term),
          nullable(row.text_sealed),
          nullable(row.value_term),
          nullable(row.sharer),
          row.mac};
}

}  // namespace

/// Rows whose MAC holds, with the records that they stand in where those are needed.
struct TokenRows::Page {
  std::vector<TokenRow> rows;
  std::vector<std::string> refused;
  Loaded loaded;
  std::map<RecordId, const Openable*> records;
  Bytes after;
  std::int64_t looked = 0;
  bool last = false;
};

bool TokenRows::takes_part(KeyKind kind, Pass pass) const {
  return pass == Pass::move &&
         (kind == KeyKind::digest || kind == KeyKind::token || seals_again(kind));
}

Task<Result<TokenRows::Page>> TokenRows::page(const MoveJob& job, Bytes after, std::int64_t limit) {
  auto& reader = context_.journal.reader();
  auto rows = job.kind == KeyKind::token
                  ? co_await reader.read(kTermTokensFrom, {after, limit, std::int64_t{job.to}})
                  : co_await reader.read(seals_again(job.kind) ? kTextTokensFrom : kTokensFrom,
                                         {after, limit});
  if (!rows) co_return std::move(rows).error();
  Page out{.rows = {},
           .refused = {},
           .loaded = {},
           .records = {},
           .after = std::move(after),
           .looked = static_cast<std::int64_t>(rows->size()),
           .last = rows->size() < static_cast<std::size_t>(limit)};
  std::vector<RecordId> ids;
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = token_row_from(*job.keys, (*rows)[i]);
    if (!row) {
      auto id = TokenId::from((*rows)[i].bytes(0));
      out.refused.push_back("tokens " + (id ? id->text() : hex((*rows)[i].bytes(0))));
      continue;
    }
    ids.push_back(row->record);
    out.rows.push_back(std::move(*row));
  }
  if (!rows->empty()) out.after = to_bytes((*rows)[rows->size() - 1].bytes(0));
  if (job.kind == KeyKind::digest || ids.empty()) co_return out;
  std::ranges::sort(ids);
  auto twice = std::ranges::unique(ids);
  ids.erase(twice.begin(), twice.end());
  auto loaded = co_await context_.store.load(std::move(ids), MonoTime::max());
  if (!loaded) co_return std::move(loaded).error();
  out.loaded = std::move(*loaded);
  for (const auto& one : out.loaded.records) out.records.emplace(one.record.id, &one);
  co_return out;
}

Task<Result<MovedRows>> TokenRows::move(MoveJob job, Pass, Bytes after, std::int64_t limit) {
  auto page = co_await this->page(job, std::move(after), limit);
  if (!page) co_return std::move(page).error();
  MovedRows out{.after = std::move(page->after),
                .looked = page->looked,
                .refused = std::move(page->refused),
                .last = page->last};
  // Under which events told of the rows: each had its MAC and its digest under the same key.
  std::map<std::uint32_t, std::shared_ptr<const crypto::KeySet>> before;
  for (auto id : job.keys->ring.ids(crypto::KeyUse::digest)) before[id] = job.keys->with_digest(id);
  std::vector<db::Args> puts;
  for (const auto& row : page->rows) {
    auto now = row;
    if (job.kind != KeyKind::digest) {
      auto of = page->records.find(row.record);
      if (of == page->records.end()) continue;  // erased this moment; else it is left
      auto changed = seals_again(job.kind) ? sealed_again(job, *of->second, row)
                                           : Result<std::optional<TokenRow>>(std::nullopt);
      if (job.kind == KeyKind::token) {
        auto fresh = found_by_new(job, *of->second, row);
        changed = fresh ? Result<std::optional<TokenRow>>(std::move(*fresh))
                        : Result<std::optional<TokenRow>>(std::move(fresh).error());
      }
      if (!changed) out.refused.push_back("tokens " + row.id.text());
      if (!changed || !*changed) continue;
      now = std::move(**changed);
    }
    now.mac = token_mac(*job.keys, now);
    if (equal_constant_time(now.mac, row.mac)) continue;
    const auto told_under = token_mac_key(*job.keys, row);
    if (!told_under) co_return Error(Code::corrupt, "a token's row was not written by Holdfast");
    out.touches.push_back({row.subject, "tokens", blob(row.id), token_digest(*job.keys, now),
                           token_digest(*before.at(*told_under), row)});
    puts.push_back(put_args(now, row.mac));
  }
  out.moved = static_cast<std::int64_t>(puts.size());
  out.changes.bulk(kPutToken, std::move(puts), db::Expect::exactly(out.moved));
  co_return out;
}

Task<Result<std::int64_t>> TokenRows::left(MoveJob job, Pass) {
  if (job.kind == KeyKind::token) {
    auto rows = co_await context_.journal.reader().read(kCountOlderTerms, {std::int64_t{job.to}});
    if (!rows) co_return std::move(rows).error();
    co_return (*rows)[0].integer(0);
  }
  std::int64_t out = 0;
  for (Bytes after;;) {
    auto page = co_await this->page(job, std::move(after), kCountPage);
    if (!page) co_return std::move(page).error();
    out += static_cast<std::int64_t>(page->refused.size());
    for (const auto& row : page->rows) {
      if (job.kind == KeyKind::digest) {
        out += !equal_constant_time(token_mac(*job.keys, row), row.mac);
        continue;
      }
      auto of = page->records.find(row.record);
      const auto* field =
          of == page->records.end() ? nullptr : field_of(*job.schema, of->second->record, row);
      if (!field) {
        ++out;
        continue;
      }
      const auto& keys = *of->second->keys;
      out += keys.has(field->keep_group) &&
             crypto::sealed_key_id(row.text_sealed) != keys.newest_id(field->keep_group);
    }
    if (page->last) co_return out;
    after = std::move(page->after);
  }
}

Task<Result<std::int64_t>> TokenRows::total(MoveJob) {
  auto rows = co_await context_.journal.reader().read(kCountTokens, {});
  if (!rows) co_return std::move(rows).error();
  co_return (*rows)[0].integer(0);
}

std::span<const db::Sql* const> token_row_statements() {
  static constexpr const db::Sql* kAll[] = {&kTokensFrom, &kTextTokensFrom,  &kTermTokensFrom,
                                            &kPutToken,   &kCountOlderTerms, &kCountTokens};
  return kAll;
}

}  // namespace holdfast::vault
