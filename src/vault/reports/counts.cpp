#include "vault/reports/counts.h"

#include "crypto/aead.h"
#include "journal/slices.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kPageTokens{
    "vault.page_tokens",
    "select t.id, t.field, r.collection, t.key_id from vault_tokens t "
    "left join vault_records r on r.id = t.record where t.id > $1 order by t.id limit $2"};
inline constexpr db::Sql kPageSubjects{
    "vault.page_subjects",
    "select id, erased_ms, external_term, merged_into from vault_subjects where id > $1 "
    "order by id limit $2"};
inline constexpr db::Sql kPageSubjectKeys{
    "vault.page_subject_keys",
    "select subject, keep_group, key_id, epoch from vault_subject_keys "
    "where (subject, keep_group, key_id) > ($1, $2, $3) "
    "order by subject, keep_group, key_id limit $4"};
inline constexpr db::Sql kPageTerms{
    "vault.page_terms",
    "select term, record from vault_index where number = $1 and (term, record) > ($2, $3) "
    "order by term, record limit $4"};
inline constexpr db::Sql kPagePostings{
    "vault.page_postings",
    "select term, block, entries from vault_postings where number = $1 "
    "and (term, block) > ($2, $3) order by term, block limit $4"};

constexpr std::int64_t kPage = 500;

Result<void> in_time(const Context& context, MonoTime deadline) {
  if (context.clock.mono() <= deadline) return {};
  return Error(Code::unavailable, "counting takes too long now: try again when less goes on");
}

bool full(const db::Rows& rows) {
  return rows.size() == static_cast<std::size_t>(kPage);
}

}  // namespace

Task<Result<RecordCounts>> count_records(const Context& context, const Schema& schema,
                                         MonoTime deadline) {
  constexpr std::int64_t kRecords = 250;
  RecordCounts out;
  journal::Slices slices;
  for (const auto& [id, collection] : schema.by_id) {
    RecordId after{};
    for (bool more = true; more;) {
      if (auto good = in_time(context, deadline); !good) co_return std::move(good).error();
      auto records = co_await context.store.page(id, after, kRecords, deadline);
      if (!records) co_return std::move(records).error();
      more = records->size() == static_cast<std::size_t>(kRecords);
      for (const auto& record : *records) {
        after = record.id;
        ++out.records[id];
        auto sealed = unpack(record.sealed);
        if (!sealed) {
          ++out.damaged;
          continue;
        }
        for (const auto& value : *sealed) {
          ++out.values[{id, value.field}];
          ++out.total;
          if (auto key = crypto::sealed_key_id(value.sealed)) ++out.by_key[*key];
        }
        if (slices.due()) co_await slices.pause();
      }
      co_await slices.pause();
    }
  }
  co_return out;
}

Task<Result<TokenCounts>> count_tokens(const Context& context, MonoTime deadline) {
  TokenCounts out;
  Bytes after;
  journal::Slices slices;
  for (bool more = true; more;) {
    if (auto good = in_time(context, deadline); !good) co_return std::move(good).error();
    auto rows = co_await context.journal.reader().read(kPageTokens, {after, kPage}, deadline);
    if (!rows) co_return std::move(rows).error();
    more = full(*rows);
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto row = (*rows)[i];
      ++out.total;
      if (auto key = row.integer(3); key > 0) ++out.by_key[static_cast<std::uint32_t>(key)];
      if (row.null(2))
        ++out.without_record;
      else
        ++out.tokens[{static_cast<std::uint32_t>(row.integer(2)),
                      static_cast<std::uint16_t>(row.integer(1))}];
      after = to_bytes(row.bytes(0));
    }
    co_await slices.pause();
  }
  co_return out;
}

Task<Result<SubjectCounts>> count_subjects(const Context& context, MonoTime deadline) {
  SubjectCounts out;
  Bytes after;
  journal::Slices slices;
  for (bool more = true; more;) {
    if (auto good = in_time(context, deadline); !good) co_return std::move(good).error();
    auto rows = co_await context.journal.reader().read(kPageSubjects, {after, kPage}, deadline);
    if (!rows) co_return std::move(rows).error();
    more = full(*rows);
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto row = (*rows)[i];
      if (row.null(3)) ++(row.null(1) ? out.living : out.erased);  // a guest who was merged is none
      out.external_ids += !row.null(2);
      after = to_bytes(row.bytes(0));
    }
    co_await slices.pause();
  }
  co_return out;
}

Task<Result<std::map<std::uint32_t, std::int64_t>>> count_subject_keys(const Context& context,
                                                                       MonoTime deadline) {
  std::map<std::uint32_t, std::int64_t> out;
  db::Args after = {Bytes(), std::string(), std::int64_t{0}, kPage};
  journal::Slices slices;
  for (bool more = true; more;) {
    if (auto good = in_time(context, deadline); !good) co_return std::move(good).error();
    auto rows = co_await context.journal.reader().read(kPageSubjectKeys, after, deadline);
    if (!rows) co_return std::move(rows).error();
    more = full(*rows);
    for (std::size_t i = 0; i < rows->size(); ++i)
      ++out[static_cast<std::uint32_t>((*rows)[i].integer(3))];
    if (!rows->empty()) {
      auto last = (*rows)[rows->size() - 1];
      after = {to_bytes(last.bytes(0)), std::string(last.text(1)), last.integer(2), kPage};
    }
    co_await slices.pause();
  }
  co_return out;
}

Task<Result<std::int64_t>> count_terms(const Context& context, std::int64_t index,
                                       MonoTime deadline) {
  std::int64_t out = 0;
  journal::Slices slices;
  for (const auto* sql : {&kPageTerms, &kPagePostings}) {
    Bytes term, last;
    for (bool more = true; more;) {
      if (auto good = in_time(context, deadline); !good) co_return std::move(good).error();
      auto rows =
          co_await context.journal.reader().read(*sql, {index, term, last, kPage}, deadline);
      if (!rows) co_return std::move(rows).error();
      more = full(*rows);
      for (std::size_t i = 0; i < rows->size(); ++i)
        out += sql == &kPagePostings ? (*rows)[i].integer(2) : 1;
      if (!rows->empty()) {
        term = to_bytes((*rows)[rows->size() - 1].bytes(0));
        last = to_bytes((*rows)[rows->size() - 1].bytes(1));
      }
      co_await slices.pause();
    }
  }
  co_return out;
}

std::span<const db::Sql* const> count_statements() {
  static constexpr const db::Sql* kAll[] = {&kPageTokens, &kPageSubjects, &kPageSubjectKeys,
                                            &kPageTerms, &kPagePostings};
  return kAll;
}

}  // namespace holdfast::vault
