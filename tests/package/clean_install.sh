#!/usr/bin/env bash
# The package on a clean Debian 12: installs with nothing but its own dependencies, makes a store,
# serves it as the user `holdfast`, and leaves store and keys alone when it is purged.
#
#   tests/package/clean_install.sh PACKAGE.deb
set -euo pipefail

[[ $EUID -eq 0 ]] || exec sudo -- "$0" "$@"
package=$(realpath "${1:?usage: clean_install.sh PACKAGE.deb}")
cd "$(dirname "$0")/../.."
root=build/package-root
rm -rf "$root"
mkdir -p build
server=
cleanup() {
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$root"
}
trap cleanup EXIT

pass() { echo "PASS $*"; }
fail() {
  echo "FAIL $*"
  [[ -f $root.log ]] && tail -n 40 "$root.log"
  exit 1
}
inside() { tools/debian_root run "$root" "$@"; }
as_holdfast() { inside setpriv --reuid=holdfast --regid=holdfast --clear-groups "$@"; }

tools/debian_root make "$root"
cp "$package" "$root/tmp/holdfast.deb"
inside sh -ec 'apt-get -q update && apt-get -q install -y --no-install-recommends /tmp/holdfast.deb' \
  >"$root.log" 2>&1 || fail "the package installs on a clean machine"
pass "the package installs on a clean machine"

[[ $(inside holdfast version) == *"$(dpkg-deb -f "$package" Version)"* ]] ||
  fail "the program says the package's version"
pass "the program says the package's version"

inside stat -c '%U %a' /var/lib/holdfast /etc/holdfast | sort -u | grep -qx 'holdfast 700' ||
  fail "stores and keys belong to the user holdfast alone"
pass "stores and keys belong to the user holdfast alone"

key=$(as_holdfast holdfast init --dir /var/lib/holdfast/shop \
  --set keys.file=/etc/holdfast/shop/root.key --set recovery.dir=/etc/holdfast/shop/recovery \
  2>"$root.log") || fail "init makes a store with its key file apart"
[[ $key == hf_* && -f $root/etc/holdfast/shop/root.key ]] ||
  fail "init makes a store with its key file apart"
[[ -z $(find "$root/var/lib/holdfast/shop" "$root/etc/holdfast" -perm /077) ]] ||
  fail "init makes nothing that others can read"
pass "init makes a store with its key file apart"

port=$(python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
unit="$root/lib/systemd/system/holdfast@.service"
[[ -f $unit ]] || unit="$root/usr/lib/systemd/system/holdfast@.service"
read -ra command <<<"$(sed -n 's/^ExecStart=//p' "$unit" | sed 's/%i/shop/g')"
tools/debian_root run "$root" setpriv --reuid=holdfast --regid=holdfast --clear-groups \
  "${command[@]}" --listen "127.0.0.1:$port" >"$root.log" 2>&1 &
server=$!
for _ in $(seq 100); do
  grep -q '^Holdfast is ready at' "$root.log" && break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.1
done
grep -q '^Holdfast is ready at' "$root.log" || fail "the command of the unit serves"
pass "the command of the unit serves"

ask() {
  curl --silent --show-error --fail --max-time 10 \
    --cacert "$root/var/lib/holdfast/shop/ca.pem" "$@"
}
ask "https://127.0.0.1:$port/healthz" >/dev/null || fail "/healthz answers under the store's own CA"
pass "/healthz answers under the store's own CA"
ask -H "Authorization: Bearer $key" "https://127.0.0.1:$port/v1/collections" >/dev/null ||
  fail "the owner's key is let in"
pass "the owner's key is let in"

kill "$(cat "/proc/$server/task/$server/children")" # the server itself, inside
wait "$server" || fail "serve stops when it is told to"
server=
pass "serve stops when it is told to"

inside sh -ec 'DEBIAN_FRONTEND=noninteractive apt-get -q purge -y holdfast' >"$root.log" 2>&1 ||
  fail "purge leaves store and keys"
[[ -d $root/var/lib/holdfast/shop && -f $root/etc/holdfast/shop/root.key ]] ||
  fail "purge leaves store and keys"
pass "purge leaves store and keys"

dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root/tmp" ./lib/systemd/system ./usr/bin/holdfast
sed "s|^ExecStart=|&$PWD/$root/tmp|; s|^Assert.*||" "$root/tmp/lib/systemd/system/holdfast@.service" \
  >"$root/tmp/holdfast@shop.service"
if ! systemd-analyze verify --man=no "$root/tmp/holdfast@shop.service" >"$root.log" 2>&1 || [[ -s $root.log ]]; then
  fail "systemd takes every line of the unit"
fi
pass "systemd takes every line of the unit"
systemd-analyze security --offline=yes --threshold=20 "$root/tmp/holdfast@shop.service" \
  >"$root.log" 2>&1 || fail "the unit is hardened (systemd-analyze security, at most 2.0)"
pass "the unit is hardened (systemd-analyze security, at most 2.0)"
rm -f "$root.log"
