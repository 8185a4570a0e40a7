#include "db/migrations.h"

#include <sodium.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "db/applied.h"
#include "db/database.h"

namespace holdfast::db {
namespace {

constexpr Sql kInsert{"db.insert_migration",
                      "insert into schema_migrations (room, number, name, checksum, applied_at_ms) "
                      "values ($1, $2, $3, $4, $5)"};

Bytes checksum(std::string_view text) {
  Bytes out(crypto_hash_sha256_BYTES);
  crypto_hash_sha256(out.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
  return out;
}

/// What others build on comes first.
auto order(const Migration& migration) {
  static constexpr std::string_view kFirst[] = {"db", "journal", "access"};
  return std::tuple(std::ranges::find(kFirst, migration.room) - kFirst, migration.room,
                    migration.number);
}

/// `vault/keys`, 1, `keys` as `vault.keys.0001_keys`.
FieldPath file_of(std::string_view room, std::int64_t number, std::string_view name) {
  FieldPath path;
  while (!room.empty()) {
    std::size_t slash = std::min(room.find('/'), room.size());
    path = path / room.substr(0, slash);
    room.remove_prefix(std::min(slash + 1, room.size()));
  }
  std::string digits = std::to_string(number);
  digits.insert(0, digits.size() < 4 ? 4 - digits.size() : 0, '0');
  return path / (digits + "_" + std::string(name));
}

}  // namespace

Result<std::vector<Migration>> still_pending(const Rows& applied,
                                             std::span<const Migration> known) {
  std::vector<Migration> pending(known.begin(), known.end());
  for (std::size_t i = 0; i < applied.size(); ++i) {
    auto row = applied[i];
    auto found = std::ranges::find_if(pending, [&](const Migration& migration) {
      return migration.room == row.text(0) && migration.number == row.integer(1);
    });
    auto file = [&] { return file_of(row.text(0), row.integer(1), row.text(2)); };
    if (found == pending.end())
      return Error(Code::conflict,
                   "the database was made by a newer release; install that release or a newer one")
          .at(file());
    if (!std::ranges::equal(checksum(found->text), row.bytes(3)))
      return Error(Code::conflict, "an applied migration was edited after its release").at(file());
    pending.erase(found);
  }
  std::ranges::sort(pending, {}, order);
  return pending;
}

Task<Result<std::vector<Migration>>> pending_migrations(Reader& reader,
                                                        std::span<const Migration> known) {
  auto applied = co_await reader.read(kAppliedMigrations, {});
  if (!applied) co_return std::move(applied).error();
  co_return still_pending(*applied, known);
}

Changes apply(const Migration& migration, std::int64_t now_ms) {
  Changes changes;
  changes.script(std::string(migration.text));
  changes.write(kInsert,
                {std::string(migration.room), std::int64_t{migration.number},
                 std::string(migration.name), checksum(migration.text), now_ms},
                Expect::exactly(1));
  return changes;
}

}  // namespace holdfast::db
