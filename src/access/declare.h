// Checks what people write when they make roles and keys. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "access/messages.h"
#include "access/types.h"
#include "base/result.h"

namespace holdfast::access {

/// `records.reveal`, `records.*`, `*` or a single word such as `fill`.
bool is_permission(std::string_view text);

/// `staff:17`, `customer:4711`: [a-z]{1,32}:[A-Za-z0-9_.@-]{1,64}. Gives the kind; empty if not so.
std::string_view person_kind(std::string_view who);

/// An own role, without version and time. Errors: invalid, one per violation
/// (`grants[2].purposes`); permissions are unknown when `operations` lists what this server has
/// and they are not among it (empty: not checked). `before` is the role that it replaces, or
/// nullptr: a rule that was observed once is not observed for longer, nor again once it held.
Result<Role> declare_role(const PutRole& spec, std::span<const std::string> operations, Time now,
                          const Role* before = nullptr);

/// A key, without id, maker and version. Errors as above; that its roles exist is not looked at.
Result<ApiKey> declare_key(const CreateKey& spec, Time now,
                           std::span<const std::string> operations);

/// "30 days", or `otherwise`. Errors: invalid at `member`: no duration, or over `longest`.
Result<Millis> declared_span(const std::optional<std::string>& text, Millis otherwise,
                             Millis longest, std::string_view member);

}  // namespace holdfast::access
