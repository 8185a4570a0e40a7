// How the log starts: migrations, resuming the tree, the witness, the afterlog.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ranges>

#include "journal/log.h"
#include "journal/statements.h"

namespace holdfast::journal {
namespace {

constexpr std::size_t kLongestNote = 4096;

Event migrated(const db::Migration& migration) {
  return {.activity = "store.migrate",
          .facts = {{"name", std::string(migration.name)},
                    {"number", std::int64_t{migration.number}},
                    {"room", std::string(migration.room)}}};
}

/// The notes of a witness, one behind the other: five lines each.
std::vector<std::string_view> notes_in(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    std::size_t end = 0;
    for (int line = 0; line < 5 && end < text.size(); ++line)
      end = std::min(text.find('\n', end), text.size() - 1) + 1;
    out.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

std::shared_ptr<const crypto::Signer> signer_of(const crypto::Keyring& ring, std::uint32_t id) {
  return std::make_shared<const crypto::Signer>(ring.find(crypto::KeyUse::journal, id)->expose());
}

}  // namespace

Task<Result<std::unique_ptr<Log>>> Log::open(Deps deps, LogOptions options) {
  auto keys = deps.keys.get();
  if (!keys)
    co_return Error(Code::locked, "the journal needs the keyring: unlock the server first");
  std::unique_ptr<Log> log(new Log(deps, std::move(options)));
  log->writer_ = deps.database.take_writer();
  log->sign_with(signer_of(keys->ring, keys->ring.active_id(crypto::KeyUse::journal)));
  if (auto done = co_await log->migrate(); !done) co_return std::move(done).error();
  if (auto done = co_await log->resume(); !done) co_return std::move(done).error();
  auto witness = co_await log->read_witness();
  if (auto done = log->open_afterlog(witness); !done) co_return std::move(done).error();
  if (auto done = co_await log->check_witness(std::move(witness)); !done)
    co_return std::move(done).error();
  // Last, so that a refused start leaves the afterlog as it was.
  if (auto done = log->keep_afterlog(); !done) co_return std::move(done).error();
  if (log->options_.restored || log->options_.restoring || log->options_.accept_rollback)
    if (auto done = co_await log->settle(); !done) co_return std::move(done).error();
  co_return log;
}

Task<Result<void>> Log::migrate() {
  auto pending = co_await db::pending_migrations(reader(), db::embedded_migrations());
  if (!pending) co_return std::move(pending).error();
  auto keys = deps_.keys.get();
  auto now = deps_.clock.now();
  // The journal's own tables come with the events of their making in one commit.
  db::Changes first;
  std::vector<db::Migration> early, late;
  for (const auto& migration : *pending)
    (migration.room == "db" || migration.room == "journal" ? early : late).push_back(migration);
  bool fresh = false;
  for (const auto& migration : early) {
    first.append(db::apply(migration, to_ms(now)));
    fresh |= migration.room == "journal" && migration.number == 1;
  }
  fresh_ = fresh;
  if (fresh) origin_ = "holdfast/" + hex(keys->ring.store_id());
  std::int64_t seq = 0;
  for (const auto& migration : early) {
    Stamp stamp{.id = EventId::make(now),
                .at = now,
                .principal = "system",
                .person = {},
                .request_id = {},
                .context = {},
                .note = {}};
    auto entry = encode_entry(migrated(migration), stamp, {});
    if (!entry) co_return std::move(entry).error();
    if (fresh)
      first.write(kPutEntry, {seq++, to_bytes(stamp.id.bytes()), to_bytes(*entry)});
    else
      add_entry(first, stamp.id, std::move(*entry), false);
  }
  if (fresh) first.write(kPutHead, {seq, origin_});
  if (!first.empty()) {
    auto done = co_await writer_->commit(std::move(first));
    if (!done) co_return std::move(done).error();
  }

  auto head = co_await reader().read(kReadHead, {});
  if (!head) co_return std::move(head).error();
  if (head->empty()) co_return Error(Code::corrupt, "the journal has no head; restore a backup");
  origin_ = (*head)[0].text(1);
  if (!origin_.starts_with("holdfast/" + hex(keys->ring.store_id())))
    co_return Error(Code::conflict,
                    "the keyring and the database belong to different stores: put the keyring of "
                    "this database in place, or restore both from the same backup");
  auto last = co_await reader().read(kLastPending, {std::int64_t{1}});
  if (!last) co_return std::move(last).error();
  // Counters need only be unused: above what is pending and above any used before.
  counter_ = std::max((*last)[0].integer(0) + 1, to_ms(now) * 1000);
  if (auto done = co_await take_over(); !done) co_return std::move(done).error();

  for (const auto& migration : late) {
    auto done = co_await commit(Caller{}, db::apply(migration, to_ms(now)), migrated(migration));
    if (!done) co_return std::move(done).error();
  }
  co_return Result<void>();
}

/// What a restore may have brought from the other database: a head that SQLite, which gives entries
/// their place itself, never moved; entries that waited for their place on PostgreSQL. A head past
/// the entries stays: some were taken out.
Task<Result<void>> Log::take_over() {
  auto pending = co_await reader().read(kLastPending, {std::int64_t{1}});
  if (!pending) co_return std::move(pending).error();
  const auto until = (*pending)[0].integer(0);
  if (deps_.database.kind() == db::Database::Kind::sqlite && until < 0) co_return Result<void>();
  auto head = co_await reader().read(kReadHead, {});
  if (!head) co_return std::move(head).error();
  auto end = co_await reader().read(kEndOfEntries, {});
  if (!end) co_return std::move(end).error();
  const auto size = (*head)[0].integer(0), there = (*end)[0].integer(0);
  if (size < there) {
    db::Changes changes;
    changes.write(kMoveHead, {size, there}, db::Expect::exactly(1));
    auto done = co_await writer_->commit(std::move(changes.in_background()));
    if (!done) co_return std::move(done).error();
  }
  co_return co_await place_pending(until);
}

Task<Result<void>> Log::resume() {
  auto last = co_await reader().read(kLastTile, {});
  if (!last) co_return std::move(last).error();
  auto complete = static_cast<std::uint64_t>((*last)[0].integer(0) + 1);
  auto tiles = complete;
  std::vector<std::vector<crypto::Digest>> partial(1);
  // Level l's unfinished tile holds the roots of the complete tiles of the level below.
  for (std::int64_t level = 0; complete > 0; ++level, complete /= kTileWidth) {
    auto from = complete / kTileWidth * kTileWidth;
    auto rows = co_await reader().read(kTilesFrom, {level, static_cast<std::int64_t>(from)});
    if (!rows) co_return std::move(rows).error();
    if (rows->size() != complete - from)
      co_return Error(Code::corrupt, "tiles of the journal's tree are missing; restore a backup");
    auto& above = partial.emplace_back();
    for (std::size_t i = 0; i < rows->size(); ++i) {
      auto hashes = tile_hashes((*rows)[i].bytes(1));
      if (!hashes) co_return std::move(hashes).error();
      above.push_back(crypto::root_of(*hashes));
    }
  }
  {
    std::scoped_lock lock(tree_mutex_);
    tree_.resume(tiles, std::move(partial));
  }
  co_return co_await sequence();
}

Result<Log::Witness> Log::open_witness(std::string_view text, const crypto::PublicKey& key) {
  const auto notes = notes_in(text);
  auto head = open_checkpoint(notes.empty() ? text : notes.front(), key);
  if (!head) return std::move(head).error();
  Witness out{.head = std::move(*head), .afterlog = {}, .policy = {}};
  for (auto one : notes | std::views::drop(1)) {
    auto note = open_checkpoint(one, key);
    if (!note) return std::move(note).error();
    if (note->origin == afterlog_origin(out.head.origin))
      out.afterlog = {note->size, note->root};
    else if (note->origin == policy_origin(out.head.origin))
      out.policy = static_cast<std::int64_t>(note->size);
    else
      return Error(Code::corrupt, "the notes of the witness are of two logs");
  }
  return out;
}

Task<Result<std::optional<Log::Witness>>> Log::read_witness() {
  auto read = [](std::filesystem::path file) -> Task<Result<std::string>> {
    co_return read_small_file(file, kLongestNote);
  };
  auto note =
      co_await boost::asio::co_spawn(files_, read(options_.witness), boost::asio::use_awaitable);
  if (!note && note.error().code == Code::not_found) co_return std::optional<Witness>();
  if (!note) co_return std::move(note).error();
  auto found = open_witness(*note, public_key_);
  // Stopped while the journal's key was rolled: the one before goes on until that is done.
  const auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  for (auto id : keys->ring.ids(crypto::KeyUse::journal)) {
    if (found) break;
    auto older = signer_of(keys->ring, id);
    found = open_witness(*note, older->public_key());
    if (found) sign_with(std::move(older));
  }
  if (!found)
    co_return Error(Code::corrupt,
                    "the witness beside the database is damaged or of another store: put the one "
                    "of this database back");
  co_return std::move(*found);
}

Task<Result<std::optional<Checkpoint>>> Log::witness() {
  auto kept = co_await read_witness();
  if (!kept) co_return std::move(kept).error();
  if (!*kept) co_return std::optional<Checkpoint>();
  co_return std::move((**kept).head);
}

Task<Result<std::string>> Log::settled_head() {
  if (auto done = co_await settle(); !done) co_return std::move(done).error();
  co_return co_await checkpoint();
}

Task<Result<void>> Log::check_witness(Result<std::optional<Witness>> kept) {
  if (options_.restored || (options_.restoring && kept && !*kept))
    co_return co_await new_origin(kept && *kept ? (**kept).head : Checkpoint{"unknown", 0, {}},
                                  "journal.restored");
  if (!kept) co_return std::move(kept).error();
  if (!*kept) co_return co_await miss("witness");
  const auto& witness = (**kept).head;
  const auto size = witness.size;
  bool same = witness.origin == origin_ && size <= static_cast<std::uint64_t>(this->size());
  if (same) {
    auto root = co_await root_at(size);
    if (!root) co_return std::move(root).error();
    same = *root == witness.root;
  }
  if (same) {
    continued_ = true;
    {
      std::scoped_lock lock(tree_mutex_);
      witnessed_ = size;
    }
    keep_policy((**kept).policy.value_or(0));
    if (!(**kept).afterlog) co_return co_await miss("afterlog");
    co_return (**kept).policy ? Result<void>() : co_await miss("policy");
  }
  if (options_.restoring) co_return co_await new_origin(witness, "journal.restored");
  if (options_.accept_rollback) co_return co_await new_origin(witness, "journal.accept_rollback");
  co_return Error(Code::conflict,
                  "the database is not the one that was last in use: it is older than the witness "
                  "beside it, or was changed. Put the newest database back, or restore a backup "
                  "with `holdfast restore`, or go on with this one by "
                  "`holdfast journal accept-rollback --dir DIR` (recorded for ever)");
}

/// Gone on without: nobody can say whether the database, or the afterlog, is the newest.
Task<Result<void>> Log::miss(std::string_view what) {
  if (fresh_) co_return Result<void>();
  witness_lacks_ = what;
  Event event{.activity = "journal.witness_missing",
              .facts = {{"lacks", std::string(what)}, {"went_on_at_size", size()}}};
  auto done = co_await commit(Caller{}, {}, std::move(event));
  if (!done) co_return std::move(done).error();
  co_return Result<void>();
}

/// From here on the log has a new name; the entry names the head that was left and the one that
/// goes on, so that old proofs still verify and nobody can say that nothing happened.
Task<Result<void>> Log::new_origin(Checkpoint witness, std::string_view activity) {
  auto head = co_await checkpoint();
  if (!head) co_return std::move(head).error();
  auto next = "holdfast/" + hex(deps_.keys.get()->ring.store_id()) + '/' + hex(random_bytes(4));
  db::Changes changes;
  changes.write(kSetOrigin, {next}, db::Expect::exactly(1));
  changes.write(kLeaveOrigin, {origin_, size()});
  Event event{.activity = activity,
              .facts = {{"left_origin", witness.origin},
                        {"left_root", base64(witness.root)},
                        {"left_size", static_cast<std::int64_t>(witness.size)},
                        {"new_origin", next},
                        {"went_on_at_size", size()}}};
  auto done = co_await commit(Caller{}, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  origin_ = next;
  co_return Result<void>();
}

Result<void> Log::open_afterlog(const Result<std::optional<Witness>>& witness) {
  const auto keys = deps_.keys.get();
  if (!keys) return Error(Code::locked, "the server is locked");
  auto opened = Afterlog::open(options_.afterlog, keys->ring);
  if (!opened && opened.error().code != Code::not_found) return std::move(opened).error();
  if (opened) afterlog_ = std::move(*opened);
  lines_lost_ = lines_lost(witness && *witness ? (**witness).afterlog : std::nullopt);
  return {};
}

std::optional<std::uint64_t> Log::lines_lost(const std::optional<AfterlogEnd>& witness) const {
  std::optional<std::uint64_t> out;
  auto expect = [&](const AfterlogEnd& end) {
    if (!afterlog_ || !afterlog_->continues(end)) out = std::max(out.value_or(0), end.lines);
  };
  if (witness) expect(*witness);
  // What was known before a loss that was found since is answered for by that loss.
  const auto& known = options_.afterlog_known;
  if (known && !(afterlog_ && afterlog_lost_at().value_or(Time::min()) > known->at))
    expect(known->end);
  if (!afterlog_ && !fresh_) out = out.value_or(0);
  return out;
}

/// The loss is a line of the afterlog itself, before anything else may vouch for what is left.
Result<void> Log::keep_afterlog() {
  const auto keys = deps_.keys.get();
  if (!keys) return Error(Code::locked, "the server is locked");
  Bytes expected;
  put_u64(expected, lines_lost_.value_or(0));
  if (afterlog_)
    return lines_lost_ ? afterlog_->append(kAfterlogLost, expected, deps_.clock.now())
                       : Result<void>();
  std::vector<AfterlogEntry> first;
  if (lines_lost_) first.push_back({std::string(kAfterlogLost), expected, deps_.clock.now()});
  const auto& key = keys->ring.active(crypto::KeyUse::afterlog);
  if (auto made = Afterlog::make(options_.afterlog, key.expose(), first); !made) return made;
  auto opened = Afterlog::open(options_.afterlog, key.expose());
  if (!opened) return std::move(opened).error();
  afterlog_ = std::move(*opened);
  return {};
}

Task<Result<Log::Vouched>> Log::keep_witness(Log* log, Checkpoint head) {
  if (head.size < log->newest_witness_) co_return Vouched{};
  const auto end = log->afterlog_->end();
  const Vouched vouched{.lines = end.lines, .policy = log->policy()};
  auto text = log->witness_text(head, end, vouched.policy);
  if (!text) co_return std::move(text).error();
  log->newest_witness_ = head.size;
  auto wrote = write_file_atomically(log->options_.witness, *text);
  if (!wrote) co_return std::move(wrote).error();
  co_return vouched;
}

Task<Result<void>> Log::settle() {
  if (auto done = co_await sequence(); !done) co_return std::move(done).error();
  {
    const auto lines = afterlog_->end().lines;
    std::scoped_lock lock(tree_mutex_);
    if (!witness_due_ && tree_.size() == witnessed_ && lines == vouched_.lines &&
        policy() == vouched_.policy)
      co_return Result<void>();
    witness_due_ = false;
  }
  auto now = co_await head();
  auto wrote = now ? co_await boost::asio::co_spawn(files_, keep_witness(this, *now),
                                                    boost::asio::use_awaitable)
                   : Result<Vouched>(now.error());
  std::scoped_lock lock(tree_mutex_);
  if (!wrote) {
    witness_due_ = true;
    co_return std::move(wrote).error();
  }
  witnessed_ = std::max(witnessed_, now->size);
  vouched_ = {.lines = std::max(vouched_.lines, wrote->lines),
              .policy = std::max(vouched_.policy, wrote->policy)};
  co_return Result<void>();
}

std::span<const db::Sql* const> Log::statements() {
  static constexpr const db::Sql* kAll[] = {
      &kAppendEntry, &kPutEntry,       &kAppendPending,   &kReadPending,    &kDeletePending,
      &kLastPending, &kAddSide,        &kFindSide,        &kExpiredSides,   &kDropSides,
      &kAddLeaves,   &kFindLeaves,     &kAddTile,         &kFindTile,       &kTilesFrom,
      &kLastTile,    &kEntriesFrom,    &kEntriesBefore,   &kEntriesAt,      &kEntryById,
      &kReadHead,    &kEndOfEntries,   &kPutHead,         &kMoveHead,       &kSetOrigin,
      &kLeaveOrigin, &kReadGeneration, &kGuardGeneration, &kTakeGeneration, &kBumpGeneration,
      &kSidesFrom,   &kPutSide};
  return kAll;
}

}  // namespace holdfast::journal
