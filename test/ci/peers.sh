#!/bin/bash
# Installs the packages of test/peers.txt that are missing, in one apt transaction, with no service started; with
# POSTRIDER_LONG=1 those of test/peers-long.txt too.
# With arguments: only the packages that they name.
# As an ordinary user it only says what is missing: the tests that need it are then named skips.
set -euo pipefail
cd "$(dirname "$0")/../.."

lists=(test/peers.txt)
if [ "${POSTRIDER_LONG:-}" = 1 ]; then lists+=(test/peers-long.txt); fi
wanted=("$@")
if [ ${#wanted[@]} -eq 0 ]; then read -r -d '' -a wanted < <(sed 's/#.*//' "${lists[@]}" && printf '\0'); fi
missing=()
for p in "${wanted[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
	echo "peers: all installed"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "peers: not root; missing: ${missing[*]}"
	exit 0
fi

# A policy-rc.d that answers 101 keeps maintainer scripts from starting daemons; the machine's own one comes back after.
policy=/usr/sbin/policy-rc.d
saved=
restore() {
	rm -f "$policy"
	if [ -n "$saved" ]; then mv "$saved" "$policy"; fi
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
	saved=$(mktemp "$policy.XXXXXX")
	mv "$policy" "$saved"
fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

# Postfix asks for its kind of site unless told; the tests bring their own configuration.
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -q -y -o DPkg::Lock::Timeout=900 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)
log=$(mktemp)
"${apt[@]}" update >"$log" 2>&1 || { cat "$log"; exit 1; }
if command -v debconf-set-selections >/dev/null; then
	echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
fi
"${apt[@]}" install --no-install-recommends "${missing[@]}" >"$log" 2>&1 || { cat "$log"; exit 1; }
rm -f "$log"
echo "peers: installed ${missing[*]}"
