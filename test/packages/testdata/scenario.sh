# What an administrator does with the package, in a fresh Debian without a network. Each step says what it proves.
set -euo pipefail
mount -t proc proc /proc
ip link set lo up
hostname mail.debian.example
echo "127.0.0.1 localhost mail.debian.example" >/etc/hosts
cd /root

say() { echo "== $*"; }
die() { echo "FAILED: $*"; tail -n 30 /root/server.log 2>/dev/null; exit 1; }

start() {
	postrider serve 2>>/root/server.log &
	server=$!
	for _ in $(seq 100); do
		if postrider status 2>/dev/null | grep -q imaps; then return; fi
		kill -0 $server 2>/dev/null || die "the server ended"
		sleep 0.1
	done
	die "the server did not become ready"
}
stop() {
	kill -TERM $server
	wait $server || die "the server ended with $?"
}
# messages prints how many messages with a subject are in carol's INBOX.
messages() {
	curl -s --cacert /var/lib/postrider/tls/ca.pem --user carol@debian.example:"horse battery" \
		"imaps://localhost/INBOX" -X "SEARCH SUBJECT \"$1\"" | tr -d '\r' | sed 's/^\* SEARCH//' | wc -w
}
wanted() { # subject, number
	for _ in $(seq 100); do
		if [ "$(messages "$1")" = "$2" ]; then return; fi
		sleep 0.1
	done
	die "$(messages "$1") messages with subject $1, not $2"
}

say "install"
dpkg -i old.deb
getent passwd postrider | grep -q nologin || die "no user"
[ "$(stat -c '%U %a' /var/lib/postrider)" = "postrider 711" ] || die "data folder: $(stat -c '%U %a' /var/lib/postrider)"
[ "$(stat -c '%G %a' /etc/postrider/postrider.toml)" = "postrider 640" ] || die "configuration: $(stat -c '%G %a' /etc/postrider/postrider.toml)"
for name in /usr/sbin/sendmail /usr/bin/mailq /usr/bin/newaliases /usr/lib/sendmail; do
	[ "$(readlink -f $name)" = /usr/bin/postrider ] || die "$name leads to $(readlink -f $name)"
done
[ -f /lib/systemd/system/postrider.service ] || die "no unit"
[ -f /usr/share/man/man1/postrider-account.1.gz ] && [ -f /usr/share/man/man5/postrider.toml.5.gz ] || die "no manual pages"
[ "$(find /var/lib/postrider -mindepth 1 | wc -l)" = 0 ] || die "files before the first start"

say "start with the configuration as it came, and one line of our own"
sed -i '1i domain = "debian.example"' /etc/postrider/postrider.toml
postrider config check
start
ps -o user= -p $server | grep -q '^postrid' || die "it runs as $(ps -o user= -p $server)"
[ "$(stat -c '%U' /var/lib/postrider/store.db)" = postrider ] || die "the store belongs to $(stat -c '%U' /var/lib/postrider/store.db)"

say "use"
echo "horse battery" | postrider account add carol@debian.example --password-stdin
printf 'Subject: by smtp\r\n\r\nhello\r\n' >mail.eml
curl -s --ssl-reqd --cacert /var/lib/postrider/tls/ca.pem smtp://localhost:587 --user carol@debian.example:"horse battery" \
	--mail-from carol@debian.example --mail-rcpt carol@debian.example -T mail.eml || die "submission: $?"
wanted "by smtp" 1
useradd -m ordinary
printf 'To: carol@debian.example\nSubject: by sendmail\n\nhello\n' | su ordinary -c '/usr/sbin/sendmail -t -i' || die "sendmail: $?"
wanted "by sendmail" 1
curl -s --cacert /var/lib/postrider/tls/ca.pem --user carol@debian.example:"horse battery" pop3s://localhost/1 | grep -q "Subject: by" || die "POP3"
mailq | grep -q "Mail queue is empty" || die "mailq: $(mailq)"
if newaliases; then :; else die "newaliases"; fi

say "upgrade while it runs; mail for a stopped server"
dpkg -i new.deb
dpkg-query -W postrider | grep -q '0\.0\.2' || die "version"
grep -q '^domain = "debian.example"' /etc/postrider/postrider.toml || die "the configuration was overwritten"
stop
printf 'To: carol@debian.example\nSubject: while down\n\nhello\n' | su ordinary -c '/usr/sbin/sendmail -t -i' || die "sendmail while down: $?"
start
wanted "by smtp" 1
wanted "by sendmail" 1
wanted "while down" 1
stop

say "remove: the program goes, mail and configuration stay"
dpkg -r postrider
for name in /usr/bin/postrider /usr/sbin/sendmail /usr/bin/mailq /usr/lib/sendmail /lib/systemd/system/postrider.service; do
	if [ -e $name ] || [ -L $name ]; then die "$name is still there"; fi
done
[ -f /etc/postrider/postrider.toml ] || die "the configuration is gone"
[ -f /var/lib/postrider/store.db ] || die "the mail is gone"

say "install again: everything is as it was"
dpkg -i new.deb
start
wanted "while down" 1
stop

say "purge: the configuration goes, mail stays"
dpkg -P postrider
[ ! -e /etc/postrider/postrider.toml ] || die "the configuration is still there"
[ -f /var/lib/postrider/store.db ] || die "the mail is gone"

say "beside another mail system: its sendmail stays"
mkdir -p /usr/sbin && printf '#!/bin/sh\necho other\n' >/usr/sbin/sendmail && chmod 755 /usr/sbin/sendmail
dpkg -i new.deb >install.log
grep -q "/usr/sbin/sendmail belongs to another mail system" install.log || die "$(cat install.log)"
[ "$(/usr/sbin/sendmail)" = other ] || die "the other's sendmail was replaced"
say "done"
