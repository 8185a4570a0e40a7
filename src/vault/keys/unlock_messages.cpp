#include "vault/keys/unlock_messages.h"

namespace holdfast::vault {
namespace {

constexpr Limits kShareText{.bytes = 8192, .count = 16};
constexpr Limits kPassphrase{.bytes = 1026};
constexpr Limits kShares{.min = 2, .max = 16};

template <auto M>
constexpr Member secret(std::string_view name, std::string_view doc, Limits limits) {
  return member<M>(name, doc, limits, Place::body, Sensitivity::secret);
}

}  // namespace

std::string_view protection_of(Method method) {
  switch (method) {
    case Method::file:
      return "A stolen database or backup opens nothing. A stolen disk, virtual machine or "
             "whole-host backup does: the key file is on it. The server starts by itself.";
    case Method::passphrase:
      return "A stolen disk opens nothing without guessing the passphrase, and each guess costs "
             "the time and memory stated in the unlock file. Each start takes the passphrase.";
    case Method::shamir:
      return "A stolen disk opens nothing, and no person alone opens the store. Each start takes "
             "that many holders of shares.";
    case Method::pkcs11:
      return "A stolen disk opens nothing without the HSM and its PIN. The server starts by itself "
             "while the HSM answers.";
  }
  return "";
}

ShareSetView view_of(const crypto::ShareSet& set) {
  return {.set = hex(set.id), .needed = set.needed, .total = set.total};
}

std::span<const Member> ShareSetView::described() {
  using S = ShareSetView;
  static constexpr Member kMembers[] = {
      member<&S::set>("set", "The set's id, as it stands on each share."),
      member<&S::needed>("needed", "How many of its shares give the root key."),
      member<&S::total>("total", "How many shares there are."),
      member<&S::made>("made", "When the set was made, where that is known."),
      member<&S::rehearsed>("rehearsed", "When shares of it last proved that they unlock.")};
  return kMembers;
}

std::span<const Member> Alarm::described() {
  using A = Alarm;
  static constexpr Member kMembers[] = {
      member<&A::alarm>("alarm",
                        "certificate_due, api_keys_due, rehearsal_due, key_old, hsm_away, "
                        "shares_on_server, keyring_file, keyring_row, key_file_left or "
                        "keyring_copy."),
      member<&A::text>("text", "What it is and what to do.", {.bytes = 512}),
      member<&A::due>("due", "When it becomes, or became, a problem.")};
  return kMembers;
}

std::span<const Member> KeyView::described() {
  using K = KeyView;
  static constexpr Member kMembers[] = {member<&K::use>("use", "What the key is for."),
                                        member<&K::id>("id", "Its number."),
                                        member<&K::created>("created", "When it was made."),
                                        member<&K::active>("active", "Whether new work uses it.")};
  return kMembers;
}

std::span<const Member> KeysStatus::described() {
  using K = KeysStatus;
  static constexpr Member kMembers[] = {
      member<&K::locked>("locked", "Whether the server holds no root key now."),
      member<&K::reason>("reason",
                         "Why it is locked: deliberate (keys.lock), needs_people (the method), or "
                         "stale_keyring (the database knows a later one)."),
      member<&K::locked_at>("locked_at", "When it was locked on purpose."),
      member<&K::locked_by>("locked_by", "Which key locked it on purpose."),
      member<&K::method>("method", "Where the root key comes from each day."),
      member<&K::protects>("protects", "What this method protects against and what not.",
                           {.bytes = 512}),
      member<&K::everyday>("everyday", "The set whose shares unlock each day (method shamir)."),
      member<&K::recovery>("recovery", "The recovery set: its shares unlock whatever the method."),
      member<&K::shares_given>("shares_given", "Numbers of the shares given so far, while locked.",
                               {.count = 16}),
      member<&K::generation>("generation", "The keyring's generation."),
      member<&K::keys>("keys", "The keys that the keyring holds.", {.count = 16'384}),
      member<&K::alarms>("alarms", "What should be seen to.", {.count = 64})};
  return kMembers;
}

std::span<const Member> LockRequest::described() {
  static constexpr Member kMembers[] = {
      member<&LockRequest::reason>("reason", "Why, in words; kept sealed with the journal entry.",
                                   {.bytes = 1024}, Place::body, Sensitivity::personal)};
  return kMembers;
}

std::span<const Member> LockedNow::described() {
  using L = LockedNow;
  static constexpr Member kMembers[] = {
      member<&L::locked>("locked", "True: no key is in the server's memory any more."),
      member<&L::latched>("latched",
                          "True: a restart stays locked. False: the disk did not take that; do not "
                          "let the server start again by itself."),
      member<&L::recorded>("recorded",
                           "Whether the journal has it already; else it is recorded when the "
                           "server is unlocked."),
      member<&L::at>("at", "When.")};
  return kMembers;
}

std::span<const Member> UnlockRequest::described() {
  using U = UnlockRequest;
  static constexpr Member kMembers[] = {
      secret<&U::share>("share", "The text of one share, as in its file.", kShareText),
      secret<&U::passphrase>("passphrase", "The passphrase (method passphrase).", kPassphrase),
      member<&U::restart>("restart", "Forget the shares that were given before this one.")};
  return kMembers;
}

std::span<const Member> UnlockProgress::described() {
  using U = UnlockProgress;
  static constexpr Member kMembers[] = {
      member<&U::locked>("locked", "False: the keys are open, and the server starts."),
      member<&U::missing>("missing", "How many more shares it takes."),
      member<&U::shares_given>("shares_given", "Numbers of the shares given so far.",
                               {.count = 16})};
  return kMembers;
}

std::span<const Member> NewShare::described() {
  static constexpr Member kMembers[] = {
      member<&NewShare::number>("number", "Which share of the set."),
      secret<&NewShare::text>("text", "The share, to print and give away.", kShareText)};
  return kMembers;
}

std::span<const Member> NewShares::described() {
  using N = NewShares;
  static constexpr Member kMembers[] = {
      member<&N::set>("set", "The set's id."),
      member<&N::needed>("needed", "How many of its shares give the root key."),
      member<&N::total>("total", "How many shares there are."),
      member<&N::files>("files", "Where the shares lie on the server: move each away.",
                        {.bytes = 4096, .count = 16}),
      member<&N::shares>("shares", "The shares themselves, where that was asked for.",
                         {.count = 16})};
  return kMembers;
}

std::span<const Member> ReshareRequest::described() {
  using R = ReshareRequest;
  static constexpr Member kMembers[] = {
      member<&R::needed>("needed", "How many shares of the new recovery set give the root key.",
                         kShares),
      member<&R::total>("total", "How many shares the new recovery set has.", kShares),
      member<&R::everyday_needed>(
          "everyday_needed", "The same for the everyday set (method shamir); as it was.", kShares),
      member<&R::everyday_total>("everyday_total", "The same for the everyday set; as it was.",
                                 kShares),
      secret<&R::passphrase>("passphrase",
                             "The passphrase in use (method passphrase): the new root key goes "
                             "under it too.",
                             kPassphrase),
      member<&R::download>("download",
                           "Give the recovery shares in the answer, once, instead of leaving files "
                           "on the server. Everyday shares are always files: without them the next "
                           "start would be the last.")};
  return kMembers;
}

std::span<const Member> Reshared::described() {
  using R = Reshared;
  static constexpr Member kMembers[] = {
      member<&R::recovery>("recovery", "The new recovery set."),
      member<&R::everyday>("everyday", "The new everyday set (method shamir)."),
      member<&R::replaced>("replaced", "The recovery set that is void now."),
      member<&R::generation>("generation", "The keyring's new generation."),
      member<&R::event>("event", "The journal entry that records it.")};
  return kMembers;
}

std::span<const Member> RehearseRequest::described() {
  static constexpr Member kMembers[] = {secret<&RehearseRequest::shares>(
      "shares", "The texts of as many shares of one set as it takes.", kShareText)};
  return kMembers;
}

std::span<const Member> Rehearsed::described() {
  using R = Rehearsed;
  static constexpr Member kMembers[] = {
      member<&R::set>("set", "The set whose shares still unlock."),
      member<&R::numbers>("numbers", "Which of them were tried.", {.count = 16}),
      member<&R::rehearsed>("rehearsed", "When."),
      member<&R::next>("next", "When the next rehearsal is due."),
      member<&R::event>("event", "The journal entry that records it.")};
  return kMembers;
}

std::span<const Member> MoveRequest::described() {
  using M = MoveRequest;
  static constexpr Member kMembers[] = {
      member<&M::to>("to", "The method to move to."),
      secret<&M::passphrase>("passphrase",
                             "The new passphrase (to passphrase): at least 15 "
                             "characters.",
                             kPassphrase),
      member<&M::needed>("needed", "How many everyday shares unlock (to shamir); 2.", kShares),
      member<&M::total>("total", "How many everyday shares there are (to shamir); 3.", kShares)};
  return kMembers;
}

std::span<const Member> Moved::described() {
  using M = Moved;
  static constexpr Member kMembers[] = {
      member<&M::from>("from", "The method before."), member<&M::to>("to", "The method now."),
      member<&M::everyday>("everyday", "The new everyday set (to shamir)."),
      member<&M::event>("event", "The journal entry that records it.")};
  return kMembers;
}

}  // namespace holdfast::vault
