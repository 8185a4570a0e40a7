#include "vault/sealing.h"

#include <algorithm>

#include "crypto/aead.h"

namespace holdfast::vault {
namespace {

constexpr std::uint8_t kRowVersion = 1;

Bytes binding(const Binding& place) {
  Bytes out;
  out.reserve(80);
  put_part(out, std::string_view("field"));
  put_part(out, place.subject.bytes());
  put_part(out, place.record.bytes());
  put_u32(out, place.collection);
  put_u16(out, place.field);
  put_u32(out, place.since);
  return out;
}

Bytes key_binding(SubjectId subject, std::string_view group, std::uint32_t id) {
  Bytes out;
  put_part(out, std::string_view("subject key"));
  put_part(out, subject.bytes());
  put_part(out, group);
  put_u32(out, id);
  return out;
}

/// Distinct from every other use of a subject key by its label.
Secret field_key(const crypto::Hmac& prk, const Binding& place) {
  Bytes info;
  info.reserve(24);
  put_part(info, std::string_view("field key"));
  put_u32(info, place.collection);
  put_u16(info, place.field);
  put_u32(info, place.since);
  return prk.expand(info);
}

}  // namespace

void SubjectKeys::add_wrapped(std::string_view group, std::uint32_t id, std::uint32_t epoch,
                              BytesView wrapped) {
  held_.push_back({std::string(group), id, epoch, to_bytes(wrapped), {}});
}

bool SubjectKeys::has(std::string_view group) const {
  return std::ranges::any_of(held_, [&](const Held& held) { return held.group == group; });
}

std::optional<std::uint32_t> SubjectKeys::newest_id(std::string_view group) const {
  std::optional<std::uint32_t> out;
  for (const auto& held : held_)
    if (held.group == group) out = std::max(out.value_or(0), held.id);
  return out;
}

std::vector<std::string> SubjectKeys::groups() const {
  std::vector<std::string> out;
  for (const auto& held : held_) out.push_back(held.group);
  std::ranges::sort(out);
  auto twice = std::ranges::unique(out);
  out.erase(twice.begin(), twice.end());
  return out;
}

SubjectKeys::Held* SubjectKeys::newest(std::string_view group) {
  Held* out = nullptr;
  for (auto& held : held_)
    if (held.group == group && (!out || held.id > out->id)) out = &held;
  return out;
}

Result<const crypto::Hmac*> SubjectKeys::unwrap(const crypto::KeySet& keys, Held& held) {
  if (held.prk) return &*held.prk;
  const auto* epoch = keys.ring.find(crypto::KeyUse::epoch, held.epoch);
  if (!epoch) return Error(Code::gone, "the key of this data was destroyed");
  auto key =
      crypto::open(epoch->expose(), held.wrapped, key_binding(subject_, held.group, held.id));
  if (!key) return std::move(key).error();
  return &held.prk.emplace(key->expose());
}

Result<std::uint32_t> SubjectKeys::ensure(const crypto::KeySet& keys, std::string_view group,
                                          std::vector<db::Args>& rows) {
  if (auto* held = newest(group)) {
    auto ready = unwrap(keys, *held);
    if (!ready) return std::move(ready).error();
    return held->id;
  }
  auto id = keys.ring.active_id(crypto::KeyUse::epoch);  // a first key is named after its epoch
  make(keys, group, id, rows);
  return id;
}

Result<std::uint32_t> SubjectKeys::renew(const crypto::KeySet& keys, std::string_view group,
                                         std::vector<db::Args>& rows) {
  auto last = newest_id(group);
  if (!last) return Error(Code::internal, "renewing a key that is not there");
  make(keys, group, *last + 1, rows);
  return *last + 1;
}

void SubjectKeys::make(const crypto::KeySet& keys, std::string_view group, std::uint32_t id,
                       std::vector<db::Args>& rows) {
  auto epoch = keys.ring.active_id(crypto::KeyUse::epoch);
  auto key = Secret::random(crypto::kKeyBytes);
  auto wrapped = crypto::seal(keys.ring.active(crypto::KeyUse::epoch).expose(), epoch, key.expose(),
                              key_binding(subject_, group, id));
  rows.push_back({to_bytes(subject_.bytes()), std::string(group), std::int64_t{id},
                  std::int64_t{epoch}, wrapped});
  held_.push_back({std::string(group), id, epoch, std::move(wrapped), crypto::Hmac(key.expose())});
}

Result<std::optional<Bytes>> SubjectKeys::resealed(const crypto::KeySet& keys,
                                                   std::string_view group, const Binding& place,
                                                   BytesView sealed) {
  auto id = crypto::sealed_key_id(sealed);
  if (id && id == newest_id(group)) return std::nullopt;
  auto plain = open(keys, group, place, sealed);
  if (!plain) return std::move(plain).error();
  auto out = seal(keys, group, place, plain->expose());
  if (!out) return std::move(out).error();
  return std::move(*out);
}

Result<Bytes> SubjectKeys::seal(const crypto::KeySet& keys, std::string_view group,
                                const Binding& place, BytesView plain) {
  auto* held = newest(group);
  if (!held) return Error(Code::internal, "sealing without a key");
  auto prk = unwrap(keys, *held);
  if (!prk) return std::move(prk).error();
  return crypto::seal(field_key(**prk, place).expose(), held->id, plain, binding(place));
}

Result<Secret> SubjectKeys::open(const crypto::KeySet& keys, std::string_view group,
                                 const Binding& place, BytesView sealed) {
  auto id = crypto::sealed_key_id(sealed);
  if (!id) return Error(Code::corrupt, "a sealed value is damaged");
  for (auto& held : held_) {
    if (held.group != group || held.id != *id) continue;
    auto prk = unwrap(keys, held);
    if (!prk) return std::move(prk).error();
    return crypto::open(field_key(**prk, place).expose(), sealed, binding(place));
  }
  if (has(group))
    return Error(Code::corrupt, "a sealed value names a key that its customer has not");
  return Error(Code::gone, "this data was erased");
}

Bytes pack(std::span<const SealedField> fields) {
  Bytes out;
  std::size_t size = 3;
  for (const auto& field : fields) size += 10 + field.sealed.size();
  out.reserve(size);
  put_u8(out, kRowVersion);
  put_u16(out, static_cast<std::uint16_t>(fields.size()));
  for (const auto& field : fields) {
    put_u16(out, field.field);
    put_u32(out, field.since);
    put_part(out, field.sealed);
  }
  return out;
}

Result<std::vector<SealedField>> unpack(BytesView row) {
  Error damaged(Code::corrupt, "a record's row is damaged");
  ByteReader reader(row);
  auto version = reader.u8();
  auto count = reader.u16();
  if (!count || *version != kRowVersion) return damaged;
  std::vector<SealedField> out;
  out.reserve(*count);
  for (unsigned i = 0; i < *count; ++i) {
    auto field = reader.u16();
    auto since = reader.u32();
    auto sealed = reader.part();
    if (!sealed) return damaged;
    out.push_back({*field, *since, to_bytes(*sealed)});
  }
  if (!reader.done()) return damaged;
  return out;
}

Result<Bytes> rewrapped(const crypto::Keyring& ring, SubjectId subject, std::string_view group,
                        std::uint32_t id, std::uint32_t epoch, BytesView wrapped) {
  const auto* from = ring.find(crypto::KeyUse::epoch, epoch);
  if (!from) return Error(Code::gone, "the key of this data was destroyed");
  const auto binding = key_binding(subject, group, id);
  auto key = crypto::open(from->expose(), wrapped, binding);
  if (!key) return std::move(key).error();
  return crypto::seal(ring.active(crypto::KeyUse::epoch).expose(),
                      ring.active_id(crypto::KeyUse::epoch), key->expose(), binding);
}

Binding external_binding(SubjectId subject) {
  return {subject, RecordId{}, 0, 0, 0};
}

Bytes external_term(const crypto::Hmac& key, std::string_view external_id) {
  Bytes input;
  put_part(input, std::string_view("external id"));
  put_part(input, external_id);
  auto out = to_bytes(BytesView(key.mac(input)));
  wipe(input);
  return out;
}

Bytes external_term(const crypto::KeySet& keys, std::string_view external_id) {
  return external_term(keys.external, external_id);
}

Bytes external_term_also(const crypto::KeySet& keys, std::string_view external_id) {
  return keys.external_also ? external_term(keys.external_also->mac, external_id) : Bytes();
}

}  // namespace holdfast::vault
