#include "vault/schema.h"

#include "vault/statements.h"

namespace holdfast::vault {

const Collection* Schema::find(std::string_view name) const {
  auto found = collections.find(name);
  return found == collections.end() ? nullptr : &found->second;
}

const Collection* Schema::find(std::uint32_t id) const {
  auto found = by_id.find(id);
  return found == by_id.end() ? nullptr : found->second;
}

std::span<const Purpose> builtin_purposes() {
  static const Purpose kPurposes[] = {
      {"order_fulfilment", LegalBasis::contract, "To pack, ship and deliver what you ordered.", 0},
      {"support", LegalBasis::contract, "To answer your questions and solve problems.", 0},
      {"fraud_check", LegalBasis::legitimate_interests, "To keep you and us safe from fraud.", 0},
      {"marketing", LegalBasis::consent, "To tell you about offers, as long as you agree.", 0},
      {"accounting", LegalBasis::legal_obligation, "To keep the books that the law asks for.", 0},
      {"self_service", LegalBasis::contract, "To show you your own data.", 0},
      {"subject_request", LegalBasis::legal_obligation,
       "To answer what you ask for under data protection law.", 0},
      {"legal_claims", LegalBasis::legitimate_interests,
       "To make, exercise or defend legal claims.", 0}};
  return kPurposes;
}

CollectionView view_of(const Collection& collection) {
  CollectionView out{.name = collection.name,
                     .id = collection.id,
                     .version = collection.version,
                     .doc = collection.doc,
                     .created = collection.created,
                     .updated = collection.updated,
                     .last_field = collection.last_field,
                     .calling_code = {},
                     .fields = {}};
  if (!collection.calling_code.empty()) out.calling_code = collection.calling_code;
  for (const auto& f : collection.fields) {
    out.fields.push_back({f.id,
                          f.since,
                          f.name,
                          f.type,
                          f.field_class,
                          f.mask,
                          f.index,
                          f.purposes,
                          f.keep,
                          f.keep_group,
                          static_cast<std::int64_t>(f.max_bytes),
                          f.token,
                          {},
                          f.indexes,
                          f.consent});
  }
  return out;
}

Collection collection_from(const CollectionView& view, bool cards) {
  Collection out{.id = static_cast<std::uint32_t>(view.id),
                 .version = static_cast<std::uint32_t>(view.version),
                 .last_field = static_cast<std::uint16_t>(view.last_field),
                 .name = view.name,
                 .doc = view.doc,
                 .calling_code = view.calling_code.value_or(""),
                 .fields = {},
                 .created = view.created,
                 .updated = view.updated};
  for (const auto& f : view.fields) {
    Field field{static_cast<std::uint16_t>(f.id),
                static_cast<std::uint32_t>(f.since),
                f.name,
                f.type,
                f.field_class,
                f.mask,
                f.index,
                f.purposes,
                f.keep,
                f.keep_group,
                static_cast<std::size_t>(f.max_bytes),
                {},
                f.token,
                cards,
                f.indexes,
                f.consent};
    if (f.keep) field.keep_for = parse_duration(f.keep->duration);
    out.fields.push_back(std::move(field));
  }
  return out;
}

namespace {

Bytes authority_input(std::string_view table, std::string_view name, std::int64_t version,
                      std::string_view declared) {
  Bytes input;
  put_part(input, table);
  put_part(input, name);
  put_u64(input, static_cast<std::uint64_t>(version));
  put_part(input, declared);
  return input;
}

}  // namespace

Error no_such_purpose(const Schema& schema, std::string_view name) {
  if (schema.removed_purposes.contains(name))
    return Error(Code::invalid,
                 "this purpose was removed: see `holdfast purposes list` for those that are left")
        .at("purpose");
  return Error(Code::invalid, "this purpose is not declared: see `holdfast purposes list`")
      .at("purpose");
}

Bytes authority_mac(const crypto::KeySet& keys, std::string_view table, std::string_view name,
                    std::int64_t version, std::string_view declared) {
  crypto::Hmac mac(keys.ring.active(crypto::KeyUse::authority).expose());
  return to_bytes(BytesView(mac.mac(authority_input(table, name, version, declared))));
}

bool authority_mac_fits(const crypto::KeySet& keys, std::string_view table, std::string_view name,
                        std::int64_t version, std::string_view declared, BytesView mac) {
  const auto input = authority_input(table, name, version, declared);
  for (auto id : keys.ring.ids(crypto::KeyUse::authority)) {
    crypto::Hmac key(keys.ring.find(crypto::KeyUse::authority, id)->expose());
    if (equal_constant_time(key.mac(input), mac)) return true;
  }
  return false;
}

crypto::Digest declared_digest(const crypto::KeySet& keys, std::string_view table,
                               std::string_view name, std::string_view declared, BytesView mac) {
  Bytes input;
  put_part(input, table);
  put_part(input, name);
  put_part(input, declared);
  put_part(input, mac);
  return keys.digest.mac(input);
}

Task<Result<std::shared_ptr<const Schema>>> SchemaCache::get(const Caller& caller) {
  auto generation = caller.generation;
  if (generation == 0) {
    auto now = co_await journal_.generation(caller.deadline);
    if (!now) co_return std::move(now).error();
    generation = *now;
  }
  {
    std::scoped_lock lock(mutex_);
    if (current_ && current_->generation == generation) co_return current_;
  }
  auto loaded = co_await load(generation, caller.deadline);
  if (!loaded) co_return std::move(loaded).error();
  std::scoped_lock lock(mutex_);
  if (!current_ || current_->generation < generation) current_ = *loaded;
  co_return *loaded;
}

Task<Result<std::shared_ptr<const Schema>>> SchemaCache::load(std::uint64_t generation,
                                                              MonoTime deadline) {
  auto keys = keys_.get();
  if (!keys) co_return Error(Code::locked, "the server is locked");
  Error forged(Code::corrupt,
               "a declaration in the database was not written by Holdfast: run `holdfast journal "
               "verify --state` and restore it");
  auto schema = std::make_shared<Schema>();
  schema->generation = generation;
  auto switches = co_await journal_.reader().read(kListSwitches, {}, deadline);
  if (!switches) co_return std::move(switches).error();
  for (std::size_t i = 0; i < switches->size(); ++i) {
    auto row = (*switches)[i];
    if (!authority_mac_fits(*keys, "switches", row.text(0), row.integer(1), row.text(2),
                            row.bytes(3)))
      co_return forged;
    if (row.text(0) == kCardsSwitch) schema->cards = row.text(2) == kSwitchedOn;
  }
  auto rows = co_await journal_.reader().read(kListCollections, {}, deadline);
  if (!rows) co_return std::move(rows).error();
  for (std::size_t i = 0; i < rows->size(); ++i) {
    auto row = (*rows)[i];
    if (!authority_mac_fits(*keys, "collections", row.text(1), row.integer(2), row.text(3),
                            row.bytes(4)))
      co_return forged;
    auto view = parse_json_as<CollectionView>(row.text(3));
    if (!view || view->name != row.text(1) || view->version != row.integer(2) ||
        view->id != row.integer(0))
      co_return forged;
    schema->collections.emplace(view->name, collection_from(*view, schema->cards));
  }
  for (const auto& [name, collection] : schema->collections)
    schema->by_id.emplace(collection.id, &collection);
  for (const auto& purpose : builtin_purposes()) schema->purposes.emplace(purpose.name, purpose);
  auto purposes = co_await journal_.reader().read(kListPurposes, {}, deadline);
  if (!purposes) co_return std::move(purposes).error();
  for (std::size_t i = 0; i < purposes->size(); ++i) {
    auto row = (*purposes)[i];
    if (!authority_mac_fits(*keys, "purposes", row.text(0), row.integer(1), row.text(2),
                            row.bytes(3)))
      co_return forged;
    if (row.text(2) == kRemovedPurpose) {
      schema->removed_purposes.emplace(row.text(0));
      continue;
    }
    Purpose purpose;
    auto read = parse_described(
        type_of<Purpose>(), &purpose,
        Parts{.body = row.text(2),
              .path = std::array{std::pair(std::string("purpose"), std::string(row.text(0)))}});
    if (!read) co_return forged;
    schema->purposes.insert_or_assign(purpose.name, purpose);
  }
  co_return schema;
}

}  // namespace holdfast::vault
