// The verbs that change what opens the store, and the rehearsal that proves shares still do.
#include "crypto/aead.h"
#include "crypto/private_file.h"
#include "crypto/unlock/file.h"
#include "vault/keys/share_files.h"
#include "vault/keys/unlocking.h"

namespace holdfast::vault {
namespace {

Error another_runs() {
  return {Code::conflict, "another change of the keyring runs: wait for it"};
}
Error cut_off() {
  return {Code::conflict, "an earlier change was cut off: restart the server first"};
}

}  // namespace

Task<Result<Reshared>> Unlocking::reshare(Caller caller, ReshareRequest request) {
  const crypto::KeyringTurn turn(deps_.held);
  if (!turn) co_return another_runs();
  co_return co_await reshare_once(std::move(caller), std::move(request));
}

Task<Result<Reshared>> Unlocking::reshare_once(Caller caller, ReshareRequest request) {
  auto at = co_await stand(caller);
  if (!at) co_return std::move(at).error();
  if (at->keys->root.empty() || at->state.pending) co_return cut_off();
  const auto& files = deps_.places.files;
  const auto& old = at->record;
  if (request.passphrase && old.method != Method::passphrase)
    co_return Error(Code::invalid, "this store does not unlock with a passphrase: leave it out")
        .at("passphrase");
  if ((request.everyday_needed || request.everyday_total) && old.method != Method::shamir)
    co_return Error(Code::invalid,
                    "this store does not unlock with everyday shares: leave their numbers out")
        .at(request.everyday_needed ? "everyday_needed" : "everyday_total");
  auto recovery_size = set_size(request.needed, request.total, 2, 3);
  if (!recovery_size) co_return std::move(recovery_size).error();
  auto everyday_size =
      set_size(request.everyday_needed, request.everyday_total,
               old.everyday ? old.everyday->needed : 2, old.everyday ? old.everyday->total : 3);
  if (!everyday_size) co_return std::move(everyday_size).error();

  crypto::Means means;
  if (old.method == Method::passphrase) {
    if (!request.passphrase)
      co_return Error(
          Code::invalid,
          "the new root key goes under the passphrase in use: give it too (`--passphrase ?` "
          "asks)")
          .at("passphrase");
    auto passphrase = crypto::passphrase_from(request.passphrase->expose_text());
    if (!passphrase) co_return std::move(passphrase).error().at("passphrase");
    means.passphrase = std::move(*passphrase);
    auto proved = co_await deps_.pool.run([&] { return crypto::root_of(files, old, means); });
    if (!proved) co_return co_await refused(caller, "keys.reshare", std::move(proved).error());
  }

  auto root = Secret::random(crypto::kKeyBytes);
  const auto& store = at->keys->ring.store_id();
  auto recovery = crypto::split(root, store, recovery_size->needed, recovery_size->total);
  std::vector<crypto::Share> everyday;
  crypto::NewMethod wanted{.method = old.method,
                           .passphrase = means.passphrase ? &*means.passphrase : nullptr,
                           .cost = deps_.places.cost,
                           .hsm_key = {.serial = old.token_serial, .key_label = old.token_key},
                           .recovery = crypto::set_of(recovery)};
  if (old.method == Method::shamir) {
    everyday = crypto::split(root, store, everyday_size->needed, everyday_size->total);
    wanted.everyday = crypto::set_of(everyday);
    for (std::size_t i = 0; i < everyday_size->needed; ++i)
      means.shares.push_back(copy_of(everyday[i]));
  }
  auto record =
      co_await deps_.pool.run([&] { return crypto::make_record(files, store, root, wanted); });
  if (!record) co_return std::move(record).error();

  auto intended = co_await intend(caller, std::move(*at),
                                  {.what = "reshare",
                                   .to = record->method,
                                   .recovery = made_now(record->recovery, at->now),
                                   .everyday = made_now(record->everyday, at->now),
                                   .check = check_of(*record)},
                                  &root);
  if (!intended) co_return std::move(intended).error();
  auto stood = std::move(*intended);
  // What was begun is finished, whatever the policy says meanwhile and however long it takes.
  caller.generation = 0;
  caller.deadline = MonoTime::max();
  std::optional<NewShares> everyday_out;
  auto recovery_files =
      co_await deps_.pool.run([&] { return write_set(deps_.places.shares, "recovery", recovery); });
  if (!recovery_files)
    co_return co_await take_back(caller, std::move(stood), std::move(recovery_files).error());
  auto resealed = co_await deps_.pool.run([&]() -> Result<crypto::Keyring> {
    if (!everyday.empty()) {
      auto written = write_set(deps_.places.shares, "everyday", everyday);
      if (!written) return std::move(written).error();
      everyday_out = std::move(*written);
    }
    if (record->method == Method::file)
      if (auto staged = crypto::stage_key_file(files, store, root); !staged)
        return std::move(staged).error();
    if (auto staged = crypto::stage_record(files, *record, root, means); !staged)
      return std::move(staged).error();
    return crypto::reseal_keyring(files.keyring, stood.keys->ring, root);
  });
  if (!resealed) {
    auto as_before = co_await deps_.pool.run(
        [&] { return crypto::read_keyring(files.keyring, stood.keys->root, store); });
    if (!as_before)
      co_return Error(Code::unavailable,
                      "the keyring was written anew but cannot be read now: the new shares and "
                      "what is staged stay; see to the disk and restart, which finishes this");
    (void)co_await deps_.pool.run([&]() -> Result<void> {
      remove_set(*recovery_files);
      if (everyday_out) remove_set(*everyday_out);
      return {};
    });
    co_return co_await take_back(caller, std::move(stood), std::move(resealed).error());
  }

  // From here on the old root key opens nothing; a crash is finished by the next start.
  auto fresh = std::make_shared<const crypto::KeySet>(std::move(*resealed), std::move(root),
                                                      stood.keys->plan);
  // Locked meanwhile: the next start finishes the change.
  if (!deps_.held.replace(stood.keys, fresh)) co_return Error(Code::locked, "the server is locked");
  auto placed = co_await deps_.pool.run([&]() -> Result<void> {
    if (auto done = crypto::put_staged_record(files); !done) return done;
    return crypto::put_staged_key_file(files);
  });
  if (!placed) co_return std::move(placed).error();
  Reshared out{.recovery = std::move(*recovery_files),
               .everyday = std::move(everyday_out),
               .generation = static_cast<std::int64_t>(fresh->ring.generation())};
  if (stood.state.recovery) out.replaced = stood.state.recovery->set;
  auto event = co_await settle_pending(caller, std::move(stood));
  if (!event) co_return std::move(event).error();
  out.event = *event;
  // What fails here is an alarm (keyring_copy), and tried again. Before the files go that a caller
  // falls back on who gets no answer; not where the place is known not to answer.
  if (copy_trouble().empty())
    (void)co_await deps_.pool.run([&] { return keep_copy(fresh->ring, fresh->root); });
  if (request.download) {
    auto kept = co_await deps_.pool.run([&]() -> Result<void> {
      remove_set(out.recovery);
      return {};
    });
    if (!kept) co_return std::move(kept).error();
    out.recovery.files.clear();
    for (const auto& share : recovery) out.recovery.shares.push_back(text_of(share));
  }
  co_return out;
}

Task<Result<Rehearsed>> Unlocking::rehearse(Caller caller, RehearseRequest request) {
  // What is written here must not stand over the row of a change that is under way.
  const crypto::KeyringTurn turn(deps_.held);
  if (!turn) co_return another_runs();
  auto at = co_await stand(caller);
  if (!at) co_return std::move(at).error();
  if (at->keys->root.empty() || at->state.pending) co_return cut_off();
  auto shares = parse_shares(request.shares);
  if (!shares) co_return co_await refused(caller, "keys.rehearse", std::move(shares).error());
  if (shares->empty())
    co_return co_await refused(
        caller, "keys.rehearse",
        Error(Code::invalid, "a rehearsal takes the texts of enough share files of one set")
            .at("shares"));
  crypto::Means means;
  means.shares = std::move(*shares);
  auto root = co_await deps_.pool.run(
      [&] { return crypto::root_of(deps_.places.files, at->record, means); });
  if (!root) co_return co_await refused(caller, "keys.rehearse", std::move(root).error());
  if (!root->matches(at->keys->root.expose()))
    co_return co_await refused(
        caller, "keys.rehearse",
        Error(Code::invalid,
              "these shares fit each other but give another root key than the one "
              "in use: they are of a set that was replaced"));

  auto set = view_of(crypto::set_of(means.shares.front()));
  set.rehearsed = at->now;
  auto* known = at->state.everyday && at->state.everyday->set == set.set ? &at->state.everyday
                                                                         : &at->state.recovery;
  if (*known && (*known)->set == set.set) set.made = (*known)->made;
  *known = set;
  Rehearsed out{
      .set = set.set, .rehearsed = at->now, .next = at->now + deps_.places.rehearse_every};
  std::string numbers;
  for (const auto& share : means.shares) {
    out.numbers.push_back(share.number);
    (numbers += numbers.empty() ? "" : ",") += std::to_string(share.number);
  }
  auto event = co_await write(
      caller, at->keys.get(), at->mac, at->state,
      {.activity = "keys.rehearse", .facts = {{"set", set.set}, {"shares", numbers}}});
  if (!event) co_return std::move(event).error();
  out.event = *event;
  co_return out;
}

Task<Result<Moved>> Unlocking::move(Caller caller, MoveRequest request) {
  const crypto::KeyringTurn turn(deps_.held);
  if (!turn) co_return another_runs();
  co_return co_await move_once(std::move(caller), std::move(request));
}

Task<Result<Moved>> Unlocking::move_once(Caller caller, MoveRequest request) {
  auto at = co_await stand(caller);
  if (!at) co_return std::move(at).error();
  if (at->keys->root.empty() || at->state.pending) co_return cut_off();
  const auto& files = deps_.places.files;
  const auto from = at->record.method;
  if (from == request.to && from == Method::file)
    co_return Error(Code::conflict, "the store unlocks that way already").at("to");
  if (from == request.to && from == Method::shamir)
    co_return Error(Code::conflict,
                    "the store unlocks that way already: keys.reshare makes new shares")
        .at("to");

  if (request.passphrase && request.to != Method::passphrase)
    co_return Error(Code::invalid, "only the method `passphrase` takes one: leave it out")
        .at("passphrase");
  if ((request.needed || request.total) && request.to != Method::shamir)
    co_return Error(Code::invalid,
                    "only the method `shamir` takes numbers of shares: leave them out")
        .at(request.needed ? "needed" : "total");
  if (request.to == Method::file) {
    auto free = co_await deps_.pool.run([&]() -> Result<void> {
      auto there = crypto::read_key_file(files.key_file);
      if (!there && there.error().code == Code::not_found) return {};
      if (there && there->root.matches(at->keys->root.expose())) return {};
      return Error(Code::conflict,
                   "another file lies where the key file goes (keys.file), and a key file is never "
                   "overwritten: move it away first");
    });
    if (!free) co_return std::move(free).error();
  }

  crypto::Means means;
  const auto& store = at->keys->ring.store_id();
  const auto& root = at->keys->root;
  crypto::NewMethod wanted{.method = request.to,
                           .cost = deps_.places.cost,
                           .hsm_key = deps_.places.hsm_key,
                           .recovery = at->record.recovery};
  std::vector<crypto::Share> everyday;
  if (request.to == Method::passphrase) {
    if (!request.passphrase)
      co_return Error(Code::invalid,
                      "this method takes a passphrase: give it (`--passphrase ?` asks; - or @FILE)")
          .at("passphrase");
    auto passphrase = crypto::passphrase_from(request.passphrase->expose_text());
    if (!passphrase) co_return std::move(passphrase).error().at("passphrase");
    means.passphrase = std::move(*passphrase);
    wanted.passphrase = &*means.passphrase;
  }
  if (request.to == Method::shamir) {
    auto size = set_size(request.needed, request.total, 2, 3);
    if (!size) co_return std::move(size).error();
    everyday = crypto::split(root, store, size->needed, size->total);
    wanted.everyday = crypto::set_of(everyday);
    for (std::size_t i = 0; i < size->needed; ++i) means.shares.push_back(copy_of(everyday[i]));
  }
  auto record =
      co_await deps_.pool.run([&] { return crypto::make_record(files, store, root, wanted); });
  if (!record) co_return std::move(record).error();

  auto intended = co_await intend(caller, std::move(*at),
                                  {.what = "move",
                                   .to = request.to,
                                   .everyday = made_now(record->everyday, at->now),
                                   .check = check_of(*record)});
  if (!intended) co_return std::move(intended).error();
  auto stood = std::move(*intended);
  // What was begun is finished, whatever the policy says meanwhile and however long it takes.
  caller.generation = 0;
  caller.deadline = MonoTime::max();
  Moved out{.from = from, .to = request.to};
  bool maybe_in_force = false;
  auto placed = co_await deps_.pool.run([&]() -> Result<void> {
    if (!everyday.empty()) {
      auto written = write_set(deps_.places.shares, "everyday", everyday);
      if (!written) return std::move(written).error();
      out.everyday = std::move(*written);
    }
    if (request.to == Method::file)
      if (auto staged =
              crypto::stage_key_file(files, stood.keys->ring.store_id(), stood.keys->root);
          !staged)
        return staged;
    if (auto staged = crypto::stage_record(files, *record, stood.keys->root, means); !staged)
      return staged;
    auto done = crypto::put_staged_record(files);
    if (done) return done;
    // Perhaps only the folder could not be made durable: nothing of before goes until it is.
    auto now = crypto::current_record(files);
    maybe_in_force = !now || check_of(*now) == check_of(*record);
    if (now && maybe_in_force &&
        crypto::replace_private(files.record, as_bytes(crypto::format_record(*record))))
      return {};
    return done;
  });
  if (!placed && maybe_in_force)
    co_return Error(Code::unavailable,
                    "the new unlock file may be in place, and the disk did not confirm it: what "
                    "opened the store before stays, and so do new shares; see to the disk and "
                    "restart, which finishes this");
  if (!placed) {
    if (out.everyday)
      (void)co_await deps_.pool.run([&]() -> Result<void> {
        remove_set(*out.everyday);
        return {};
      });
    co_return co_await take_back(caller, std::move(stood), std::move(placed).error());
  }
  auto event = co_await settle_pending(caller, std::move(stood));
  if (!event) co_return std::move(event).error();
  out.event = *event;
  co_return out;
}

}  // namespace holdfast::vault
