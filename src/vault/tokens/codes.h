// Card verification codes (PCI DSS 4.0.1, 3.3.1.2): held in locked memory of this node alone, for
// 15 minutes, to be read once. Never on disk, in swap or in a core file: a restart forgets them.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::vault {

inline constexpr Millis kCodeLife{15 * 60'000};

/// Threads: safe.
class Codes {
 public:
  struct Held {
    SubjectId subject;
    std::uint32_t collection = 0;
    std::uint16_t field = 0;
    Secret code;
    Time until{};
    MonoTime mono_until{};
  };
  /// What may be known of a code without reading it.
  struct About {
    SubjectId subject;
    std::uint32_t collection = 0;
    std::uint16_t field = 0;
    Uuid id{};
  };

  /// `node` names this server in handles: letters, digits and dashes; other characters become
  /// dashes, and at most 32 are used.
  Codes(std::string_view node, const Clock& clock);

  /// Gives the handle, `cvc_<node>_<26 characters>`. Errors: exhausted (10,000 are held).
  Result<std::string> put(SubjectId subject, std::uint32_t collection, std::uint16_t field,
                          Secret code);
  /// nullopt: unknown, read before, or past its time.
  std::optional<About> look(std::string_view handle);
  /// The code, which is gone then.
  std::optional<Held> take(std::string_view handle);
  /// After a take that could not be recorded and was not shown. Its time goes on.
  void put_back(std::string_view handle, Held held);
  bool drop(std::string_view handle);

  /// Wipes what is past its time. Each call above does so for what it meets.
  void sweep();
  void clear();
  std::size_t size() const;

  const std::string& node() const { return node_; }
  /// The node that a handle names; nullopt when it is no handle.
  static std::optional<std::string_view> node_of(std::string_view handle);

 private:
  bool past(const Held& held) const;
  std::map<Uuid, Held>::iterator find(std::string_view handle);

  std::string node_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<Uuid, Held> held_;
};

}  // namespace holdfast::vault
