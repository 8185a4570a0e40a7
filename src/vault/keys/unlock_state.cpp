#include "vault/keys/unlock_state.h"

#include <algorithm>

#include "vault/schema.h"

namespace holdfast::vault {
namespace {

constexpr std::int64_t kRow = 1;
constexpr std::string_view kRowName = "1";
constexpr int kMigration = 7;

inline constexpr db::Sql kReadKeyring{
    "vault.read_keyring",
    "select generation, content, mac, next_mac from vault_keyring where id = $1"};
inline constexpr db::Sql kAddKeyring{
    "vault.add_keyring",
    "insert into vault_keyring (id, generation, content, mac, next_mac) "
    "values ($1, $2, $3, $4, $5) on conflict (id) do update set generation = excluded.generation, "
    "content = excluded.content, mac = excluded.mac, next_mac = excluded.next_mac"};
inline constexpr db::Sql kMoveKeyring{
    "vault.move_keyring",
    "update vault_keyring set generation = $2, content = $3, mac = $4, next_mac = $5 "
    "where id = $1 and mac = $6"};

Bytes mac_of(const Secret& root, std::string_view content) {
  auto key = crypto::Hmac(root.expose()).expand(as_bytes("holdfast keyring row 1"));
  auto mac = crypto::Hmac(key.expose()).mac(as_bytes(content));
  return to_bytes(mac);
}

crypto::Digest digest_of(const crypto::KeySet& keys, std::int64_t generation,
                         std::string_view content, BytesView mac) {
  return declared_digest(keys, "keyring", std::to_string(generation), content, mac);
}

}  // namespace

std::string check_of(const crypto::UnlockRecord& record) {
  return hex(crypto::sha256(as_bytes(crypto::format_record(record))));
}

std::optional<ShareSetView> made_now(const std::optional<crypto::ShareSet>& set, Time now) {
  if (!set) return std::nullopt;
  auto out = view_of(*set);
  out.made = now;
  return out;
}

std::span<const Member> ReplacedSet::described() {
  static constexpr Member kMembers[] = {member<&ReplacedSet::set>("set", "A set that is void."),
                                        member<&ReplacedSet::at>("at", "Since when.")};
  return kMembers;
}

std::span<const Member> PendingChange::described() {
  using P = PendingChange;
  static constexpr Member kMembers[] = {
      member<&P::what>("what", "move or reshare."),
      member<&P::to>("to", "The method after it."),
      member<&P::recovery>("recovery", "The recovery set after it."),
      member<&P::everyday>("everyday", "The everyday set after it."),
      member<&P::check>("check", "SHA-256 of the unlock file after it."),
      member<&P::since>("since", "When it was begun.")};
  return kMembers;
}

std::span<const Member> UnlockState::described() {
  using U = UnlockState;
  static constexpr Member kMembers[] = {
      member<&U::version>("version", "Counts the changes of this row."),
      member<&U::generation>("generation", "The keyring's generation."),
      member<&U::method>("method", "Where the root key comes from."),
      member<&U::recovery>("recovery", "The recovery set."),
      member<&U::everyday>("everyday", "The everyday set."),
      member<&U::replaced>("replaced", "Sets that are void.", {.count = 20}),
      member<&U::pending>("pending", "A change that is under way.")};
  return kMembers;
}

Task<Result<ReadState>> read_state(db::Reader& reader, const crypto::KeySet& keys,
                                   MonoTime deadline) {
  auto rows = co_await reader.read(kReadKeyring, {kRow}, deadline);
  if (!rows) co_return std::move(rows).error();
  ReadState out;
  if (rows->empty()) co_return out;
  auto row = (*rows)[0];
  auto mac = mac_of(keys.root, row.text(1));
  out.tampered = true;
  if (!equal_constant_time(mac, row.bytes(2)) && !equal_constant_time(mac, row.bytes(3)))
    co_return out;
  auto state = parse_json_as<UnlockState>(row.text(1));
  if (!state || state->generation != row.integer(0)) co_return out;
  out.tampered = false;
  out.mac = to_bytes(row.bytes(2));
  out.state = std::move(*state);
  co_return out;
}

journal::Touch write_state(db::Changes& changes, const crypto::KeySet& keys, const Bytes& before,
                           const UnlockState& next, const Secret* next_root) {
  auto content = to_json(next);
  auto mac = mac_of(keys.root, content);
  auto next_mac = next_root ? mac_of(*next_root, content) : mac;
  if (before.empty())
    changes.write(kAddKeyring, {kRow, next.generation, content, mac, next_mac},
                  db::Expect::exactly(1));
  else
    changes.write(kMoveKeyring, {kRow, next.generation, content, mac, next_mac, before},
                  db::Expect::exactly(1));
  return {{}, "keyring", to_bytes(kRowName), digest_of(keys, next.generation, content, mac)};
}

Task<Result<void>> UnlockRows::rows(Report report) {
  auto keys = keys_.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  for (auto id : keys->ring.ids(crypto::KeyUse::digest))
    if (auto told = co_await rows_under(keys->with_digest(id), report); !told) co_return told;
  co_return Result<void>();
}

Task<Result<void>> UnlockRows::rows_under(std::shared_ptr<const crypto::KeySet> keys,
                                          Report report) {
  auto rows = co_await reader_.read(kReadKeyring, {kRow});
  if (!rows) co_return std::move(rows).error();
  for (std::size_t i = 0; i < rows->size(); ++i)
    report("keyring", as_bytes(kRowName),
           digest_of(*keys, (*rows)[i].integer(0), (*rows)[i].text(1), (*rows)[i].bytes(2)));
  co_return Result<void>();
}

Task<Result<void>> refuse_older_keyring(db::Reader& reader, const crypto::KeySet& keys) {
  auto pending = co_await db::pending_migrations(reader, db::embedded_migrations());
  if (!pending) co_return std::move(pending).error();
  for (const auto& migration : *pending)
    if (migration.room == "vault" && migration.number == kMigration) co_return Result<void>();
  auto read = co_await read_state(reader, keys, MonoTime::max());
  if (!read) co_return std::move(read).error();
  if (read->state && static_cast<std::uint64_t>(read->state->generation) > keys.ring.generation())
    co_return Error(Code::conflict,
                    "this keyring is older than the one that the database was last used with: put "
                    "the newest back (the keyring of the newest keys backup); keys that were made "
                    "since are not in it");
  co_return Result<void>();
}

std::span<const db::Sql* const> unlock_statements() {
  static constexpr const db::Sql* kAll[] = {&kReadKeyring, &kAddKeyring, &kMoveKeyring};
  return kAll;
}

}  // namespace holdfast::vault
