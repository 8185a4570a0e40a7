// The chunked transfer coding (RFC 9112 section 7.1), read strictly: CRLF only, plain hexadecimal
// sizes, extensions dropped unread but bounded, and trailers too unless they are asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::http {

/// A step into a body: how many bytes to drop from the front, and what of them is body.
struct BodyStep {
  std::size_t used = 0;
  std::string_view body{};
};

class ChunkReader {
 public:
  ChunkReader() = default;
  explicit ChunkReader(bool keep_trailer) : keep_trailer_(keep_trailer) {}

  /// Looks at all that has arrived and was not used yet. A step that used nothing needs more bytes;
  /// nullopt: the coding is broken, and nothing after it can be trusted.
  std::optional<BodyStep> step(std::string_view bytes);
  bool done() const { return state_ == State::done; }
  /// The trailer's lines, each ended by LF; at most 8 KiB.
  const std::string& trailer() const { return trailer_; }

 private:
  enum class State { size, data, data_end, trailer, done };

  std::optional<BodyStep> line(std::string_view bytes);
  bool size_line(std::string_view text);
  bool trailer_line(std::string_view text);

  State state_ = State::size;
  std::uint64_t left_ = 0;  // of the chunk
  std::size_t trailer_bytes_ = 0;
  bool keep_trailer_ = false;
  std::string trailer_;
};

}  // namespace holdfast::http
