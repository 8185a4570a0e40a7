// How the log starts: migrations, resuming the tree, the witness, the afterlog.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

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
  if (auto done = co_await log->check_witness(); !done) co_return std::move(done).error();
  if (auto done = co_await log->open_afterlog(); !done) co_return std::move(done).error();
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

  for (const auto& migration : late) {
    auto done = co_await commit(Caller{}, db::apply(migration, to_ms(now)), migrated(migration));
    if (!done) co_return std::move(done).error();
  }
  co_return Result<void>();
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

Task<Result<std::optional<Checkpoint>>> Log::witness() {
  auto read = [](std::filesystem::path file) -> Task<Result<std::string>> {
    co_return read_small_file(file, kLongestNote);
  };
  auto note =
      co_await boost::asio::co_spawn(files_, read(options_.witness), boost::asio::use_awaitable);
  if (!note && note.error().code == Code::not_found) co_return std::optional<Checkpoint>();
  if (!note) co_return std::move(note).error();
  auto head = open_checkpoint(*note, public_key_);
  // Stopped while the journal's key was rolled: the one before goes on until that is done.
  const auto keys = deps_.keys.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  for (auto id : keys->ring.ids(crypto::KeyUse::journal)) {
    if (head) break;
    auto older = signer_of(keys->ring, id);
    head = open_checkpoint(*note, older->public_key());
    if (head) sign_with(std::move(older));
  }
  if (!head)
    co_return Error(Code::corrupt,
                    "the witness beside the database is damaged or of another store: put the one "
                    "of this database back");
  co_return std::move(*head);
}

Task<Result<std::string>> Log::settled_head() {
  if (auto done = co_await settle(); !done) co_return std::move(done).error();
  co_return co_await checkpoint();
}

Task<Result<void>> Log::check_witness() {
  auto kept = co_await this->witness();
  if (options_.restored)
    co_return co_await new_origin(kept && *kept ? **kept : Checkpoint{"unknown", 0, {}},
                                  "journal.restored");
  if (!kept) co_return std::move(kept).error();
  if (!*kept) co_return Result<void>();  // first start, or taken away on purpose
  const auto& witness = *kept;
  const auto size = witness->size;
  bool same = witness->origin == origin_ && size <= static_cast<std::uint64_t>(this->size());
  if (same) {
    auto root = co_await root_at(size);
    if (!root) co_return std::move(root).error();
    same = *root == witness->root;
  }
  if (same) {
    continued_ = true;
    std::scoped_lock lock(tree_mutex_);
    witnessed_ = size;
    co_return Result<void>();
  }
  if (options_.accept_rollback) co_return co_await new_origin(*witness, "journal.accept_rollback");
  co_return Error(Code::conflict,
                  "the database is not the one that was last in use: it is older than the witness "
                  "beside it, or was changed. Put the newest database back, or restore a backup "
                  "with `holdfast restore`, or go on with this one by "
                  "`holdfast journal accept-rollback --dir DIR` (recorded for ever)");
}

/// From here on the log has a new name; the entry names the head that was left and the one that
/// goes on, so that old proofs still verify and nobody can say that nothing happened.
Task<Result<void>> Log::new_origin(Checkpoint witness, std::string_view activity) {
  auto head = co_await checkpoint();
  if (!head) co_return std::move(head).error();
  auto next = "holdfast/" + hex(deps_.keys.get()->ring.store_id()) + '/' + hex(random_bytes(4));
  db::Changes changes;
  changes.write(kSetOrigin, {next}, db::Expect::exactly(1));
  Event event{.activity = activity,
              .facts = {{"left_origin", witness.origin},
                        {"left_root", base64(witness.root)},
                        {"left_size", static_cast<std::int64_t>(witness.size)},
                        {"new_origin", next},
                        {"went_on_at_size", size()}}};
  auto done = co_await commit(Caller{}, std::move(changes), std::move(event));
  if (!done) co_return std::move(done).error();
  origin_ = next;
  co_return co_await settle();
}

Task<Result<void>> Log::open_afterlog() {
  const auto keys = deps_.keys.get();
  auto key = keys->ring.active(crypto::KeyUse::afterlog).clone();
  auto opened = Afterlog::open(options_.afterlog, key.expose());
  // Under the key before, when a rotation stopped on the way.
  for (auto id : keys->ring.ids(crypto::KeyUse::afterlog))
    if (!opened && opened.error().code == Code::corrupt)
      if (auto older = Afterlog::open(options_.afterlog,
                                      keys->ring.find(crypto::KeyUse::afterlog, id)->expose());
          older)
        opened = std::move(older);
  if (!opened && opened.error().code == Code::not_found) {
    afterlog_missing_ = true;
    if (auto made = Afterlog::make(options_.afterlog, key.expose()); !made)
      co_return std::move(made).error();
    opened = Afterlog::open(options_.afterlog, key.expose());
  }
  if (!opened) co_return std::move(opened).error();
  afterlog_ = std::move(*opened);
  co_return Result<void>();
}

Task<Result<void>> Log::keep_witness(Log* log, std::uint64_t size, std::string note) {
  if (size < log->newest_witness_) co_return Result<void>();
  log->newest_witness_ = size;
  co_return write_file_atomically(log->options_.witness, note);
}

Task<Result<void>> Log::settle() {
  if (auto done = co_await sequence(); !done) co_return std::move(done).error();
  {
    std::scoped_lock lock(tree_mutex_);
    if (!witness_due_ && tree_.size() == witnessed_) co_return Result<void>();
    witness_due_ = false;
  }
  auto now = co_await head();
  auto note = now ? signed_note(*now) : Result<std::string>(std::move(now).error());
  auto wrote =
      note ? co_await boost::asio::co_spawn(files_, keep_witness(this, now->size, std::move(*note)),
                                            boost::asio::use_awaitable)
           : Result<void>(std::move(note).error());
  std::scoped_lock lock(tree_mutex_);
  if (!wrote) {
    witness_due_ = true;
    co_return std::move(wrote).error();
  }
  witnessed_ = std::max(witnessed_, now->size);
  co_return Result<void>();
}

std::span<const db::Sql* const> Log::statements() {
  static constexpr const db::Sql* kAll[] = {
      &kAppendEntry,     &kPutEntry,       &kAppendPending,  &kReadPending,  &kDeletePending,
      &kLastPending,     &kAddSide,        &kFindSide,       &kExpiredSides, &kDropSides,
      &kAddLeaves,       &kFindLeaves,     &kAddTile,        &kFindTile,     &kTilesFrom,
      &kLastTile,        &kEntriesFrom,    &kEntriesBefore,  &kEntriesAt,    &kEntryById,
      &kReadHead,        &kPutHead,        &kMoveHead,       &kSetOrigin,    &kReadGeneration,
      &kGuardGeneration, &kTakeGeneration, &kBumpGeneration, &kSidesFrom,    &kPutSide};
  return kAll;
}

}  // namespace holdfast::journal
