// The commands that work on a store's folder on this machine.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::app {

/// What was typed; one for all local commands.
struct LocalOptions {
  std::string dir = "holdfast";
  std::vector<std::string> set;  // key=value
  std::vector<std::string> listen;
  std::string file, data, keys, afterlog, sealing_key;
  std::string checkpoint;               // the file of one that was kept
  std::optional<std::string> verifier;  // may be empty: that is not the same as none
  std::vector<std::string> shares;
  std::vector<std::string> unlock_shares;  // files, or - for standard input
  std::string passphrase_file;             // or -
  std::string method = "file";             // of a new store
  int needed = 2, total = 3;               // of its everyday shares
  bool restart = false;
  bool check = false;
  bool state = false, defaults = false, yes = false, show_shares = false;
};

/// Adds init, serve, config, access recover, journal verify and so on. `run` is set to what was
/// typed; it gives the exit code.
void add_local_commands(CLI::App& app, LocalOptions& options, std::function<int()>& run);

int serve(const LocalOptions& options);
int init(const LocalOptions& options);
/// A data file and the newest keys file into a store's folder.
int restore(const LocalOptions& options);
int tokens_seal(const LocalOptions& options);
/// Says what `upgrade` would do, and does nothing.
int upgrade_check(const LocalOptions& options);

}  // namespace holdfast::app
