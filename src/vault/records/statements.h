// SQL of the records room.
#pragma once

#include "db/changes.h"

namespace holdfast::vault {

/// Adds $5, 0 for a right value: right ones wait for the same row, so that of many values offered
/// at once no more than five wrong ones come before the answer.
inline constexpr db::Sql kCountWrong{"vault.count_wrong",
                                     "insert into vault_wrong_values (subject, collection, field, "
                                     "day, wrong) values ($1, $2, $3, $4, $5) "
                                     "on conflict (subject, collection, field, day) do update set "
                                     "wrong = vault_wrong_values.wrong + excluded.wrong "
                                     "where vault_wrong_values.wrong < 5"};
inline constexpr db::Sql kDropWrong{"vault.drop_wrong",
                                    "delete from vault_wrong_values where day < $1"};
inline constexpr db::Sql kReadWrong{"vault.read_wrong",
                                    "select wrong from vault_wrong_values where subject = $1 and "
                                    "collection = $2 and field = $3 and day = $4"};
inline constexpr db::Sql kReadSpent{"vault.read_spent",
                                    "select subject, field from vault_wrong_values where subject "
                                    "{{in $1}} and collection = $2 and day = $3 and wrong >= 5"};

}  // namespace holdfast::vault
