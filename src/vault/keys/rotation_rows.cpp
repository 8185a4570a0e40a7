#include "vault/keys/rotation_rows.h"

#include <algorithm>
#include <set>
#include <utility>

#include "vault/keys/rotation_walk.h"
#include "vault/policy.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

/// Rows that only are counted come in larger pages.
constexpr std::int64_t kCountPage = 5'000;

inline constexpr db::Sql kRewrap{"vault.rewrap",
                                 "update vault_subject_keys set epoch = $4, wrapped = $5 "
                                 "where subject = $1 and keep_group = $2 and key_id = $3"};
inline constexpr db::Sql kDropRetired{
    "vault.drop_retired",
    "delete from vault_subject_keys where subject = $1 and keep_group = $2 and key_id = $3 "
    "and retired_ms is not null"};
inline constexpr db::Sql kDropOfErased{
    "vault.drop_of_erased",
    "delete from vault_subject_keys where subject = $1 and keep_group = $2"};
inline constexpr db::Sql kCountSubjects{"vault.count_subjects",
                                        "select count(*) from vault_subjects"};
inline constexpr db::Sql kMacCollection{
    "vault.mac_collection", "update vault_collections set mac = $3 where id = $1 and version = $2"};
inline constexpr db::Sql kMacPurpose{
    "vault.mac_purpose", "update vault_purposes set mac = $3 where name = $1 and version = $2"};
inline constexpr db::Sql kMacSwitch{
    "vault.mac_switch", "update vault_switches set mac = $3 where name = $1 and version = $2"};

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

std::int64_t size_of(const auto& list) {
  return static_cast<std::int64_t>(list.size());
}

/// Whether a newer key of the same keep group follows: such a key stays under the epoch that it
/// was made in, and goes with it.
bool replaced(const std::vector<walk::KeyRow>& rows, std::size_t at) {
  return at + 1 < rows.size() && rows[at + 1].subject == rows[at].subject &&
         rows[at + 1].group == rows[at].group;
}

/// Which of these keys are of erased customers, with nothing under them: no new epoch wraps them.
/// That a customer is erased counts under the MAC of their row only.
Task<Result<std::set<std::pair<SubjectId, std::string>>>> keys_of_erased(
    Context context, const crypto::KeySet& keys, const std::vector<walk::KeyRow>& rows) {
  std::set<std::pair<SubjectId, std::string>> out;
  std::set<SubjectId> subjects;
  for (const auto& row : rows) subjects.insert(row.subject);
  if (subjects.empty()) co_return out;
  db::List list;
  for (auto id : subjects) list.cells.emplace_back(blob(id));
  auto found = co_await context.journal.reader().read(kKeysOfErased, {std::move(list)});
  if (!found) co_return std::move(found).error();
  for (std::size_t i = 0; i < found->size(); ++i) {
    auto id = SubjectId::from((*found)[i].bytes(0)).value_or(SubjectId{});
    auto subject = co_await context.store.subject(id, MonoTime::max());
    if (!subject) co_return std::move(subject).error();
    if (*subject && (*subject)->erased && standing_of(keys, **subject))
      out.emplace(id, (*found)[i].text(1));
  }
  co_return out;
}

}  // namespace

// ── subject keys

bool WrappedKeys::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::epoch && (pass == Pass::move || pass == Pass::drop);
}

Task<Result<MovedRows>> WrappedKeys::move(MoveJob job, Pass pass, Bytes after, std::int64_t limit) {
  auto page = co_await walk::keys(context_.journal.reader(), std::move(after), limit, true);
  if (!page) co_return std::move(page).error();
  MovedRows out{.after = std::move(page->after), .looked = size_of(page->rows), .last = page->last};
  std::set<std::pair<SubjectId, std::string>> erased;
  if (pass == Pass::move) {
    auto found = co_await keys_of_erased(context_, *job.keys, page->rows);
    if (!found) co_return std::move(found).error();
    erased = std::move(*found);
  }
  std::vector<db::Args> rows;
  for (std::size_t i = 0; i < page->rows.size(); ++i) {
    const auto& row = page->rows[i];
    if (erased.contains({row.subject, row.group})) continue;
    if (pass == Pass::drop) {
      // The mark has no MAC: what it says counts only where a newer key has the values.
      if (row.retired && row.epoch == job.from && replaced(page->rows, i))
        rows.push_back({blob(row.subject), row.group, std::int64_t{row.id}});
      continue;
    }
    if (row.epoch == job.to || replaced(page->rows, i)) continue;
    auto fresh = rewrapped(job.keys->ring, row.subject, row.group, row.id, row.epoch, row.wrapped);
    if (!fresh) {
      out.refused.push_back("subject_keys " + row.subject.text() + ' ' + row.group);
      continue;
    }
    rows.push_back({blob(row.subject), row.group, std::int64_t{row.id}, std::int64_t{job.to},
                    std::move(*fresh)});
  }
  out.moved = size_of(rows);
  // One that was erased meanwhile stays away.
  const auto& sql = pass == Pass::drop ? kDropRetired : kRewrap;
  out.changes.bulk(sql, std::move(rows), db::Expect::at_most(out.moved));
  std::vector<db::Args> drops;
  for (const auto& [subject, group] : erased) {
    out.put_back += group == "account";
    drops.push_back({blob(subject), group});
  }
  out.changes.bulk(kDropOfErased, std::move(drops));
  co_return out;
}

Task<Result<std::map<std::uint32_t, std::int64_t>>> keys_per_epoch(db::Reader& reader) {
  std::map<std::uint32_t, std::int64_t> out;
  for (Bytes after;;) {
    auto page = co_await walk::keys(reader, std::move(after), kCountPage, false);
    if (!page) co_return std::move(page).error();
    for (const auto& row : page->rows)
      if (!row.retired) ++out[row.epoch];
    if (page->last) co_return out;
    after = std::move(page->after);
  }
}

Task<Result<std::int64_t>> WrappedKeys::left(MoveJob job, Pass) {
  std::int64_t out = 0;
  for (Bytes after;;) {
    auto page = co_await walk::keys(context_.journal.reader(), std::move(after), kCountPage, true);
    if (!page) co_return std::move(page).error();
    for (std::size_t i = 0; i < page->rows.size(); ++i) {
      const auto& row = page->rows[i];
      out += row.epoch != job.to && !replaced(page->rows, i);
    }
    if (page->last) co_return out;
    after = std::move(page->after);
  }
}

Task<Result<std::int64_t>> WrappedKeys::total(MoveJob) {
  return walk::count_keys(context_.journal.reader());
}

// ── external ids

bool ExternalTerms::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::external && (pass == Pass::move || pass == Pass::clean);
}

Task<Result<MovedRows>> ExternalTerms::move(MoveJob job, Pass pass, Bytes after,
                                            std::int64_t limit) {
  auto page = co_await walk::subjects(context_.journal.reader(), std::move(after), limit);
  if (!page) co_return std::move(page).error();
  MovedRows out{.after = std::move(page->after), .looked = size_of(page->rows), .last = page->last};
  std::vector<SubjectId> ids;
  for (const auto& subject : page->rows) ids.push_back(subject.id);
  auto keys = co_await context_.store.keys(std::move(ids), MonoTime::max());
  if (!keys) co_return std::move(keys).error();
  const crypto::Hmac to(job.keys->ring.find(crypto::KeyUse::external, job.to)->expose());
  std::vector<db::Args> puts;
  for (auto& subject : page->rows) {
    const bool both = !subject.external_other.empty();
    if (subject.external_term.empty() || both == (pass == Pass::move)) continue;
    auto external =
        keys->at(subject.id)
            .open(*job.keys, "account", external_binding(subject.id), subject.external_sealed);
    // A row that Holdfast did not write gets no MAC here.
    if (!external || !standing_of(*job.keys, subject)) {
      out.refused.push_back("subjects " + subject.id.text());
      continue;
    }
    auto was = subject_digest(*job.keys, subject);
    auto term = external_term(to, external->expose_text());
    (pass == Pass::move ? subject.external_other : subject.external_term) = std::move(term);
    if (pass == Pass::clean) subject.external_other.clear();
    puts.push_back(put_subject(*job.keys, subject));
    out.touches.push_back(
        {subject.id, "subjects", blob(subject.id), subject_digest(*job.keys, subject), was});
  }
  out.moved = size_of(puts);
  out.changes.bulk(kPutSubject, std::move(puts), db::Expect::exactly(out.moved));
  co_return out;
}

Task<Result<std::int64_t>> ExternalTerms::left(MoveJob, Pass pass) {
  std::int64_t out = 0;
  for (Bytes after;;) {
    auto page = co_await walk::subjects(context_.journal.reader(), std::move(after), kCountPage);
    if (!page) co_return std::move(page).error();
    for (const auto& subject : page->rows)
      out +=
          !subject.external_term.empty() && subject.external_other.empty() == (pass == Pass::move);
    if (page->last) co_return out;
    after = std::move(page->after);
  }
}

Task<Result<std::int64_t>> ExternalTerms::total(MoveJob) {
  return walk::count(context_.journal.reader(), kCountSubjects);
}

// ── declarations

namespace {

struct Declared {
  std::string_view table;
  db::Value key;
  std::string name, text;
  std::int64_t version = 0;
  Bytes mac;
};

Task<Result<std::vector<Declared>>> declared_rows(db::Reader& reader) {
  std::vector<Declared> out;
  auto collections = co_await reader.read(kListCollections, {});
  if (!collections) co_return std::move(collections).error();
  for (std::size_t i = 0; i < collections->size(); ++i) {
    auto row = (*collections)[i];
    out.push_back({"collections", row.integer(0), std::string(row.text(1)),
                   std::string(row.text(3)), row.integer(2), to_bytes(row.bytes(4))});
  }
  auto purposes = co_await reader.read(kListPurposes, {});
  if (!purposes) co_return std::move(purposes).error();
  for (std::size_t i = 0; i < purposes->size(); ++i) {
    auto row = (*purposes)[i];
    out.push_back({"purposes", std::string(row.text(0)), std::string(row.text(0)),
                   std::string(row.text(2)), row.integer(1), to_bytes(row.bytes(3))});
  }
  auto switches = co_await reader.read(kListSwitches, {});
  if (!switches) co_return std::move(switches).error();
  for (std::size_t i = 0; i < switches->size(); ++i) {
    auto row = (*switches)[i];
    out.push_back({"switches", std::string(row.text(0)), std::string(row.text(0)),
                   std::string(row.text(2)), row.integer(1), to_bytes(row.bytes(3))});
  }
  co_return out;
}

const db::Sql& mac_statement(std::string_view table) {
  if (table == "collections") return kMacCollection;
  return table == "purposes" ? kMacPurpose : kMacSwitch;
}

}  // namespace

bool DeclaredRows::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::authority && pass == Pass::move;
}

Task<Result<MovedRows>> DeclaredRows::move(MoveJob job, Pass, Bytes, std::int64_t) {
  auto rows = co_await declared_rows(context_.journal.reader());
  if (!rows) co_return std::move(rows).error();
  MovedRows out{.looked = size_of(*rows), .last = true};
  for (auto& row : *rows) {
    auto mac = authority_mac(*job.keys, row.table, row.name, row.version, row.text);
    if (equal_constant_time(mac, row.mac)) continue;
    if (!authority_mac_fits(*job.keys, row.table, row.name, row.version, row.text, row.mac)) {
      out.refused.push_back(std::string(row.table) + ' ' + row.name);
      continue;
    }
    out.touches.push_back(
        {.kind = row.table,
         .row = to_bytes(row.name),
         .left = declared_digest(*job.keys, row.table, row.name, row.text, mac),
         .was = declared_digest(*job.keys, row.table, row.name, row.text, row.mac)});
    out.changes.write(mac_statement(row.table), {std::move(row.key), row.version, std::move(mac)},
                      db::Expect::exactly(1));
    ++out.moved;
  }
  co_return out;
}

Task<Result<std::int64_t>> DeclaredRows::left(MoveJob job, Pass) {
  auto rows = co_await declared_rows(context_.journal.reader());
  if (!rows) co_return std::move(rows).error();
  co_return std::ranges::count_if(*rows, [&](const Declared& row) {
    return !equal_constant_time(
        authority_mac(*job.keys, row.table, row.name, row.version, row.text), row.mac);
  });
}

std::span<const db::Sql* const> rotation_statements() {
  static constexpr const db::Sql* kAll[] = {&kRewrap,        &kDropOfErased,  &kDropRetired,
                                            &kCountSubjects, &kMacCollection, &kMacPurpose,
                                            &kMacSwitch};
  return kAll;
}

}  // namespace holdfast::vault
