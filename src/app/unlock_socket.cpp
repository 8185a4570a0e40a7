#include "app/unlock_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>

namespace holdfast::app {

namespace asio = boost::asio;
using asio::local::stream_protocol;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kLongestLine = 32 << 10;
constexpr std::chrono::seconds kPatience{10};
constexpr int kMostAtOnce = 8;
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::string_view kName = "unlock.sock";

/// A socket's path has at most 107 bytes; one through the folder's descriptor is always short.
class Folder {
 public:
  explicit Folder(const std::filesystem::path& dir)
      : fd_(::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}
  ~Folder() {
    if (fd_ >= 0) ::close(fd_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  explicit operator bool() const { return fd_ >= 0; }
  std::string path() const {
    return "/proc/self/fd/" + std::to_string(fd_) + '/' + std::string(kName);
  }

 private:
  int fd_;
};

/// Only the server's own user and root, whatever the mode of the file says.
bool trusted(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

std::span<const Member> SocketRequest::described() {
  using S = SocketRequest;
  static constexpr Member kMembers[] = {
      member<&S::command>("command", "status or unlock.", {.bytes = 16}),
      member<&S::share>("share", "The text of one share.", {.bytes = 8192}, Place::body,
                        Sensitivity::secret),
      member<&S::passphrase>("passphrase", "The passphrase.", {.bytes = 1026}, Place::body,
                             Sensitivity::secret),
      member<&S::restart>("restart", "Forget the shares given before.")};
  return kMembers;
}

std::span<const Member> SocketAnswer::described() {
  using S = SocketAnswer;
  static constexpr Member kMembers[] = {
      member<&S::code>("code", "What went wrong, in one word."),
      member<&S::detail>("detail", "What to do about it.", {.bytes = 1024}),
      member<&S::field>("field", "Where."), member<&S::status>("status", "Of `status`."),
      member<&S::progress>("progress", "Of `unlock`.")};
  return kMembers;
}

struct UnlockSocket::Impl : std::enable_shared_from_this<Impl> {
  Impl(const std::filesystem::path& dir, Cores& c, Unlocker& u)
      : folder(dir), file(dir / kName), cores(c), unlocker(u), acceptor(c.at(0)) {}

  Task<void> accept();
  Task<void> serve(std::shared_ptr<stream_protocol::socket> socket);
  Task<std::string> answer(std::string line);
  void left();

  Folder folder;
  std::filesystem::path file;
  Cores& cores;
  Unlocker& unlocker;
  stream_protocol::acceptor acceptor;
  std::mutex mutex;  // for the next two
  std::condition_variable changed;
  int active = 0;
};

void UnlockSocket::Impl::left() {
  std::scoped_lock lock(mutex);
  --active;
  changed.notify_all();
}

Task<void> UnlockSocket::Impl::accept() {
  asio::steady_timer pause(acceptor.get_executor());
  for (;;) {
    auto socket = std::make_shared<stream_protocol::socket>(acceptor.get_executor());
    auto [failed] = co_await acceptor.async_accept(*socket, kTuple);
    if (failed == asio::error::operation_aborted || failed == asio::error::bad_descriptor) break;
    if (failed) {  // no descriptor is left: it stays so for a while
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kTuple);
      continue;
    }
    if (!trusted(socket->native_handle())) continue;
    {
      std::scoped_lock lock(mutex);
      if (active > kMostAtOnce) continue;
      ++active;
    }
    asio::co_spawn(acceptor.get_executor(), serve(std::move(socket)), asio::detached);
  }
  left();
}

Task<std::string> UnlockSocket::Impl::answer(std::string line) {
  auto request = parse_json_as<SocketRequest>(line);
  wipe(line);
  SocketAnswer out;
  auto fail = [&out](const Error& error) {
    out.code = std::string(code_name(error.code));
    out.detail = std::string(error.text);
    if (!error.field.empty()) out.field = error.field.text();
  };
  if (!request) {
    fail(request.error());
  } else if (request->command == "status") {
    out.status = unlocker.status();
  } else if (request->command == "unlock") {
    auto done = co_await unlocker.attempt(
        Unlocker::Over::socket, {},
        {std::move(request->share), std::move(request->passphrase), request->restart});
    if (done)
      out.progress = std::move(*done);
    else
      fail(done.error());
  } else {
    fail(Error(Code::invalid, "the command is status or unlock").at("command"));
  }
  co_return to_json(out) + '\n';
}

Task<void> UnlockSocket::Impl::serve(std::shared_ptr<stream_protocol::socket> socket) {
  auto self = shared_from_this();
  asio::steady_timer patience(socket->get_executor());
  auto arm = [&] {
    patience.expires_after(kPatience);
    patience.async_wait([socket](boost::system::error_code cancelled) {
      boost::system::error_code ignored;
      if (!cancelled) socket->close(ignored);
    });
  };
  arm();
  std::string line;
  line.reserve(kLongestLine + 1);  // so that a secret is not left where the text grew
  auto [failed, size] = co_await asio::async_read_until(
      *socket, asio::dynamic_buffer(line, kLongestLine), '\n', kTuple);
  patience.cancel();
  if (!failed) {
    line.resize(size);
    auto text = co_await answer(std::move(line));
    arm();
    (void)co_await asio::async_write(*socket, asio::buffer(text), kTuple);
    patience.cancel();
  }
  wipe(line);
  boost::system::error_code ignored;
  socket->close(ignored);
  left();
}

Result<std::unique_ptr<UnlockSocket>> UnlockSocket::open(const std::filesystem::path& dir,
                                                         Cores& cores, Unlocker& unlocker) {
  auto impl = std::make_shared<Impl>(dir, cores, unlocker);
  Error cannot(Code::unavailable,
               "the local socket for unlocking (DIR/unlock.sock) cannot be made: look for the "
               "rights on the store's folder");
  if (!impl->folder) return cannot;
  ::unlink(impl->file.c_str());  // of a server that was killed
  boost::system::error_code failed;
  impl->acceptor.open(stream_protocol(), failed);
  auto mask = ::umask(0177);
  if (!failed) impl->acceptor.bind(stream_protocol::endpoint(impl->folder.path()), failed);
  ::umask(mask);
  if (!failed) impl->acceptor.listen(kMostAtOnce, failed);
  if (failed) return cannot;
  impl->active = 1;  // the acceptor
  asio::co_spawn(cores.at(0), impl->accept(), asio::detached);
  return std::unique_ptr<UnlockSocket>(new UnlockSocket(std::move(impl)));
}

UnlockSocket::~UnlockSocket() {
  asio::post(impl_->cores.at(0), [impl = impl_] {
    boost::system::error_code ignored;
    impl->acceptor.close(ignored);
  });
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [this] { return impl_->active == 0; });
  ::unlink(impl_->file.c_str());
}

Result<Secret> ask_socket(const std::filesystem::path& dir, const Secret& line) {
  Folder folder(dir);
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Error broken(Code::unavailable, "the server did not answer on DIR/unlock.sock: try again");
  if (fd < 0) return broken;
  struct Closing {
    int fd;
    ~Closing() { ::close(fd); }
  } closing{fd};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  folder.path().copy(address.sun_path, sizeof address.sun_path - 1);
  timeval patience{.tv_sec = 60, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (!folder || ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EACCES || errno == EPERM)
      return Error(Code::forbidden, "only the server's own user and root may unlock here");
    return Error(Code::not_found, "no locked server runs on this store");
  }
  for (auto rest = line.expose(); !rest.empty();) {
    auto count = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return broken;
    rest = rest.subspan(static_cast<std::size_t>(count));
  }
  Secret out(kLongestLine);
  std::size_t have = 0;
  while (have < out.size()) {
    auto rest = out.expose_mut().subspan(have);
    auto count = ::recv(fd, rest.data(), rest.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return broken;
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  if (have == 0 || out.expose()[have - 1] != '\n') return broken;
  out.shrink(have - 1);
  return out;
}

}  // namespace holdfast::app
