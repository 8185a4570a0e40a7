#include "vault/keys/share_files.h"

namespace holdfast::vault {

namespace fs = std::filesystem;

Result<SetSize> set_size(std::optional<std::int64_t> needed, std::optional<std::int64_t> total,
                         std::uint8_t usual_needed, std::uint8_t usual_total) {
  auto n = total.value_or(usual_total);
  auto k = needed.value_or(std::min<std::int64_t>(usual_needed, n));
  if (k < 2 || k > n || n > 16)
    return Error(Code::invalid, "at least 2 and at most all of up to 16 shares are needed")
        .at("needed");
  return SetSize{static_cast<std::uint8_t>(k), static_cast<std::uint8_t>(n)};
}

crypto::Share copy_of(const crypto::Share& share) {
  return {share.store_id, share.set_id,    share.needed,    share.total,
          share.number,   share.y.clone(), share.commitment};
}

NewShare text_of(const crypto::Share& share) {
  auto text = crypto::format_share(share);
  NewShare out{share.number, Secret::copy(text)};
  wipe(text);
  return out;
}

Result<std::vector<crypto::Share>> parse_shares(std::span<const Secret> texts) {
  std::vector<crypto::Share> out;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto share = crypto::parse_share(texts[i].expose_text());
    if (!share) return std::move(share).error().at(FieldPath("shares")[i]);
    out.push_back(std::move(*share));
  }
  return out;
}

Result<NewShares> write_set(const fs::path& dir, std::string_view kind,
                            std::span<const crypto::Share> shares) {
  const auto& first = shares.front();
  NewShares out{.set = hex(first.set_id), .needed = first.needed, .total = first.total};
  auto files = crypto::write_shares(dir / (std::string(kind) + '-' + out.set), shares, kind);
  if (!files) return std::move(files).error();
  for (const auto& file : *files) out.files.push_back(file.string());
  return out;
}

void remove_set(const NewShares& set) {
  std::error_code ignored;
  for (const auto& file : set.files) fs::remove(file, ignored);
  if (!set.files.empty()) fs::remove(fs::path(set.files.front()).parent_path(), ignored);
}

bool holds_shares(const fs::path& dir) {
  std::error_code failed;
  auto at =
      fs::recursive_directory_iterator(dir, fs::directory_options::skip_permission_denied, failed);
  for (; !failed && at != fs::recursive_directory_iterator(); at.increment(failed)) {
    if (at.depth() > 1) at.disable_recursion_pending();
    auto name = at->path().filename().string();
    if (name.contains("-share-") && name.ends_with(".txt")) return true;
  }
  return false;
}

}  // namespace holdfast::vault
