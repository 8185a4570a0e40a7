#include "journal/export.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <future>

#include "journal/access_rows.h"
#include "journal/outside.h"
#include "journal/slices.h"

namespace holdfast::journal {
namespace {

constexpr std::string_view kMagic = "holdfast journal export 1\n";
constexpr std::size_t kPiece = 64u << 10;
constexpr std::size_t kLongestKey = 512, kLongestNote = 4096, kLongestLeaves = 64u << 20;
constexpr std::size_t kBlock = 4u << 20;
constexpr std::size_t kHead = 5;  // tag and length

void put_record(std::string& out, char tag, std::string_view bytes) {
  Bytes length;
  put_u32(length, static_cast<std::uint32_t>(bytes.size()));
  out += tag;
  out += as_text(length);
  out += bytes;
}

Error broken() {
  return {Code::invalid, "not a journal export, or cut off"};
}

struct Record {
  char tag;
  std::string_view bytes;
};

/// Reads a file in blocks and gives out its records in place.
class RecordReader {
 public:
  explicit RecordReader(const ReadSome& read) : read_(read) {}

  Result<void> magic() {
    auto got = need(kMagic.size());
    if (!got) return got;
    if (std::string_view(buffer_).substr(at_, kMagic.size()) != kMagic) return broken();
    at_ += kMagic.size();
    return {};
  }

  /// Valid until the next call, unless take_buffer() came between. `limit` bounds the length.
  Result<Record> next(std::string_view tags, std::size_t limit) {
    if (auto got = need(kHead); !got) return std::move(got).error();
    char tag = buffer_[at_];
    if (!tags.contains(tag)) return broken();
    auto length = *ByteReader(as_bytes(std::string_view(buffer_).substr(at_ + 1, 4))).u32();
    if (length > limit) return Error(Code::too_large, "a record of the export is over its limit");
    if (auto got = need(kHead + length); !got) return std::move(got).error();
    Record out{tag, std::string_view(buffer_).substr(at_ + kHead, length)};
    at_ += kHead + length;
    return out;
  }
  /// The tag of the next record.
  Result<char> peek() {
    if (auto got = need(1); !got) return std::move(got).error();
    return buffer_[at_];
  }
  Result<bool> at_end() {
    if (at_ < buffer_.size()) return false;
    auto got = fill();
    if (!got) return std::move(got).error();
    return !*got;
  }

 private:
  Result<void> need(std::size_t count) {
    while (buffer_.size() - at_ < count) {
      auto got = fill();
      if (!got) return std::move(got).error();
      if (!*got) return broken();
    }
    return {};
  }

  Result<bool> fill() {
    if (at_ >= kBlock) {
      buffer_.erase(0, at_);
      at_ = 0;
    }
    auto had = buffer_.size();
    buffer_.resize(had + kPiece);
    auto got = read_({buffer_.data() + had, kPiece});
    buffer_.resize(had + (got ? *got : 0));
    if (!got) return std::move(got).error();
    return *got > 0;
  }

  const ReadSome& read_;
  std::string buffer_;
  std::size_t at_ = 0;
};

/// Entries with their leaves in one buffer, and where each lies.
struct Block {
  struct Place {
    std::size_t at, size;
    std::size_t leaves_at = 0, leaves_size = 0;
    bool batch = false;
  };
  std::int64_t first = 0;
  std::string bytes;
  std::vector<Place> places;
};

CheckedEntries check_block(Block block) {
  std::vector<EntryToCheck> entries;
  entries.reserve(block.places.size());
  std::string_view bytes = block.bytes;
  auto seq = block.first;
  for (const auto& place : block.places) {
    EntryToCheck one{.seq = seq++, .entry = bytes.substr(place.at, place.size)};
    if (place.batch) one.leaves = as_bytes(bytes.substr(place.leaves_at, place.leaves_size));
    entries.push_back(one);
  }
  return check_entries(entries);
}

class ExportCheck {
 public:
  ExportCheck(const ReadSome& read, const Progress& progress)
      : records_(read), progress_(progress) {}

  Result<VerifyReport> run(std::optional<std::string_view> expected_key) {
    if (auto good = head(expected_key); !good) return std::move(good).error();
    const auto size = report_.head.size;
    Block block;
    for (std::uint64_t seq = 0; seq < size; ++seq) {
      if (auto got = entry(block); !got) return std::move(got).error();
      if (block.bytes.size() < kBlock && seq + 1 < size) continue;
      start(std::exchange(block, Block{static_cast<std::int64_t>(seq) + 1, {}, {}}));
    }
    while (!running_.empty()) finish();
    auto end = records_.next("Z", 0);
    if (!end) return std::move(end).error();
    auto done = records_.at_end();
    if (!done) return std::move(done).error();
    if (!*done) return broken();
    report_.entries = static_cast<std::int64_t>(size);
    report_.root_matches = recount_.root() == report_.head.root;
    return std::move(report_);
  }

 private:
  Result<void> head(std::optional<std::string_view> expected_key) {
    if (auto good = records_.magic(); !good) return good;
    auto key = records_.next("K", kLongestKey);
    if (!key) return std::move(key).error();
    report_.verifier = key->bytes;
    auto verifier = parse_verifier_key(report_.verifier);
    if (!verifier) return std::move(verifier).error();
    report_.key_expected = expected_key.has_value();
    if (expected_key && *expected_key != report_.verifier)
      return another_key(*expected_key, *verifier);
    auto note = records_.next("C", kLongestNote);
    if (!note) return std::move(note).error();
    auto checkpoint = open_checkpoint(note->bytes, verifier->key);
    if (!checkpoint) return std::move(checkpoint).error();
    if (checkpoint->origin != verifier->origin)
      return Error(Code::corrupt, "the checkpoint is of another log than the key");
    if (checkpoint->size > std::uint64_t{1} << 53)
      return Error(Code::too_large, "the checkpoint's size is not possible");
    report_.head = std::move(*checkpoint);
    return {};
  }

  Result<void> entry(Block& block) {
    auto entry = records_.next("E", kLongestEntry);
    if (!entry) return std::move(entry).error();
    Block::Place place{.at = block.bytes.size(), .size = entry->bytes.size()};
    block.bytes += entry->bytes;
    auto tag = records_.peek();
    if (!tag) return std::move(tag).error();
    if (*tag == 'L') {
      auto leaves = records_.next("L", kLongestLeaves);
      if (!leaves) return std::move(leaves).error();
      place.batch = true;
      place.leaves_at = block.bytes.size();
      place.leaves_size = leaves->bytes.size();
      block.bytes += leaves->bytes;
    }
    block.places.push_back(place);
    return {};
  }

  void start(Block block) {
    if (running_.size() == 2) finish();
    running_.push_back(std::async(std::launch::async, check_block, std::move(block)));
  }

  void finish() {
    auto checked = running_.front().get();
    running_.pop_front();
    for (const auto& hash : checked.hashes) recount_.add(hash);
    for (const auto& finding : checked.faults) report_.add(finding.fault, finding.seq);
    report_.batches += checked.batches;
    report_.leaves += checked.leaves;
    if (progress_)
      progress_(static_cast<std::int64_t>(recount_.size()),
                static_cast<std::int64_t>(report_.head.size));
  }

  RecordReader records_;
  const Progress& progress_;
  VerifyReport report_;
  Recount recount_;
  std::deque<std::future<CheckedEntries>> running_;
};

}  // namespace

Task<Result<void>> export_log(Log& log, Sink sink) {
  auto note = co_await log.settled_head();
  if (!note) co_return std::move(note).error();
  auto verifier = log.verifier();
  auto key = parse_verifier_key(verifier);
  auto head = key ? open_checkpoint(*note, key->key) : Result<Checkpoint>(std::move(key).error());
  if (!head) co_return std::move(head).error();

  std::string out(kMagic);
  put_record(out, 'K', verifier);
  put_record(out, 'C', *note);
  const auto size = static_cast<std::int64_t>(head->size);
  Slices slices;
  for (std::int64_t at = 0; at < size;) {
    auto entries = co_await log.read(at, 256);
    if (!entries) co_return std::move(entries).error();
    if (entries->empty()) co_return Error(Code::corrupt, "entries of the journal are missing");
    for (const auto& one : *entries) {
      if (at == size) break;
      if (one.seq != at++) co_return Error(Code::corrupt, "entries of the journal are missing");
      put_record(out, 'E', one.entry);
      if (wants_leaves(one.entry)) {
        auto leaves = co_await log.stored_leaves(one.id);
        if (!leaves) co_return std::move(leaves).error();
        if (!leaves->empty()) put_record(out, 'L', as_text(*leaves));
      }
      if (out.size() < kPiece) continue;
      if (auto sent = co_await sink(out); !sent) co_return std::move(sent).error();
      out.clear();
    }
    co_await slices.pause();
  }
  put_record(out, 'Z', {});
  co_return co_await sink(out);
}

Result<VerifyReport> verify_export(const ReadSome& read,
                                   std::optional<std::string_view> expected_key,
                                   const Progress& progress) {
  return ExportCheck(read, progress).run(expected_key);
}

Result<VerifyReport> verify_export(const std::filesystem::path& file,
                                   std::optional<std::string_view> expected_key,
                                   const Progress& progress) {
  int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return unreadable(errno);
  auto report = verify_export(
      [fd](std::span<char> into) -> Result<std::size_t> {
        ssize_t got;
        do {
          got = ::read(fd, into.data(), into.size());
        } while (got < 0 && errno == EINTR);
        if (got < 0) return unreadable(errno);
        return static_cast<std::size_t>(got);
      },
      expected_key, progress);
  ::close(fd);
  return report;
}

}  // namespace holdfast::journal
