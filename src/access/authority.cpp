#include "access/authority.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace holdfast::access {
namespace {

using crypto::KeyUse;
using Listed = std::map<std::pair<std::string, std::string>, std::int64_t>;

Bytes canonical(std::string_view domain, const Row& row) {
  Bytes out;
  put_part(out, domain);
  put_part(out, row.kind);
  put_part(out, row.id);
  put_u64(out, static_cast<std::uint64_t>(row.version));
  put_part(out, row.content);
  return out;
}

crypto::Digest mac_of(const Row& row, const crypto::Hmac& key) {
  return key.mac(canonical("holdfast authority row", row));
}

/// The MAC keys that the rows need, each absorbed once.
class MacKeys {
 public:
  explicit MacKeys(const crypto::Keyring& keys) : keys_(keys) {}

  bool fits(const Row& row) {
    auto at = states_.find(row.mac_key);
    if (at == states_.end()) {
      const auto* key = keys_.find(KeyUse::authority, row.mac_key);
      if (key == nullptr) return false;
      at = states_.emplace(row.mac_key, crypto::Hmac(key->expose())).first;
    }
    return equal_constant_time(mac_of(row, at->second), row.mac);
  }

 private:
  const crypto::Keyring& keys_;
  std::map<std::uint32_t, crypto::Hmac> states_;
};

/// One line a row: kind, id and version.
std::string write_manifest(const Listed& listed) {
  std::string out;
  for (const auto& [row, version] : listed)
    out += row.first + ' ' + row.second + ' ' + std::to_string(version) + '\n';
  return out;
}

std::optional<Listed> read_manifest(std::string_view text) {
  Listed out;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    const auto first = line.find(' '), second = line.find(' ', first + 1);
    if (line.size() == text.size() || first == line.npos || second == line.npos)
      return std::nullopt;
    const auto digits = line.substr(second + 1);
    std::int64_t version = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), version);
    if (error != std::errc() || end != digits.end()) return std::nullopt;
    out.emplace(std::pair(line.substr(0, first), line.substr(first + 1, second - first - 1)),
                version);
    text.remove_prefix(line.size() + 1);
  }
  return out;
}

}  // namespace

Authority check(std::vector<Row> rows, const crypto::Keyring& keys, std::int64_t at_least) {
  Authority out;
  if (rows.empty() && at_least == 0) return out;
  MacKeys macs(keys);
  out.highest = at_least;
  for (const auto& row : rows) out.highest = std::max(out.highest, row.version);

  auto broken = [&](std::string_view what) {
    out.manifest_intact = false;
    out.findings.push_back({std::string(kManifest), "", what});
  };
  auto manifest = std::ranges::find(rows, kManifest, &Row::kind);
  if (manifest == rows.end()) {
    broken("missing");
  } else if (auto listed = read_manifest(manifest->content); !listed || !macs.fits(*manifest)) {
    broken("changed");
  } else if (manifest->version < at_least) {
    broken("rolled_back");
  } else {
    out.version = manifest->version;
    out.listed = std::move(*listed);
  }

  auto missing = out.listed;
  for (auto& row : rows) {
    if (row.kind == kManifest) continue;
    const auto at = out.listed.find({row.kind, row.id});
    missing.erase({row.kind, row.id});
    if (!macs.fits(row))
      out.findings.push_back({row.kind, row.id, "changed"});
    else if (at == out.listed.end() && out.manifest_intact)
      out.findings.push_back({row.kind, row.id, "unlisted"});
    else if (at != out.listed.end() && at->second != row.version)
      out.findings.push_back({row.kind, row.id, "replaced"});
    else if (at != out.listed.end())
      out.rows.push_back(std::move(row));
  }
  for (const auto& [row, version] : missing)
    out.findings.push_back({row.first, row.second, "missing"});
  std::ranges::sort(out.rows, {}, [](const Row& row) { return std::tie(row.kind, row.id); });
  return out;
}

crypto::Digest digest_of(const Row& row, const crypto::KeySet& keys) {
  return keys.digest.mac(canonical("holdfast authority digest", row));
}

Row Edit::sealed(std::string_view kind, std::string id, std::string content) const {
  Row out{.kind = std::string(kind),
          .id = std::move(id),
          .version = version(),
          .content = std::move(content),
          .mac_key = keys_.ring.active_id(KeyUse::authority)};
  const auto mac = mac_of(out, crypto::Hmac(keys_.ring.active(KeyUse::authority).expose()));
  out.mac.assign(mac.begin(), mac.end());
  return out;
}

void Edit::touch(std::string_view kind, std::string_view id, crypto::Digest left) {
  done_.touches.push_back({.kind = kind, .row = to_bytes(id), .left = left});
}

void Edit::put(std::string_view kind, std::string id, std::string content) {
  auto row = sealed(kind, std::move(id), std::move(content));
  listed_[{row.kind, row.id}] = row.version;
  touch(kind, row.id, digest_of(row, keys_));
  done_.put.push_back(std::move(row));
}

void Edit::remake(const Row& row) {
  auto out = row;
  out.mac_key = keys_.ring.active_id(KeyUse::authority);
  const auto mac = mac_of(out, crypto::Hmac(keys_.ring.active(KeyUse::authority).expose()));
  out.mac.assign(mac.begin(), mac.end());
  const auto digest = digest_of(out, keys_);  // does not cover the MAC
  done_.touches.push_back(
      {.kind = row.kind, .row = to_bytes(row.id), .left = digest, .was = digest});
  done_.put.push_back(std::move(out));
}

void Edit::remove(std::string_view kind, std::string id) {
  listed_.erase({std::string(kind), id});
  touch(kind, id, {});
  done_.removed.emplace_back(kind, std::move(id));
}

Edit::Done Edit::done() && {
  done_.old_version = before_.version;
  done_.manifest = sealed(kManifest, "", write_manifest(listed_));
  touch(kManifest, "", digest_of(done_.manifest, keys_));
  return std::move(done_);
}

Authority start_over(const Authority& broken) {
  Authority out;
  out.version = broken.highest;
  return out;
}

}  // namespace holdfast::access
