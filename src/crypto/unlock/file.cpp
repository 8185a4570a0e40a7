#include "crypto/unlock/file.h"

#include <sodium.h>

#include <array>
#include <utility>

#include "crypto/hash.h"
#include "crypto/private_file.h"

namespace holdfast::crypto {
namespace {

constexpr std::string_view kTitle = "Holdfast root key, version 1";
constexpr std::string_view kAdvice =
    "This key opens everything that the store has sealed. Keep it outside the data directory and "
    "its backups.";
constexpr std::size_t kStoreBytes = 16, kRootBytes = 32, kSumBytes = 16;
constexpr std::size_t kLongest = 4096;

/// The checksum over store id and key: SHA-256, cut. The key is random, so this tells nothing.
Digest checksum(BytesView store_id, BytesView root) {
  return sha256({as_bytes("holdfast key file 1"), store_id, root});
}

/// A line `name: hex` taken off the front of `text` into `out`, without a copy of what it says in
/// memory that is not locked. sodium_hex2bin is constant-time.
bool hex_line(std::string_view& text, std::string_view name, std::span<std::uint8_t> out) {
  const std::size_t digits = out.size() * 2;
  const std::size_t size = name.size() + 2 + digits + 1;
  if (text.size() < size || !text.starts_with(name) || text.substr(name.size(), 2) != ": " ||
      text[size - 1] != '\n')
    return false;
  std::size_t decoded = 0;
  const char* end = nullptr;
  const char* from = text.data() + name.size() + 2;
  for (char c : text.substr(name.size() + 2, digits))
    if (c >= 'A' && c <= 'F') return false;  // one spelling only
  if (sodium_hex2bin(out.data(), out.size(), from, digits, nullptr, &decoded, &end) != 0 ||
      decoded != out.size() || end != from + digits)
    return false;
  text.remove_prefix(size);
  return true;
}

bool eat(std::string_view& text, std::string_view line) {
  if (!text.starts_with(line) || !text.substr(line.size()).starts_with('\n')) return false;
  text.remove_prefix(line.size() + 1);
  return true;
}

/// The file as text, in locked memory.
Secret written(BytesView store_id, BytesView root) {
  Secret out(kLongest);
  std::size_t used = 0;
  auto add = [&](std::string_view text) {
    std::copy(text.begin(), text.end(), out.expose_mut().begin() + static_cast<long>(used));
    used += text.size();
  };
  auto add_hex = [&](std::string_view name, BytesView bytes) {
    add(name);
    add(": ");
    auto rest = out.expose_mut().subspan(used);
    sodium_bin2hex(reinterpret_cast<char*>(rest.data()), rest.size(), bytes.data(), bytes.size());
    used += bytes.size() * 2;
    add("\n");
  };
  add(kTitle);
  add("\n");
  add(kAdvice);
  add("\n");
  add_hex("store", store_id);
  add_hex("key", root);
  add_hex("check", BytesView(checksum(store_id, root)).first(kSumBytes));
  out.shrink(used);
  return out;
}

Error read_error(FileTrouble trouble) {
  switch (trouble) {
    case FileTrouble::missing:
      return Error(Code::not_found,
                   "the key file is missing: put it back in its place (`holdfast config show` "
                   "names it: keys.file), or recover the root key from the recovery shares");
    case FileTrouble::exposed:
      return Error(Code::invalid, "the key file can be read by others: run chmod 600 on it");
    case FileTrouble::foreign:
      return Error(Code::invalid,
                   "the key file is not a regular file of the user that the server "
                   "runs as");
    case FileTrouble::not_allowed:
      return Error(Code::invalid, "the server's user may not read the key file: run chown on it");
    case FileTrouble::too_large:
      return Error(Code::invalid, "this is not a key file: too long");
    default:
      return Error(Code::unavailable, "the key file cannot be read from the disk");
  }
}

Error write_error(FileTrouble trouble) {
  switch (trouble) {
    case FileTrouble::exists:
      return Error(Code::conflict,
                   "there is a file where the key file should go, and a key file is "
                   "never overwritten: move it away first");
    case FileTrouble::no_space:
      return Error(Code::unavailable, "the key file cannot be written: the disk is full");
    case FileTrouble::not_allowed:
      return Error(Code::unavailable,
                   "the key file cannot be written: the server's user may not "
                   "write to its folder, or the file system is read-only");
    default:
      return Error(Code::unavailable, "the key file cannot be written to the disk");
  }
}

}  // namespace

Result<Secret> make_key_file(const std::filesystem::path& file, BytesView store_id) {
  auto root = Secret::random(kRootBytes);
  auto done = write_key_file(file, store_id, root);
  if (!done) return std::move(done).error();
  return root;
}

Result<void> write_key_file(const std::filesystem::path& file, BytesView store_id,
                            const Secret& root) {
  if (store_id.size() != kStoreBytes || root.size() != kRootBytes)
    return Error(Code::invalid, "a key file holds a store id of 16 bytes and a key of 32");
  auto done = create_private(file, written(store_id, root.expose()).expose());
  if (!done) return write_error(done.error());
  return {};
}

Result<KeyFile> parse_key_file(std::string_view text) {
  if (!eat(text, kTitle))
    return Error(Code::invalid, "this is not a key file: its first line is another");
  KeyFile out{Bytes(kStoreBytes), Secret(kRootBytes)};
  std::array<std::uint8_t, kSumBytes> sum;
  if (!eat(text, kAdvice) || !hex_line(text, "store", out.store_id) ||
      !hex_line(text, "key", out.root.expose_mut()) || !hex_line(text, "check", sum) ||
      !text.empty())
    return Error(Code::corrupt,
                 "the key file is damaged: it is not laid out as it was written; put "
                 "back a copy, or recover the root key from the recovery shares");
  if (!equal_constant_time(sum,
                           BytesView(checksum(out.store_id, out.root.expose())).first(kSumBytes)))
    return Error(Code::corrupt,
                 "the key file is damaged: its checksum does not fit; put back a "
                 "copy, or recover the root key from the recovery shares");
  return out;
}

Result<KeyFile> read_key_file(const std::filesystem::path& file) {
  auto bytes = read_private(file, kLongest);
  if (!bytes) return read_error(bytes.error());
  return parse_key_file(bytes->expose_text());
}

}  // namespace holdfast::crypto
