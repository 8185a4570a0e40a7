// EventLines and percent_encoded of client.h.
#include <algorithm>

#include "http/client.h"

namespace holdfast::http {

bool EventLines::operator()(std::string_view bytes) {
  constexpr std::size_t kLongest = 1 << 20;
  rest_ += bytes;
  std::size_t from = 0;
  for (auto end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', from)) {
    auto text = std::string_view(rest_).substr(from, end - from);
    if (text.ends_with('\r')) text.remove_suffix(1);
    from = end + 1;
    if (!line(text)) return false;
  }
  rest_.erase(0, from);
  return rest_.size() <= kLongest && event_.data.size() <= kLongest;
}

bool EventLines::line(std::string_view text) {
  if (text.empty()) {
    bool go_on = !has_data_ || on_event_(event_);
    event_ = {.event = "message", .id = event_.id, .data = {}};
    has_data_ = false;
    return go_on;
  }
  auto colon = std::min(text.find(':'), text.size());
  auto name = text.substr(0, colon);
  auto value = text.substr(std::min(colon + 1, text.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    if (std::exchange(has_data_, true)) event_.data += '\n';
    event_.data += value;
  } else if (name == "event") {
    event_.event = value;
  } else if (name == "id") {
    event_.id = value;
  }
  return true;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '.' || c == '_' || c == '~';
    if (unreserved)
      out += c;
    else
      ((out += '%') += kHex[byte >> 4]) += kHex[byte & 15];
  }
  return out;
}

}  // namespace holdfast::http
