#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <utility>

#include "crypto/private_file.h"
#include "crypto/unlock/shamir.h"

namespace holdfast::crypto {
namespace {

// What the lines carry (README.md): version (1) | k and n, each less one, in four bits (1) |
// number (1) | size of y (1) | store id (16) | set id (8) | commitment (32) | y | SHA-256 cut to 8.
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kStoreBytes = 16, kSetBytes = 8, kSumBytes = 8;
constexpr std::size_t kFixedBytes = 4 + kStoreBytes + kSetBytes + sizeof(Digest) + kSumBytes;
constexpr std::size_t kShortest = 16, kLongest = 64;  // bytes of y
constexpr std::size_t kLine = 20, kGroup = 4;         // characters
constexpr std::size_t kLongestText = 8192;

// Crockford's alphabet; the last five stand only for check values 32 to 36.
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U";
constexpr unsigned kCheckModulus = 37;

/// Looks at every character of the alphabet: which one it takes does not show in the cache.
char symbol(unsigned value) {
  unsigned found = 0;
  for (unsigned i = 0; i < kAlphabet.size(); ++i)
    found |= static_cast<unsigned char>(kAlphabet[i]) & (0U - (i == value));
  return static_cast<char>(found);
}

/// The same the other way; at least 37 when the character is not in the alphabet.
unsigned value_of(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c == 'O') c = '0';
  if (c == 'I' || c == 'L') c = '1';
  unsigned found = kCheckModulus;
  for (unsigned i = 0; i < kAlphabet.size(); ++i)
    found = (found & ((kAlphabet[i] == c) - 1U)) | (i & (0U - (kAlphabet[i] == c)));
  return found;
}

/// The line's number and values as one number, modulo 37: a prime over 32, so that every single
/// wrong value and every swap of neighbours changes it.
unsigned check_of(std::size_t line, BytesView values) {
  auto sum = static_cast<unsigned>(line % kCheckModulus);
  for (auto value : values) sum = (sum * 32 + value) % kCheckModulus;
  return sum;
}

Digest sum_of(BytesView payload) {
  return sha256({as_bytes("holdfast share 1"), payload});
}

std::size_t values_for(std::size_t bytes) {
  return (bytes * 8 + 4) / 5;
}

/// Five bits in each byte of the result.
Secret to_values(BytesView bytes) {
  Secret out(values_for(bytes.size()));
  auto* at = out.expose_mut().data();
  unsigned bits = 0;
  int count = 0;
  for (auto byte : bytes) {
    bits = (bits << 8 | byte) & 0xfff;
    for (count += 8; count >= 5; count -= 5) *at++ = bits >> (count - 5) & 31;
  }
  if (count > 0) *at++ = static_cast<std::uint8_t>(bits << (5 - count) & 31);
  return out;
}

/// nullopt when there are values or bits beyond what to_values would have written.
std::optional<Secret> from_values(BytesView values) {
  Secret out(values.size() * 5 / 8);
  auto* at = out.expose_mut().data();
  unsigned bits = 0;
  int count = 0;
  for (auto value : values) {
    bits = (bits << 5 | value) & 0xfff;
    count += 5;
    if (count >= 8) *at++ = static_cast<std::uint8_t>(bits >> (count -= 8));
  }
  if (values_for(out.size()) != values.size() || (bits & ((1U << count) - 1)) != 0)
    return std::nullopt;
  return out;
}

Secret to_payload(const Share& share) {
  Secret out(kFixedBytes + share.y.size());
  auto rest = out.expose_mut();
  auto put = [&rest](BytesView bytes) {
    std::copy(bytes.begin(), bytes.end(), rest.begin());
    rest = rest.subspan(bytes.size());
  };
  const std::array<std::uint8_t, 4> head = {
      kVersion, static_cast<std::uint8_t>((share.needed - 1) << 4 | (share.total - 1)),
      share.number, static_cast<std::uint8_t>(share.y.size())};
  put(head);
  put(share.store_id);
  put(share.set_id);
  put(share.commitment);
  put(share.y.expose());
  put(BytesView(sum_of(out.expose().first(out.size() - kSumBytes))).first(kSumBytes));
  return out;
}

/// The values of the numbered lines, as far as they were read, and what the first ones promise.
class Lines {
 public:
  Lines() : values_(values_for(kFixedBytes + kLongest)) {}

  Result<void> add(std::string_view line);
  Result<Share> finish() const;

 private:
  Error wrong(Literal text) const {
    return Error(Code::invalid, text).at(FieldPath("line")[read_ + 1]);
  }
  /// How many values the whole share has: known after its first line.
  std::size_t expected() const;

  Secret values_;
  std::size_t used_ = 0, read_ = 0;
};

std::size_t Lines::expected() const {
  if (read_ == 0) return values_.size();
  auto head = from_values(values_.expose().first(8));
  return values_for(kFixedBytes + head->expose()[3]);
}

Result<void> Lines::add(std::string_view line) {
  std::size_t label = 0, digits = 0;
  for (; digits < line.size() && digits < 2 && line[digits] >= '0' && line[digits] <= '9'; ++digits)
    label = label * 10 + static_cast<std::size_t>(line[digits] - '0');
  if (digits == 0 || digits == line.size() || line[digits] != ':')
    return wrong("a line begins with its number and a colon");
  if (label != read_ + 1) return wrong("this line is missing, or not in its place");
  if (used_ >= expected()) return wrong("there are more lines than this share has");

  Secret read(kLine + 1);
  std::size_t count = 0;
  for (char c : line.substr(digits + 1)) {
    if (c == ' ' || c == '\t' || c == '-') continue;
    if (count == read.size()) return wrong("this line has too many characters");
    auto value = value_of(c);
    if (value >= kCheckModulus) return wrong("this line has a character that no share has");
    read.expose_mut()[count++] = static_cast<std::uint8_t>(value);
  }
  if (count != std::min(kLine, expected() - used_) + 1)
    return wrong("this line has too few or too many characters");
  auto values = read.expose().first(count - 1);
  for (auto value : values)
    if (value >= 32) return wrong("this line has a character that only its last place may have");
  if (check_of(label, values) != read.expose()[count - 1])
    return wrong("this line does not fit its check character: compare it letter by letter");

  std::copy(values.begin(), values.end(), values_.expose_mut().begin() + static_cast<long>(used_));
  used_ += values.size();
  if (++read_ > 1) return {};
  auto head = from_values(values_.expose().first(8));
  auto version = head->expose()[0], y_size = head->expose()[3];
  if (version == kVersion && y_size >= kShortest && y_size <= kLongest) return {};
  read_ = 0;
  return wrong("this is not a share, or was made by a newer version");
}

Result<Share> Lines::finish() const {
  if (read_ == 0)
    return Error(
        Code::invalid,
        "this is not a share: it has no numbered line. Take a file recovery-share-N-of-M.txt, or "
        "type the lines of a printed one");
  if (used_ != expected()) return wrong("this line is missing");
  auto payload = from_values(values_.expose().first(used_));
  if (!payload)
    return Error(Code::invalid, "the last line does not end as a share does")
        .at(FieldPath("line")[read_]);
  auto body = payload->expose().first(payload->size() - kSumBytes);
  if (!equal_constant_time(BytesView(sum_of(body)).first(kSumBytes),
                           payload->expose().last(kSumBytes)))
    return Error(Code::invalid,
                 "every line looks right but the share as a whole does not: compare "
                 "all of them letter by letter");
  ByteReader reader(body.subspan(1));
  Share out;
  auto counts = *reader.u8();
  out.needed = static_cast<std::uint8_t>((counts >> 4) + 1);
  out.total = static_cast<std::uint8_t>((counts & 15) + 1);
  out.number = *reader.u8();
  auto y_size = *reader.u8();
  out.store_id = to_bytes(*reader.take(kStoreBytes));
  out.set_id = to_bytes(*reader.take(kSetBytes));
  auto commitment = *reader.take(sizeof(Digest));
  std::copy(commitment.begin(), commitment.end(), out.commitment.begin());
  out.y = Secret::copy(*reader.take(y_size));
  if (out.needed < 2 || out.needed > out.total || out.number < 1 || out.number > out.total)
    return Error(Code::invalid, "this share names counts that no set of shares has");
  return out;
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  auto begin = line.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(kBlanks) - begin + 1);
}

Error write_error(FileTrouble trouble) {
  switch (trouble) {
    case FileTrouble::exists:
      return Error(Code::conflict,
                   "there is a share file of that name already, and shares are "
                   "never overwritten: move it away first");
    case FileTrouble::no_space:
      return Error(Code::unavailable, "the shares cannot be written: the disk is full");
    case FileTrouble::not_allowed:
      return Error(Code::unavailable,
                   "the shares cannot be written: the folder does not "
                   "allow it");
    default:
      return Error(Code::unavailable, "the shares cannot be written to the disk");
  }
}

}  // namespace

std::string format_share(const Share& share, std::string_view kind) {
  std::string out;
  out.reserve(2048);  // never grows: what it held would stay behind
  auto add = [&out](std::initializer_list<std::string_view> parts) {
    for (auto part : parts) out += part;
  };
  add({"# Holdfast ", kind, " share ", std::to_string(share.number), " of ",
       std::to_string(share.total), ".\n"});
  add({"# Any ", std::to_string(share.needed),
       " of them give back the root key of one store; fewer tell nothing.\n"});
  add({"# Store ", hex(share.store_id), "\n# Set   ", hex(share.set_id), "\n"});
  add(
      {"# Keep each share with another person, and none on the server. To type it in, copy the\n"
       "# numbered lines: letters in either case; spaces and lines with # do not matter.\n\n"});

  auto values = to_values(to_payload(share).expose());
  auto rest = values.expose();
  for (std::size_t line = 1; !rest.empty(); ++line) {
    auto here = rest.first(std::min(kLine, rest.size()));
    rest = rest.subspan(here.size());
    add({std::to_string(line), ":"});
    const char check = symbol(check_of(line, here));
    for (std::size_t i = 0; i < here.size(); ++i) {
      if (i % kGroup == 0) out += ' ';
      out += symbol(here[i]);
    }
    add({"  ", std::string_view(&check, 1), "\n"});
  }
  return out;
}

Result<Share> parse_share(std::string_view text) {
  if (text.size() > kLongestText) return Error(Code::too_large, "a share is at most 8 KiB of text");
  Lines lines;
  while (!text.empty()) {
    auto end = text.find('\n');
    auto line = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.empty() || line.front() == '#') continue;
    if (auto added = lines.add(line); !added) return std::move(added).error();
  }
  return lines.finish();
}

Result<std::vector<std::filesystem::path>> write_shares(const std::filesystem::path& dir,
                                                        std::span<const Share> shares,
                                                        std::string_view kind) {
  std::vector<std::filesystem::path> made;
  for (const auto& share : shares) {
    auto file = dir / (std::string(kind) + "-share-" + std::to_string(share.number) + "-of-" +
                       std::to_string(share.total) + ".txt");
    auto text = format_share(share, kind);
    auto done = create_private(file, as_bytes(text));
    wipe(text);
    if (!done) {
      std::error_code ignored;  // the first failure is the one to report
      for (const auto& path : made) std::filesystem::remove(path, ignored);
      return write_error(done.error());
    }
    made.push_back(std::move(file));
  }
  return made;
}

}  // namespace holdfast::crypto
