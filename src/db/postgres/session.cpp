#include "db/postgres/session.h"

#include <string_view>
#include <thread>
#include <utility>

#include "base/secret.h"
#include "db/applied.h"
#include "db/postgres/failure.h"
#include "db/postgres/shape.h"
#include "db/sql.h"

namespace holdfast::db::postgres {
namespace {

constexpr int kOldestServer = 150'000;

// The first number of an advisory lock ("hold", and the next one) keeps it from other programs'.
constexpr std::string_view kSetupLock = "1752132708", kServerLock = "1752132709";

std::string lock_call(std::string_view function, std::string_view lock, std::string_view schema) {
  std::string out("select ");
  for (auto part : {function, std::string_view("("), lock, std::string_view(", hashtext('"), schema,
                    std::string_view("'))")})
    out += part;
  return out;
}

Error unreachable(PGconn* pg) {
  const char* text = PQerrorMessage(pg);
  std::string_view message = text == nullptr ? "" : text;
  auto says = [&](std::string_view part) { return message.find(part) != message.npos; };
  if (says("password") || says("authentication"))
    return {Code::unavailable,
            "PostgreSQL refuses this user; mend the user or password in the URL"};
  if (says("does not exist"))
    return {Code::unavailable, "PostgreSQL has no such database or user; create it first"};
  if (says("invalid connection option") || says("missing \"=\"") || says("invalid URI"))
    return {Code::invalid, "the PostgreSQL URL cannot be read; see libpq's connection strings"};
  return {Code::unavailable, "PostgreSQL does not answer at the configured URL"};
}

Result<void> make_schema(Session& session, const std::string& schema) {
  auto found = session.query("select 1 from pg_namespace where nspname = $1", {schema});
  if (!found) return std::move(found).error();
  if (found->empty())
    if (auto made = session.run("create schema if not exists " + schema); !made)
      return Error(
          Code::forbidden,
          "the PostgreSQL user may not create the schema; create it and make the user its owner");
  auto function = session.query(
      "select 1 from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
      "where n.nspname = $1 and p.proname = 'holdfast_unexpected'",
      {schema});
  if (!function) return std::move(function).error();
  if (!function->empty()) return {};
  return session.run("create function " + schema +
                     ".holdfast_unexpected() returns bigint language plpgsql as $$ begin "
                     "raise exception 'unexpected count' using errcode = '" +
                     std::string(kUnexpected) + "'; end $$");
}

Result<void> make_all(Session& session, const PostgresOptions& options) {
  for (const auto& schema : {options.schema, options.schema + "_scratch"})
    if (auto made = make_schema(session, schema); !made) return made;
  auto table = translate(Dialect::postgres, kMigrationsTable);
  if (auto made = session.run(table->text); !made) return made;
  auto applied = session.query(std::string(kAppliedMigrations.text));
  if (!applied) return std::move(applied).error();
  auto pending = still_pending(*applied, options.known);
  if (!pending) return std::move(pending).error();
  return {};
}

}  // namespace

Result<Session> Session::open(const Settings& settings, const BugSink& bugs) {
  Session session(PQconnectdbParams(settings.keywords(), settings.values(), 1), bugs);
  if (PQstatus(session.handle()) != CONNECTION_OK) return unreachable(session.handle());
  PQsetNoticeReceiver(session.handle(), [](void*, const PGresult*) {}, nullptr);
  return session;
}

Error Session::error_of(const PGresult* result) {
  static const Write kNone{.rows = {}, .error = Changes::changed()};
  return failure_of(result, &kNone, "db.own", *bugs_).error;
}

Result<Rows> Session::query(const std::string& text, const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  for (const auto& parameter : parameters) values.push_back(parameter.c_str());
  PgResult result(PQexecParams(handle(), text.c_str(), static_cast<int>(values.size()), nullptr,
                               values.data(), nullptr, nullptr, 1));
  auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) return error_of(result.get());
  auto rows = rows_of(result.get());
  if (!rows) return Error(Code::internal, "a statement yields an unknown type");
  return std::move(*rows);
}

Result<void> Session::run(const std::string& text) {
  PgResult result(PQexec(handle(), text.c_str()));
  auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY)
    return error_of(result.get());
  return {};
}

Result<std::string> prepare(const PostgresOptions& options) {
  if (auto checked = check_schema_name(options.schema); !checked) return std::move(checked).error();
  Settings settings(options, Settings::Role::setup);
  auto session = Session::open(settings, options.bugs);
  if (!session) return std::move(session).error();
  if (PQserverVersion(session->handle()) < kOldestServer)
    return Error(Code::unavailable, "PostgreSQL is older than 15");
  auto is = [&](const char* parameter, std::string_view value) {
    const char* text = PQparameterStatus(session->handle(), parameter);
    return text != nullptr && value == text;
  };
  if (!is("server_encoding", "UTF8"))
    return Error(Code::unavailable,
                 "the PostgreSQL database is not in UTF-8; create it with encoding UTF8");
  if (is("in_hot_standby", "on"))
    return Error(Code::unavailable, "PostgreSQL is a standby; add target_session_attrs=read-write");

  // Several programs may come at once.
  if (auto locked = session->run(lock_call("pg_advisory_lock", kSetupLock, options.schema));
      !locked)
    return std::move(locked).error();
  auto made = make_all(*session, options);
  (void)session->run(lock_call("pg_advisory_unlock", kSetupLock, options.schema));
  if (!made) return std::move(made).error();

  auto durable = session->query("select current_setting('synchronous_commit')");
  if (!durable) return std::move(durable).error();
  return std::string((*durable)[0].text(0));
}

namespace {

/// With all of the lock, of which a share is kept.
Result<Hold> hold(Session session, const std::string& schema) {
  const std::string table = schema + ".holdfast_server";
  const std::string token = hex(random_bytes(16));
  // Nobody has a share now, and who comes back with an older token is not let in.
  auto taken =
      session.run("create table if not exists " + table + " (token text not null); delete from " +
                  table + "; insert into " + table + " values ('" + token + "')");
  if (!taken) return std::move(taken).error();
  const std::string share = lock_call("pg_try_advisory_lock_shared", kServerLock, schema);
  for (const auto& step : {share, lock_call("pg_advisory_unlock", kServerLock, schema)})
    if (auto done = session.run(step); !done) return std::move(done).error();
  return Hold{std::move(session),
              {share, "select exists (select 1 from " + table + " where token = '" + token + "')"}};
}

}  // namespace

Result<Hold> occupy(const PostgresOptions& options, const std::string& synchronous_commit) {
  Settings settings(options, Settings::Role::writer, synchronous_commit);
  auto session = Session::open(settings, options.bugs);
  if (!session) return std::move(session).error();
  constexpr int kTries = 250;
  for (int i = 0; i < kTries; ++i) {
    auto locked = session->query(lock_call("pg_try_advisory_lock", kServerLock, options.schema));
    if (!locked) return std::move(locked).error();
    if ((*locked)[0].integer(0) != 0) return hold(std::move(*session), options.schema);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return Error(Code::conflict,
               "another Holdfast server runs on this PostgreSQL schema: stop it, or wait 20 s when "
               "its machine just died");
}

}  // namespace holdfast::db::postgres
