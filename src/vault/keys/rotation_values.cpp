// Further keys for customers, and their values sealed again under them.
#include <algorithm>
#include <future>
#include <set>
#include <thread>

#include "crypto/aead.h"
#include "vault/keys/rotation_rights.h"
#include "vault/keys/rotation_rows.h"
#include "vault/keys/rotation_walk.h"
#include "vault/statements.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kCountPage = 5'000;
constexpr std::size_t kSharedOut = 1'000;
constexpr std::string_view kAccount = "account";

/// Keeps erasing out until this commit (it locks the rows), and sees what it did before. There may
/// be none: a restore of older data brings keys along of customers who are not in it.
inline constexpr db::Sql kHoldSubjects{
    "vault.hold_subjects",
    "select count(*) from (select id from vault_subjects where id {{in $1}} {{for share}}) held"};
inline constexpr db::Sql kRenewKey{
    "vault.renew_key",
    "insert into vault_subject_keys (subject, keep_group, key_id, epoch, wrapped) "
    "select subject, keep_group, key_id + 1, cast($4 as {{int}}), cast($5 as {{bytes}}) "
    "from vault_subject_keys where subject = $1 and keep_group = $2 and key_id = $3"};
inline constexpr db::Sql kForgetLost{
    "vault.forget_lost", "delete from vault_lost_values where subject = $1 and keep_group = $2"};
inline constexpr db::Sql kRetireKey{"vault.retire_key",
                                    "update vault_subject_keys set retired_ms = $4 "
                                    "where subject = $1 and keep_group = $2 and key_id = $3"};
inline constexpr db::Sql kDropRetiredKey{
    "vault.drop_retired_key",
    "delete from vault_subject_keys where subject = $1 and keep_group = $2 and key_id = $3 "
    "and retired_ms is not null and exists (select 1 from vault_subject_keys newer where "
    "newer.subject = $1 and newer.keep_group = $2 and newer.key_id > $3)"};
inline constexpr db::Sql kRecordsOfSubjects{
    "vault.records_of_subjects",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where subject {{in $1}} order by id"};
inline constexpr db::Sql kSubjectsIn{
    "vault.subjects_in",
    "select id, external_term, external_sealed, created_ms, erased_ms, version, merged_into, "
    "standing, mac, external_other from vault_subjects where id {{in $1}} order by id"};
inline constexpr db::Sql kPutSealed{
    "vault.put_sealed",
    "update vault_records set sealed = $3, version = version + 1 where id = $1 and version = $2"};

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

std::int64_t size_of(const auto& list) {
  return static_cast<std::int64_t>(list.size());
}

db::List list_of(const auto& ids) {
  db::List out;
  for (const auto& id : ids) out.cells.emplace_back(blob(id));
  return out;
}

/// Renews one group; its row goes to `rows` as vault.renew_key takes it.
Result<void> renew(const crypto::KeySet& keys, SubjectKeys& held, std::string_view group,
                   std::vector<db::Args>& rows) {
  auto last = held.newest_id(group);
  auto made = held.renew(keys, group, rows);
  if (!made) return std::move(made).error();
  rows.back()[2] = std::int64_t{*last};
  return {};
}

void finish_renewal(MovedRows& out, const std::set<SubjectId>& held, std::vector<db::Args> rows) {
  out.moved = size_of(rows);
  if (rows.empty()) return;
  out.changes.guard(kHoldSubjects, {list_of(held)});
  // One that was erased meanwhile gets none.
  out.changes.bulk(kRenewKey, std::move(rows), db::Expect::at_most(out.moved));
}

}  // namespace

// ── further keys

bool RenewedKeys::takes_part(KeyKind kind, Pass pass) const {
  return pass == Pass::renew && (kind == KeyKind::epoch || kind == KeyKind::subject);
}

Task<Result<MovedRows>> RenewedKeys::move(MoveJob job, Pass, Bytes after, std::int64_t limit) {
  if (job.kind == KeyKind::epoch) return renew_lost(std::move(job), std::move(after), limit);
  return renew_all(std::move(job), std::move(after), limit);
}

Task<Result<MovedRows>> RenewedKeys::renew_lost(MoveJob job, Bytes after, std::int64_t limit) {
  auto page = co_await walk::lost(context_.journal.reader(), std::move(after), limit);
  if (!page) co_return std::move(page).error();
  MovedRows out{.after = std::move(page->after), .looked = size_of(page->rows), .last = page->last};
  std::set<SubjectId> ids;
  for (const auto& row : page->rows) ids.insert(row.subject);
  auto keys = co_await context_.store.keys(std::vector(ids.begin(), ids.end()), MonoTime::max());
  if (!keys) co_return std::move(keys).error();
  std::vector<db::Args> rows, forgotten;
  std::set<SubjectId> held;
  for (const auto& row : page->rows) {
    forgotten.push_back({blob(row.subject), row.group});
    auto& of = keys->at(row.subject);
    if (!of.has(row.group)) continue;  // erased as a whole since
    if (auto done = renew(*job.keys, of, row.group, rows); !done) co_return std::move(done).error();
    held.insert(row.subject);
  }
  finish_renewal(out, held, std::move(rows));
  out.changes.bulk(kForgetLost, std::move(forgotten));
  co_return out;
}

Task<Result<MovedRows>> RenewedKeys::renew_all(MoveJob job, Bytes after, std::int64_t limit) {
  auto page = co_await walk::keys(context_.journal.reader(), std::move(after), limit, true);
  if (!page) co_return std::move(page).error();
  MovedRows out{.after = std::move(page->after), .looked = size_of(page->rows), .last = page->last};
  if (!page->rows.empty()) out.after = walk::behind_group(page->rows.back());
  std::map<SubjectId, SubjectKeys> keys;
  for (const auto& row : page->rows)
    keys.try_emplace(row.subject, row.subject)
        .first->second.add_wrapped(row.group, row.id, row.epoch, row.wrapped);
  std::vector<db::Args> rows;
  std::set<SubjectId> held;
  for (auto& [subject, of] : keys) {
    held.insert(subject);
    for (const auto& group : of.groups())
      if (auto done = renew(*job.keys, of, group, rows); !done) co_return std::move(done).error();
  }
  finish_renewal(out, held, std::move(rows));
  co_return out;
}

Task<Result<std::int64_t>> RenewedKeys::left(MoveJob, Pass) {
  co_return 0;
}

Task<Result<std::int64_t>> RenewedKeys::total(MoveJob job) {
  auto& reader = context_.journal.reader();
  return job.kind == KeyKind::epoch ? walk::count_lost(reader) : walk::count_keys(reader);
}

// ── values

/// Customers with more than one living key in a keep group, and those older keys.
struct SealedValues::Page {
  std::map<SubjectId, SubjectKeys> keys;
  std::vector<walk::KeyRow> older, retired;
  Bytes after;
  std::int64_t looked = 0;
  bool last = false;
};

bool SealedValues::takes_part(KeyKind kind, Pass pass) const {
  if (kind == KeyKind::epoch) return pass == Pass::move || pass == Pass::clean;
  return kind == KeyKind::subject && pass != Pass::renew;
}

Task<Result<SealedValues::Page>> SealedValues::page(Bytes after, std::int64_t limit) {
  auto rows = co_await walk::keys(context_.journal.reader(), std::move(after), limit, true);
  if (!rows) co_return std::move(rows).error();
  Page out{.keys = {},
           .older = {},
           .retired = {},
           .after = std::move(rows->after),
           .looked = size_of(rows->rows),
           .last = rows->last};
  std::set<SubjectId> several;
  for (std::size_t i = 0; i < rows->rows.size(); ++i) {
    const auto& row = rows->rows[i];
    const bool newer = i + 1 < rows->rows.size() && rows->rows[i + 1].subject == row.subject &&
                       rows->rows[i + 1].group == row.group;
    // The mark has no MAC: values are looked for under every older key, marked or not.
    if (!newer) continue;
    (row.retired ? out.retired : out.older).push_back(row);
    several.insert(row.subject);
  }
  for (const auto& row : rows->rows)
    if (several.contains(row.subject))
      out.keys.try_emplace(row.subject, row.subject)
          .first->second.add_wrapped(row.group, row.id, row.epoch, row.wrapped);
  co_return out;
}

Task<Result<MovedRows>> SealedValues::move(MoveJob job, Pass pass, Bytes after,
                                           std::int64_t limit) {
  auto page = co_await this->page(std::move(after), limit);
  if (!page) co_return std::move(page).error();
  if (pass == Pass::move) co_return co_await reseal(std::move(job), std::move(*page));
  MovedRows out{.after = std::move(page->after), .looked = page->looked, .last = page->last};
  std::vector<db::Args> rows;
  const auto now = to_ms(context_.clock.now());
  for (const auto& row : pass == Pass::clean ? page->older : page->retired) {
    rows.push_back({blob(row.subject), row.group, std::int64_t{row.id}});
    if (pass == Pass::clean) rows.back().emplace_back(now);
  }
  out.moved = size_of(rows);
  out.changes.bulk(pass == Pass::clean ? kRetireKey : kDropRetiredKey, std::move(rows),
                   db::Expect::at_most(out.moved));
  co_return out;
}

namespace {

/// The record's values under the newest keys. False when they are already.
Result<bool> reseal_record(const MoveJob& job, SubjectKeys& keys, Record& record) {
  const auto* collection = job.schema->find(record.collection);
  auto fields = unpack(record.sealed);
  if (!fields) return std::move(fields).error();
  bool changed = false;
  for (auto& one : *fields) {
    const auto* field = collection ? collection->find(one.field) : nullptr;
    if (!field) return Error(Code::corrupt, "a value's field is not declared");
    auto fresh = keys.resealed(*job.keys, field->keep_group,
                               {record.subject, record.id, record.collection, one.field, one.since},
                               one.sealed);
    if (!fresh && fresh.error().code == Code::gone) continue;  // erased
    if (!fresh) return std::move(fresh).error();
    if (!*fresh) continue;
    one.sealed = std::move(**fresh);
    changed = true;
  }
  if (changed) record.sealed = pack(*fields);
  return changed;
}

struct Resealed {
  Record record;
  crypto::Digest was{};
  Result<bool> changed;
};

/// Records of a page, in their order. A large page, which only comes while nobody else works, is
/// shared out among the cores by customers, whose keys are of one thread at a time.
std::vector<Resealed> reseal_all(const MoveJob& job, std::map<SubjectId, SubjectKeys>& keys,
                                 const db::Rows& rows) {
  std::vector<Resealed> out(rows.size());
  std::map<SubjectId, std::size_t> share;
  for (const auto& [subject, held] : keys) share.emplace(subject, share.size());
  const std::size_t workers =
      rows.size() < kSharedOut ? 1 : std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
  auto work = [&](std::size_t worker) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      auto subject = SubjectId::from(rows[i].bytes(1)).value_or(SubjectId{});
      if (share.at(subject) % workers != worker) continue;
      out[i].record = record_from(rows[i]);
      out[i].was = record_digest(*job.keys, out[i].record);
      out[i].changed = reseal_record(job, keys.at(subject), out[i].record);
    }
  };
  std::vector<std::future<void>> others;
  for (std::size_t worker = 1; worker < workers; ++worker)
    others.push_back(std::async(std::launch::async, work, worker));
  work(0);
  for (auto& one : others) one.get();
  return out;
}

/// Values of a record that are not under the newest key; a damaged row counts as one.
std::int64_t under_older(const MoveJob& job, const std::map<SubjectId, SubjectKeys>& keys,
                         const Record& record) {
  const auto* collection = job.schema->find(record.collection);
  auto fields = unpack(record.sealed);
  if (!collection || !fields) return 1;
  std::int64_t out = 0;
  for (const auto& one : *fields) {
    const auto* field = collection->find(one.field);
    if (!field) return 1;
    const auto& of = keys.at(record.subject);
    out += of.has(field->keep_group) &&
           crypto::sealed_key_id(one.sealed) != of.newest_id(field->keep_group);
  }
  return out;
}

}  // namespace

Task<Result<MovedRows>> SealedValues::reseal(MoveJob job, Page page) {
  MovedRows out{.after = std::move(page.after), .looked = page.looked, .last = page.last};
  if (page.keys.empty()) co_return out;
  std::vector<SubjectId> ids;
  for (const auto& [id, keys] : page.keys) ids.push_back(id);
  auto& reader = context_.journal.reader();
  auto records = co_await reader.read(kRecordsOfSubjects, {list_of(ids)});
  if (!records) co_return std::move(records).error();
  auto subjects = co_await reader.read(kSubjectsIn, {list_of(ids)});
  if (!subjects) co_return std::move(subjects).error();
  auto texts = co_await rights_texts(reader, std::move(ids));
  if (!texts) co_return std::move(texts).error();

  std::vector<db::Args> puts, externals;
  for (auto& [record, was, changed] : reseal_all(job, page.keys, *records)) {
    if (!changed) out.refused.push_back("records " + record.id.text());
    if (!changed || !*changed) continue;
    auto before = record.version++;
    puts.push_back({blob(record.id), before, record.sealed});
    out.touches.push_back(
        {record.subject, "records", blob(record.id), record_digest(*job.keys, record), was});
  }
  for (std::size_t i = 0; i < subjects->size(); ++i) {
    auto subject = subject_from((*subjects)[i]);
    if (subject.external_sealed.empty()) continue;
    auto was = subject_digest(*job.keys, subject);
    auto fresh =
        page.keys.at(subject.id)
            .resealed(*job.keys, kAccount, external_binding(subject.id), subject.external_sealed);
    // A row that Holdfast did not write gets no MAC here.
    const bool ours = standing_of(*job.keys, subject).has_value();
    if (!fresh || !ours) out.refused.push_back("subjects " + subject.id.text());
    if (!fresh || !*fresh || !ours) continue;
    subject.external_sealed = std::move(**fresh);
    externals.push_back(put_subject(*job.keys, subject));
    out.touches.push_back(
        {subject.id, "subjects", blob(subject.id), subject_digest(*job.keys, subject), was});
  }
  const auto values = size_of(puts), names = size_of(externals);
  out.moved = values + names;
  out.changes.bulk(kPutSealed, std::move(puts), db::Expect::exactly(values));
  out.changes.bulk(kPutSubject, std::move(externals), db::Expect::exactly(names));
  reseal_texts(job, page.keys, std::move(*texts), out);
  co_return out;
}

Task<Result<std::int64_t>> SealedValues::left(MoveJob job, Pass pass) {
  std::int64_t out = 0;
  for (Bytes after;;) {
    auto page = co_await this->page(std::move(after), kCountPage);
    if (!page) co_return std::move(page).error();
    if (pass == Pass::clean) {
      out += size_of(page->older);
    } else if (!page->keys.empty()) {
      std::vector<SubjectId> ids;
      for (const auto& [id, keys] : page->keys) ids.push_back(id);
      auto records = co_await context_.journal.reader().read(kRecordsOfSubjects, {list_of(ids)});
      if (!records) co_return std::move(records).error();
      for (std::size_t i = 0; i < records->size(); ++i)
        out += under_older(job, page->keys, record_from((*records)[i]));
      auto subjects = co_await context_.journal.reader().read(kSubjectsIn, {list_of(ids)});
      if (!subjects) co_return std::move(subjects).error();
      for (std::size_t i = 0; i < subjects->size(); ++i) {
        auto subject = subject_from((*subjects)[i]);
        out +=
            !subject.external_sealed.empty() && crypto::sealed_key_id(subject.external_sealed) !=
                                                    page->keys.at(subject.id).newest_id(kAccount);
      }
      auto texts = co_await rights_texts(context_.journal.reader(), std::move(ids));
      if (!texts) co_return std::move(texts).error();
      out += texts_under_older(page->keys, *texts);
    }
    if (page->last) co_return out;
    after = std::move(page->after);
  }
}

Task<Result<std::int64_t>> SealedValues::total(MoveJob) {
  return walk::count_keys(context_.journal.reader());
}

std::span<const db::Sql* const> rotation_value_statements() {
  static constexpr const db::Sql* kAll[] = {&kHoldSubjects, &kRenewKey,       &kForgetLost,
                                            &kRetireKey,    &kDropRetiredKey, &kRecordsOfSubjects,
                                            &kSubjectsIn,   &kPutSealed};
  return kAll;
}

}  // namespace holdfast::vault
