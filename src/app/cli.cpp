#include "app/cli.h"

#include <functional>
#include <iostream>

#include "app/completion.h"
#include "app/exit_codes.h"
#include "app/instance.h"
#include "app/local.h"
#include "app/remote.h"

namespace holdfast::app {

int run_command(int argc, char** argv) {
  CLI::App app("Holdfast keeps an online store's customer data safe.", "holdfast");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of all commands");
  app.footer(
      "Commands that ask a server use HOLDFAST_URL (https://127.0.0.1:8443), HOLDFAST_API_KEY and\n"
      "HOLDFAST_CA_FILE (DIR/ca.pem). Exit codes: 0 done, 1 failed, 2 wrong words, 3 refused,\n"
      "4 not found, 5 conflict, 6 unavailable.");
  LocalOptions options;
  std::function<int()> local;
  add_local_commands(app, options, local);
  app.add_subcommand("version", "Print the version")->final_callback([&local] {
    local = [] {
      std::cout << "holdfast " << HOLDFAST_VERSION << '\n';
      return int{kDone};
    };
  });
  std::string shell = "bash";
  auto* completion = app.add_subcommand(
      "completion", "Print shell completion: source <(holdfast completion bash)");
  completion->add_option("shell", shell, "bash or zsh")->check(CLI::IsMember({"bash", "zsh"}));
  completion->final_callback([&] {
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
    int code = app.exit(error);
    return code == 0 ? kDone : kUsage;
  }
  if (local) return local();
  return remote ? run_remote(*remote) : int{kUsage};
}

}  // namespace holdfast::app
