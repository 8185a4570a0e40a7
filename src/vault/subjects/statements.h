// SQL of the subjects room.
#pragma once

#include "db/changes.h"

namespace holdfast::vault {

inline constexpr db::Sql kDropKeys{
    "vault.drop_keys", "delete from vault_subject_keys where subject = $1 and keep_group = $2"};
/// After they were dropped, which a trigger of somebody's may have prevented.
inline constexpr db::Sql kGuardNoKeys{
    "vault.guard_no_keys",
    "select 1 where not exists (select 1 from vault_subject_keys where subject {{in $1}} and "
    "keep_group {{in $2}})"};
inline constexpr db::Sql kGuardRecord{"vault.guard_record",
                                      "select 1 from vault_records where id = $1 and version = $2"};
inline constexpr db::Sql kGroupsOf{
    "vault.groups_of",
    "select distinct keep_group from vault_subject_keys where subject {{in $1}} order by "
    "keep_group"};
}  // namespace holdfast::vault
