// The SQL that the vault's rooms share, one text for both databases.
#pragma once

#include "db/changes.h"

namespace holdfast::vault {

// ── declarations
inline constexpr db::Sql kListCollections{
    "vault.list_collections",
    "select id, name, version, declared, mac from vault_collections order by name"};
inline constexpr db::Sql kAddCollection{
    "vault.add_collection",
    "insert into vault_collections (id, name, version, declared, mac) values ($1, $2, $3, $4, $5)"};
inline constexpr db::Sql kPutCollection{
    "vault.put_collection",
    "update vault_collections set version = $3, declared = $4, mac = $5 "
    "where id = $1 and version = $2"};
inline constexpr db::Sql kDropCollection{
    "vault.drop_collection", "delete from vault_collections where id = $1 and version = $2"};
inline constexpr db::Sql kNoRecord{
    "vault.no_record",
    "select 1 where not exists (select 1 from vault_records where collection = $1)"};
inline constexpr db::Sql kListPurposes{
    "vault.list_purposes", "select name, version, declared, mac from vault_purposes order by name"};
inline constexpr db::Sql kPutPurpose{
    "vault.put_purpose",
    "insert into vault_purposes (name, version, declared, mac) values ($1, $2, $3, $4) "
    "on conflict (name) do update set version = excluded.version, declared = excluded.declared, "
    "mac = excluded.mac where vault_purposes.version = excluded.version - 1"};

inline constexpr db::Sql kListSwitches{
    "vault.list_switches", "select name, version, declared, mac from vault_switches order by name"};
inline constexpr db::Sql kPutSwitch{
    "vault.put_switch",
    "insert into vault_switches (name, version, declared, mac) values ($1, $2, $3, $4) "
    "on conflict (name) do update set version = excluded.version, declared = excluded.declared, "
    "mac = excluded.mac where vault_switches.version = excluded.version - 1"};
/// The switch of card data and what `declared` of it says when it is on.
inline constexpr std::string_view kCardsSwitch = "cards", kSwitchedOn = R"({"on":true})",
                                  kSwitchedOff = R"({"on":false})";

// ── subjects and their keys
inline constexpr db::Sql kFindSubject{
    "vault.find_subject",
    "select s.id, s.external_term, s.external_sealed, s.created_ms, s.erased_ms, s.version, "
    "s.merged_into, s.standing, s.mac, s.external_other from vault_subjects s where s.id = $1"};
inline constexpr db::Sql kFindSubjects{
    "vault.find_subjects",
    "select s.id, s.external_term, s.external_sealed, s.created_ms, s.erased_ms, s.version, "
    "s.merged_into, s.standing, s.mac, s.external_other from vault_subjects s where s.id "
    "{{in $1}}"};
/// By either term: while the key of external ids is rotated a row has one under each key.
inline constexpr db::Sql kFindExternal{
    "vault.find_external",
    "select s.id, s.external_term, s.external_sealed, s.created_ms, s.erased_ms, s.version, "
    "s.merged_into, s.standing, s.mac, s.external_other from vault_subjects s where "
    "s.external_term = $1 or s.external_other = $1"};
/// Each row behind the term by which it was found.
inline constexpr db::Sql kFindExternals{
    "vault.find_externals",
    "select s.external_term, s.id, s.external_term, s.external_sealed, s.created_ms, s.erased_ms, "
    "s.version, s.merged_into, s.standing, s.mac, s.external_other from vault_subjects s "
    "where s.external_term {{in $1}} union all "
    "select s.external_other, s.id, s.external_term, s.external_sealed, s.created_ms, s.erased_ms, "
    "s.version, s.merged_into, s.standing, s.mac, s.external_other from vault_subjects s "
    "where s.external_other {{in $1}}"};
/// The other ids that a customer answers to.
inline constexpr db::Sql kFindAliases{
    "vault.find_aliases",
    "select s.id, s.external_term, s.external_sealed, s.created_ms, s.erased_ms, s.version, "
    "s.merged_into, s.standing, s.mac, s.external_other from vault_subjects s where "
    "s.merged_into = $1 order by s.id"};
inline constexpr db::Sql kAddSubject{
    "vault.add_subject",
    "insert into vault_subjects (id, external_term, external_sealed, created_ms, erased_ms, "
    "version, merged_into, standing, mac, external_other) "
    "values ($1, $2, $3, $4, null, $5, null, $6, $7, $8)"};
inline constexpr db::Sql kPutSubject{
    "vault.put_subject",
    "update vault_subjects set external_term = $3, external_sealed = $4, erased_ms = $5, "
    "merged_into = $6, standing = $7, mac = $8, version = $9, external_other = $10 "
    "where id = $1 and version = $2"};
inline constexpr db::Sql kGuardSubject{
    "vault.guard_subject",
    "select 1 from vault_subjects where id = $1 and erased_ms is null and merged_into is null "
    "{{for share}}"};
/// Together these keep out what is added while a customer is erased or merged: it waits for the
/// lock (its own guard shares it), and what was there before the lock is seen by the other.
inline constexpr db::Sql kLockSubject{"vault.lock_subject",
                                      "select 1 from vault_subjects where id = $1 {{for update}}"};
inline constexpr db::Sql kGuardNoOthers{"vault.guard_no_others",
                                        "select 1 where not exists (select 1 from vault_records "
                                        "where subject = $1 and not (id {{in $2}}))"};
inline constexpr db::Sql kFindKeys{"vault.find_keys",
                                   "select subject, keep_group, key_id, epoch, wrapped from "
                                   "vault_subject_keys where subject = $1"};
inline constexpr db::Sql kFindManyKeys{
    "vault.find_many_keys",
    "select subject, keep_group, key_id, epoch, wrapped from vault_subject_keys "
    "where subject {{in $1}} order by subject"};
/// Of these customers: keys of those who are marked as erased, with nothing under them. Erasing
/// deletes them; one of `account` that is there was put back. The mark has no MAC here.
inline constexpr db::Sql kKeysOfErased{
    "vault.keys_of_erased",
    "select k.subject, k.keep_group from vault_subject_keys k join vault_subjects s "
    "on s.id = k.subject where k.subject {{in $1}} and s.erased_ms is not null and "
    "(k.keep_group = 'account' or (s.merged_into is null "
    "and not exists (select 1 from vault_records r where r.subject = k.subject) "
    "and not exists (select 1 from vault_requests q where q.subject = k.subject))) "
    "order by k.subject, k.keep_group"};
inline constexpr db::Sql kAddKey{
    "vault.add_key",
    "insert into vault_subject_keys (subject, keep_group, key_id, epoch, wrapped) "
    "values ($1, $2, $3, $4, $5)"};

// ── records
/// A record with the row and the keys of its customer.
inline constexpr db::Sql kOpenRecord{
    "vault.open_record",
    "select r.id, r.subject, r.collection, r.slot, r.version, r.created_ms, r.updated_ms, "
    "r.sealed, s.id, s.external_term, s.external_sealed, s.created_ms, s.erased_ms, s.version, "
    "s.merged_into, s.standing, s.mac, s.external_other, k.keep_group, k.key_id, k.epoch, "
    "k.wrapped "
    "from vault_records r left join vault_subjects s on s.id = r.subject "
    "left join vault_subject_keys k on k.subject = r.subject where r.id = $1"};
inline constexpr db::Sql kFindRecord{
    "vault.find_record",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where id = $1"};
inline constexpr db::Sql kFindRecords{
    "vault.find_records",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where id {{in $1}}"};
inline constexpr db::Sql kFindSlot{
    "vault.find_slot",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where subject = $1 and collection = $2 and slot = $3"};
inline constexpr db::Sql kFindOf{
    "vault.find_of",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where subject = $1 order by id"};
inline constexpr db::Sql kFindOfMany{
    "vault.find_of_many",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where subject {{in $1}} and slot is not null"};
inline constexpr db::Sql kPageRecords{
    "vault.page_records",
    "select id, subject, collection, slot, version, created_ms, updated_ms, sealed "
    "from vault_records where collection = $1 and id > $2 order by id limit $3"};
inline constexpr db::Sql kAddRecord{"vault.add_record",
                                    "insert into vault_records (id, subject, collection, slot, "
                                    "version, created_ms, updated_ms, sealed) "
                                    "values ($1, $2, $3, $4, $5, $6, $7, $8)"};
inline constexpr db::Sql kPutRecord{"vault.put_record",
                                    "update vault_records set version = $3, updated_ms = $4, "
                                    "sealed = $5 where id = $1 and version = $2"};
/// To another customer.
inline constexpr db::Sql kMoveRecord{
    "vault.move_record",
    "update vault_records set version = $3, subject = $4, slot = $5, updated_ms = $6, sealed = $7 "
    "where id = $1 and version = $2"};
inline constexpr db::Sql kDropRecord{"vault.drop_record",
                                     "delete from vault_records where id = $1 and version = $2"};

// ── indexes
inline constexpr db::Sql kAddTerm{
    "vault.add_term",
    "insert into vault_index (number, term, record, tag) values ($1, $2, $3, $4)"};
inline constexpr db::Sql kDropTerm{
    "vault.drop_term", "delete from vault_index where number = $1 and term = $2 and record = $3"};
inline constexpr db::Sql kFindTerm{
    "vault.find_term",
    "select record, tag from vault_index where number = $1 and term = $2 and record > $3 "
    "order by record limit $4"};
inline constexpr db::Sql kFindTerms{
    "vault.find_terms",
    "select i.term, i.record from vault_index i join vault_records r on r.id = i.record "
    "where i.number = $1 and i.term {{in $2}}"};
inline constexpr db::Sql kTakeUniqueTurn{
    "vault.take_unique_turn", "select 1 from vault_unique_turn where id = 1 {{for update}}"};
/// A term without its record holds nothing: after a restore, of a customer who was erased since.
inline constexpr db::Sql kGuardUnique{"vault.guard_unique",
                                      "select 1 where not exists (select 1 from vault_index i join "
                                      "vault_records r on r.id = i.record "
                                      "where i.number = $1 and i.term = $2 and i.record <> $3)"};
inline constexpr db::Sql kAddBlock{
    "vault.add_block",
    "insert into vault_postings (number, term, block, kind, entries, sealed) "
    "values ($1, $2, $3, $4, $5, $6)"};
inline constexpr db::Sql kAddIndexState{
    "vault.add_index_state",
    "insert into vault_index_state (number, collection, field, after, done, total, counted, "
    "largest, duplicates, damaged) values ($1, $2, $3, $4, 0, 0, 0, 0, 0, 0)"};
inline constexpr db::Sql kIndexStates{
    "vault.index_states",
    "select number, field, after, done, total, counted, largest, duplicates, damaged "
    "from vault_index_state where collection = $1 order by number"};
inline constexpr db::Sql kCountSome{
    "vault.count_some",
    "select count(*) from (select 1 from vault_records where collection = $1 limit 5000) few"};

/// A keep group that lost single values gets another key when the epoch rolls.
inline constexpr db::Sql kLostValue{
    "vault.lost_value",
    "insert into vault_lost_values (subject, keep_group, lost_ms) values ($1, $2, $3) "
    "on conflict (subject, keep_group) do nothing"};

// ── tokens
inline constexpr db::Sql kTokensOf{
    "vault.tokens_of", "select id, field from vault_tokens where record = $1 order by id"};
inline constexpr db::Sql kDropTokens{"vault.drop_tokens",
                                     "delete from vault_tokens where id {{in $1}}"};

// ── idempotency
inline constexpr db::Sql kFindAnswer{"vault.find_answer",
                                     "select fingerprint, answer, expires_ms from "
                                     "vault_idempotency where principal = $1 and key_term = $2"};
inline constexpr db::Sql kAddAnswer{
    "vault.add_answer",
    "insert into vault_idempotency (principal, key_term, fingerprint, answer, expires_ms) "
    "values ($1, $2, $3, $4, $5) on conflict (principal, key_term) do update set "
    "fingerprint = excluded.fingerprint, answer = excluded.answer, expires_ms = "
    "excluded.expires_ms "
    "where vault_idempotency.expires_ms <= $6"};
inline constexpr db::Sql kDropAnswers{"vault.drop_answers",
                                      "delete from vault_idempotency where expires_ms <= $1"};

// ── engagements
inline constexpr db::Sql kPageEngagementsOf{
    "vault.page_engagements_of",
    "select id, subject, kind, term, sealed, opened_ms, closes_ms, closed_ms, opener, "
    "opener_person, assignee, version, mac from vault_engagements where id > $1 and subject = $3 "
    "order by id limit $2"};

}  // namespace holdfast::vault
