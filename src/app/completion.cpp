#include "app/completion.h"

namespace holdfast::app {
namespace {

/// One `case` row per command: its subcommands and flags.
void rows(const CLI::App& app, const std::string& path, std::string& out) {
  std::string words;
  for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    (words += ' ') += sub->get_name();
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) (words += " --") += name;
  out += "    \"" + path + "\") words=\"" + (words.empty() ? words : words.substr(1)) + "\" ;;\n";
  for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    rows(*sub, path.empty() ? sub->get_name() : path + ' ' + sub->get_name(), out);
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::string out =
      shell == "zsh"
          ? "autoload -U compinit && compinit\nautoload -U bashcompinit && bashcompinit\n"
          : "";
  out +=
      "_holdfast() {\n"
      "  local path=\"\" words=\"\" word i\n"
      "  for ((i = 1; i < COMP_CWORD && i < 3; i++)); do\n"
      "    word=\"${COMP_WORDS[i]}\"\n"
      "    [[ $word == -* ]] && break\n"
      "    path=\"${path:+$path }$word\"\n"
      "  done\n"
      "  case \"$path\" in\n";
  rows(app, "", out);
  out +=
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
      "  [[ ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "
      "\"${COMP_WORDS[COMP_CWORD]}\"))\n"
      "}\n"
      "complete -F _holdfast holdfast\n";
  return out;
}

}  // namespace holdfast::app
