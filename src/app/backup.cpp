#include "app/backup.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <optional>

#include "app/instance.h"
#include "db/data_split.h"
#include "journal/outside.h"

namespace holdfast::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDataName = "holdfast-data-", kKeysName = "holdfast-keys-",
                           kEnding = ".db", kUnfinished = ".db.part";
static_assert(kDataName.size() == kKeysName.size());
constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::milliseconds kPause{20};

Result<void> make_folder(const fs::path& dir) {
  std::error_code failed;
  fs::create_directories(dir, failed);
  if (failed)
    return Error(Code::unavailable,
                 "a backup folder cannot be made: see backup.data and backup.keys in the settings");
  fs::permissions(dir, fs::perms::owner_all, failed);
  return {};
}

using Files = BackupFiles;

fs::path unfinished(fs::path file) {
  file += ".part";
  return file;
}

/// The data while it holds the keys too: where keys may lie, so that a backup which is cut off
/// leaves none with the data.
fs::path with_keys(const Files& files) {
  return unfinished(files.keys.parent_path() / files.data.filename());
}

/// Also what SQLite keeps beside such a file.
bool is_unfinished(std::string_view name) {
  return (name.starts_with(kDataName) || name.starts_with(kKeysName)) && name.contains(kUnfinished);
}

/// What a backup left that did not come to its end. What cannot be removed is left to the next one.
void clean(const Config& config) {
  std::error_code ignored, ended;
  for (const char* key : {"backup.data", "backup.keys"})
    for (fs::directory_iterator at(config.path(key), ended), end; at != end; at.increment(ended))
      if (is_unfinished(at->path().filename().string())) fs::remove(at->path(), ignored);
}

/// To another folder, which may be on another disk.
bool move_file(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::rename(from, to, failed);
  if (failed != std::errc::cross_device_link) return !failed;
  fs::copy_file(from, to, failed);
  if (failed) return false;
  fs::remove(from, failed);
  return !failed;
}

/// On the pool: the database as it is now, keys and all.
Result<Files> copy_data(Instance& instance, Time now) {
  const auto& config = instance.config();
  for (const char* key : {"backup.data", "backup.keys"})
    if (auto made = make_folder(config.path(key)); !made) return std::move(made).error();
  clean(config);
  Files out{
      config.path("backup.data") / (std::string(kDataName) + stamp(now) + std::string(kEnding)),
      config.path("backup.keys") / (std::string(kKeysName) + stamp(now) + std::string(kEnding))};
  if (auto copied = instance.database().copy_to(with_keys(out)); !copied) {
    clean(config);
    return std::move(copied).error();
  }
  return out;
}

using Parts = std::map<std::string, Bytes>;

/// On the pool: the keyring, and how its root key comes. Read after the copy, so that the keyring
/// holds every key that the copy is under.
Result<Parts> read_keys(const Config& config, KeysWindow window) {
  auto ring = journal::read_small_file(config.path("keys.keyring"), kLongestKeyring);
  if (!ring) return std::move(ring).error();
  Parts out = {{"keyring", to_bytes(*ring)}, {"window", to_bytes(to_json(window))}};
  auto method = journal::read_small_file(config.dir() / "unlock", kLongestKeyring);
  if (!method && method.error().code != Code::not_found) return std::move(method).error();
  if (method) out.emplace("unlock", to_bytes(*method));
  return out;
}

/// On the pool: the keys out of it, into a file of their own.
Result<void> split_keys(const Files& out, const Parts& parts, const Clock& clock) {
  return db::split_data(with_keys(out), unfinished(out.keys), kKeyTables, parts, clock);
}

/// On the pool: whether the copy can be restored with this keyring. Between the two a rotation that
/// was hurried may have destroyed a key that the copy is under.
Result<void> fits_together(const Files& out, const DataState& state, const KeysWindow& window,
                           const crypto::Keyring& ring, const Clock& clock) {
  auto epochs = read_epochs(with_keys(out), clock);
  if (!epochs) return std::move(epochs).error();
  if (auto fit = fits(state, window, *epochs, ring); !fit)
    return Error(Code::conflict, "a key was destroyed while the backup was made: back up again");
  return {};
}

/// On the pool.
Result<void> put_in_place(const Files& out) {
  // The keys first: data without keys is a backup that opens nothing, and would look like one.
  if (!move_file(with_keys(out), unfinished(out.data)) ||
      !journal::replace_file(unfinished(out.keys), out.keys) ||
      !journal::replace_file(unfinished(out.data), out.data))
    return Error(Code::unavailable,
                 "a backup file cannot be put in place: see the rights of the folders backup.data "
                 "and backup.keys, and the room on their disks");
  return {};
}

/// When the oldest epoch began whose key is still there: copies of the database from before hold
/// subject keys that nothing unwraps. None while no epoch key was destroyed.
std::optional<Time> begin_of_oldest_epoch(const crypto::Keyring& ring) {
  constexpr std::uint32_t kFirst = 1;
  const auto oldest = ring.ids(crypto::KeyUse::epoch).back();
  if (oldest == kFirst) return std::nullopt;
  for (const auto& key : ring.list())
    if (key.use == crypto::KeyUse::epoch && key.id == oldest) return key.created;
  return std::nullopt;
}

}  // namespace

std::string stamp(Time now) {
  auto out = rfc3339(now);
  std::erase_if(out, [](char c) { return c == '-' || c == ':' || c == '.'; });
  return out;
}

Result<std::vector<fs::path>> keys_files(const fs::path& dir, Time before) {
  auto oldest = stamp(before) + std::string(kEnding);
  std::vector<fs::path> out;
  std::error_code failed;
  if (!fs::exists(dir, failed)) return out;
  for (const auto& entry : fs::directory_iterator(dir, failed)) {
    auto name = entry.path().filename().string();
    const bool finished = name.starts_with(kKeysName) && name.ends_with(kEnding);
    if ((finished || is_unfinished(name)) && name.substr(kKeysName.size()) < oldest)
      out.push_back(entry.path());
  }
  if (failed)
    return Error(Code::unavailable, "the folder backup.keys cannot be read: see its rights");
  return out;
}

Result<std::int64_t> destroy_keys_files(const fs::path& dir, Time before) {
  auto files = keys_files(dir, before);
  if (!files) return std::move(files).error();
  std::error_code failed;
  for (const auto& file : *files)
    if (!fs::remove(file, failed))
      return Error(Code::unavailable,
                   "a keys file that is past backup.keep_keys cannot be removed: see the rights of "
                   "the folder backup.keys");
  return std::ssize(*files);
}

Task<Result<BackupMade>> Backups::create(Caller caller, BackupRequest) {
  if (running_.exchange(true))
    co_return Error(Code::exhausted, "a backup is being made already: wait for it");
  struct Running {
    std::atomic<bool>& flag;
    ~Running() { flag = false; }
  } running{running_};
  co_return co_await make(std::move(caller));
}

Task<Result<BackupMade>> Backups::make(Caller caller) {
  // By journal time, as keys files are destroyed: one that a clock which was ahead had named would
  // outlast its window.
  const auto now = instance_.time().now().value_or(instance_.clock().now());
  auto keep = instance_.config().duration("backup.keep_keys", Millis(0));
  if (!keep) co_return std::move(keep).error();
  if (auto done = co_await instance_.log().settle(); !done) co_return std::move(done).error();
  auto files = co_await instance_.pool().run([this, now] { return copy_data(instance_, now); });
  if (!files) co_return std::move(files).error();
  auto done = co_await add_keys(*files, now);
  if (!done) {
    clean(instance_.config());
    co_return std::move(done).error();
  }
  BackupMade out{.data = files->data.string(),
                 .keys = files->keys.string(),
                 .journal_size = *done,
                 .keys_files_destroyed = 0,
                 .copies_dead_before = {},
                 .event = {}};
  if (auto held = instance_.keys().get())
    out.copies_dead_before = begin_of_oldest_epoch(held->ring);
  // By journal time: a clock that was set forward destroys nothing.
  if (auto time = instance_.time().now()) {
    auto destroyed = destroy_keys_files(instance_.config().path("backup.keys"), *time - *keep);
    if (!destroyed) co_return std::move(destroyed).error();
    out.keys_files_destroyed = *destroyed;
  }
  journal::Event event{.activity = "backups.create",
                       .facts = {{"data", files->data.filename().string()},
                                 {"destroyed", out.keys_files_destroyed},
                                 {"keys", files->keys.filename().string()}}};
  caller.generation = 0;  // what was made is recorded, whoever's rights changed meanwhile
  auto recorded = co_await instance_.log().commit(caller, {}, std::move(event));
  if (!recorded) co_return std::move(recorded).error();
  out.event = recorded->receipt.event;
  co_return out;
}

/// What goes into a keys file, tried against the copy. Keyring and unlock file fit each other while
/// nobody changes either. The opened keys are let go of with the turn: a lock waits for neither
/// longer than the trial takes.
Task<Result<std::map<std::string, Bytes>>> Backups::keys_for(const BackupFiles& files,
                                                             KeysWindow window) {
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  std::optional<crypto::KeyringTurn> turn;
  for (auto until = instance_.clock().mono() + kPatience; !turn.emplace(instance_.keys());) {
    if (instance_.clock().mono() > until)
      co_return Error(Code::conflict,
                      "a change of the keyring runs: back up again when it is done");
    pause.expires_after(kPause);
    co_await pause.async_wait(boost::asio::use_awaitable);
  }
  co_return co_await instance_.pool().run([&, this]() -> Result<Parts> {
    auto state = read_data_state(with_keys(files), instance_.clock());
    if (!state) return std::move(state).error();
    window.left = state->left;
    auto parts = read_keys(instance_.config(), window);
    if (!parts) return parts;
    auto held = instance_.keys().get();
    if (!held) return Error(Code::locked, "the server is locked");
    if (auto fit = fits_together(files, *state, window, held->ring, instance_.clock()); !fit)
      return std::move(fit).error();
    return parts;
  });
}

/// Gives how many entries the journal had, at least those that were copied.
Task<Result<std::int64_t>> Backups::add_keys(BackupFiles files, Time now) {
  if (auto done = co_await instance_.log().sequence(); !done) co_return std::move(done).error();
  const auto size = instance_.log().size();
  auto rotations = co_await vault::all_rotations(instance_.log().reader());
  if (!rotations) co_return std::move(rotations).error();
  auto window = window_of(now, size, *rotations);
  put_afterlog(window, instance_.log().afterlog_end());
  window.origin = instance_.log().origin();
  auto keys = co_await keys_for(files, std::move(window));
  if (!keys) co_return std::move(keys).error();
  auto done = co_await instance_.pool().run([this, &files, &keys]() -> Result<void> {
    if (auto split = split_keys(files, *keys, instance_.clock()); !split) return split;
    return put_in_place(files);
  });
  if (!done) co_return std::move(done).error();
  co_return size;
}

std::vector<http::Route> Backups::rows(Backups* backups) {
  std::vector<http::Route> out;
  out.push_back(http::route<&Backups::create>(
      backups, "backups.create", "POST", "/v1/backups",
      "Back the store up: data and keys, two files to two places",
      {.limits = {.time = std::chrono::hours(2)}, .status = 201, .grows = true}));
  return out;
}

std::span<const Member> BackupMade::described() {
  using B = BackupMade;
  static constexpr Member kMembers[] = {
      member<&B::data>("data", "The data file. Any age can be restored.", {.bytes = 4096}),
      member<&B::keys>("keys", "The keys file. Keep it elsewhere; only the newest is needed.",
                       {.bytes = 4096}),
      member<&B::journal_size>("journal_size", "Entries in the journal when it began."),
      member<&B::keys_files_destroyed>("keys_files_destroyed",
                                       "Keys files past backup.keep_keys that were destroyed."),
      member<&B::copies_dead_before>(
          "copies_dead_before",
          "Copies of the database itself that were made before this open nothing any more: the "
          "epoch key that they need was destroyed. Absent while none was. Keys files from before "
          "its rotation, where some are left, still hold that key."),
      member<&B::event>("event", "The journal entry that records it.")};
  return kMembers;
}

}  // namespace holdfast::app
