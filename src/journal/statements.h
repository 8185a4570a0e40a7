// The journal's SQL, one text for both databases.
#pragma once

#include "db/changes.h"

namespace holdfast::journal {

inline constexpr db::Sql kAppendEntry{"journal.append_entry",
                                      "insert into journal_entries (id, entry) values ($1, $2)"};
inline constexpr db::Sql kPutEntry{
    "journal.put_entry", "insert into journal_entries (seq, id, entry) values ($1, $2, $3)"};
inline constexpr db::Sql kAppendPending{
    "journal.append_pending",
    "insert into journal_pending (node, counter, id, entry) values ($1, $2, $3, $4)"};
inline constexpr db::Sql kReadPending{
    "journal.read_pending",
    "select counter, id, entry from journal_pending where node = $1 order by counter limit $2"};
inline constexpr db::Sql kDeletePending{
    "journal.delete_pending", "delete from journal_pending where node = $1 and counter {{in $2}}"};
inline constexpr db::Sql kLastPending{
    "journal.last_pending",
    "select coalesce(max(counter), -1) from journal_pending where node = $1"};
inline constexpr db::Sql kAddSide{
    "journal.add_side",
    "insert into journal_sides (commitment, keep_until_ms, sealed) values ($1, $2, $3)"};
inline constexpr db::Sql kFindSide{"journal.find_side",
                                   "select sealed from journal_sides where commitment = $1"};
inline constexpr db::Sql kSidesFrom{"journal.sides_from",
                                    "select commitment, sealed from journal_sides "
                                    "where commitment > $1 order by commitment limit $2"};
inline constexpr db::Sql kPutSide{"journal.put_side",
                                  "update journal_sides set sealed = $2 where commitment = $1"};
inline constexpr db::Sql kExpiredSides{"journal.expired_sides",
                                       "select commitment from journal_sides where keep_until_ms "
                                       "<= $1 order by keep_until_ms limit $2"};
inline constexpr db::Sql kDropSides{"journal.drop_sides",
                                    "delete from journal_sides where commitment {{in $1}}"};
inline constexpr db::Sql kAddLeaves{"journal.add_leaves",
                                    "insert into journal_leaves (event, leaves) values ($1, $2)"};
inline constexpr db::Sql kFindLeaves{"journal.find_leaves",
                                     "select leaves from journal_leaves where event = $1"};
inline constexpr db::Sql kAddTile{
    "journal.add_tile", "insert into journal_tiles (level, idx, hashes) values ($1, $2, $3)"};
inline constexpr db::Sql kFindTile{
    "journal.find_tile", "select hashes from journal_tiles where level = $1 and idx = $2"};
inline constexpr db::Sql kTilesFrom{
    "journal.tiles_from",
    "select idx, hashes from journal_tiles where level = $1 and idx >= $2 order by idx limit 256"};
inline constexpr db::Sql kLastTile{
    "journal.last_tile", "select coalesce(max(idx), -1) from journal_tiles where level = 0"};
inline constexpr db::Sql kEntriesFrom{
    "journal.entries_from",
    "select seq, id, entry from journal_entries where seq >= $1 order by seq limit $2"};
inline constexpr db::Sql kEntriesBefore{
    "journal.entries_before",
    "select seq, id, entry from journal_entries where seq < $1 order by seq desc limit $2"};
inline constexpr db::Sql kEntriesAt{
    "journal.entries_at",
    "select seq, id, entry from journal_entries where seq {{in $1}} order by seq desc"};
inline constexpr db::Sql kEntryById{"journal.entry_by_id",
                                    "select seq, id, entry from journal_entries where id = $1"};
inline constexpr db::Sql kReadHead{"journal.read_head",
                                   "select size, origin from journal_head where id = 1"};
inline constexpr db::Sql kPutHead{"journal.put_head",
                                  "insert into journal_head (id, size, origin) values (1, $1, $2)"};
inline constexpr db::Sql kMoveHead{"journal.move_head",
                                   "update journal_head set size = $2 where id = 1 and size = $1"};
inline constexpr db::Sql kEndOfEntries{"journal.end_of_entries",
                                       "select coalesce(max(seq) + 1, 0) from journal_entries"};
inline constexpr db::Sql kSetOrigin{"journal.set_origin",
                                    "update journal_head set origin = $1 where id = 1"};
inline constexpr db::Sql kLeaveOrigin{
    "journal.leave_origin",
    "insert into journal_left_origins (origin, size) values ($1, $2) on conflict (origin) do "
    "update set size = case when excluded.size > journal_left_origins.size then excluded.size "
    "else journal_left_origins.size end"};
inline constexpr db::Sql kReadGeneration{"journal.read_generation",
                                         "select generation from journal_generation where id = 1"};
/// Whoever commits under a policy holds it until then; whoever changes it waits for them.
inline constexpr db::Sql kGuardGeneration{
    "journal.guard_generation",
    "select 1 from journal_generation where id = 1 and generation = $1 {{for share}}"};
inline constexpr db::Sql kTakeGeneration{
    "journal.take_generation",
    "select 1 from journal_generation where id = 1 and generation = $1 {{for update}}"};
inline constexpr db::Sql kBumpGeneration{
    "journal.bump_generation",
    "update journal_generation set generation = generation + 1 where id = 1"};

}  // namespace holdfast::journal
