// The way back: a data file and the newest keys file into a store's folder.
#include <sys/stat.h>

#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include "app/backup_files.h"
#include "app/backup_window.h"
#include "app/exit_codes.h"
#include "app/instance.h"
#include "app/local.h"
#include "app/print.h"
#include "app/setup.h"
#include "db/data_split.h"
#include "db/dir_lock.h"
#include "journal/outside.h"

namespace holdfast::app {
namespace {

namespace fs = std::filesystem;

/// The afterlog that the caller names, unless the folder's goes on from it. It is looked at before
/// anything that is there is touched.
Result<void> bring_afterlog(const LocalOptions& options, const fs::path& file,
                            const crypto::Keyring& ring) {
  if (options.afterlog.empty()) return {};
  auto beside = file;
  beside += ".part";
  std::error_code failed;
  struct Gone {
    const fs::path& file;
    ~Gone() {
      std::error_code ignored;
      fs::remove(file, ignored);
    }
  } gone{beside};
  fs::copy_file(options.afterlog, beside, fs::copy_options::overwrite_existing, failed);
  if (failed) return Error(Code::not_found, "the afterlog cannot be read").at("afterlog");
  fs::permissions(beside, fs::perms::owner_read | fs::perms::owner_write, failed);
  auto named = journal::Afterlog::open(beside, ring);
  if (!named && named.error().code == Code::corrupt)
    return Error(Code::corrupt,
                 "this is no afterlog of this store, or it was changed: take the file `afterlog` "
                 "of the store's folder, or a copy of it; nothing was touched")
        .at("afterlog");
  if (!named) return std::move(named).error().at("afterlog");
  if (fs::exists(file)) {
    auto own = journal::Afterlog::open(file, ring);
    if (own && (*own)->continues((*named)->end())) return {};
    if (!own || !(*named)->continues((*own)->end()))
      return Error(Code::conflict,
                   "the afterlog in the store's folder does not follow from the one that is "
                   "named, nor that one from it: move the wrong one away, which may be the file "
                   "`afterlog` in the folder; nothing was touched")
          .at("afterlog");
  }
  return journal::replace_file(beside, file);
}

/// The note of a replay. Unless this restore's database is in place, the one that was there before
/// is there again in the end, or none. A folder that nothing was served from keeps it as long as a
/// keyring is there: it must not come up as a new store.
struct ReplayNote {
  const Config& config;
  fs::path file = pending_replay_file(config.dir());
  bool unused = !fs::exists(config.dir() / "witness") && !fs::exists(config.dir() / "holdfast.db");
  Result<std::string> before = journal::read_small_file(file, kLongestNote);
  bool due = false;

  ~ReplayNote() {
    std::error_code ignored;
    if (due) return;
    if (before)
      (void)journal::write_file_atomically(file, *before);
    else if (!(unused && fs::exists(config.path("keys.keyring"), ignored)))
      fs::remove(file, ignored);
  }
};

/// What the keys file holds, when both are files and neither is in the other's place. Before
/// anything is touched.
Result<db::Parts> parts_of(const LocalOptions& options, const Clock& clock) {
  std::error_code failed;
  for (auto [file, name] : {std::pair(&options.data, "data"), std::pair(&options.keys, "keys")})
    if (!fs::is_regular_file(*file, failed))
      return Error(Code::not_found,
                   "no such file can be read: a backup is the files holdfast-data-TIME.db and "
                   "holdfast-keys-TIME.db in the folders of backup.data and backup.keys")
          .at(name);
  if (db::read_parts(options.data, clock))
    return Error(Code::invalid, "this is a keys file: the data file is holdfast-data-TIME.db")
        .at("data");
  auto parts = db::read_parts(options.keys, clock);
  if (!parts) return std::move(parts).error().at("keys");
  return parts;
}

/// An error of reading the data file, which may be any file that somebody named.
Error of_data(Error error) {
  if (error.code != Code::corrupt && error.code != Code::internal) return error;
  return Error(Code::corrupt,
               "the data file is damaged, cut short, or none that `holdfast backup` wrote: copy it "
               "again from where the backup lies, or take another one")
      .at("data");
}

/// Before anything is touched: a keyring that is here may be the only one of its store.
Result<void> of_one_store(const fs::path& here, BytesView brought) {
  auto text = journal::read_small_file(here, kLongestKeyring);
  if (!text) return {};  // opening it says why
  auto own = crypto::keyring_head(as_bytes(*text));
  auto other = crypto::keyring_head(brought);
  if (own && other && own->store_id != other->store_id)
    return Error(
               Code::conflict,
               "this keys file is of another store than the keyring that is here, and nothing was "
               "touched: take a keys file of this store, or restore into another folder")
        .at("keys");
  return {};
}

/// A backup that is in place.
struct Placed {
  crypto::OpenedStore store;
  Time keys_made;
  Time data_newest;
};

/// Puts everything in place before the store is opened.
Result<Placed> place_files(const LocalOptions& options, const Config& config) {
  SystemClock clock;
  auto parts = parts_of(options, clock);
  if (!parts) return std::move(parts).error();
  auto keyring = parts->find("keyring");
  if (keyring == parts->end())
    return Error(Code::invalid, "the keys file holds no keyring: take another one").at("keys");
  auto said = parts->find("window");
  auto window = read_window(said == parts->end() ? std::string_view() : as_text(said->second));
  if (!window) return std::move(window).error();
  auto end = afterlog_of(*window);
  if (!end) return std::move(end).error().at("keys");
  auto state = read_data_state(options.data, clock);
  if (!state) return of_data(std::move(state).error());
  auto epochs = read_epochs(options.keys, clock);
  if (!epochs) return std::move(epochs).error().at("keys");
  if (auto one = of_one_history(*state, *window); !one) return std::move(one).error();
  std::error_code failed;
  fs::create_directories(config.dir(), failed);
  if (failed)
    return Error(Code::unavailable, "the folder cannot be made: check its parent and your rights");
  fs::permissions(config.dir(), fs::perms::owner_all, failed);
  // Until the database is put in place.
  auto locked = db::DirLock::take(config.dir());
  if (!locked) return std::move(locked).error();
  std::optional<db::DirLock> folder(std::move(*locked));
  if (!fs::exists(config.dir() / "holdfast.toml"))
    if (auto wrote = journal::write_file_atomically(config.dir() / "holdfast.toml", default_file());
        !wrote)
      return std::move(wrote).error();

  ReplayNote note{config};
  if (!note.before && note.before.error().code != Code::not_found)
    return Error(Code::unavailable,
                 "the file replay.pending in the store's folder cannot be read: see its rights");
  if (note.unused && !note.before)
    if (auto noted = note_replay(config.dir(), schema_of(config), *window); !noted)
      return std::move(noted).error();
  const bool brought = !fs::exists(config.path("keys.keyring"));
  if (!brought)
    if (auto same = of_one_store(config.path("keys.keyring"), keyring->second); !same)
      return std::move(same).error();
  if (brought)
    if (auto wrote =
            journal::write_file_atomically(config.path("keys.keyring"), as_text(keyring->second));
        !wrote)
      return std::move(wrote).error();
  // How the root key comes was backed up with the keys; a folder that knows already knows better.
  auto method = parts->find("unlock");
  const auto record = config.dir() / "unlock";
  const bool brought_method = method != parts->end() && !fs::exists(record);
  if (brought_method)
    if (auto wrote = journal::write_file_atomically(record, as_text(method->second)); !wrote)
      return std::move(wrote).error();
  // The backup's, by this try or an earlier one: beside a keyring from after a reshare it is void.
  auto of_backup = [&] {
    auto text = journal::read_small_file(record, kLongestKeyring);
    return text && method != parts->end() && *text == as_text(method->second);
  };
  // So that another can be tried.
  auto take_back = [&] {
    if (brought) fs::remove(config.path("keys.keyring"), failed);
    if (brought_method) fs::remove(record, failed);
  };
  auto means = means_of(options, config);
  if (!means) return std::move(means).error();
  auto opened = unlock(config, *means);
  if (!opened && !brought && !means->shares.empty() && of_backup()) {
    // Without that file shares open what they prove to open.
    const auto aside = config.dir() / "unlock.aside";
    fs::rename(record, aside, failed);
    if (auto by_shares = unlock(config, *means)) opened = std::move(by_shares);
    if (opened)
      fs::remove(aside, failed);
    else
      fs::rename(aside, record, failed);
  }
  // What opens with something else stays: a key file or shares may yet come.
  if (!opened && opened.error().code != Code::not_found && opened.error().code != Code::locked)
    take_back();
  if (!opened && opened.error().code == Code::not_found)
    return Error(Code::not_found,
                 "the root key is missing. Put the key file back, or write it again from recovery "
                 "shares: `holdfast keys "
                 "recover --dir DIR SHARE SHARE`; then run this again");
  if (!opened) return std::move(opened).error();
  if (!brought && of_backup() && !crypto::Keyring::open(keyring->second, opened->root))
    fs::remove(record, failed);  // the key file was the new one: it says nothing of shares
  if (auto fit = fits(*state, *window, *epochs, opened->ring); !fit) {
    take_back();
    return std::move(fit).error();
  }

  if (auto brought_too = bring_afterlog(options, config.dir() / "afterlog", opened->ring);
      !brought_too) {
    take_back();
    return std::move(brought_too).error();
  }
  remove_joined(config.dir());  // a journal beside one that was cut off would be played into this
  auto joined = joined_file(config.dir());
  fs::copy_file(options.data, joined, fs::copy_options::overwrite_existing, failed);
  if (failed) return Error(Code::not_found, "the data file cannot be read").at("data");
  fs::permissions(joined, fs::perms::owner_read | fs::perms::owner_write, failed);
  auto done = note_histories(joined, *window, clock);
  if (done) done = db::join_data(joined, options.keys, kKeyTables, clock);
  auto leave = [&](bool untouched) {
    remove_joined(config.dir());
    note.due |= !untouched;
  };
  if (done) done = note_replay(config.dir(), schema_of(config), *window);
  // After `unavailable` nobody can say, but for SQLite: there, what was is aside or is not.
  bool nobody_knows = true;
  if (done && config.text("database.url").empty()) {
    folder.reset();  // replace_sqlite takes it
    const auto aside = "before-restore-" + stamp(clock.now());
    const bool there = fs::exists(config.dir() / "holdfast.db");
    done = db::replace_sqlite({.dir = config.dir()}, joined, aside, clock);
    nobody_knows = !there || fs::exists(config.dir() / aside);
  } else if (done) {
    auto database = open_database(config, clock, 1);
    if (!database) {
      leave(true);
      return std::move(database).error();
    }
    done = (*database)->load_from(joined);
    (*database)->close();
  }
  if (!done) {
    leave(done.error().code != Code::unavailable || !nobody_knows);
    return of_data(std::move(done).error());
  }
  remove_joined(config.dir());
  note.due = true;
  return Placed{std::move(*opened), window->made, state->newest};
}

/// What it brought, and what nobody can say without it.
std::string about_the_afterlog(Instance& instance, const Placed& placed, bool was_there) {
  const auto& [lost, again, by_loss] = instance.replayed();
  if (lost && was_there)
    return "The afterlog is an older one, or lines were cut off it. What it still names was done "
           "again, but\n"
           "nobody can say what else was revoked: every API key is revoked, every role of your own "
           "gives nothing\n"
           "until it is put again, customers erased since then are back, and objections, withdrawn "
           "consents,\n"
           "restrictions and legal holds since then are lost. Make an owner key with `holdfast "
           "access recover`.\n";
  if (lost)
    return "There was no afterlog, so nobody can say which keys were revoked since the backup: "
           "every API key is\n"
           "revoked, every role of your own gives nothing until it is put again, customers erased "
           "since then are\n"
           "back, and objections, withdrawn consents, restrictions and legal holds since then are "
           "lost. Make an\n"
           "owner key with `holdfast access recover`.\n";
  const auto before = instance.log().afterlog_lost_at();
  std::string out;
  if (before && *before > placed.keys_made)
    out += "The afterlog was lost after this backup was made, which was noticed at " +
           rfc3339(*before) +
           ": customers\nerased between the two are back, but for those erased again since. "
           "Erase them again.\n";
  if (before && *before > placed.data_newest)
    out +=
        "Objections, withdrawn consents, restrictions and legal holds since this data was made, "
        "until the\nafterlog was found lost at " +
        rfc3339(*before) + ", are lost, but for those made again since. Make them again.\n";
  if (by_loss > 0)
    out +=
        "Nobody can say which API keys were revoked before the afterlog was lost, and which roles "
        "lost something:\nall keys that were made before are revoked, and your own roles from then "
        "give nothing until they\nare put again. Make an owner key with `holdfast access "
        "recover`.\n";
  out += again == 0 ? "Nothing that the afterlog names had to be done again.\n"
                    : "What the afterlog names was done again.\n";
  return out;
}

}  // namespace

int restore(const LocalOptions& options) {
  umask(0077);
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  // Before anything is touched: the store is opened with them in the end.
  if (auto good = check_settings(*config); !good) return print_error(good.error());
  auto placed = place_files(options, *config);
  if (!placed) return print_error(placed.error());
  const bool afterlog = fs::exists(config->dir() / "afterlog");
  Cores cores(0);
  auto instance = Instance::open(std::move(*config), std::move(placed->store), cores,
                                 make_logger("warn"), {.restored = true});
  if (!instance) return print_error(instance.error());
  std::cout << "Restored. The log goes on as " << (*instance)->log().origin()
            << ": keep its verifier key (`holdfast journal checkpoint`) beside those of before.\n"
            << about_the_afterlog(**instance, *placed, afterlog);
  (*instance)->stop();
  return kDone;
}

}  // namespace holdfast::app
