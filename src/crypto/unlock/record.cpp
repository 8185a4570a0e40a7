#include "crypto/unlock/record.h"

#include <charconv>

#include "crypto/private_file.h"

namespace holdfast::crypto {
namespace {

constexpr std::string_view kTitle = "Holdfast unlock method, version 1\n";
constexpr std::string_view kNames[] = {"file", "passphrase", "shamir", "pkcs11"};
constexpr std::size_t kStoreBytes = 16, kSetBytes = 8, kSumBytes = 16, kLongest = 4096;
constexpr std::size_t kMarkBytes = 8;
constexpr std::size_t kMostWrapped = 256, kLongestLabel = 64;

Digest checksum(std::string_view text) {
  return sha256({as_bytes("holdfast unlock file 1"), as_bytes(text)});
}

std::string set_line(const ShareSet& set) {
  return hex(set.id) + ' ' + std::to_string(set.needed) + ' ' + std::to_string(set.total) + ' ' +
         hex(set.commitment) + (set.marks.empty() ? "" : ' ' + hex(set.marks));
}

/// SHA-256 over what makes a share, cut: nobody finds the share by it, nor another one for it.
Bytes mark_of(const Share& share) {
  const std::uint8_t number[] = {share.number};
  auto digest = sha256({as_bytes("holdfast share mark 1"), share.set_id, number, share.y.expose()});
  return to_bytes(BytesView(digest).first(kMarkBytes));
}

/// A decimal number as std::to_string writes it.
template <class N>
std::optional<N> number(std::string_view text) {
  N out{};
  auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (bad != std::errc() || end != text.data() + text.size() || std::to_string(out) != text)
    return std::nullopt;
  return out;
}

std::string_view word(std::string_view& rest) {
  auto end = std::min(rest.find(' '), rest.size());
  auto out = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return out;
}

std::optional<ShareSet> parse_set(std::string_view text) {
  ShareSet out;
  auto id = unhex(word(text));
  auto needed = number<unsigned>(word(text)), total = number<unsigned>(word(text));
  auto commitment = unhex(word(text));
  auto marks = unhex(text);
  if (!id || id->size() != kSetBytes || !needed || !total || !commitment ||
      commitment->size() != sizeof(Digest) || *needed < 2 || *needed > *total || *total > 16 ||
      !marks || (!marks->empty() && marks->size() != kMarkBytes * *total))
    return std::nullopt;
  out.id = std::move(*id);
  out.needed = static_cast<std::uint8_t>(*needed);
  out.total = static_cast<std::uint8_t>(*total);
  std::copy(commitment->begin(), commitment->end(), out.commitment.begin());
  out.marks = std::move(*marks);
  return out;
}

/// Takes `name: value` off the front; nothing when the next line has another name.
std::optional<std::string_view> line(std::string_view& text, std::string_view name) {
  auto end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(name) ||
      text.substr(name.size(), 2) != ": " || end < name.size() + 2)
    return std::nullopt;
  auto value = text.substr(name.size() + 2, end - name.size() - 2);
  text.remove_prefix(end + 1);
  return value;
}

Error damaged() {
  return Error(
      Code::corrupt,
      "the unlock file is damaged: put a copy back (each keys backup holds one), or unlock "
      "with recovery shares and `holdfast keys recover`");
}

std::optional<std::string> parse_label(std::string_view text) {
  auto bytes = unhex(text);
  if (!bytes || bytes->empty() || bytes->size() > kLongestLabel) return std::nullopt;
  return std::string(as_text(*bytes));
}

/// The lines that the method has; false when they are not as written.
bool parse_method(std::string_view& text, UnlockRecord& out) {
  if (out.method == Method::shamir) {
    auto shares = line(text, "shares");
    out.everyday = shares ? parse_set(*shares) : std::nullopt;
    return out.everyday.has_value();
  }
  if (out.method == Method::file) return true;
  if (out.method == Method::passphrase) {
    auto cost = line(text, "argon2id");
    if (!cost) return false;
    auto memory = number<std::uint32_t>(word(*cost)), passes = number<std::uint32_t>(word(*cost));
    auto salt = unhex(*cost);
    if (!memory || !passes || !salt || salt->size() != kSaltBytes) return false;
    out.cost = {*memory, *passes};
    if (!allowed(out.cost)) return false;
    out.salt = std::move(*salt);
  } else {
    auto token = line(text, "token"), key = line(text, "key");
    auto serial = token ? parse_label(*token) : std::nullopt;
    auto label = key ? parse_label(*key) : std::nullopt;
    if (!serial || !label) return false;
    out.token_serial = std::move(*serial);
    out.token_key = std::move(*label);
  }
  auto wrapped = line(text, "wrapped");
  auto bytes = wrapped ? unhex(*wrapped) : std::nullopt;
  if (!bytes || bytes->size() < 32 || bytes->size() > kMostWrapped) return false;
  out.wrapped = std::move(*bytes);
  return true;
}

}  // namespace

std::span<const std::string_view> enum_names(Method) {
  return kNames;
}

std::string_view method_name(Method method) {
  return kNames[static_cast<std::size_t>(method)];
}

std::optional<Method> method_of(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == name) return static_cast<Method>(i);
  return std::nullopt;
}

ShareSet set_of(const Share& share) {
  return {share.set_id, share.needed, share.total, share.commitment};
}

ShareSet set_of(std::span<const Share> all) {
  auto out = set_of(all.front());
  for (const auto& share : all) {
    auto mark = mark_of(share);
    out.marks.insert(out.marks.end(), mark.begin(), mark.end());
  }
  return out;
}

bool is_of(const Share& share, const ShareSet& set) {
  const auto at = kMarkBytes * (std::size_t{share.number} - 1);
  if (set.marks.size() < at + kMarkBytes) return set.marks.empty();
  return equal_constant_time(BytesView(set.marks).subspan(at, kMarkBytes), mark_of(share));
}

Bytes wrap_binding(const UnlockRecord& record) {
  Bytes out;
  put_part(out, "holdfast root key wrap 1");
  put_part(out, record.store_id);
  put_part(out, method_name(record.method));
  if (record.method == Method::passphrase) {
    put_u32(out, record.cost.memory_kib);
    put_u32(out, record.cost.passes);
    put_part(out, record.salt);
  } else {
    put_part(out, record.token_serial);
    put_part(out, record.token_key);
  }
  return out;
}

std::string format_record(const UnlockRecord& record) {
  std::string out(kTitle);
  auto add = [&out](std::string_view name, std::string_view value) {
    ((((out += name) += ": ") += value) += '\n');
  };
  add("store", hex(record.store_id));
  add("method", method_name(record.method));
  if (record.recovery) add("recovery", set_line(*record.recovery));
  if (record.method == Method::shamir && record.everyday) add("shares", set_line(*record.everyday));
  if (record.method == Method::passphrase)
    add("argon2id", std::to_string(record.cost.memory_kib) + ' ' +
                        std::to_string(record.cost.passes) + ' ' + hex(record.salt));
  if (record.method == Method::pkcs11) {
    add("token", hex(as_bytes(record.token_serial)));
    add("key", hex(as_bytes(record.token_key)));
  }
  if (record.method == Method::passphrase || record.method == Method::pkcs11)
    add("wrapped", hex(record.wrapped));
  add("check", hex(BytesView(checksum(out)).first(kSumBytes)));
  return out;
}

Result<UnlockRecord> parse_record(std::string_view text) {
  const auto whole = text;
  if (!text.starts_with(kTitle))
    return Error(
        Code::invalid,
        "this is not an unlock file, or one of a newer version: its first line is another");
  text.remove_prefix(kTitle.size());
  UnlockRecord out;
  auto store = line(text, "store"), method = line(text, "method");
  auto id = store ? unhex(*store) : std::nullopt;
  auto named = method ? method_of(*method) : std::nullopt;
  if (!id || id->size() != kStoreBytes || !named) return damaged();
  out.store_id = std::move(*id);
  out.method = *named;
  if (auto recovery = line(text, "recovery")) {
    out.recovery = parse_set(*recovery);
    if (!out.recovery) return damaged();
  }
  if (!parse_method(text, out)) return damaged();
  const auto covered = whole.substr(0, whole.size() - text.size());
  auto check = line(text, "check");
  if (!check || !text.empty() || hex(BytesView(checksum(covered)).first(kSumBytes)) != *check)
    return damaged();
  return out;
}

Result<UnlockRecord> read_record(const std::filesystem::path& file) {
  auto bytes = read_private(file, kLongest);
  if (bytes) return parse_record(bytes->expose_text());
  switch (bytes.error()) {
    case FileTrouble::missing:
      return Error(Code::not_found, "there is no unlock file in the store's folder");
    case FileTrouble::exposed:
      return Error(Code::forbidden, "the unlock file can be read by others: run chmod 600 on it");
    case FileTrouble::foreign:
    case FileTrouble::not_allowed:
      return Error(Code::forbidden,
                   "the unlock file is not a regular file of the user that the server runs as");
    case FileTrouble::too_large:
      return Error(Code::invalid, "this is not an unlock file: too long");
    default:
      return Error(Code::unavailable, "the unlock file cannot be read from the disk");
  }
}

}  // namespace holdfast::crypto
