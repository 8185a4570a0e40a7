#include "access/store.h"

#include "journal/journal.h"

namespace holdfast::access {
namespace {

using db::Sql;

constexpr Sql kReadAuthority{"access.read_authority",
                             "select kind, id, version, content, mac_key, mac "
                             "from access_authority"};
constexpr Sql kPutRow{"access.put_row",
                      "insert into access_authority (kind, id, version, content, mac_key, mac) "
                      "values ($1, $2, $3, $4, $5, $6) "
                      "on conflict (kind, id) do update set version = excluded.version, "
                      "content = excluded.content, mac_key = excluded.mac_key, mac = excluded.mac"};
constexpr Sql kFirstManifest{"access.first_manifest",
                             "insert into access_authority "
                             "(kind, id, version, content, mac_key, mac) "
                             "values ($1, $2, $3, $4, $5, $6) on conflict (kind, id) do nothing"};
constexpr Sql kNextManifest{"access.next_manifest",
                            "update access_authority set version = $3, content = $4, "
                            "mac_key = $5, mac = $6 where kind = $1 and id = $2 and version = $7"};
constexpr Sql kRemoveRow{"access.remove_row",
                         "delete from access_authority where kind = $1 and id = $2"};

constexpr std::string_view kScratchTables =
    "create table if not exists access_last_use (\n"
    "  key {{text}} primary key,\n"
    "  at_ms {{int}} not null\n"
    ") {{strict}};\n";
constexpr Sql kPutLastUse{"access.put_last_use",
                          "insert into access_last_use (key, at_ms) values ($1, $2) "
                          "on conflict (key) do update set at_ms = excluded.at_ms"};
constexpr Sql kReadLastUses{"access.read_last_uses", "select key, at_ms from access_last_use"};

db::Args args_of(const Row& row) {
  return {row.kind, row.id, row.version, row.content, std::int64_t{row.mac_key}, row.mac};
}

Error changed() {
  return {Code::stale, "access was changed meanwhile"};
}

}  // namespace

std::span<const db::Sql* const> statements() {
  static constexpr const Sql* kAll[] = {&kReadAuthority, &kPutRow, &kFirstManifest, &kNextManifest,
                                        &kRemoveRow};
  return kAll;
}

std::span<const db::Sql* const> scratch_statements() {
  static constexpr const Sql* kAll[] = {&kPutLastUse, &kReadLastUses};
  return kAll;
}

Task<Result<std::vector<Row>>> read_authority(db::Reader& reader, MonoTime deadline) {
  auto found = co_await reader.read(kReadAuthority, {}, deadline);
  if (!found) co_return std::move(found).error();
  std::vector<Row> out;
  out.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto row = (*found)[i];
    out.push_back({.kind = std::string(row.text(0)),
                   .id = std::string(row.text(1)),
                   .version = row.integer(2),
                   .content = std::string(row.text(3)),
                   .mac_key = static_cast<std::uint32_t>(row.integer(4)),
                   .mac = to_bytes(row.bytes(5))});
  }
  co_return out;
}

db::Changes changes_of(Edit::Done& edit, bool force) {
  db::Changes out;
  auto manifest = args_of(edit.manifest);
  if (force) {
    out.write(kPutRow, std::move(manifest), db::Expect::exactly(1));
  } else if (edit.old_version == 0) {
    out.write(kFirstManifest, std::move(manifest), db::Expect::exactly(1), changed());
  } else {
    manifest.emplace_back(edit.old_version);
    out.write(kNextManifest, std::move(manifest), db::Expect::exactly(1), changed());
  }
  std::vector<db::Args> rows;
  for (const auto& row : edit.put) rows.push_back(args_of(row));
  const auto count = static_cast<std::int64_t>(rows.size());
  out.bulk(kPutRow, std::move(rows), db::Expect::exactly(count));
  for (const auto& [kind, id] : edit.removed) out.write(kRemoveRow, {kind, id});
  journal::Journal::bump_generation(out);
  return out;
}

Task<Result<void>> prepare_scratch(db::Scratch& scratch) {
  db::Changes tables;
  tables.script(std::string(kScratchTables));
  auto made = co_await scratch.commit(std::move(tables));
  if (!made) co_return std::move(made).error();
  co_return Result<void>();
}

Task<Result<void>> write_last_use(db::Scratch& scratch, std::string key, Time now) {
  db::Changes changes;
  changes.write(kPutLastUse, {std::move(key), to_ms(now)});
  auto written = co_await scratch.commit(std::move(changes));
  if (!written) co_return std::move(written).error();
  co_return Result<void>();
}

Task<Result<ByName<Time>>> read_last_uses(db::Scratch& scratch, MonoTime deadline) {
  auto found = co_await scratch.read(kReadLastUses, {}, deadline);
  if (!found) co_return std::move(found).error();
  ByName<Time> out;
  for (std::size_t i = 0; i < found->size(); ++i)
    out.emplace((*found)[i].text(0), from_ms((*found)[i].integer(1)));
  co_return out;
}

}  // namespace holdfast::access
