#include "db/data_split.h"

#include <sqlite3.h>

#include "db/sqlite/connection.h"
#include "db/sqlite/data_file.h"
#include "db/sqlite/files.h"

namespace holdfast::db {
namespace {

using sqlite::Connection;

constexpr std::string_view kFormat = "holdfast keys 1";
constexpr Sql kAddPart{"db.add_part", "insert into keys.parts (name, content) values ($1, $2)"};
constexpr Sql kReadParts{"db.read_parts", "select name, content from parts"};

const BugSink& no_bugs() {
  static const BugSink kSink = [](auto&&...) {};
  return kSink;
}

std::string in_quotes(std::string_view text, char quote) {
  std::string out(1, quote);
  for (char c : text) {
    out += c;
    if (c == quote) out += c;
  }
  return out + quote;
}

Result<void> exec(Connection& connection, const std::string& text) {
  if (auto done = connection.exec(text.c_str()); !done) return sqlite::error_of(done.error());
  return {};
}

Result<void> attach(Connection& connection, const std::filesystem::path& keys) {
  sqlite3_limit(connection.handle(), SQLITE_LIMIT_ATTACHED, 2);  // vacuum attaches one of its own
  return exec(connection, "attach database " + in_quotes(keys.string(), '\'') + " as keys");
}

Error no_keys_file() {
  return {Code::invalid,
          "this is not a keys file, or it is damaged: take one that `holdfast backups create` "
          "wrote, named holdfast-keys-TIME.db"};
}

Result<Parts> parts_of(Connection& connection) {
  auto rows = connection.run(kReadParts, {});
  if (!rows) return no_keys_file();
  Parts out;
  for (std::size_t i = 0; i < rows->rows.size(); ++i)
    out.emplace(rows->rows[i].text(0), to_bytes(rows->rows[i].bytes(1)));
  auto format = out.find("format");
  if (format == out.end() || as_text(format->second) != kFormat) return no_keys_file();
  return out;
}

}  // namespace

Result<void> split_data(const std::filesystem::path& data, const std::filesystem::path& keys,
                        std::span<const std::string_view> tables, const Parts& parts,
                        const Clock& clock) {
  if (std::filesystem::exists(keys)) return Error(Code::conflict, "the keys file exists already");
  if (auto made = sqlite::make_new_file(keys); !made) return made;
  {
    auto opened = Connection::open({.file = data, .writes = true}, clock, no_bugs());
    if (!opened) return std::move(opened).error();
    auto& connection = **opened;
    if (auto done = attach(connection, keys); !done) return done;
    if (auto done = exec(connection,
                         "create table keys.parts (name text primary key, content blob) strict");
        !done)
      return done;
    auto all = parts;
    all["format"] = to_bytes(kFormat);
    for (const auto& [name, content] : all)
      if (auto ran = connection.run(kAddPart, {name, content}); !ran)
        return sqlite::error_of(ran.error());
    for (auto table : tables) {
      auto name = in_quotes(table, '"');
      if (auto done =
              exec(connection, "create table keys." + name + " as select * from main." + name);
          !done)
        return done;
      if (auto done = exec(connection, "delete from main." + name); !done) return done;
    }
    if (auto done = exec(connection, "detach database keys"); !done) return done;
    if (auto done = exec(connection, "vacuum"); !done) return done;
    if (auto done = sqlite::finish_data_file(connection); !done) return done;
  }
  if (auto done = sqlite::sync_file(keys); !done) return done;
  return sqlite::sync_file(data);
}

Result<Rows> read_data(const std::filesystem::path& data, const Sql& sql, const Clock& clock) {
  if (!std::filesystem::exists(data)) return Error(Code::not_found, "the data file does not exist");
  auto opened = Connection::open({.file = data}, clock, no_bugs());
  if (!opened) return std::move(opened).error();
  auto ran = (*opened)->run(sql, {});
  if (!ran) return sqlite::error_of(ran.error());
  return std::move(ran->rows);
}

Result<void> write_data(const std::filesystem::path& data, const Sql& sql,
                        const std::vector<Args>& rows, const Clock& clock) {
  auto opened = Connection::open({.file = data, .writes = true}, clock, no_bugs());
  if (!opened) return std::move(opened).error();
  for (const auto& row : rows)
    if (auto ran = (*opened)->run(sql, row); !ran) return sqlite::error_of(ran.error());
  return sqlite::finish_data_file(**opened);
}

Result<Parts> read_parts(const std::filesystem::path& keys, const Clock& clock) {
  if (!std::filesystem::exists(keys)) return Error(Code::not_found, "the keys file does not exist");
  auto opened = Connection::open({.file = keys}, clock, no_bugs());
  if (!opened && opened.error().code == Code::corrupt) return no_keys_file();
  if (!opened) return std::move(opened).error();
  return parts_of(**opened);
}

Result<void> join_data(const std::filesystem::path& data, const std::filesystem::path& keys,
                       std::span<const std::string_view> tables, const Clock& clock) {
  if (auto parts = read_parts(keys, clock); !parts) return std::move(parts).error();
  auto opened = Connection::open({.file = data, .writes = true}, clock, no_bugs());
  if (!opened) return std::move(opened).error();
  auto& connection = **opened;
  if (auto done = attach(connection, keys); !done) return done;
  for (auto table : tables) {
    auto name = in_quotes(table, '"');
    if (auto done = exec(connection, "insert into main." + name + " select * from keys." + name);
        !done)
      return Error(
          Code::conflict,
          "the data file holds keys already: it is not one that `holdfast backups create` wrote");
  }
  if (auto done = exec(connection, "detach database keys"); !done) return done;
  return sqlite::finish_data_file(connection);
}

}  // namespace holdfast::db
