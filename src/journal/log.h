// The journal of one node: entries in the database, the tree over them, and what is kept outside.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "crypto/key_set.h"
#include "journal/checkpoint.h"
#include "journal/entry.h"
#include "journal/journal.h"
#include "journal/noted.h"
#include "journal/outside.h"
#include "journal/tree.h"

namespace holdfast::journal {

struct LogOptions {
  std::filesystem::path witness;   // DIR/witness
  std::filesystem::path afterlog;  // DIR/afterlog
  Millis keep_sides{365LL * 86'400'000};
  /// Go on although the database is behind the witness: mints a new origin and records both heads.
  bool accept_rollback = false;
  /// The database came out of a backup: mints a new origin, whatever the witness says.
  bool restored = false;
  /// A restore was cut off: as `restored`, unless the witness is of this database.
  bool restoring = false;
  /// How far the afterlog had come when something else that knows was made, such as a keys file.
  struct KnownEnd {
    AfterlogEnd end;
    Time at{};
  };
  std::optional<KnownEnd> afterlog_known{};
  /// Called on the committing core after a commit that bumped the policy generation and before its
  /// reply, so that this process's caches look again. Must not block.
  std::function<void()> policy_changed{};
};

/// An entry as it lies in the log.
struct Stored {
  std::int64_t seq = 0;
  EventId id{};
  std::string entry;  // canonical JSON
};

/// The afterlog is not the one that was in use, or lacks lines.
struct AfterlogLoss {
  std::uint64_t expected = 0;  // lines; 0 when nobody can say
  std::uint64_t there = 0;
};

struct Proof {
  std::int64_t seq = 0;
  std::string checkpoint;            // signed note
  std::vector<crypto::Digest> path;  // audit path of the entry in that checkpoint
};

class Log final : public Journal {
 public:
  struct Deps {
    db::Database& database;
    const crypto::HeldKeys& keys;
    const Clock& clock;
  };

  /// Migrates (one event each), resumes the tree and compares the database with the witness.
  /// Errors: locked; conflict (the database is behind the witness, or of another store, or newer
  /// than this program), corrupt (tree or witness damaged); each says the documented way on.
  static Task<Result<std::unique_ptr<Log>>> open(Deps deps, LogOptions options);
  ~Log() override;

  Task<Result<Written>> commit(const Caller& caller, db::Changes changes, Event event) override;
  db::Reader& reader() override { return deps_.database.reader(); }
  db::Scratch& scratch() override { return deps_.database.scratch(); }
  db::Load load() const override { return writer_->load(); }
  Task<Result<std::uint64_t>> generation(MonoTime deadline) override;
  Task<Result<void>> afterlog(std::string_view kind, Bytes id) override;

  /// What the afterlog says must stay undone.
  std::vector<AfterlogEntry> afterlog_entries() const {
    return without_taken_back(afterlog_->entries());
  }
  /// How far it has come, for whoever keeps that elsewhere.
  AfterlogEnd afterlog_end() const { return afterlog_->end(); }
  /// The file was not there, or lacked lines that the witness or `afterlog_known` has seen. Nobody
  /// can say then what it named. Said at each start until settle_afterlog(); not of a new log.
  std::optional<AfterlogLoss> afterlog_loss() const;
  /// When it was last found so, settled or not.
  std::optional<Time> afterlog_lost_at() const;
  /// What follows from the loss was done and is durable.
  Task<Result<void>> settle_afterlog();
  /// The version of the policy (who may what) is kept in the witness too, so that older rights in a
  /// newer database are seen at a start. Kept with the next witness, never lowered. Threads: any.
  void keep_policy(std::int64_t version);
  /// As the witness had it, and as it was kept since; 0 where nobody can say: without a witness,
  /// after a restore, after an accepted roll-back.
  std::int64_t policy() const { return policy_.load(); }
  /// What was not there although there were entries: "witness", or its note of the "afterlog" or
  /// the "policy", which one of an earlier version does not have. Recorded as
  /// `journal.witness_missing`.
  std::string_view witness_lacks() const { return witness_lacks_; }
  /// Whether the log goes on where its witness left it: false after a restore, an accepted
  /// roll-back, and where an older log had no witness.
  bool continued() const { return continued_; }

  /// Brings the tree up to every entry that was committed before the call.
  /// Cost: the entries since the last call. Threads: any; concurrent calls help each other.
  Task<Result<void>> sequence();
  /// Sequences and, when something changed, writes the witness. The app calls it each second.
  Task<Result<void>> settle();

  /// The signed head of the tree as it is now.
  Task<Result<std::string>> checkpoint();
  std::string verifier() const;
  std::string origin() const { return origin_; }
  std::int64_t size() const;
  /// Refusals of known callers that were recorded since the start, for metrics.
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

  /// Entries from `from` on, at most `limit` (1,000), oldest first; or before `from`, newest first.
  Task<Result<std::vector<Stored>>> read(std::int64_t from, std::int64_t limit);
  Task<Result<std::vector<Stored>>> read_before(std::int64_t from, std::int64_t limit);
  Task<Result<std::vector<Stored>>> read_at(std::vector<std::int64_t> seqs);
  /// By `evt_...`. Waits for its sequence number. Errors: not_found.
  Task<Result<Stored>> find(EventId id);
  Task<Result<Proof>> prove(std::int64_t seq);
  Task<Result<std::vector<crypto::Digest>>> consistency(std::uint64_t from, std::uint64_t to);
  /// Whether these entries are the ones in the tree: each tile on the way is checked against the
  /// one above it, up to the tree's edge in memory. Cost: 30 µs for each tile of 256 entries.
  /// Errors: corrupt when one is not.
  Task<Result<void>> check(std::span<const Stored> entries);
  Task<Result<bool>> in_tree(const Stored& stored);
  /// The leaves beside a batch's entry, empty without; and as they are stored.
  Task<Result<std::vector<Bytes>>> leaves(EventId id);
  Task<Result<Bytes>> stored_leaves(EventId id);
  /// A tile of the tree as it is kept: 256 hashes, fewer at the edge, none when it is missing.
  Task<Result<std::vector<crypto::Digest>>> tile(unsigned level, std::uint64_t index);
  /// Sequences, writes the witness, and gives the signed head.
  Task<Result<std::string>> settled_head();
  /// The checkpoint that was last written outside; nothing when there is none. Errors: corrupt.
  Task<Result<std::optional<Checkpoint>>> witness();

  /// Drops the keys that the log keeps for itself (its signing key, the afterlog's). What needs one
  /// answers `locked` from then on. Threads: any.
  void forget_keys();

  /// What was sealed under a commitment of an entry: JSON of address, user agent and person, or
  /// the text of a note. Errors: gone (past its keep time), corrupt, locked.
  Task<Result<Secret>> side(crypto::Digest commitment);

  /// A stable pseudonym for whom a key acted for: `per_...`.
  static std::string pseudonym(const crypto::KeySet& keys, std::string_view person);

  /// Goes on under the keyring's active journal key: the change is announced by an entry that the
  /// old key signs, a checkpoint under the old key covers that entry, and only then the new one
  /// signs. False when it signs already. Checkpoints and proofs from before verify as they did,
  /// under the key that they name. Errors: those of commit and settle. Not for two callers at once.
  Task<Result<bool>> roll_signer(Caller caller);
  /// Writes the afterlog anew under the keyring's active afterlog key. False when it is already.
  /// Errors: unavailable; the old file then stays.
  Task<Result<bool>> rekey_afterlog();

  static std::span<const db::Sql* const> statements();

 private:
  Log(Deps deps, LogOptions options);

  struct Context {
    crypto::Digest commitment;
    Time made;
  };

  Task<Result<void>> migrate();
  Task<Result<void>> take_over();
  Task<Result<void>> start_log();
  Task<Result<void>> resume();
  /// The file beside the database: a note of the log, and those of the afterlog's end and the
  /// policy's version, which one that an earlier version wrote does not have.
  struct Witness {
    Checkpoint head;
    std::optional<AfterlogEnd> afterlog;
    std::optional<std::int64_t> policy;
  };
  Task<Result<std::optional<Witness>>> read_witness();
  static Result<Witness> open_witness(std::string_view text, const crypto::PublicKey& key);
  Task<Result<void>> check_witness(Result<std::optional<Witness>> kept);
  Task<Result<void>> miss(std::string_view what);
  Task<Result<void>> new_origin(Checkpoint witness, std::string_view activity);
  Result<void> open_afterlog(const Result<std::optional<Witness>>& witness);
  /// The number of lines that an afterlog which is not whole should have.
  std::optional<std::uint64_t> lines_lost(const std::optional<AfterlogEnd>& witness) const;
  Result<void> keep_afterlog();
  Task<Result<void>> place_pending(std::int64_t until);
  Task<Result<bool>> drain_pending(std::int64_t until);
  /// Tells of entries that were taken out or changed before they were in the tree. `durable` were
  /// before all that is there was taken in.
  Task<Result<void>> miss_no_entry(std::vector<EventId> durable);
  Task<Result<std::size_t>> take_in();
  Task<Result<void>> save_tiles();
  template <class Compute>
  auto with_nodes(Compute compute)
      -> Task<Result<typename decltype(compute(std::declval<Tree::Nodes&>()))::value_type>>;

  Result<Stamp> stamp(const crypto::KeySet& keys, const Caller& caller, const Event& event,
                      db::Changes& changes, std::string& fresh_context);
  void add_entry(db::Changes& changes, EventId id, std::string entry, bool first);
  crypto::Digest add_side(db::Changes& changes, const crypto::KeySet& keys, std::string content,
                          Time now);
  Task<Result<crypto::Digest>> root_at(std::uint64_t size);
  Task<Result<Checkpoint>> head();
  /// Errors: locked.
  Result<std::string> signed_note(const Checkpoint& head) const;
  /// What a witness vouches for beside the head.
  struct Vouched {
    std::uint64_t lines = 0;  // of the afterlog
    std::int64_t policy = 0;
  };
  Result<std::string> witness_text(const Checkpoint& head, const AfterlogEnd& end,
                                   std::int64_t policy) const;
  /// While the log is opened.
  void sign_with(std::shared_ptr<const crypto::Signer> signer);
  /// On the thread for files, as lines of the afterlog are: writes unless a newer one was written.
  static Task<Result<Vouched>> keep_witness(Log* log, Checkpoint head);

  using CheckedTiles = std::map<std::pair<unsigned, std::uint64_t>, std::vector<crypto::Digest>>;
  Task<Result<std::vector<crypto::Digest>>> checked_tile(unsigned level, std::uint64_t index,
                                                         CheckedTiles& seen);

  Deps deps_;
  LogOptions options_;
  std::unique_ptr<db::Writer> writer_;
  std::unique_ptr<Afterlog> afterlog_;
  std::optional<std::uint64_t> lines_lost_;  // while opening: what the afterlog should have
  std::string_view witness_lacks_;
  bool fresh_ = false;  // made just now
  bool continued_ = false;
  std::string origin_;
  /// Shared, because roll_signer replaces it while others sign; empty once the keys were dropped.
  std::atomic<std::shared_ptr<const crypto::Signer>> signer_;
  std::atomic<std::int64_t> counter_{0};
  std::atomic<std::int64_t> policy_{0};
  std::atomic<std::uint64_t> refused_{0};
  boost::asio::thread_pool files_{1};
  std::uint64_t newest_witness_ = 0;  // used on that thread only

  mutable std::mutex tree_mutex_;   // guards the next seven
  crypto::PublicKey public_key_{};  // of the signer, also after it was dropped
  Tree tree_;
  std::deque<Tile> unsaved_;
  bool saving_ = false;
  std::uint64_t witnessed_ = 0;
  Vouched vouched_;
  bool witness_due_ = true;

  /// An entry that is not in the tree yet, as this process wrote it.
  struct Expected {
    crypto::Digest leaf{};
    bool durable = false;
  };
  std::mutex expected_mutex_;
  std::map<EventId, Expected> expected_;
  std::int64_t changed_ = 0;  // entries that came otherwise than they were written, not yet told

  std::mutex context_mutex_;
  std::unordered_map<std::string, Context> contexts_;
};

}  // namespace holdfast::journal
