#include "vault/rotations.h"

#include <algorithm>
#include <utility>

#include "base/described.h"
#include "base/json.h"

namespace holdfast::vault {
namespace {

inline constexpr db::Sql kOpenRotations{
    "vault.open_rotations",
    "select id, kind, from_id, to_id, phase, at_once, source, after, rounds, looked, moved, total, "
    "refused, refused_rows, generation, started_ms, moved_ms, due_ms, done_ms, proof, version, mac "
    "from vault_rotations where phase <> 'done' order by id"};
inline constexpr db::Sql kLastRotations{
    "vault.last_rotations",
    "select id, kind, from_id, to_id, phase, at_once, source, after, rounds, looked, moved, total, "
    "refused, refused_rows, generation, started_ms, moved_ms, due_ms, done_ms, proof, version, mac "
    "from vault_rotations order by id desc limit 100"};
inline constexpr db::Sql kAllRotations{
    "vault.all_rotations",
    "select id, kind, from_id, to_id, phase, at_once, source, after, rounds, looked, moved, total, "
    "refused, refused_rows, generation, started_ms, moved_ms, due_ms, done_ms, proof, version, mac "
    "from vault_rotations order by id"};
/// As releases before the MAC made the table: backups are of any age.
inline constexpr db::Sql kRotationsInFile{
    "vault.rotations_in_file",
    "select id, kind, from_id, to_id, phase, at_once, source, after, rounds, looked, moved, total, "
    "refused, refused_rows, generation, started_ms, moved_ms, due_ms, done_ms, proof, version "
    "from vault_rotations order by id"};
inline constexpr db::Sql kRotationsOf{
    "vault.rotations_of",
    "select id, kind, from_id, to_id, phase, at_once, source, after, rounds, looked, moved, total, "
    "refused, refused_rows, generation, started_ms, moved_ms, due_ms, done_ms, proof, version, mac "
    "from vault_rotations where kind = $1 order by id"};
inline constexpr db::Sql kAddRotation{
    "vault.add_rotation",
    "insert into vault_rotations (id, kind, from_id, to_id, phase, at_once, source, after, rounds, "
    "looked, moved, total, refused, refused_rows, generation, started_ms, moved_ms, due_ms, "
    "done_ms, proof, version, running, mac) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
    "$12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)"};
inline constexpr db::Sql kPutRotation{
    "vault.put_rotation",
    "update vault_rotations set phase = $5, at_once = $6, source = $7, after = $8, rounds = $9, "
    "looked = $10, moved = $11, total = $12, refused = $13, refused_rows = $14, generation = $15, "
    "started_ms = $16, moved_ms = $17, due_ms = $18, done_ms = $19, proof = $20, version = $21, "
    "running = $22, mac = $23 where id = $1 and kind = $2 and from_id = $3 and to_id = $4 "
    "and version = $21 - 1"};

constexpr std::size_t kNamedRows = 100;
constexpr std::string_view kMacPurpose = "rotation mac";

struct Named {
  std::vector<std::string> rows;
  static std::span<const Member> described() {
    static constexpr Member kMembers[] = {
        member<&Named::rows>("rows", "", {.bytes = 256, .count = kNamedRows})};
    return kMembers;
  }
};

template <class E>
std::string name_of(E value) {
  return std::string(enum_names(value)[std::to_underlying(value)]);
}
template <class E>
std::optional<E> from_name(std::string_view name) {
  auto names = enum_names(E{});
  auto at = std::ranges::find(names, name);
  if (at == names.end()) return std::nullopt;
  return static_cast<E>(at - names.begin());
}

std::optional<Time> time_at(const db::Rows::Row& row, std::size_t at) {
  return row.null(at) ? std::nullopt : std::optional(from_ms(row.integer(at)));
}
db::Value value_of(const std::optional<Time>& time) {
  return time ? db::Value(to_ms(*time)) : db::Value();
}

Result<Rotation> rotation_from(const db::Rows::Row& row, bool has_mac) {
  Error damaged(Code::corrupt,
                "a rotation's row was not written by Holdfast: run `holdfast journal verify "
                "--state`");
  auto id = RotationId::from(row.bytes(0));
  auto kind = from_name<KeyKind>(row.text(1));
  auto phase = from_name<RotationPhase>(row.text(4));
  auto named = parse_json_as<Named>(row.text(13));
  if (!id || !kind || !phase || !named) return damaged;
  return Rotation{.id = *id,
                  .kind = *kind,
                  .from = static_cast<std::uint32_t>(row.integer(2)),
                  .to = static_cast<std::uint32_t>(row.integer(3)),
                  .phase = *phase,
                  .at_once = row.integer(5) != 0,
                  .source = row.integer(6),
                  .after = to_bytes(row.bytes(7)),
                  .rounds = row.integer(8),
                  .looked = row.integer(9),
                  .moved = row.integer(10),
                  .total = row.integer(11),
                  .refused = row.integer(12),
                  .refused_rows = std::move(named->rows),
                  .generation = row.integer(14),
                  .started = from_ms(row.integer(15)),
                  .all_moved = time_at(row, 16),
                  .due = time_at(row, 17),
                  .finished = time_at(row, 18),
                  .proof = std::string(row.text(19)),
                  .version = row.integer(20),
                  .mac = has_mac ? to_bytes(row.bytes(21)) : Bytes()};
}

std::string named_text(const Rotation& rotation) {
  return to_json(Named{rotation.refused_rows});
}

db::Args args_of(const Rotation& r) {
  return {to_bytes(r.id.bytes()),
          name_of(r.kind),
          std::int64_t{r.from},
          std::int64_t{r.to},
          name_of(r.phase),
          std::int64_t{r.at_once},
          r.source,
          r.after,
          r.rounds,
          r.looked,
          r.moved,
          r.total,
          r.refused,
          named_text(r),
          r.generation,
          to_ms(r.started),
          value_of(r.all_moved),
          value_of(r.due),
          value_of(r.finished),
          r.proof,
          r.version,
          r.running() ? db::Value(std::int64_t{1}) : db::Value()};
}

}  // namespace

std::span<const std::string_view> enum_names(KeyKind) {
  static constexpr std::string_view kNames[] = {
      "epoch", "subject",  "index",  "external",    "authority", "digest", "journal",
      "side",  "afterlog", "cursor", "idempotency", "token",     "sealing"};
  return kNames;
}

std::span<const std::string_view> enum_names(RotationPhase) {
  static constexpr std::string_view kNames[] = {
      "adding",   "settling", "renewing",   "renewed", "moving",     "checking", "switching",
      "clearing", "cleaning", "rechecking", "waiting", "destroying", "done",     "stopped"};
  return kNames;
}

std::optional<crypto::KeyUse> use_of(KeyKind kind) {
  using crypto::KeyUse;
  switch (kind) {
    case KeyKind::epoch:
      return KeyUse::epoch;
    case KeyKind::subject:
      return std::nullopt;
    case KeyKind::index:
      return KeyUse::index;
    case KeyKind::external:
      return KeyUse::external;
    case KeyKind::authority:
      return KeyUse::authority;
    case KeyKind::digest:
      return KeyUse::digest;
    case KeyKind::journal:
      return KeyUse::journal;
    case KeyKind::side:
      return KeyUse::side;
    case KeyKind::afterlog:
      return KeyUse::afterlog;
    case KeyKind::cursor:
      return KeyUse::cursor;
    case KeyKind::idempotency:
      return KeyUse::idempotency;
    case KeyKind::token:
      return KeyUse::token;
    case KeyKind::sealing:
      return KeyUse::sealing;
  }
  return std::nullopt;
}

bool is_rowless(KeyKind kind) {
  return kind == KeyKind::cursor || kind == KeyKind::idempotency || kind == KeyKind::sealing;
}

Result<std::vector<Rotation>> rotations_from(const db::Rows& rows) {
  std::vector<Rotation> out;
  const bool has_mac = rows.columns() > 21;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto one = rotation_from(rows[i], has_mac);
    if (!one) return std::move(one).error();
    out.push_back(std::move(*one));
  }
  return out;
}

const db::Sql& all_rotations_statement() {
  return kRotationsInFile;
}

bool Rotation::running() const {
  return phase < RotationPhase::waiting;
}

bool Rotation::found_by_new() const {
  return kind == KeyKind::external &&
         (phase == RotationPhase::stopped ? source == 1 : phase >= RotationPhase::switching);
}

void Rotation::resume() {
  phase = found_by_new() ? RotationPhase::cleaning : RotationPhase::moving;
  source = rounds = looked = refused = 0;
  after.clear();
  refused_rows.clear();
}

Task<Result<std::vector<Rotation>>> open_rotations(db::Reader& reader, MonoTime deadline) {
  auto rows = co_await reader.read(kOpenRotations, {}, deadline);
  if (!rows) co_return std::move(rows).error();
  co_return rotations_from(*rows);
}

Task<Result<std::vector<Rotation>>> last_rotations(db::Reader& reader, MonoTime deadline) {
  auto rows = co_await reader.read(kLastRotations, {}, deadline);
  if (!rows) co_return std::move(rows).error();
  auto out = rotations_from(*rows);
  if (out) std::ranges::reverse(*out);
  co_return out;
}

Task<Result<std::vector<Rotation>>> all_rotations(db::Reader& reader) {
  auto rows = co_await reader.read(kAllRotations, {});
  if (!rows) co_return std::move(rows).error();
  co_return rotations_from(*rows);
}

Task<Result<std::vector<Rotation>>> rotations_of(db::Reader& reader, KeyKind kind,
                                                 MonoTime deadline) {
  auto rows = co_await reader.read(kRotationsOf, {name_of(kind)}, deadline);
  if (!rows) co_return std::move(rows).error();
  co_return rotations_from(*rows);
}

namespace {

Bytes row_input(std::string_view purpose, const Rotation& rotation) {
  Bytes input;
  put_part(input, purpose);
  for (const auto& value : args_of(rotation)) {
    Bytes part;
    if (const auto* number = std::get_if<std::int64_t>(&value))
      put_u64(part, static_cast<std::uint64_t>(*number));
    else if (const auto* text = std::get_if<std::string>(&value))
      part = to_bytes(*text);
    else if (const auto* bytes = std::get_if<Bytes>(&value))
      part = *bytes;
    put_u8(input, static_cast<std::uint8_t>(value.index()));
    put_part(input, part);
  }
  return input;
}

db::Args args_with_mac(const crypto::KeySet& keys, const Rotation& rotation) {
  auto out = args_of(rotation);
  out.emplace_back(to_bytes(BytesView(keys.digest.mac(row_input(kMacPurpose, rotation)))));
  return out;
}

}  // namespace

std::optional<Pass> pass_of(RotationPhase phase) {
  switch (phase) {
    case RotationPhase::renewing:
      return Pass::renew;
    case RotationPhase::moving:
      return Pass::move;
    case RotationPhase::cleaning:
      return Pass::clean;
    default:
      return std::nullopt;
  }
}

crypto::Digest rotation_digest(const crypto::KeySet& keys, const Rotation& rotation) {
  return keys.digest.mac(row_input("rotations", rotation));
}

RowHand hand_of(const crypto::KeySet& keys, const Rotation& rotation) {
  if (rotation.mac.empty()) return RowHand::unsigned_row;
  const auto input = row_input(kMacPurpose, rotation);
  auto made_it = [&](const crypto::Hmac& key) {
    return equal_constant_time(key.mac(input), rotation.mac);
  };
  auto id = keys.digest_key_that(made_it);
  if (!id) return RowHand::unknown;
  return id == keys.ring.active_id(crypto::KeyUse::digest) ? RowHand::newest_key
                                                           : RowHand::older_key;
}

Error rotation_by_another_hand() {
  return {Code::corrupt,
          "a rotation's row in the database was not written by Holdfast, so no key is rotated or "
          "destroyed by it: take it out of vault_rotations and restart; what had begun is then "
          "taken up again"};
}

void add_rotation(db::Changes& changes, const crypto::KeySet& keys, const Rotation& rotation) {
  changes.write(kAddRotation, args_with_mac(keys, rotation), db::Expect::exactly(1),
                Error(Code::conflict,
                      "a rotation is under way: `holdfast keys progress` shows it; start the next "
                      "one when its rows are moved"));
}

void put_rotation(db::Changes& changes, const crypto::KeySet& keys, const Rotation& rotation) {
  changes.write(kPutRotation, args_with_mac(keys, rotation), db::Expect::exactly(1),
                Error(Code::conflict, "a rotation went on meanwhile, or another one is under way"));
}

crypto::FindingPlan finding_plan(const crypto::Keyring& ring, std::span<const Rotation> open) {
  crypto::FindingPlan out;
  for (const auto& one : open) {
    if (one.kind != KeyKind::external) continue;
    const auto use = crypto::KeyUse::external;
    if (!ring.find(use, one.from) || !ring.find(use, one.to)) continue;
    if (one.phase <= RotationPhase::checking)
      out[use] = {.by = one.from, .also = one.to};
    else if (one.phase == RotationPhase::switching)
      out[use] = {.by = one.to, .also = one.from};
    else if (one.phase == RotationPhase::stopped)
      out[use] = one.found_by_new() ? crypto::Finding{.by = one.to, .also = {}}
                                    : crypto::Finding{.by = one.from, .also = one.to};
  }
  return out;
}

std::span<const db::Sql* const> rotation_row_statements() {
  static constexpr const db::Sql* kAll[] = {&kOpenRotations,   &kLastRotations, &kAllRotations,
                                            &kRotationsInFile, &kRotationsOf,   &kAddRotation,
                                            &kPutRotation};
  return kAll;
}

}  // namespace holdfast::vault
