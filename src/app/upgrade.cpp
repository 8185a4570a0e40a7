// `holdfast upgrade`: what this release would change of a store, and the change itself, which every
// start makes too.
#include <sys/stat.h>

#include <iostream>

#include "app/exit_codes.h"
#include "app/print.h"
#include "app/setup.h"
#include "app/unlock.h"
#include "base/cores.h"
#include "db/migrations.h"
#include "vault/keys/unlock_state.h"

namespace holdfast::app {
namespace {

/// What a start of this release would do to the store. Errors: those that would stop it.
Result<std::vector<std::string>> changes_of(const Config& config, crypto::OpenedStore store) {
  SystemClock clock;
  std::vector<std::string> out;
  for (auto use : store.ring.missing())
    out.push_back("keyring: gets a key for `" + std::string(crypto::use_name(use)) +
                  "`; make a backup afterwards, which holds it");
  if (!out.empty()) store.ring = store.ring.with_missing(clock.now());
  const crypto::KeySet keys(std::move(store.ring), std::move(store.root));
  auto database = open_database(config, clock, 1);
  if (!database) return std::move(database).error();
  Cores cores(1);
  auto& reader = (*database)->reader();
  auto pending = cores.wait(db::pending_migrations(reader, db::embedded_migrations()));
  auto fits = pending ? cores.wait(vault::refuse_older_keyring(reader, keys)) : Result<void>();
  (*database)->close();
  if (!pending) return std::move(pending).error();
  if (!fits) return std::move(fits).error();
  for (const auto& one : *pending)
    out.push_back("database: " + std::string(one.room) + ' ' + std::to_string(one.number) + ", " +
                  std::string(one.name));
  return out;
}

}  // namespace

int upgrade_check(const LocalOptions& options) {
  umask(0077);
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  if (auto there = check_store_is_there(*config); !there) return print_error(there.error());
  if (auto there = check_database_is_there(*config); !there) return print_error(there.error());
  if (auto good = check_settings(*config); !good) return print_error(good.error());
  auto means = means_of(options, *config);
  if (!means) return print_error(means.error());
  auto store = unlock(*config, *means);
  if (!store) return print_error(store.error());
  auto changes = changes_of(*config, std::move(*store));
  if (!changes) return print_error(changes.error());
  if (changes->empty()) {
    std::cout << "Nothing to change: this store is as Holdfast " HOLDFAST_VERSION " wants it."
              << std::endl;
    return kDone;
  }
  std::cout << "Holdfast " HOLDFAST_VERSION " would change this store:\n";
  for (const auto& one : *changes) std::cout << "  " << one << '\n';
  std::cout << "Nothing was changed now. Make a backup with the release that you have, then start "
               "the server with this one, or run\n`holdfast upgrade`."
            << std::endl;
  return kDone;
}

}  // namespace holdfast::app
