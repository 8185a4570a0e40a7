// Sets of shares on their way to people: as files in a folder of their own, and back as text.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "vault/keys/unlock_messages.h"

namespace holdfast::vault {

struct SetSize {
  std::uint8_t needed, total;
};
/// Errors: invalid (more needed than there are).
Result<SetSize> set_size(std::optional<std::int64_t> needed, std::optional<std::int64_t> total,
                         std::uint8_t usual_needed, std::uint8_t usual_total);

crypto::Share copy_of(const crypto::Share& share);
NewShare text_of(const crypto::Share& share);
/// Errors: invalid, the field names which of the texts.
Result<std::vector<crypto::Share>> parse_shares(std::span<const Secret> texts);

/// One file each in `dir/KIND-SET/`, mode 0600. Blocking. Errors: conflict, unavailable.
Result<NewShares> write_set(const std::filesystem::path& dir, std::string_view kind,
                            std::span<const crypto::Share> shares);
/// Takes those files and their folder away, as far as that goes. Blocking.
void remove_set(const NewShares& set);
/// Whether share files lie in the folder or right below it. Blocking.
bool holds_shares(const std::filesystem::path& dir);

}  // namespace holdfast::vault
