#!/usr/bin/env bash
# tools/run starts a shop, and each of the five things that it proposes does what it says. The second
# start finds everything in place.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${HOLDFAST_BIN:=$PWD/build/asan/holdfast}"
export HOLDFAST_BIN
work=$(mktemp -d)
export HOLDFAST_VAR=$work/var
shop=
cleanup() {
  [[ -n $shop ]] && kill -TERM "$shop" 2>/dev/null && wait "$shop"
  rm -rf "$work"
}
trap cleanup EXIT

# start: until everything is printed, at most a minute.
start() {
  tools/run >"$work/said" 2>&1 &
  shop=$!
  for _ in $(seq 600); do
    grep -q 'proof verify' "$work/said" && return
    kill -0 "$shop" 2>/dev/null || break
    sleep 0.1
  done
  echo "FAIL the sample shop starts"
  cat "$work/said"
  exit 1
}

check() {
  local name=$1 pattern=$2 said=$3
  if grep -qE -- "$pattern" <<<"$said"; then
    echo "PASS $name"
  else
    echo "FAIL $name"
    echo "$said"
  fi
}

start
check "the sample shop starts" '^Holdfast is ready at https://127\.0\.0\.1:' "$(cat "$work/said")"
check "broken rows are named" '^ +19[0-9][0-9] customers are in; [0-9]+ broken rows' "$(cat "$work/said")"

# The commands as a newcomer would copy them, each with what it printed and its exit status.
commands=$(sed -n 's/^  \([^# ].*\)/\1/p' "$work/said" | grep -v 'customers are in')
said=$(bash -c "$(while IFS= read -r line; do
  printf '%s\necho "[exit $?]"\n' "$line"
done <<<"$commands")" 2>&1)

check "1. found, and masked" '"email":"[^"]*•' "$said"
check "2. opened" '"values":\{"email":"[^"•]*@example' "$said"
check "3. refused" 'forbidden' "$said"
check "4. who opened what" '"operation":"records.reveal".*"fields":\["email","phone"\]' "$said"
check "5. erased" '"erased":\["account"\]' "$said"
check "5. and proved" '^This stands in the log: .*subjects.erase' "$said"
check "one command is refused, none fails otherwise" '^0 0 0 3 0 0 0 0 $' \
  "$(sed -n 's/^\[exit \(.*\)\]$/\1/p' <<<"$said" | tr '\n' ' ')"

kill -TERM "$shop"
wait "$shop" && echo "PASS it stops when told to" || echo "FAIL it stops when told to"
first=$(grep -o 'ext:[0-9]*' "$work/said" | head -n 1)
start
check "the second start loads nothing" '^0$' "$(grep -c 'Loading' "$work/said")"
check "and proposes a customer who was not erased" '^ext:' \
  "$(grep -o 'ext:[0-9]*' "$work/said" | head -n 1 | grep -vx "$first")"
log=$HOLDFAST_VAR/shop.log
before=$(cat "$log")
said=$(tools/run 2>&1)
check "a start beside it is refused" 'another (process|Holdfast)' "$said"
[[ $(cat "$log") == "$before"* ]] && echo "PASS and leaves the log of the one that runs" ||
  echo "FAIL and leaves the log of the one that runs"
