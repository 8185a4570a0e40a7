#include "app/local.h"

#include <sys/stat.h>
#include <unistd.h>
#include <fstream>
#include <iostream>

#include "app/exit_codes.h"
#include "app/print.h"
#include "app/setup.h"
#include "app/words.h"
#include "base/json.h"
#include "crypto/unlock/file.h"
#include "crypto/unlock/root.h"
#include "http/openapi.h"
#include "journal/checkpoint.h"
#include "journal/export.h"
#include "journal/outside.h"
#include "journal/proof.h"
#include "journal/verify.h"
#include "vault/subjects/erasure.h"

namespace holdfast::app {
namespace {

int config_show(const LocalOptions& options) {
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  for (const auto& setting : settings()) {
    const auto& value = config->values().find(setting.key)->second;
    auto text = setting.key == "database.url" && !value.text.empty()
                    ? std::string("(set, not shown)")
                    : value.text;
    std::cout << setting.key << " = " << (text.empty() ? "\"\"" : text) << "  # "
              << source_name(value.source) << ": " << setting.doc << '\n';
  }
  std::cout.flush();
  if (!std::filesystem::exists(config->dir() / "holdfast.toml"))
    std::cerr << "holdfast: there is no holdfast.toml in this folder: --dir DIR names a store's\n";
  auto good = check_values(*config);
  return good ? int{kDone} : print_error(good.error());
}

/// Opens the store, runs `work` on it and closes it.
int with_store(const LocalOptions& options, OpenOptions open,
               const std::function<int(Instance&)>& work) {
  umask(0077);
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  if (auto there = check_store_is_there(*config); !there) return print_error(there.error());
  auto means = means_of(options, *config);
  if (!means) return print_error(means.error());
  auto store = unlock(*config, *means);
  if (!store) return print_error(store.error());
  Cores cores(0);
  auto instance =
      Instance::open(std::move(*config), std::move(*store), cores, make_logger("warn"), open);
  if (!instance) return print_error(instance.error());
  int out = work(**instance);
  (*instance)->stop();
  return out;
}

int access_recover(const LocalOptions& options) {
  return with_store(options, {}, [](Instance& instance) {
    if (auto closed = make_output_private(); !closed) return print_error(closed.error());
    auto key = instance.cores().wait(instance.rooms().admin.bootstrap_owner_key("access.recover"));
    if (!key) return print_error(key.error());
    std::cerr << "A new owner key, which ends in 7 days. The journal says that it was made here.\n";
    std::cout << key->expose_text() << std::endl;
    return int{kDone};
  });
}

int accept_rollback(const LocalOptions& options) {
  if (!options.yes) {
    std::cerr << "holdfast: this goes on with a database that is older than the last one in use. "
                 "What came after is\n"
                 "lost, and the journal says so for ever. Add --yes to do it.\n";
    return kUsage;
  }
  return with_store(options, {.accept_rollback = true}, [](Instance& instance) {
    std::cout << "The log goes on as " << instance.log().origin() << std::endl;
    return int{kDone};
  });
}

int upgrade(const LocalOptions& options) {
  if (options.check) return upgrade_check(options);
  return with_store(options, {}, [](Instance&) {
    std::cout << "The store is as Holdfast " HOLDFAST_VERSION " wants it." << std::endl;
    return int{kDone};
  });
}

void show(const journal::VerifyReport& report) {
  std::cout << report.entries << " entries, " << report.batches << " batches, "
            << report.faults_total << " faults\n";
  for (const auto& finding : report.faults)
    std::cout << "  entry " << finding.seq << ": " << journal::text_of(finding.fault) << '\n';
  if (!report.root_matches)
    std::cout << "  the entries do not give the root of the signed checkpoint\n";
  if (!report.witness_matches.value_or(true))
    std::cout << "  the log lacks what the witness has seen\n";
}

void show(std::string_view what, std::int64_t total, const std::vector<journal::StateRow>& rows) {
  if (total == 0) return;
  std::cout << total << " rows " << what << ":\n";
  for (const auto& row : rows)
    std::cout << "  " << row.kind << ' ' << journal::name_of(row) << '\n';
}

/// A key that was given and is none must not count as one that was not given.
Result<void> check_verifier(const LocalOptions& options) {
  if (!options.verifier) return {};
  if (options.verifier->empty())
    return Error(Code::invalid,
                 "the verifier key is empty: the file that it was to come from may be missing")
        .at("--verifier");
  if (!journal::parse_verifier_key(*options.verifier))
    return Error(Code::invalid,
                 "not a verifier key (origin+hash+key): give its text, such as \"$(cat FILE)\"")
        .at("--verifier");
  return {};
}

/// Opening a store without them would revoke every API key, and begin a new witness.
Result<void> files_beside(const LocalOptions& options) {
  auto config = config_of(options);
  if (!config) return std::move(config).error();
  if (auto there = check_store_is_there(*config); !there) return there;
  if (!std::filesystem::exists(config->dir() / "afterlog"))
    return Error(Code::conflict,
                 "the file `afterlog` is missing from the store's folder: without it a start "
                 "revokes every API key. Nothing was checked or changed; put it back first, or "
                 "start the server");
  if (!std::filesystem::exists(config->dir() / "witness"))
    return Error(Code::conflict,
                 "the file `witness` is missing from the store's folder: without it nobody sees "
                 "that the database is an older one. Nothing was checked or changed; put it back "
                 "first, or start the server, which records that it was missing");
  return {};
}

void say_whose_key(std::string_view what) {
  std::cout << "The key came with the " << what
            << ". To know whose log it is, compare it with the one you were given, or use "
               "--verifier.\n";
}

int journal_verify(const LocalOptions& options) {
  if (auto good = check_verifier(options); !good) return print_error(good.error());
  if (!options.file.empty()) {
    auto report = journal::verify_export(options.file, options.verifier);
    if (!report) return print_error(report.error());
    show(*report);
    std::cout << "Log key: " << report->verifier << '\n';
    if (!options.verifier) say_whose_key("export");
    return report->good() ? kDone : kFailed;
  }
  if (auto there = files_beside(options); !there) return print_error(there.error());
  return with_store(options, {}, [&](Instance& instance) {
    journal::Progress progress;
    if (isatty(STDERR_FILENO))
      progress = [](std::int64_t done, std::int64_t total) {
        std::cerr << '\r' << done << " of " << total << "   " << (done == total ? "\n" : "")
                  << std::flush;
      };
    auto report = instance.cores().wait(journal::verify_log(instance.log(), progress));
    if (!report) return print_error(report.error());
    show(*report);
    bool good = report->good();
    if (instance.replayed().lost) {
      std::cout
          << "  the afterlog lacks lines that it had: every API key was revoked just now, as a "
             "start would do\n";
      good = false;
    }
    if (options.state) {
      auto state = instance.cores().wait(
          journal::check_state(instance.log(), instance.rooms().state(), progress));
      if (!state) return print_error(state.error());
      std::cout << state->rows << " rows compared with the journal\n";
      show("are not as the last event left them", state->changed_total, state->changed);
      show("were made by no event", state->unrecorded_total, state->unrecorded);
      show("are missing", state->missing_total, state->missing);
      show(
          "hold what does not open: a key is gone or exchanged. Restore the last backup in which "
          "it "
          "was there, with the keys file of that backup",
          state->closed_total, state->closed);
      auto findings = instance.cores().wait(instance.rooms().admin.check_state([](auto&&...) {}));
      if (!findings) return print_error(findings.error());
      for (const auto& finding : *findings)
        std::cout << "  access " << finding.kind << ' ' << finding.id << ": " << finding.what
                  << '\n';
      good = good && state->good() && findings->empty();
    }
    std::cout << (good ? "good" : "NOT GOOD: see docs/journal.md for what to do") << std::endl;
    return int{good ? kDone : kFailed};
  });
}

int erasure_verify(std::string_view text, std::optional<std::string_view> verifier) {
  auto proved = vault::verify_erasure(text, verifier);
  if (!proved) return print_error(proved.error());
  const auto& said = proved->said;
  std::cout << "This stands in the log: the erasure of " << said.subject.text() << " on "
            << rfc3339(said.erased) << ", entry " << proved->seq << ", " << said.erasure.text()
            << "\nErased:";
  for (const auto& group : said.groups) std::cout << ' ' << group;
  if (said.held) {
    std::cout << "\nStill held when stated:";
    for (const auto& one : *said.held)
      std::cout << ' ' << one.group
                << (one.until ? " (a legal duty, until " + rfc3339(*one.until) + ")" : "");
  }
  std::cout << "\nStated on " << rfc3339(proved->stated) << ", entry " << proved->statement_seq
            << ":\n";
  for (const auto& step : said.steps)
    std::cout << "  " << vault::enum_names(step.step)[static_cast<std::size_t>(step.step)] << ": "
              << vault::enum_names(step.state)[static_cast<std::size_t>(step.state)]
              << (step.at ? " " + rfc3339(*step.at) : "") << '\n';
  std::cout << "Log key: " << proved->verifier << '\n';
  return kDone;
}

int consistency_verify(std::string_view text, const LocalOptions& options) {
  auto kept = journal::read_small_file(options.checkpoint, journal::kLongestProof);
  if (!kept) return print_error(std::move(kept).error().at("--checkpoint"));
  auto proved = journal::verify_consistency(text, *kept, options.verifier);
  if (!proved) return print_error(proved.error());
  std::cout << "The log of " << proved->head.size << " entries holds all " << proved->kept.size
            << " of the checkpoint that you kept\nLog key: " << proved->verifier << '\n';
  return kDone;
}

int proof_verify(const LocalOptions& options) {
  if (auto good = check_verifier(options); !good) return print_error(good.error());
  std::string text;
  if (options.file == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    auto read = journal::read_small_file(options.file, journal::kLongestProof);
    if (!read) return print_error(read.error());
    text = std::move(*read);
  }
  if (!options.checkpoint.empty()) return consistency_verify(text, options);
  if (vault::is_erasure(text)) {
    int out = erasure_verify(text, options.verifier);
    if (out == kDone && !options.verifier) say_whose_key("proof");
    return out;
  }
  auto proved = journal::verify_proof(text, options.verifier);
  if (!proved && proved.error().code == Code::invalid)
    return print_error(Error(Code::invalid,
                             "this is no proof: give the file that `holdfast journal proof` or "
                             "`holdfast subjects erasure` wrote, or `holdfast journal "
                             "consistency`, which takes --checkpoint too"));
  if (!proved) return print_error(proved.error());
  std::cout << "This stands in the log: entry " << proved->seq << " of " << proved->head.size
            << ", " << rfc3339(proved->entry.at) << ", " << proved->entry.operation << ", "
            << proved->entry.outcome << "\n";
  for (const auto& row : proved->rows)
    std::cout << "  " << row.kind << (row.removed ? " removed" : "")
              << (row.unopened ? " not opened" : "")
              << (row.subject ? " of " + row.subject->text() : "") << '\n';
  std::cout << "Log key: " << proved->verifier << '\n';
  if (!options.verifier) say_whose_key("proof");
  return kDone;
}

Result<crypto::Means> shares_of(const LocalOptions& options) {
  crypto::Means out;
  for (const auto& file : options.shares) {
    auto text = read_secret(file);
    if (!text) {
      std::cerr << "holdfast: " << file << ":\n";
      return std::move(text).error();
    }
    auto share = crypto::parse_share(text->expose_text());
    if (!share) {
      std::cerr << "holdfast: " << file << ":\n";
      return std::move(share).error();
    }
    out.shares.push_back(std::move(*share));
  }
  return out;
}

/// The root key out of the shares into a key file, and the store back to the method `file`.
int keys_recover(const LocalOptions& options) {
  umask(0077);
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  auto means = shares_of(options);
  if (!means) return print_error(means.error());
  auto files = root_files(*config);
  auto opened = crypto::open_store(files, *means);
  // An unlock file that is lost or damaged is what shares are for too.
  if (!opened && opened.error().code == Code::corrupt && !crypto::read_record(files.record)) {
    files.record += ".absent";
    opened = crypto::open_store(files, *means);
    files = root_files(*config);
  }
  if (!opened) return print_error(opened.error());
  const auto& store = opened->ring.store_id();
  auto wrote = crypto::write_key_file(files.key_file, store, opened->root);
  if (!wrote) return print_error(wrote.error());
  auto record = crypto::make_record(
      files, store, opened->root,
      {.recovery = opened->record.recovery ? opened->record.recovery
                                           : crypto::set_of(means->shares.front())});
  auto placed = record ? crypto::stage_record(files, *record, opened->root, {})
                       : Result<void>(std::move(record).error());
  if (placed) placed = crypto::put_staged_record(files);
  if (!placed) return print_error(placed.error());
  std::cout << "The shares open this store. The root key is in " << files.key_file.string()
            << " again, and the store unlocks by it." << std::endl;
  return kDone;
}

int keys_check(const LocalOptions& options) {
  if (auto ready = prepare_process(); !ready) return print_error(ready.error());
  auto config = config_of(options);
  if (!config) return print_error(config.error());
  auto means = shares_of(options);
  if (!means) return print_error(means.error());
  auto opened = crypto::open_store(root_files(*config), *means);
  if (!opened) return print_error(opened.error());
  std::cout << "These shares open this store. Nothing was changed." << std::endl;
  return kDone;
}

int openapi() {
  std::cout << http::openapi_document(all_rows(), "Holdfast", HOLDFAST_VERSION) << '\n';
  return kDone;
}

CLI::Option* add_verifier(CLI::App& sub, LocalOptions& options) {
  // As a plain option an empty text would be read as none.
  return sub
      .add_option_function<std::string>(
          "--verifier", [&options](const std::string& text) { options.verifier = text; },
          "The text of the log's key as you were given it.")
      ->type_name("KEY");
}

/// What a store that needs people is opened with.
void add_means(CLI::App& sub, LocalOptions& options) {
  sub.add_option("--share", options.unlock_shares,
                 "A file with a share that opens the store, or -; may be repeated.")
      ->type_name("FILE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  sub.add_option("--passphrase-file", options.passphrase_file,
                 "A file with the passphrase that opens the store, or - for standard input.")
      ->type_name("FILE");
}

}  // namespace

void add_local_commands(CLI::App& app, LocalOptions& options, std::function<int()>& run) {
  auto command = [&](CLI::App& at, const char* name, const char* doc,
                     int (*work)(const LocalOptions&), std::string footer, bool dir = true) {
    auto* sub = at.add_subcommand(name, doc)->footer(std::move(footer));
    if (dir) {
      sub->add_option("--dir", options.dir, "The store's folder.")
          ->type_name("DIR")
          ->capture_default_str();
      sub->add_option("--set", options.set, "A setting for this run: section.name=value.")
          ->type_name("KEY=VALUE")
          ->expected(1)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
    sub->final_callback(
        [&run, &options, work] { run = [&options, work] { return work(options); }; });
    return sub;
  };
  auto* made = command(app, "init", "Make a new store; prints the owner's API key on its last line",
                       init, example("umask 077; holdfast init --dir DIR > owner.key"));
  auto* served = command(app, "serve",
                         "Serve a store over HTTPS until SIGTERM; SIGHUP reloads the certificate",
                         serve, example("holdfast serve --dir DIR"));
  served->add_option("--listen", options.listen, "ADDRESS:PORT instead of the configured ones.")
      ->type_name("ADDR:PORT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  made->add_option("--listen", options.listen, "ADDRESS:PORT to write into the configuration.")
      ->type_name("ADDR:PORT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);

  auto* restored = command(app, "restore", "Restore a data file with the newest keys file", restore,
                           example("holdfast restore --dir DIR --data DATA-FILE --keys KEYS-FILE"));
  restored->add_option("--data", options.data, "The data file of any backup.")
      ->required()
      ->type_name("FILE");
  restored->add_option("--keys", options.keys, "The newest keys file.")
      ->required()
      ->type_name("FILE");
  restored
      ->add_option("--afterlog", options.afterlog, "The store's afterlog, if its folder was lost.")
      ->type_name("FILE");

  auto* opened =
      command(app, "unlock", "Unlock a server that is locked, or try the means on a stopped store",
              unlock_command,
              example("holdfast unlock --dir DIR --share SHARE-FILE", "each holder in turn"));
  opened->add_flag("--restart", options.restart, "Forget the shares that were given before.");
  auto* upgraded =
      command(app, "upgrade", "Bring a stopped store to this release, as a start does", upgrade,
              example("holdfast upgrade --check --dir DIR", "to see what it would change"));
  upgraded->add_flag("--check", options.check, "Only say what would be changed, or what stops it.");
  for (auto* sub : {restored, opened, upgraded}) add_means(*sub, options);
  made->add_option("--passphrase-file", options.passphrase_file,
                   "A file with the new passphrase, or - for standard input (passphrase).")
      ->type_name("FILE");
  made->add_option("--method", options.method,
                   "How the root key comes each day: file, passphrase, shamir or pkcs11.")
      ->type_name("METHOD")
      ->capture_default_str();
  made->add_option("--needed", options.needed, "How many everyday shares unlock (shamir).")
      ->capture_default_str();
  made->add_option("--total", options.total, "How many everyday shares there are (shamir).")
      ->capture_default_str();

  auto* config = app.add_subcommand("config", "The settings")->require_subcommand(1);
  command(*config, "show", "What is in force and where each value came from", config_show,
          example("holdfast config show --dir DIR"));

  auto* access = app.add_subcommand("access", "Operations on access")->require_subcommand(1);
  add_means(
      *command(*access, "recover",
               "Make a new owner key, with the keyring at hand and the server stopped",
               access_recover, example("umask 077; holdfast access recover --dir DIR > owner.key")),
      options);

  auto* journal = app.add_subcommand("journal", "Operations on the journal")->require_subcommand(1);
  auto* verified =
      command(*journal, "check", "Check the log of a stopped store, or an export of a log",
              journal_verify, example("holdfast journal check --dir DIR"));
  auto* exported =
      verified->add_option("--export", options.file, "Check this file instead of a store.")
          ->type_name("FILE");
  add_verifier(*verified, options)->needs(exported);
  verified
      ->add_flag("--state", options.state,
                 "Also compare every row with what the events left behind.")
      ->excludes(exported);
  auto* rolled =
      command(*journal, "accept-rollback", "Go on with an older database, recorded for ever",
              accept_rollback, example("holdfast journal accept-rollback --dir DIR --yes"));
  add_means(*verified, options);
  add_means(*rolled, options);
  rolled->add_flag("--yes", options.yes, "Do it.");

  auto* proof = app.add_subcommand("proof", "Proofs that the journal gave")->require_subcommand(1);
  auto* checked = command(
      *proof, "verify", "Check a proof, or the statement of an erasure, offline", proof_verify,
      example("holdfast proof verify FILE --verifier \"$(cat KEY-FILE)\""), false);
  checked->add_option("file", options.file, "The proof; - for standard input.")
      ->required()
      ->type_name("FILE");
  checked
      ->add_option("--checkpoint", options.checkpoint,
                   "The checkpoint that you kept: whether the log goes on from it.")
      ->type_name("FILE");
  add_verifier(*checked, options);

  auto* keys = app.add_subcommand("keys", "Operations on keys")->require_subcommand(1);
  for (auto* sub :
       {command(*keys, "recover", "Write the root key file again from recovery shares",
                keys_recover, example("holdfast keys recover --dir DIR SHARE-1 SHARE-2")),
        command(*keys, "check", "Prove here that shares still open the store", keys_check,
                example("holdfast keys check --dir DIR SHARE-1 SHARE-2"))})
    sub->add_option("shares", options.shares, "Files of the shares.")
        ->required()
        ->type_name("FILE");
  auto* tokens = app.add_subcommand("tokens", "Operations on tokens")->require_subcommand(1);
  auto* sealed = command(
      *tokens, "seal",
      "Seal values as pending tokens, without any server: the body of `tokens "
      "create` becomes that of `tokens exchange`",
      tokens_seal,
      example("holdfast tokens seal --key KEY-FILE FILE > pending.json", "while Holdfast is away"),
      false);
  sealed->add_option("file", options.file, "The body, as JSON; - for standard input.")
      ->required()
      ->type_name("FILE");
  sealed->add_option("--key", options.sealing_key, "What `holdfast tokens sealing-key` printed.")
      ->required()
      ->type_name("FILE");

  app.add_subcommand("openapi", "Print the OpenAPI 3.1 document")
      ->footer(example("holdfast openapi > openapi.json"))
      ->final_callback([&run] { run = openapi; });
}

}  // namespace holdfast::app
