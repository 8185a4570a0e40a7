#include "support/postgres.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

int free_port() {
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  bool found = ::bind(socket, generic, size) == 0 && ::getsockname(socket, generic, &size) == 0;
  ::close(socket);
  if (!found) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

/// In the child: gives up root, dies with the test program, writes to `log`, becomes `command`.
[[noreturn]] void become(const std::vector<std::string>& command, const std::string& log) {
  if (::geteuid() == 0) {
    passwd* user = ::getpwnam("postgres");
    if (user == nullptr || ::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 ||
        ::setuid(user->pw_uid) != 0)
      ::_exit(126);
  }
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments.front(), arguments.data());
  ::_exit(127);
}

pid_t launch(const std::vector<std::string>& command, const std::string& log) {
  pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) become(command, log);
  return child;
}

/// State and parent as of /proc/PID/stat; the name in between stands in brackets.
bool status_of(pid_t process, char& state, pid_t& parent) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text(std::istreambuf_iterator<char>(file), {});
  std::size_t end = text.rfind(") ");
  if (end == text.npos) return false;
  state = text[end + 2];
  parent = std::stoi(text.substr(end + 4));
  return true;
}

bool lives(pid_t process) {
  char state = 0;
  pid_t parent = 0;
  return status_of(process, state, parent) && state != 'Z';
}

std::vector<pid_t> children_of(pid_t process) {
  std::vector<pid_t> out;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    pid_t id = std::atoi(entry.path().filename().c_str());
    char state = 0;
    pid_t parent = 0;
    if (id > 0 && status_of(id, state, parent) && parent == process) out.push_back(id);
  }
  return out;
}

}  // namespace

std::string PostgresServer::binaries() {
  std::string found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored))
    if (auto bin = entry.path() / "bin"; fs::exists(bin / "postgres") && bin.string() > found)
      found = bin.string();
  return found;
}

PostgresServer::PostgresServer(const Options& options) : port_(free_port()) {
  initialise(options);
  start();
}

PostgresServer::~PostgresServer() {
  stop();
}

void PostgresServer::initialise(const Options& options) {
  if (::geteuid() == 0) {
    passwd* user = ::getpwnam("postgres");
    if (user == nullptr || ::chown(dir_.path().c_str(), user->pw_uid, user->pw_gid) != 0)
      throw std::runtime_error("there is no user postgres");
  }
  int status = 0;
  pid_t initdb = launch({binaries() + "/initdb", "-D", dir_ / "data", "-U", "postgres", "-A",
                         "trust", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"},
                        dir_ / "log");
  ::waitpid(initdb, &status, 0);
  if (status != 0) throw std::runtime_error("initdb failed");

  std::ofstream settings(dir_ / "data/postgresql.conf", std::ios::app);
  settings << "listen_addresses = '127.0.0.1'\n"
           << "port = " << port_ << "\n"
           << "unix_socket_directories = '" << dir_.path().string() << "'\n"
           << "max_connections = 200\n"
           << "fsync = " << (options.fsync ? "on" : "off") << "\n"
           << options.settings << "\n";
}

std::string PostgresServer::url() const {
  return "host=127.0.0.1 port=" + std::to_string(port_) + " user=postgres dbname=postgres";
}

void PostgresServer::start() {
  if (process_ > 0) return;
  process_ = launch({binaries() + "/postgres", "-D", dir_ / "data"}, dir_ / "log");
  for (int i = 0; i < 600; ++i) {
    if (answers()) return;
    if (::waitpid(process_, nullptr, WNOHANG) == process_) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::ifstream log(dir_ / "log");
  throw std::runtime_error("PostgreSQL does not start: " +
                           std::string(std::istreambuf_iterator<char>(log), {}));
}

bool PostgresServer::answers() const {
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection(
      PQconnectdb((url() + " connect_timeout=2").c_str()), PQfinish);
  return PQstatus(connection.get()) == CONNECTION_OK;
}

void PostgresServer::kill() {
  if (process_ <= 0) return;
  ::kill(process_, SIGSTOP);  // so that it starts no further children meanwhile
  auto children = children_of(process_);
  ::kill(process_, SIGKILL);
  for (pid_t child : children) ::kill(child, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  for (pid_t child : children)
    while (lives(child)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  process_ = -1;
}

void PostgresServer::stop() {
  if (process_ <= 0) return;
  ::kill(process_, SIGINT);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

PostgresServer* shared_postgres() {
  static const std::unique_ptr<PostgresServer> server =
      PostgresServer::binaries().empty() ? nullptr : std::make_unique<PostgresServer>();
  return server.get();
}

std::string fresh_schema() {
  static std::atomic<int> made = 0;
  return "holdfast_" + std::to_string(::getpid()) + "_" + std::to_string(++made);
}

}  // namespace holdfast::test
