#include "app/backup_window.h"

#include <algorithm>

#include "crypto/private_file.h"
#include "db/data_split.h"

namespace holdfast::app {
namespace {

using vault::KeyKind;
using vault::Rotation;
using vault::RotationPhase;

constexpr db::Sql kLog{"backup.log",
                       "select origin, (select coalesce(max(seq), -1) + 1 from journal_entries) + "
                       "(select count(*) from journal_pending), "
                       "(select max(id) from journal_entries) from journal_head where id = 1"};

constexpr db::Sql kHasLeft{"backup.has_left_origins",
                           "select 1 from sqlite_master where name = 'journal_left_origins'"};

constexpr db::Sql kLeft{"backup.left_origins",
                        "select origin, size from journal_left_origins order by size, origin"};

constexpr db::Sql kEpochs{
    "backup.epochs",
    "select distinct epoch from vault_subject_keys where retired_ms is null order by epoch"};

/// Kinds without whose keys rows of the data cannot be used. Epoch keys are not among them: the
/// wrapped keys come with the keyring that opens them.
constexpr KeyKind kNeeded[] = {KeyKind::index,  KeyKind::external, KeyKind::authority,
                               KeyKind::digest, KeyKind::token,    KeyKind::side};

constexpr std::string_view kRolledBack = "rolled back\n", kSchema = "schema ";

Error keys_older() {
  return {Code::conflict,
          "the keys file is older than the data: it lacks keys that the data is under. Take the "
          "newest keys file"};
}

Error two_histories() {
  return {Code::conflict,
          "the data and the keys file are of two histories: when an older backup was put in place, "
          "what had been written since it was left, and the keys file may lack keys of it. Take "
          "the keys file that was made with this data"};
}

/// The name of a store's first log, to which a suffix is added with each restore.
std::string_view store_of(std::string_view origin) {
  const auto suffix = origin.find('/', origin.find('/') + 1);
  return origin.substr(0, suffix);
}

Error data_older() {
  return {Code::conflict,
          "the data file is older than keys that were destroyed since: it cannot be opened any "
          "more. Take a data file that was made after the rotation, or, while you have it, the "
          "keys file that was made with this data"};
}

const journal::LeftOrigin* find_origin(const std::vector<journal::LeftOrigin>& left,
                                       std::string_view origin) {
  auto found = std::ranges::find(left, origin, &journal::LeftOrigin::origin);
  return found == left.end() ? nullptr : &*found;
}

/// Whether a window names every log that came before its own: the first of a store has the store's
/// name alone. One that an earlier version restored does not.
bool names_all(const KeysWindow& window) {
  auto first = [](std::string_view origin) { return store_of(origin) == origin; };
  return first(*window.origin) ||
         std::ranges::any_of(window.left, first, &journal::LeftOrigin::origin);
}

/// Rows of this kind may be under these ids.
std::pair<std::uint32_t, std::uint32_t> ids_in_use(const std::vector<Rotation>& rotations,
                                                   KeyKind kind) {
  std::pair<std::uint32_t, std::uint32_t> out{1, 1};
  for (const auto& one : rotations) {
    if (one.kind != kind || one.phase == RotationPhase::adding || one.to < out.second) continue;
    out.second = one.to;
    out.first = one.phase == RotationPhase::waiting || one.phase == RotationPhase::destroying ||
                        one.phase == RotationPhase::done
                    ? one.to
                    : one.from;
  }
  return out;
}

}  // namespace

std::span<const Member> KeysWindow::described() {
  using W = KeysWindow;
  static constexpr Member kMembers[] = {
      member<&W::made>("made", "When."),
      member<&W::journal_size>("journal_size", "Entries."),
      member<&W::subject_begun>("subject_begun", "Rotations of subject keys that had begun."),
      member<&W::subject_finished>("subject_finished", "Those whose old keys were gone."),
      member<&W::afterlog_lines>("afterlog_lines", "Lines of the afterlog."),
      member<&W::afterlog_digest>("afterlog_digest", "Over them, in hex.", {.bytes = 64}),
      member<&W::origin>("origin", "The log's name."),
      member<&W::left>("left", "The names that it left.", {.count = 10'000})};
  return kMembers;
}

Result<KeysWindow> read_window(std::string_view json) {
  auto read = parse_json_as<KeysWindow>(json);
  if (!read) return Error(Code::corrupt, "the keys file does not say of when it is");
  return read;
}

void put_afterlog(KeysWindow& window, const journal::AfterlogEnd& end) {
  window.afterlog_lines = static_cast<std::int64_t>(end.lines);
  window.afterlog_digest = hex(end.digest);
}

Result<std::optional<journal::AfterlogEnd>> afterlog_of(const KeysWindow& window) {
  if (!window.afterlog_lines && !window.afterlog_digest)
    return std::optional<journal::AfterlogEnd>();
  auto digest = unhex(window.afterlog_digest.value_or(""));
  journal::AfterlogEnd out;
  if (window.afterlog_lines.value_or(-1) < 0 || !digest || digest->size() != out.digest.size())
    return Error(Code::corrupt, "the keys file does not say how far the afterlog had come");
  out.lines = static_cast<std::uint64_t>(*window.afterlog_lines);
  std::ranges::copy(*digest, out.digest.begin());
  return std::optional(out);
}

std::filesystem::path pending_replay_file(const std::filesystem::path& dir) {
  return dir / "replay.pending";
}

std::filesystem::path joined_file(const std::filesystem::path& dir) {
  return dir / "restore.part";
}

void remove_joined(const std::filesystem::path& dir) {
  std::error_code ignored;
  for (const char* beside : {"", "-journal", "-wal", "-shm"})
    std::filesystem::remove(joined_file(dir).string() + beside, ignored);
}

std::string schema_of(const Config& config) {
  return config.text("database.url").empty() ? std::string() : config.text("database.schema");
}

Result<void> note_replay(const std::filesystem::path& dir, const std::string& schema,
                         const std::optional<KeysWindow>& window) {
  auto pending = pending_replay(dir, schema);
  if (!window && pending && *pending) return {};
  std::string text = schema.empty() ? "" : std::string(kSchema) + schema + '\n';
  text += window ? to_json(*window) : kRolledBack;
  return journal::write_file_atomically(pending_replay_file(dir), text);
}

Result<std::optional<PendingReplay>> pending_replay(const std::filesystem::path& dir,
                                                    const std::string& schema) {
  using Found = std::optional<PendingReplay>;
  const Error damaged(Code::corrupt,
                      "the file replay.pending in the store's folder is damaged: restore the "
                      "backup again");
  auto text = journal::read_small_file(pending_replay_file(dir), kLongestNote);
  if (!text && text.error().code == Code::not_found) return Found();
  if (!text) return std::move(text).error();
  if (text->starts_with(kSchema)) {
    const auto end = text->find('\n');
    if (end == std::string::npos) return damaged;
    if (std::string_view(*text).substr(kSchema.size(), end - kSchema.size()) != schema)
      return Found();
    text->erase(0, end + 1);
  }
  if (*text == kRolledBack) return Found(PendingReplay{});
  auto window = read_window(*text);
  auto end = window ? afterlog_of(*window) : window.error();
  if (!end) return damaged;
  PendingReplay out{.restored = true};
  if (*end) out.afterlog_known = {**end, window->made};
  return Found(out);
}

Result<void> end_replay(const std::filesystem::path& dir) {
  if (!crypto::remove_private(pending_replay_file(dir)))
    return Error(Code::unavailable,
                 "the file replay.pending in the store's folder cannot be removed: see the rights "
                 "of the folder");
  return {};
}

KeysWindow window_of(Time made, std::int64_t journal_size, const std::vector<Rotation>& rotations) {
  KeysWindow out{.made = made, .journal_size = journal_size};
  // Keys that were replaced stay under their epoch and go with it, also before their own date.
  auto epoch_went = [&](Time since) {
    return std::ranges::any_of(rotations, [&](const Rotation& one) {
      const bool went = one.phase == RotationPhase::destroying || one.phase == RotationPhase::done;
      return one.kind == KeyKind::epoch && went && one.started >= since;
    });
  };
  for (const auto& one : rotations) {
    if (one.kind != KeyKind::subject) continue;
    out.subject_begun = std::max(out.subject_begun, std::int64_t{one.to});
    if (one.phase == RotationPhase::done || epoch_went(one.started))
      out.subject_finished = std::max(out.subject_finished, std::int64_t{one.to});
  }
  return out;
}

Result<DataState> read_data_state(const std::filesystem::path& data, const Clock& clock) {
  auto log = db::read_data(data, kLog, clock);
  if (!log) return std::move(log).error();
  if (log->empty()) return Error(Code::corrupt, "the data file has no journal");
  auto rotations = db::read_data(data, vault::all_rotations_statement(), clock);
  if (!rotations) return std::move(rotations).error();
  auto read = vault::rotations_from(*rotations);
  if (!read) return std::move(read).error();
  const auto newest = EventId::from((*log)[0].bytes(2));
  DataState out{.origin = std::string((*log)[0].text(0)),
                .journal_size = (*log)[0].integer(1),
                .newest = newest ? time_of(newest->uuid) : Time{},
                .rotations = std::move(*read)};
  auto has_left = db::read_data(data, kHasLeft, clock);
  if (!has_left) return std::move(has_left).error();
  if (has_left->empty()) return out;
  auto left = db::read_data(data, kLeft, clock);
  if (!left) return std::move(left).error();
  for (std::size_t i = 0; i < left->size(); ++i)
    out.left.push_back({std::string((*left)[i].text(0)), (*left)[i].integer(1)});
  return out;
}

Result<std::vector<std::uint32_t>> read_epochs(const std::filesystem::path& keys,
                                               const Clock& clock) {
  auto rows = db::read_data(keys, kEpochs, clock);
  if (!rows) return std::move(rows).error();
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < rows->size(); ++i)
    out.push_back(static_cast<std::uint32_t>((*rows)[i].integer(0)));
  return out;
}

Result<void> of_one_history(const DataState& data, const KeysWindow& window) {
  const auto by_size = [&]() -> Result<void> {
    if (data.journal_size > window.journal_size) return keys_older();
    return {};
  };
  if (!window.origin) return data.left.empty() ? by_size() : keys_older();
  if (data.origin == *window.origin) return by_size();
  if (store_of(data.origin) != store_of(*window.origin))
    return Error(Code::conflict,
                 "the data and the keys file are of two stores: take both from the same one");
  if (find_origin(data.left, *window.origin)) return keys_older();
  if (const auto* left = find_origin(window.left, data.origin)) {
    if (data.journal_size > left->size) return two_histories();
    return {};
  }
  if (names_all(window)) return two_histories();
  return by_size();
}

Result<void> note_histories(const std::filesystem::path& data, const KeysWindow& window,
                            const Clock& clock) {
  auto can = db::read_data(data, kHasLeft, clock);
  if (!can) return std::move(can).error();
  if (can->empty() || !window.origin) return {};
  std::vector<db::Args> rows = {{*window.origin, window.journal_size}};
  for (const auto& left : window.left) rows.push_back({left.origin, left.size});
  return db::write_data(data, journal::leave_origin_statement(), rows, clock);
}

Result<void> fits(const DataState& data, const KeysWindow& window,
                  const std::vector<std::uint32_t>& epochs, const crypto::Keyring& ring) {
  for (auto epoch : epochs) {
    if (epoch > ring.active_id(crypto::KeyUse::epoch))
      return Error(Code::conflict,
                   "the keyring that is here is older than the keys file: move it away, and the "
                   "one in the keys file is taken");
    if (!ring.find(crypto::KeyUse::epoch, epoch))
      return Error(Code::conflict,
                   "the keys file is past its window: the epoch key that opens it was destroyed, "
                   "so that what was erased since does not come back. Take the newest keys file");
  }
  if (auto one = of_one_history(data, window); !one) return one;
  std::int64_t begun = 0, moved = 0;
  for (const auto& one : data.rotations) {
    if (one.kind != KeyKind::subject) continue;
    begun = std::max(begun, std::int64_t{one.to});
    if (one.phase == RotationPhase::waiting || one.phase == RotationPhase::destroying ||
        one.phase == RotationPhase::done)
      moved = std::max(moved, std::int64_t{one.to});
  }
  if (begun > window.subject_begun) return keys_older();
  if (moved < window.subject_finished) return data_older();
  for (auto kind : kNeeded) {
    const auto use = *vault::use_of(kind);
    if (ring.ids(use).empty()) continue;
    auto [low, high] = ids_in_use(data.rotations, kind);
    if (high > ring.active_id(use)) return keys_older();
    for (auto id = low; id <= high; ++id)
      if (!ring.find(use, id)) return data_older();
  }
  return {};
}

}  // namespace holdfast::app
