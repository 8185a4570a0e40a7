// SQL of the engagements room. Selects have the columns of vault.find_engagement.
#pragma once

#include "db/changes.h"

namespace holdfast::vault {

inline constexpr db::Sql kAddEngagement{
    "vault.add_engagement",
    "insert into vault_engagements (id, subject, kind, term, live_term, sealed, opened_ms, "
    "closes_ms, opener, opener_person, assignee, version, mac) "
    "values ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10, $11, $12)"};
inline constexpr db::Sql kCloseEngagement{
    "vault.close_engagement",
    "update vault_engagements set live_term = null, closed_ms = $3, version = $4, mac = $5 "
    "where id = $1 and version = $2 and mac = $6 and closed_ms is null"};
inline constexpr db::Sql kFollowEngagement{
    "vault.follow_engagement",
    "update vault_engagements set subject = $4, sealed = $5, version = $6, mac = $7 "
    "where id = $1 and version = $2 and mac = $3"};
inline constexpr db::Sql kPageEngagements{
    "vault.page_engagements",
    "select id, subject, kind, term, sealed, opened_ms, closes_ms, closed_ms, opener, "
    "opener_person, assignee, version, mac from vault_engagements where id > $1 "
    "order by id limit $2"};
inline constexpr db::Sql kEngagementsOfTerm{
    "vault.engagements_of_term",
    "select id, subject, kind, term, sealed, opened_ms, closes_ms, closed_ms, opener, "
    "opener_person, assignee, version, mac from vault_engagements where term = $1 "
    "order by id limit 100"};
inline constexpr db::Sql kDueEngagements{
    "vault.due_engagements",
    "select id, subject, kind, term, sealed, opened_ms, closes_ms, closed_ms, opener, "
    "opener_person, assignee, version, mac from vault_engagements "
    "where closed_ms is null and closes_ms <= $1 order by closes_ms limit $2"};
inline constexpr db::Sql kListKinds{
    "vault.list_engagement_kinds",
    "select name, version, declared, mac from vault_engagement_kinds order by name"};
inline constexpr db::Sql kPutKind{
    "vault.put_engagement_kind",
    "insert into vault_engagement_kinds (name, version, declared, mac) values ($1, $2, $3, $4) "
    "on conflict (name) do update set version = excluded.version, declared = excluded.declared, "
    "mac = excluded.mac where vault_engagement_kinds.version = excluded.version - 1"};
inline constexpr db::Sql kDropKind{
    "vault.drop_engagement_kind",
    "delete from vault_engagement_kinds where name = $1 and version = $2"};

}  // namespace holdfast::vault
