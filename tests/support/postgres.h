// A real PostgreSQL server for tests, in a temporary directory on a free loopback port.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "support/temp_dir.h"

namespace holdfast::test {

/// Started by the constructor (initdb and a start take some 2 s) and stopped by the destructor; it
/// also ends when the test program dies. Throws std::runtime_error when it does not start.
/// As root it runs as the user postgres, since initdb refuses root.
class PostgresServer {
 public:
  struct Options {
    bool fsync = false;
    std::string settings{};  // further lines for postgresql.conf
  };

  explicit PostgresServer(const Options& options);
  PostgresServer() : PostgresServer(Options{}) {}
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  /// Where this machine has initdb and postgres; empty when it does not.
  static std::string binaries();

  /// A libpq connection string for the superuser.
  std::string url() const;
  int port() const { return port_; }
  /// SIGKILL to the postmaster; returns when its children are gone too.
  void kill();
  /// Smart enough for either a stopped or a killed server; returns when it answers.
  void start();
  /// Fast shutdown.
  void stop();

 private:
  void initialise(const Options& options);
  bool answers() const;

  TempDir dir_;
  int port_ = 0;
  pid_t process_ = -1;
};

/// One server without fsync for the whole test program, started at first use. nullptr when this
/// machine has no PostgreSQL.
PostgresServer* shared_postgres();

/// A schema name that no other test of this program uses.
std::string fresh_schema();

}  // namespace holdfast::test
