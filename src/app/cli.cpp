#include "app/cli.h"

#include <algorithm>
#include <functional>
#include <iostream>
#include <span>

#include "app/completion.h"
#include "app/exit_codes.h"
#include "app/instance.h"
#include "app/local.h"
#include "app/remote_commands.h"
#include "app/words.h"

namespace holdfast::app {
namespace {

/// `: did you mean X?` for the known word that is closest, or where to look them up.
std::string hint(std::string_view word, const std::vector<std::string>& known,
                 const std::string& path) {
  const auto near = nearest(word, known);
  return near.empty() ? ": see `" + path + " --help`" : ": did you mean " + near + "?";
}

std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> out;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) out.push_back("--" + name);
  return out;
}

/// A word that no command or option has, a command that is missing, or a list that was not typed as
/// one: the parser names only what it missed because of it. Empty for other mistakes.
std::string mistyped(const CLI::App& app, std::span<char*> words) {
  const CLI::App* at = &app;
  std::string path = "holdfast";
  std::size_t i = 1;
  for (; i < words.size(); ++i) {
    std::string word = words[i];
    auto subs = at->get_subcommands([](const CLI::App*) { return true; });
    if (subs.empty() || word.starts_with('-')) break;
    auto found = std::ranges::find(subs, word, &CLI::App::get_name);
    if (found == subs.end()) {
      std::vector<std::string> names;
      for (const auto* sub : subs) names.push_back(sub->get_name());
      return "`" + path + "` has no command `" + word + "`" + hint(word, names, path);
    }
    at = *found;
    path += ' ' + word;
  }
  if (i == words.size() && !at->get_subcommands([](const CLI::App*) { return true; }).empty())
    return "`" + path + "` needs a command: see `" + path + " --help`";
  auto options = options_of(*at);
  std::string lists;
  for (; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (word == "--") break;
    if (!word.starts_with("--")) continue;
    auto name = word.substr(0, word.find('='));
    if (std::ranges::find(options, name) == options.end())
      return "`" + path + "` has no option " + std::string(name) + hint(name, options, path);
    const auto* option = at->get_option_no_throw(std::string(name));
    auto plain = [&](std::size_t k) { return k < words.size() && words[k][0] != '-'; };
    if (option && option->get_delimiter() == ',' && plain(i + 1) && plain(i + 2) && lists.empty())
      lists = std::string(name) + " takes one word: write A,B or repeat the option";
  }
  return lists;
}

}  // namespace

int run_command(int argc, char** argv) {
  CLI::App app("Holdfast keeps an online store's customer data safe.", "holdfast");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of all commands");
  app.set_version_flag("--version", "holdfast " HOLDFAST_VERSION, "Print the version");
  app.footer(
      "Commands that ask a server use HOLDFAST_URL (https://127.0.0.1:8443), HOLDFAST_API_KEY and\n"
      "HOLDFAST_CA_FILE (DIR/ca.pem). Exit codes: 0 done, 1 failed, 2 wrong words, 3 refused,\n"
      "4 not found, 5 conflict, 6 unavailable.");
  LocalOptions options;
  std::function<int()> local;
  add_local_commands(app, options, local);
  auto* version = app.add_subcommand("version", "Print the version");
  version->footer(example("holdfast version"))->final_callback([&local] {
    local = [] {
      std::cout << "holdfast " << HOLDFAST_VERSION << '\n';
      return int{kDone};
    };
  });
  auto* help = app.add_subcommand("help", "This list; COMMAND --help tells of one");
  help->footer(example("holdfast help"))->final_callback([&] {
    local = [&app] {
      // App::help() would be about this command.
      std::cout << app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal);
      return int{kDone};
    };
  });
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return "holdfast: " + std::string(error.what()) + ": see --help\n";
  });
  std::string shell = "bash";
  auto* completion = app.add_subcommand(
      "completion", "Print shell completion: source <(holdfast completion bash)");
  completion->add_option("shell", shell, "bash or zsh")->check(CLI::IsMember({"bash", "zsh"}));
  completion->footer(example("source <(holdfast completion bash)"))->final_callback([&] {
    local = [&] {
      std::cout << completion_script(app, shell);
      return int{kDone};
    };
  });

  std::vector<std::unique_ptr<RemoteCommand>> commands;
  for (auto& route : catalogue()) {
    commands.push_back(std::make_unique<RemoteCommand>());
    commands.back()->route = std::move(route);
  }
  RemoteCommand* remote = nullptr;
  add_remote_commands(app, commands, remote);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    auto better = mistyped(app, {argv, static_cast<std::size_t>(argc)});
    if (better.empty())
      app.exit(error);
    else
      std::cerr << "holdfast: " << better << '\n';
    return kUsage;
  }
  if (local) return local();
  return remote ? run_remote(*remote) : int{kUsage};
}

}  // namespace holdfast::app
