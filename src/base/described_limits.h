// What a described member allows, said in the error that refuses a value.
#pragma once

#include "base/described.h"

namespace holdfast {

/// The error of parse_described with what is allowed in its text: `out of range: 1 to 500`,
/// `not one of the allowed values: low, high` (at most 20 of them), `not an id of this kind:
/// rec_...`. So are those in `also`. Others come back as they are. Only what the tables say gets
/// in, never a value (decision 0008). Cost: none but for what was refused. From any thread.
Error with_limits(const Type& type, Error error);

}  // namespace holdfast
