#include "db/postgres/settings.h"

#include <libpq-fe.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace holdfast::db::postgres {
namespace {

// A machine that lost power says no goodbye: PostgreSQL is to miss it within 20 s, so that another
// server can take its place.
constexpr const char* kMissed =
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=19000 -c idle_session_timeout=0";

/// The `options` of the operator's own connection string; ours come after and win.
std::string own_options(const std::string& url) {
  std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(
      PQconninfoParse(url.c_str(), nullptr), PQconninfoFree);
  for (auto* option = parsed.get(); option != nullptr && option->keyword != nullptr; ++option)
    if (std::string_view(option->keyword) == "options" && option->val != nullptr)
      return option->val;
  return {};
}

}  // namespace

Settings::Settings(const PostgresOptions& options, Role role,
                   const std::string& synchronous_commit) {
  std::string schema = role == Role::scratch ? options.schema + "_scratch" : options.schema;
  std::string session =
      own_options(options.url) + " -c search_path=" + schema + ",pg_temp" +
      " -c statement_timeout=" + std::to_string(options.statement_timeout.count()) +
      " -c jit=off -c default_transaction_isolation=read\\ committed" +
      // Plans are made once for a connection, mostly while tables are small or were never analysed,
      // and a table that grew since would be read as a whole for each statement.
      " -c enable_seqscan=off" +
      " -c client_connection_check_interval=1000";  // end what nobody waits for
  switch (role) {
    case Role::setup:
      break;
    case Role::reader:
      session += " -c default_transaction_read_only=on";
      break;
    case Role::writer:
      session +=
          " -c synchronous_commit=" + (synchronous_commit == "off" ? "on" : synchronous_commit);
      session += kMissed;
      break;
    case Role::scratch:
      session += " -c synchronous_commit=off";
      session += kMissed;
      break;
  }
  // The operator's connection string (as "dbname") wins over what stands before it.
  owned_ = {"5", "10", "30", "3", "10000", options.url, session, "UTF8", "holdfast"};
  static constexpr const char* kKeywords[] = {
      "connect_timeout",  "keepalives_interval", "keepalives_idle",
      "keepalives_count", "tcp_user_timeout",    "dbname",
      "options",          "client_encoding",     "application_name"};
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    keywords_.push_back(kKeywords[i]);
    values_.push_back(owned_[i].c_str());
  }
  keywords_.push_back(nullptr);
  values_.push_back(nullptr);
}

Result<void> check_schema_name(const std::string& schema) {
  auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  bool good = !schema.empty() && schema.size() <= 50 && std::ranges::all_of(schema, fits) &&
              schema[0] >= 'a';
  if (!good)
    return Error(Code::invalid,
                 "the schema's name must be of a-z, 0-9 and _, and begin with a letter")
        .at("schema");
  return {};
}

}  // namespace holdfast::db::postgres
