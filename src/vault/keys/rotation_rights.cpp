#include "vault/keys/rotation_rights.h"

#include <algorithm>

#include "crypto/aead.h"
#include "vault/keys/rotation_walk.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kCountPage = 5'000;
constexpr std::string_view kAccount = "account";

inline constexpr db::Sql kMacSubject{
    "vault.mac_subject", "update vault_subjects set mac = $3 where id = $1 and version = $2"};
inline constexpr db::Sql kCountMacs{"vault.count_macs", "select count(*) from vault_subjects"};
inline constexpr db::Sql kEvidenceOf{
    "vault.evidence_of",
    "select id, subject, at_ms, decision, purpose, evidence from vault_decisions "
    "where subject {{in $1}} and evidence is not null order by id"};
inline constexpr db::Sql kTextsOf{
    "vault.texts_of",
    "select id, subject, kind, state, received_ms, due_ms, identity, extended, alarmed_ms, "
    "answered_ms, outcome, event, asked, answer, version from vault_requests "
    "where subject {{in $1}} and (asked is not null or answer is not null) order by id"};
inline constexpr db::Sql kPutEvidence{
    "vault.put_evidence",
    "update vault_decisions set evidence = $3 where id = $1 and evidence = $2"};
inline constexpr db::Sql kPutTexts{
    "vault.put_texts",
    "update vault_requests set asked = $3, answer = $4, version = version + 1 "
    "where id = $1 and version = $2"};

Bytes blob(const auto& id) {
  return to_bytes(id.bytes());
}

std::int64_t size_of(const auto& list) {
  return static_cast<std::int64_t>(list.size());
}

db::Value nullable(const Bytes& bytes) {
  return bytes.empty() ? db::Value() : db::Value(bytes);
}

/// Puts the text under the group's newest key. False when it is already, or was erased.
Result<bool> reseal(const MoveJob& job, SubjectKeys& keys, std::string_view group,
                    const Binding& place, Bytes& text) {
  if (text.empty()) return false;
  auto fresh = keys.resealed(*job.keys, group, place, text);
  if (!fresh && fresh.error().code == Code::gone) return false;
  if (!fresh) return std::move(fresh).error();
  if (!*fresh) return false;
  text = std::move(**fresh);
  return true;
}

Result<bool> reseal(const MoveJob& job, SubjectKeys& keys, Demand& demand) {
  auto asked = reseal(job, keys, kRequestsGroup, demand_binding(demand, kAskedText), demand.asked);
  if (!asked) return asked;
  auto answer =
      reseal(job, keys, kRequestsGroup, demand_binding(demand, kAnswerText), demand.answer);
  if (!answer) return answer;
  return *asked || *answer;
}

bool is_older(const SubjectKeys& keys, std::string_view group, const Bytes& text) {
  return !text.empty() && keys.has(group) && crypto::sealed_key_id(text) != keys.newest_id(group);
}

}  // namespace

// ── customers' rows

bool SubjectMacs::takes_part(KeyKind kind, Pass pass) const {
  return kind == KeyKind::authority && pass == Pass::move;
}

Task<Result<MovedRows>> SubjectMacs::move(MoveJob job, Pass, Bytes after, std::int64_t limit) {
  auto page = co_await walk::subjects(context_.journal.reader(), std::move(after), limit);
  if (!page) co_return std::move(page).error();
  MovedRows out{.after = std::move(page->after), .looked = size_of(page->rows), .last = page->last};
  std::vector<db::Args> puts;
  for (auto& subject : page->rows) {
    if (!standing_of(*job.keys, subject)) {
      out.refused.push_back("subjects " + subject.id.text());
      continue;
    }
    if (mac_key_of(subject) == job.to) continue;
    auto was = subject_digest(*job.keys, subject);
    subject.mac = subject_mac(*job.keys, subject);
    puts.push_back({blob(subject.id), subject.version, subject.mac});
    out.touches.push_back(
        {subject.id, "subjects", blob(subject.id), subject_digest(*job.keys, subject), was});
  }
  out.moved = size_of(puts);
  out.changes.bulk(kMacSubject, std::move(puts), db::Expect::exactly(out.moved));
  co_return out;
}

Task<Result<std::int64_t>> SubjectMacs::left(MoveJob job, Pass) {
  std::int64_t out = 0;
  for (Bytes after;;) {
    auto page = co_await walk::subjects(context_.journal.reader(), std::move(after), kCountPage);
    if (!page) co_return std::move(page).error();
    out += std::ranges::count_if(page->rows, [&](const Subject& subject) {
      return mac_key_of(subject) != job.to || !standing_of(*job.keys, subject);
    });
    if (page->last) co_return out;
    after = std::move(page->after);
  }
}

Task<Result<std::int64_t>> SubjectMacs::total(MoveJob) {
  return walk::count(context_.journal.reader(), kCountMacs);
}

// ── texts

Task<Result<RightsTexts>> rights_texts(db::Reader& reader, std::vector<SubjectId> whose) {
  db::List list;
  for (auto id : whose) list.cells.emplace_back(blob(id));
  RightsTexts out;
  auto evidence = co_await reader.read(kEvidenceOf, {list});
  if (!evidence) co_return std::move(evidence).error();
  for (std::size_t i = 0; i < evidence->size(); ++i)
    out.decisions.push_back(decision_from((*evidence)[i]));
  auto texts = co_await reader.read(kTextsOf, {std::move(list)});
  if (!texts) co_return std::move(texts).error();
  for (std::size_t i = 0; i < texts->size(); ++i) out.demands.push_back(demand_from((*texts)[i]));
  co_return out;
}

void reseal_texts(const MoveJob& job, std::map<SubjectId, SubjectKeys>& keys, RightsTexts texts,
                  MovedRows& out) {
  std::vector<db::Args> evidence, words;
  for (auto& one : texts.decisions) {
    auto was = decision_digest(*job.keys, one);
    auto before = one.evidence;
    auto changed = reseal(job, keys.at(one.subject), kAccount, evidence_binding(one), one.evidence);
    if (!changed) out.refused.push_back("decisions " + one.id.text());
    if (!changed || !*changed) continue;
    evidence.push_back({blob(one.id), std::move(before), one.evidence});
    out.touches.push_back(
        {one.subject, "decisions", blob(one.id), decision_digest(*job.keys, one), was});
  }
  for (auto& one : texts.demands) {
    auto was = demand_digest(*job.keys, one);
    auto changed = reseal(job, keys.at(one.subject), one);
    if (!changed) out.refused.push_back("requests " + one.id.text());
    if (!changed || !*changed) continue;
    auto before = one.version++;
    words.push_back({blob(one.id), before, nullable(one.asked), nullable(one.answer)});
    out.touches.push_back(
        {one.subject, "requests", blob(one.id), demand_digest(*job.keys, one), was});
  }
  const auto decided = size_of(evidence), asked = size_of(words);
  out.moved += decided + asked;
  out.changes.bulk(kPutEvidence, std::move(evidence), db::Expect::exactly(decided));
  out.changes.bulk(kPutTexts, std::move(words), db::Expect::exactly(asked));
}

std::int64_t texts_under_older(const std::map<SubjectId, SubjectKeys>& keys,
                               const RightsTexts& texts) {
  std::int64_t out = 0;
  for (const auto& one : texts.decisions)
    out += is_older(keys.at(one.subject), kAccount, one.evidence);
  for (const auto& one : texts.demands) {
    const auto& of = keys.at(one.subject);
    out += is_older(of, kRequestsGroup, one.asked) || is_older(of, kRequestsGroup, one.answer);
  }
  return out;
}

std::span<const db::Sql* const> rotation_rights_statements() {
  static constexpr const db::Sql* kAll[] = {&kMacSubject, &kCountMacs,   &kEvidenceOf,
                                            &kTextsOf,    &kPutEvidence, &kPutTexts};
  return kAll;
}

}  // namespace holdfast::vault
