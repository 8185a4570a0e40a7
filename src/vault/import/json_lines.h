// JSON lines (one object a line), read from chunks of any size with flat memory. Strict JSON as in
// base/json.h. Empty lines are passed over; LF, CRLF; a byte order mark is taken.
//
// Refused, line by line: what is no object, broken or over-long JSON. Failed, as a whole: UTF-16,
// and one big JSON array, which is not lines.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "vault/import/row.h"

namespace holdfast::vault {

inline constexpr std::size_t kMaxJsonLine = 1 << 20;  // bytes

/// Memory: at most a line and a chunk, twice, and the parsed line. Threads: one at a time.
class JsonLinesReader {
 public:
  JsonLinesReader();
  ~JsonLinesReader();
  JsonLinesReader(JsonLinesReader&&) noexcept;
  JsonLinesReader& operator=(JsonLinesReader&&) = delete;

  /// The next bytes of the file; they are copied. To be called when next() asked for more.
  void feed(std::string_view bytes);
  /// There are no more bytes.
  void finish() { finished_ = true; }

  ReadEvent next();

  /// The line that next() gave. Valid until the next call of next().
  const boost::json::object& object() const;
  Place place() const { return {line_, 1}; }
  const Refusal& refusal() const { return refusal_; }
  /// Bytes of memory held for what was fed.
  std::size_t held() const { return buffer_.capacity(); }

 private:
  ReadEvent start();
  ReadEvent read(std::string_view line);
  ReadEvent refuse(std::string_view reason, ReadEvent event = ReadEvent::refused);

  std::string buffer_;
  std::size_t begin_ = 0;  // of the next line in buffer_
  std::size_t at_ = 0;     // looked for its end up to here
  std::uint64_t line_ = 0;
  bool finished_ = false, started_ = false, failed_ = false, skipping_ = false;
  std::unique_ptr<boost::json::value> value_;
  Refusal refusal_;
};

}  // namespace holdfast::vault
