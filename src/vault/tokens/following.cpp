// Tokens of a customer who becomes another name of a second.
#include "vault/statements.h"
#include "vault/tokens/service.h"

namespace holdfast::vault {
namespace {

/// The row as one of `into`, its text sealed for that one. `sharer` stays: it keeps apart those who
/// share a text, and whoever it names is nobody of their own any more.
/// Errors: corrupt (the row does not fit its record, or its text does not open).
Result<TokenRow> followed(const Working& work, SubjectKeys& from, SubjectKeys& into,
                          const Collection* collection, TokenRow row,
                          std::vector<db::Args>& new_keys) {
  const auto* field = collection ? collection->find(row.field) : nullptr;
  if (!field || row.subject != from.subject())
    return Error(Code::corrupt, "a token's row does not fit its record");
  auto place = token_text_place(row);
  row.subject = into.subject();
  // The term of a value that only this customer's tokens are found by.
  auto scope =
      field->token ? field->token->deterministic.value_or(TokenScope::none) : TokenScope::none;
  if (scope != TokenScope::field) row.value_term.clear();
  if (row.text_sealed.empty()) return row;
  auto text = from.open(*work.keys, field->keep_group, place, row.text_sealed);
  if (!text && text.error().code == Code::gone) {  // erased with its group: found by nothing
    row.key_id = 0;
    for (auto* part : {&row.text_term, &row.text_sealed, &row.value_term, &row.sharer})
      part->clear();
    return row;
  }
  if (!text) return std::move(text).error();
  if (auto ready = into.ensure(*work.keys, field->keep_group, new_keys); !ready)
    return std::move(ready).error();
  auto sealed = into.seal(*work.keys, field->keep_group, token_text_place(row), text->expose());
  if (!sealed) return std::move(sealed).error();
  row.text_sealed = std::move(*sealed);
  return row;
}

}  // namespace

Task<Result<void>> Tokens::follow(const Working& work, SubjectKeys& from, SubjectKeys& into,
                                  db::Changes& changes, journal::Event& event, MonoTime deadline) {
  auto records = co_await context_.store.records_of(from.subject(), deadline);
  if (!records) co_return std::move(records).error();
  std::map<RecordId, const Collection*> collections;
  for (const auto& record : *records)
    collections.emplace(record.id, work.schema->find(record.collection));
  auto rows = co_await TokenStore(context_.journal.reader(), *work.keys)
                  .of_subject(from.subject(), deadline);
  if (!rows) co_return std::move(rows).error();
  std::vector<db::Args> new_keys, moved;
  for (auto& row : *rows) {
    auto at = collections.find(row.record);
    auto before = row.mac;
    auto now = followed(work, from, into, at == collections.end() ? nullptr : at->second,
                        std::move(row), new_keys);
    if (!now) co_return std::move(now).error();
    now->mac = token_mac(*work.keys, *now);
    event.touches.push_back(
        {now->subject, "tokens", to_bytes(now->id.bytes()), token_digest(*work.keys, *now)});
    auto nullable = [](Bytes& bytes) {
      return bytes.empty() ? db::Value() : db::Value(std::move(bytes));
    };
    moved.push_back({to_bytes(now->id.bytes()), std::move(before), to_bytes(now->subject.bytes()),
                     std::int64_t{now->key_id}, nullable(now->text_term),
                     nullable(now->text_sealed), nullable(now->value_term), nullable(now->sharer),
                     now->mac});
  }
  const Error changed(Code::conflict, "the customer's tokens changed meanwhile: repeat");
  auto keys = db::Expect::exactly(static_cast<std::int64_t>(new_keys.size()));
  changes.bulk(kAddKey, std::move(new_keys), keys, changed);
  auto expect = db::Expect::exactly(static_cast<std::int64_t>(moved.size()));
  changes.bulk(kMoveToken, std::move(moved), expect, changed);
  co_return Result<void>();
}

}  // namespace holdfast::vault
