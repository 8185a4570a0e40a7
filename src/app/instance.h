// One opened store: configuration, keys, database, journal and the rooms over them. What `serve`
// serves, and what the local commands (init, backup, journal verify, ...) work on.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "app/backup.h"
#include "app/config.h"
#include "app/replay.h"
#include "app/rooms.h"
#include "app/unlock.h"
#include "base/cores.h"
#include "base/pool.h"
#include "db/database.h"
#include "db/dir_lock.h"
#include "journal/access_index.h"
#include "journal/journal_time.h"
#include "journal/log.h"

namespace spdlog {
class logger;
}

namespace holdfast::app {

struct OpenOptions {
  bool accept_rollback = false;
  bool restored = false;  // out of a backup, as note_replay() says: the log gets a new origin
  /// Who unlocked, where people did: recorded.
  std::optional<vault::UnlockedBy> unlocked_by{};
  /// Called when the keys were dropped, by keys.lock or (true) because the keyring is older than
  /// the database's; from any thread; must not block.
  std::function<void(bool)> locked{};
};

/// What the rooms take out of the settings.
struct RoomSettings {
  Millis sweep_each;
  vault::RotationSettings rotation;
  access::Zone zone;
  access::Ceiling ceiling;
  std::string calling_code;
};
/// Errors: invalid (the field names the setting).
Result<RoomSettings> room_settings(const Config& config);

/// Errors: not_found (on SQLite: a store that was used, and its database is gone).
Result<void> check_database_is_there(const Config& config);
/// Opens SQLite in the store's folder, or PostgreSQL where the configuration says so.
Result<std::unique_ptr<db::Database>> open_database(const Config& config, const Clock& clock,
                                                    std::size_t cores);

/// Threads: made and destroyed on the main thread; what it holds serves all cores.
class Instance {
 public:
  /// Opens everything over the keys that unlock() gave, replays the afterlog, and is then ready to
  /// serve. Errors: conflict (a keyring older than the database), those of the database and of
  /// journal::Log::open.
  static Result<std::unique_ptr<Instance>> open(Config config, crypto::OpenedStore store,
                                                Cores& cores, std::shared_ptr<spdlog::logger> log,
                                                OpenOptions options = {});
  ~Instance();

  std::vector<http::Route> routes();
  /// Starts what runs beside requests: sequencing, the witness, the index, access's minutes.
  void start();
  /// Stops that, makes the last checkpoint durable and closes the database. No request may run any
  /// more: what it uses goes.
  void stop();

  Rooms& rooms() { return *rooms_; }
  journal::Log& log() { return *log_; }
  journal::AccessIndex& index() { return *index_; }
  journal::JournalTime& time() { return *time_; }
  db::Database& database() { return *database_; }
  const Config& config() const { return config_; }
  const SystemClock& clock() const { return clock_; }
  const crypto::HeldKeys& keys() const { return keys_; }
  crypto::HeldKeys& keys() { return keys_; }
  std::shared_ptr<spdlog::logger> logger() const { return logger_; }
  Pool& pool() { return pool_; }
  Cores& cores() { return cores_; }
  /// What opening this did again of what the afterlog names.
  const Replayed& replayed() const { return replayed_; }
  /// Invented customers that were opened since the start.
  std::uint64_t canaries_opened() const { return alarms_.opened(); }

 private:
  Instance(Config config, Cores& cores, std::shared_ptr<spdlog::logger> log);

  class Notices final : public access::Notices {
   public:
    explicit Notices(Instance& instance) : instance_(instance) {}
    void policy_seen(std::int64_t version) override { instance_.log_->keep_policy(version); }
    void tampered(std::string_view kind, std::string_view id, std::string_view what) override;

   private:
    Instance& instance_;
  };

  class Alarms final : public vault::Alarms {
   public:
    explicit Alarms(Instance& instance) : instance_(instance) {}
    void canary_opened(std::string_view principal, std::string_view operation,
                       const EventId& event) override;
    std::uint64_t opened() const { return opened_.load(std::memory_order_relaxed); }

   private:
    Instance& instance_;
    std::atomic<std::uint64_t> opened_ = 0;
  };

  /// What the room of keys asks of the program around it.
  class Host final : public vault::UnlockHost {
   public:
    explicit Host(Instance& instance) : instance_(instance) {}
    void forget_keys() override;
    void locked(bool stale) override;
    [[noreturn]] void abandon() override;
    std::optional<vault::CertificateDates> certificate() override;
    Task<std::int64_t> api_keys_ending(Millis within) override;

   private:
    Instance& instance_;
  };

  Result<void> open_all(crypto::OpenedStore store, OpenOptions options);
  /// Puts the keys in place, of an earlier version with those that it lacks, and opens the database
  /// with them when they are not older than it.
  Result<void> open_keys(crypto::OpenedStore store, const crypto::RootFiles& files);
  Result<void> check_database_is_used();
  /// Records that the keyring gets keys which an earlier version had no use for, then writes it.
  Result<void> keep_added_keys();
  Result<void> open_time();
  Result<void> open_rooms(vault::UnlockPlaces places);
  /// Makes a generation of the keyring durable in the backup's place and then in its file, under
  /// the root key that is held. Errors: locked, and those of copy_keyring and write_keyring.
  Result<crypto::Keyring> save_keyring(const crypto::Keyring& ring);
  /// Runs a task beside requests until the instance stops.
  template <class Executor>
  void keep(Executor& where, std::string_view name, std::function<Task<void>()> make);
  /// Looks each minute after the copy of the keyring, on a thread of its own: its place may be
  /// slow.
  Task<void> keep_copy();
  /// Says once that disk space is low, and once that it is not any more.
  void tell_disk(bool& low);
  /// Each minute: is the keyring still the right one, does the HSM answer, is something due?
  Task<void> look_after_keys();

  Config config_;
  Cores& cores_;
  std::shared_ptr<spdlog::logger> logger_;  // shared with spdlog's own registry of sinks
  SystemClock clock_;
  Pool pool_;
  crypto::HeldKeys keys_;
  std::optional<db::DirLock> folder_;  // where the database has a lock of its own, elsewhere
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<journal::Log> log_;
  std::unique_ptr<journal::AccessIndex> index_;
  std::unique_ptr<journal::JournalTime> time_;
  Notices notices_{*this};
  Alarms alarms_{*this};
  Host host_{*this};
  std::function<void(bool)> locked_;
  std::unique_ptr<Rooms> rooms_;
  std::unique_ptr<Backups> backups_;
  bool restored_ = false;
  bool older_ = false;  // the database is one of before: restored, or accepted as rolled back
  Replayed replayed_;
  bool keys_added_ = false;               // in memory, and not yet in the keyring's file
  boost::asio::thread_pool rotating_{1};  // rotations read, seal and write files in place
  boost::asio::thread_pool copying_{1};   // the copy of the keyring
  std::atomic<bool> stopping_ = false;
  std::vector<std::future<void>> background_;
};

/// All routes, not to be run: for OpenAPI. The same without handlers: for the command line.
std::vector<http::Route> all_rows();
std::vector<http::RouteInfo> catalogue();

}  // namespace holdfast::app
