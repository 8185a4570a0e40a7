#include "journal/outside.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/bytes.h"
#include "base/secret.h"

namespace holdfast::journal {
namespace {

constexpr std::size_t kLongestLine = 1u << 20;
constexpr std::size_t kChunk = 65536;
constexpr std::string_view kHead = "holdfast afterlog 1\n";

/// A file descriptor that closes itself.
struct Fd {
  int fd;
  explicit Fd(int f) : fd(f) {}
  ~Fd() {
    if (fd >= 0) close(fd);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
};

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    auto wrote = write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

bool sync_folder(const std::filesystem::path& file) {
  Fd dir(open(file.parent_path().empty() ? "." : file.parent_path().c_str(),
              O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return dir.fd >= 0 && fsync(dir.fd) == 0;
}

crypto::Digest first_link(const crypto::Hmac& mac) {
  return mac.mac(as_bytes(kHead));
}

crypto::Digest next_link(const crypto::Hmac& mac, const crypto::Digest& last,
                         std::string_view line) {
  Bytes input;
  put_part(input, BytesView(last));
  put_part(input, line);
  return mac.mac(input);
}

std::string content_of(const AfterlogEntry& entry) {
  return std::to_string(to_ms(entry.at)) + ' ' + entry.kind + ' ' + hex(entry.id);
}

AfterlogEnd no_lines() {
  return {0, crypto::sha256(as_bytes(kHead))};
}

void pass(AfterlogEnd& end, std::string_view content) {
  Bytes input;
  put_part(input, BytesView(end.digest));
  put_part(input, content);
  end = {end.lines + 1, crypto::sha256(input)};
}

std::optional<AfterlogEntry> entry_of(std::string_view content) {
  std::int64_t ms = 0;
  auto [stop, bad] = std::from_chars(content.data(), content.data() + content.size(), ms);
  auto tail = content.substr(static_cast<std::size_t>(stop - content.data()));
  auto space = tail.rfind(' ');
  if (bad != std::errc() || space == 0 || space == std::string_view::npos) return std::nullopt;
  auto id = unhex(tail.substr(space + 1));
  if (!id) return std::nullopt;
  return AfterlogEntry{std::string(tail.substr(1, space - 1)), std::move(*id), from_ms(ms)};
}

Error damaged() {
  return {
      Code::corrupt,
      "the afterlog was changed or belongs to another store: put the right one back, or "
      "move it away to go on without (every API key is then revoked, and every role of your own "
      "suspended)"};
}

/// Takes an afterlog in pieces and holds no more of its text than a line.
class Parser {
 public:
  explicit Parser(const crypto::Hmac& mac) : mac_(mac) {
    out_.last = first_link(mac_);
    out_.end = no_lines();
    head_ = std::string(kHead) + hex(out_.last) + '\n';
  }

  Result<void> take(std::string_view piece) {
    rest_ += piece;
    std::string_view left = rest_;
    if (out_.whole == 0) {
      if (left.size() < head_.size()) return {};
      if (!left.starts_with(head_)) return damaged();
      left.remove_prefix(head_.size());
      out_.whole = head_.size();
    }
    for (auto end = left.find('\n'); end != std::string_view::npos; end = left.find('\n')) {
      if (!line(left.substr(0, end))) return damaged();
      left.remove_prefix(end + 1);
      out_.whole += end + 1;
    }
    if (left.size() > kLongestLine) return damaged();
    rest_.erase(0, rest_.size() - left.size());
    return {};
  }

  /// What follows the last line break was cut off by a crash and never acknowledged.
  Result<AfterlogText> done() {
    if (out_.whole == 0) return damaged();
    return std::move(out_);
  }

 private:
  bool line(std::string_view text) {
    auto at = text.rfind(' ');
    if (at == std::string_view::npos) return false;
    auto content = text.substr(0, at);
    auto link = next_link(mac_, out_.last, content);
    if (hex(link) != text.substr(at + 1)) return false;
    auto entry = entry_of(content);
    if (!entry) return false;
    pass(out_.end, content);
    out_.entries.push_back(std::move(*entry));
    out_.last = link;
    return true;
  }

  const crypto::Hmac& mac_;
  std::string head_, rest_;
  AfterlogText out_;
};

/// Gives how many bytes there were. Errors: those of `take`, unavailable.
Result<std::size_t> read_in_pieces(int fd, Parser& parser) {
  std::size_t total = 0;
  std::string buffer(kChunk, '\0');
  for (;;) {
    auto got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error(Code::unavailable, "the afterlog cannot be read");
    if (got == 0) return total;
    auto piece = std::string_view(buffer).substr(0, static_cast<std::size_t>(got));
    if (auto taken = parser.take(piece); !taken) return std::move(taken).error();
    total += piece.size();
  }
}

}  // namespace

Result<void> write_file_atomically(const std::filesystem::path& file, std::string_view text) {
  auto beside = file;
  beside += ".new";
  {
    Fd out(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (out.fd < 0 || !write_all(out.fd, text))
      return Error(Code::unavailable, "a file beside the database cannot be written");
  }
  return replace_file(beside, file);
}

Result<void> replace_file(const std::filesystem::path& beside, const std::filesystem::path& file) {
  Fd whole(open(beside.c_str(), O_RDONLY | O_CLOEXEC));
  if (whole.fd < 0 || fsync(whole.fd) != 0 || std::rename(beside.c_str(), file.c_str()) != 0 ||
      !sync_folder(file))
    return Error(Code::unavailable, "a file beside the database cannot be replaced");
  return {};
}

Error unreadable(int error) {
  if (error == ENOENT) return Error(Code::not_found, "the file does not exist");
  if (error == EISDIR) return Error(Code::invalid, "this is a folder: name a file in it");
  return Error(Code::unavailable, "the file cannot be read: see its rights");
}

Result<std::string> read_small_file(const std::filesystem::path& file, std::size_t limit) {
  Fd in(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.fd < 0) return unreadable(errno);
  std::string out;
  char buffer[65536];
  for (;;) {
    auto got = read(in.fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unreadable(errno);
    if (got == 0) return out;
    if (out.size() + static_cast<std::size_t>(got) > limit)
      return Error(Code::too_large, "the file is larger than it can be");
    out.append(buffer, static_cast<std::size_t>(got));
  }
}

Result<void> Afterlog::make(const std::filesystem::path& file, BytesView key,
                            const std::vector<AfterlogEntry>& first) {
  std::error_code failed;
  if (std::filesystem::exists(file, failed))
    return Error(Code::conflict, "there is an afterlog already");
  crypto::Hmac mac(key);
  auto link = first_link(mac);
  auto text = std::string(kHead) + hex(link) + '\n';
  for (const auto& entry : first) text += afterlog_line(entry, mac, link);
  if (!write_file_atomically(file, text))
    return Error(Code::unavailable, "the afterlog cannot be made");
  return {};
}

std::string afterlog_line(const AfterlogEntry& entry, const crypto::Hmac& mac,
                          crypto::Digest& last) {
  auto content = content_of(entry);
  last = next_link(mac, last, content);
  return content + ' ' + hex(last) + '\n';
}

Result<AfterlogText> parse_afterlog(std::string_view text, const crypto::Hmac& mac) {
  Parser parser(mac);
  if (auto taken = parser.take(text); !taken) return std::move(taken).error();
  return parser.done();
}

Result<std::unique_ptr<Afterlog>> Afterlog::open(std::filesystem::path file, BytesView key) {
  int fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return Error(Code::not_found, "there is no afterlog");
  if (fd < 0) return Error(Code::unavailable, "the afterlog cannot be opened for writing");
  std::unique_ptr<Afterlog> out(new Afterlog(file, fd, crypto::Hmac(key)));
  Parser parser(*out->mac_);
  auto size = read_in_pieces(fd, parser);
  if (!size) return std::move(size).error();
  auto parsed = parser.done();
  if (!parsed) return std::move(parsed).error();
  auto whole = static_cast<off_t>(parsed->whole);
  if (parsed->whole < *size && (ftruncate(fd, whole) != 0 || fdatasync(fd) != 0))
    return Error(Code::unavailable, "the afterlog cannot be repaired");
  if (lseek(fd, whole, SEEK_SET) < 0)
    return Error(Code::unavailable, "the afterlog cannot be positioned");
  out->last_ = parsed->last;
  out->end_ = parsed->end;
  out->entries_ = std::move(parsed->entries);
  return out;
}

Result<std::unique_ptr<Afterlog>> Afterlog::open(const std::filesystem::path& file,
                                                 const crypto::Keyring& ring) {
  Result<std::unique_ptr<Afterlog>> out =
      Error(Code::corrupt, "the keyring has no key of the afterlog");
  for (auto id : ring.ids(crypto::KeyUse::afterlog)) {
    out = open(file, ring.find(crypto::KeyUse::afterlog, id)->expose());
    if (out || out.error().code != Code::corrupt) break;
  }
  return out;
}

Afterlog::~Afterlog() {
  close(fd_);
}

Result<void> Afterlog::append(std::string_view kind, BytesView id, Time at) {
  std::scoped_lock lock(mutex_);
  if (!mac_) return Error(Code::locked, "the server is locked");
  const Error stuck(Code::unavailable,
                    "the afterlog cannot be written nor repaired: restart after making room on its "
                    "disk");
  if (cut_off_) return stuck;
  AfterlogEntry entry{std::string(kind), to_bytes(id), at};
  auto link = last_;
  auto line = afterlog_line(entry, *mac_, link);
  if (line.size() > kLongestLine)
    return Error(Code::too_large, "this is more than a line of the afterlog holds");
  auto start = lseek(fd_, 0, SEEK_CUR);
  if (!write_all(fd_, line) || fdatasync(fd_) != 0) {
    // What was not acknowledged must not stay: the next line starts where this one did.
    cut_off_ = ftruncate(fd_, start) != 0 || lseek(fd_, start, SEEK_SET) < 0;
    if (cut_off_) return stuck;
    return Error(Code::unavailable, "the afterlog cannot be written: make room on its disk");
  }
  last_ = link;
  pass(end_, content_of(entry));
  entries_.push_back(std::move(entry));
  return {};
}

Result<bool> Afterlog::rekey(BytesView key) {
  std::scoped_lock lock(mutex_);
  if (!mac_) return Error(Code::locked, "the server is locked");
  crypto::Hmac mac(key);
  auto link = first_link(mac);
  if (link == first_link(*mac_)) return false;
  auto text = std::string(kHead) + hex(link) + '\n';
  for (const auto& entry : entries_) text += afterlog_line(entry, mac, link);
  auto wrote = write_file_atomically(file_, text);
  int fd = ::open(file_.c_str(), O_WRONLY | O_CLOEXEC);
  struct stat mine{}, there{};
  bool replaced = fd >= 0 && fstat(fd_, &mine) == 0 && fstat(fd, &there) == 0 &&
                  (mine.st_ino != there.st_ino || mine.st_dev != there.st_dev);
  if (!wrote && fd >= 0 && !replaced) {
    ::close(fd);
    return std::move(wrote).error();
  }
  if (fd < 0 || lseek(fd, 0, SEEK_END) < 0) {
    // Nothing more may be acknowledged into a file that is no longer the afterlog.
    if (fd >= 0) ::close(fd);
    ::close(fd_);
    fd_ = -1;
    return Error(Code::unavailable,
                 "the afterlog was written anew but cannot be opened: restart the server");
  }
  ::close(fd_);
  fd_ = fd;
  mac_ = std::move(mac);
  last_ = link;
  return true;
}

void Afterlog::forget_key() {
  std::scoped_lock lock(mutex_);
  mac_.reset();
}

std::vector<AfterlogEntry> Afterlog::entries() const {
  std::scoped_lock lock(mutex_);
  return entries_;
}

AfterlogEnd Afterlog::end() const {
  std::scoped_lock lock(mutex_);
  return end_;
}

bool Afterlog::continues(const AfterlogEnd& end) const {
  std::scoped_lock lock(mutex_);
  if (end.lines > entries_.size()) return false;
  auto here = no_lines();
  for (std::size_t i = 0; i < end.lines; ++i) pass(here, content_of(entries_[i]));
  return here == end;
}

}  // namespace holdfast::journal
