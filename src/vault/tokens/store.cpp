#include "vault/tokens/store.h"

#include <algorithm>

namespace holdfast::vault {
namespace {

constexpr std::int64_t kMostRows = 20'000;
constexpr std::size_t kSlice = 10'000;  // terms in one statement

inline constexpr db::Sql kFindTokens{
    "vault.find_tokens",
    "select id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed, "
    "value_term, sharer from vault_tokens where id {{in $1}}"};
inline constexpr db::Sql kFindTexts{
    "vault.find_texts",
    "select t.id, t.subject, t.record, t.field, t.created_ms, t.mac, t.key_id, t.text_term, "
    "t.text_sealed, t.value_term, t.sharer from vault_tokens t where t.text_term {{in $1}} "
    "and not exists (select 1 from vault_tokens o where o.text_term = t.text_term and o.id > "
    "t.id)"};
inline constexpr db::Sql kFindTextsOf{
    "vault.find_texts_of",
    "select id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed, "
    "value_term, sharer from vault_tokens where text_term {{in $1}} and subject = $2"};
inline constexpr db::Sql kFindAllTexts{
    "vault.find_all_texts",
    "select id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed, "
    "value_term, sharer from vault_tokens where text_term {{in $1}} limit $2"};
inline constexpr db::Sql kFindValues{
    "vault.find_values",
    "select t.id, t.subject, t.record, t.field, t.created_ms, t.mac, t.key_id, t.text_term, "
    "t.text_sealed, t.value_term, t.sharer from vault_tokens t where t.value_term {{in $1}} "
    "and not exists (select 1 from vault_tokens o where o.value_term = t.value_term and o.id > "
    "t.id)"};
inline constexpr db::Sql kFindValuesOf{
    "vault.find_values_of",
    "select id, subject, record, field, created_ms, mac, key_id, text_term, text_sealed, "
    "value_term, sharer from vault_tokens where value_term {{in $1}} and subject {{in $2}}"};
inline constexpr db::Sql kTakenTexts{
    "vault.taken_texts", "select text_term from vault_tokens where text_term {{in $1}}"};
inline constexpr db::Sql kTokensOfSubject{
    "vault.tokens_of_subject",
    "select t.id, t.subject, t.record, t.field, t.created_ms, t.mac, t.key_id, t.text_term, "
    "t.text_sealed, t.value_term, t.sharer from vault_tokens t "
    "join vault_records r on r.id = t.record where r.subject = $1 order by t.id"};

template <class Ids>
db::List list_of(const Ids& ids) {
  db::List out;
  for (const auto& id : ids) out.cells.emplace_back(to_bytes(id.bytes()));
  return out;
}

db::List list_of_terms(std::vector<Bytes> terms) {
  db::List out;
  for (auto& term : terms) out.cells.emplace_back(std::move(term));
  return out;
}

db::List slice_of(const std::vector<Bytes>& terms, std::size_t at) {
  db::List out;
  for (auto end = std::min(terms.size(), at + kSlice); at < end; ++at)
    out.cells.emplace_back(terms[at]);
  return out;
}

}  // namespace

Task<Result<std::vector<TokenRow>>> TokenStore::read(const db::Sql& sql, db::Args args,
                                                     MonoTime deadline) {
  auto rows = co_await reader_.read(sql, std::move(args), deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<TokenRow> out;
  out.reserve(rows->size());
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = token_row_from(keys_, (*rows)[i]);
    if (!row) co_return std::move(row).error();
    out.push_back(std::move(*row));
  }
  co_return out;
}

std::map<Bytes, std::string> TokenStore::terms_of(std::vector<std::string> texts) const {
  std::map<Bytes, std::string> out;
  for (auto& text : texts)
    for (const auto& key : keys_.tokens) out.emplace(token_text_term(key, text), text);
  return out;
}

Task<Result<std::map<TokenId, TokenRow>>> TokenStore::by_id(std::vector<TokenId> ids,
                                                            MonoTime deadline) {
  std::map<TokenId, TokenRow> out;
  if (ids.empty()) co_return out;
  auto rows = co_await read(kFindTokens, {list_of(ids)}, deadline);
  if (!rows) co_return std::move(rows).error();
  for (auto& row : *rows) out.emplace(row.id, std::move(row));
  co_return out;
}

Task<Result<std::map<std::string, TokenRow>>> TokenStore::by_text(std::vector<std::string> texts,
                                                                  std::optional<SubjectId> own,
                                                                  MonoTime deadline) {
  std::map<std::string, TokenRow> out;
  auto terms = terms_of(std::move(texts));
  if (terms.empty()) co_return out;
  std::vector<Bytes> list;
  for (const auto& [term, text] : terms) list.push_back(term);
  auto keep = [&](std::vector<TokenRow> rows) {
    for (auto& row : rows) {
      auto text = terms.find(row.text_term);
      if (text == terms.end()) continue;
      auto held = out.find(text->second);
      bool theirs = own && held != out.end() && held->second.subject == *own;
      if (held == out.end() || (own && row.subject == *own) ||
          (!theirs && held->second.id < row.id))
        out.insert_or_assign(text->second, std::move(row));
    }
  };
  auto newest = co_await read(kFindTexts, {list_of_terms(list)}, deadline);
  if (!newest) co_return std::move(newest).error();
  keep(std::move(*newest));
  if (own) {
    auto theirs = co_await read(kFindTextsOf,
                                {list_of_terms(std::move(list)), to_bytes(own->bytes())}, deadline);
    if (!theirs) co_return std::move(theirs).error();
    keep(std::move(*theirs));
  }
  co_return out;
}

Task<Result<std::vector<TokenRow>>> TokenStore::all_by_text(std::vector<std::string> texts,
                                                            MonoTime deadline) {
  std::vector<Bytes> list;
  for (auto& [term, text] : terms_of(std::move(texts))) list.push_back(term);
  if (list.empty()) co_return std::vector<TokenRow>();
  auto rows =
      co_await read(kFindAllTexts, {list_of_terms(std::move(list)), kMostRows + 1}, deadline);
  if (rows && rows->size() > static_cast<std::size_t>(kMostRows))
    co_return Error(Code::too_large,
                    "over 20,000 customers share these tokens: name fewer at once, or delete their "
                    "records");
  co_return rows;
}

Task<Result<std::vector<TokenRow>>> TokenStore::by_value(std::vector<Bytes> terms,
                                                         std::vector<SubjectId> subjects,
                                                         MonoTime deadline) {
  std::map<TokenId, TokenRow> out;
  for (std::size_t at = 0; at < terms.size(); at += kSlice) {
    auto slice = slice_of(terms, at);
    auto rows = co_await read(kFindValues, {slice}, deadline);
    if (!rows) co_return std::move(rows).error();
    for (auto& row : *rows) out.insert_or_assign(row.id, std::move(row));
    if (subjects.empty()) continue;
    auto theirs = co_await read(kFindValuesOf, {std::move(slice), list_of(subjects)}, deadline);
    if (!theirs) co_return std::move(theirs).error();
    for (auto& row : *theirs) out.insert_or_assign(row.id, std::move(row));
  }
  std::vector<TokenRow> list;
  for (auto& [id, row] : out) list.push_back(std::move(row));
  co_return list;
}

Task<Result<std::vector<Bytes>>> TokenStore::taken(std::vector<Bytes> terms, MonoTime deadline) {
  std::vector<Bytes> out;
  for (std::size_t at = 0; at < terms.size(); at += kSlice) {
    auto rows = co_await reader_.read(kTakenTexts, {slice_of(terms, at)}, deadline);
    if (!rows) co_return std::move(rows).error();
    for (std::size_t i = 0; i < rows->size(); ++i) out.push_back(to_bytes((*rows)[i].bytes(0)));
  }
  co_return out;
}

Task<Result<std::vector<TokenRow>>> TokenStore::of_subject(SubjectId subject, MonoTime deadline) {
  return read(kTokensOfSubject, {to_bytes(subject.bytes())}, deadline);
}

std::span<const db::Sql* const> token_statements() {
  static constexpr const db::Sql* kAll[] = {
      &kAddToken,    &kReleaseToken, &kMoveToken,  &kGuardTexts,   &kFindTokens, &kFindTexts,
      &kFindTextsOf, &kFindAllTexts, &kFindValues, &kFindValuesOf, &kTakenTexts, &kTokensOfSubject};
  return kAll;
}

}  // namespace holdfast::vault
