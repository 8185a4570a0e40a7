#!/usr/bin/env bash
# tools/check_layers refuses what src/layers.txt forbids, naming file, line and rule.
set -u
check=$(cd "$(dirname "$0")/../.." && pwd)/tools/check_layers
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

mkdir -p src/base src/crypto src/vault/records src/vault/tokens src/app
cat > src/layers.txt <<'LAYERS'
base:
crypto: base
vault: base crypto
vault/records: vault
vault/tokens: vault vault/records
app: base crypto vault
LAYERS
for header in base/id crypto/aead vault/types vault/records/store vault/tokens/store; do
  echo '#pragma once' > "src/$header.h"
done

# expect NAME PATTERN FILE TEXT: with TEXT in FILE the check must print PATTERN, or pass for "".
expect() {
  local name=$1 pattern=$2 file=$3 said
  printf '%b' "$4" > "$file"
  said=$("$check" src) && local passed=1 || local passed=
  rm "$file"
  if [[ -z $pattern && -n $passed ]] || [[ -n $pattern && -z $passed && $said == *"$pattern"* ]]; then
    echo "PASS $name"
  else
    echo "FAIL $name: $said"
  fi
}

expect "a room may include what is below it" "" \
  src/vault/policy.cpp '#include "vault/types.h"\n#include "crypto/aead.h"\n'
expect "a room may not include what is above it" "src/crypto/a.cpp:2: crypto may not include vault" \
  src/crypto/a.cpp '#include "base/id.h"\n#include "vault/types.h"\n'
expect "an inner room may include what its outer room may" "" \
  src/vault/records/a.cpp '#include "base/id.h"\n#include "vault/types.h"\n'
expect "inner rooms do not include each other unless listed" \
  "src/vault/records/a.cpp:1: vault/records may not include vault/tokens" \
  src/vault/records/a.cpp '#include "vault/tokens/store.h"\n'
expect "an outer room does not include its inner rooms" \
  "src/vault/a.cpp:1: vault may not include vault/records" \
  src/vault/a.cpp '#include "vault/records/store.h"\n'
expect "app may include inner rooms" "" src/app/a.cpp '#include "vault/tokens/store.h"\n'
expect "a file that does not exist is named" "src/app/a.cpp:1: no such file" \
  src/app/a.cpp '#include "store.h"\n'
expect "Beast is kept out of headers" "src/app/a.h:2: not in a header: <boost/beast/http.hpp>" \
  src/app/a.h '#pragma once\n#include <boost/beast/http.hpp>\n'
expect "only the journal may hold the writer" "src/vault/a.cpp:1: only the journal" \
  src/vault/a.cpp 'auto writer = database.take_writer();\n'
