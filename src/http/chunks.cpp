#include "http/chunks.h"

#include <algorithm>
#include <charconv>

namespace holdfast::http {
namespace {

constexpr std::size_t kLongestLine = 1024;
constexpr std::size_t kMostTrailer = 8 * 1024;
constexpr std::size_t kMostDigits = 15;  // less than 2^60: no size overflows

}  // namespace

std::optional<BodyStep> ChunkReader::step(std::string_view bytes) {
  switch (state_) {
    case State::done:
      return BodyStep{};
    case State::data: {
      auto piece = bytes.substr(0, std::min<std::uint64_t>(left_, bytes.size()));
      left_ -= piece.size();
      if (left_ == 0) state_ = State::data_end;
      return BodyStep{piece.size(), piece};
    }
    case State::data_end:
      if (!std::string_view("\r\n").starts_with(bytes.substr(0, 2))) return std::nullopt;
      if (bytes.size() < 2) return BodyStep{};
      state_ = State::size;
      return BodyStep{2};
    case State::size:
    case State::trailer:
      return line(bytes);
  }
  return std::nullopt;
}

std::optional<BodyStep> ChunkReader::line(std::string_view bytes) {
  auto end = bytes.substr(0, kLongestLine).find('\n');
  auto text = bytes.substr(0, std::min(end, kLongestLine));
  bool whole = end != std::string_view::npos;
  if (whole && !text.ends_with('\r')) return std::nullopt;
  if (!whole && bytes.size() >= kLongestLine) return std::nullopt;
  if (!whole) return BodyStep{};
  text.remove_suffix(1);
  bool clean = std::ranges::none_of(text, [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
  if (!clean) return std::nullopt;
  if (!(state_ == State::size ? size_line(text) : trailer_line(text))) return std::nullopt;
  return BodyStep{end + 1};
}

bool ChunkReader::size_line(std::string_view text) {
  auto digits = text.substr(0, text.find(';'));
  if (digits.empty() || digits.size() > kMostDigits) return false;
  auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), left_, 16);
  if (bad != std::errc() || end != digits.data() + digits.size()) return false;
  state_ = left_ == 0 ? State::trailer : State::data;
  return true;
}

bool ChunkReader::trailer_line(std::string_view text) {
  if (text.empty()) {
    state_ = State::done;
    return true;
  }
  trailer_bytes_ += text.size();
  auto colon = text.find(':');
  bool good = trailer_bytes_ <= kMostTrailer && colon != 0 && colon != std::string_view::npos &&
              text.substr(0, colon).find_first_of(" \t") == std::string_view::npos;
  if (good && keep_trailer_) (trailer_ += text) += '\n';
  return good;
}

}  // namespace holdfast::http
