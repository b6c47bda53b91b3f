# The package under systemd, as on a real machine: units, sandbox, socket activation, helper. Without a network.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
cd /root
. /root/lib.sh
server_log() { journalctl -q --no-pager -u 'postrider*' -n 60 || true; systemctl --no-pager status 'postrider*' || true; }

ready() {
	for _ in $(seq 300); do
		if [ "$(systemctl is-active postrider)" = active ]; then return; fi
		sleep 0.1
	done
	die "the service is $(systemctl is-active postrider)"
}
pid() { systemctl show -P MainPID postrider; }
restart() { systemctl restart postrider || die "restart: $?"; }

hostname mail.debian.example
echo "127.0.0.1 localhost mail.debian.example" >/etc/hosts

say "installed is started"
dpkg -i old.deb
ready
[ "$(stat -c %U /proc/"$(pid)")" = postrider ] || die "it runs as $(stat -c %U /proc/"$(pid)")"
grep -q '^Seccomp:.2' /proc/"$(pid)"/status || die "no filter of system calls"
if journalctl -q --no-pager -u postrider | grep -q "not confined"; then die "no Landlock"; fi
grep -q '^CapEff:.0000000000000400' /proc/"$(pid)"/status || die "$(grep Cap /proc/"$(pid)"/status)"
[ "$(stat -c '%U %a' /var/lib/postrider /run/postrider | sort -u)" = "postrider 711" ] || die "$(stat -c '%n %U %a' /var/lib/postrider /run/postrider)"
[ "$(systemctl is-enabled postrider)" = enabled ] || die "not enabled"

say "configured, reloaded, used"
sed -i '1i domain = "debian.example"' /etc/postrider/postrider.toml
restart
echo "horse battery" | postrider account add carol@debian.example --password-stdin
printf 'Subject: by smtp\r\n\r\nhello\r\n' >mail.eml
curl -s --ssl-reqd --cacert /var/lib/postrider/tls/ca.pem smtp://localhost:587 --user carol@debian.example:"horse battery" \
	--mail-from carol@debian.example --mail-rcpt carol@debian.example -T mail.eml || die "submission: $?"
wanted "by smtp" 1
useradd -m ordinary
printf 'To: carol@debian.example\nSubject: by sendmail\n\nhello\n' | su ordinary -c '/usr/sbin/sendmail -t -i' || die "sendmail: $?"
wanted "by sendmail" 1
before=$(pid)
systemctl reload postrider || die "reload: $?"
[ "$(pid)" = "$before" ] && [ "$(systemctl is-active postrider)" = active ] || die "a reload ended it"
echo 'hostnam = "typo"' >>/etc/postrider/postrider.toml
systemctl reload postrider || true
[ "$(pid)" = "$before" ] || die "a wrong configuration ended the server"
sed -i '$d' /etc/postrider/postrider.toml

say "upgraded is started again"
dpkg -i new.deb
ready
[ "$(pid)" != "$before" ] || die "the old program still runs"
wanted "by sendmail" 1

say "killed comes back, with what it had"
before=$(pid)
kill -KILL "$before"
for _ in $(seq 100); do
	if [ "$(pid)" != "$before" ] && [ "$(pid)" != 0 ]; then break; fi
	sleep 0.1
done
ready
wanted "by smtp" 1

say "socket activation: systemd holds port 25 while nothing runs"
systemctl stop postrider
systemctl start postrider.socket || die "socket: $?"
[ "$(systemctl is-active postrider)" != active ] || die "it is active already"
printf 'Subject: activated\r\n\r\nhello\r\n' >mail.eml
curl -s smtp://localhost:25 --mail-from x@far.example --mail-rcpt carol@debian.example -T mail.eml || die "activation: $?"
ready
wanted "activated" 1
systemctl stop postrider.socket postrider
systemctl start postrider || die "start: $?"

say "the helper checks the password of a system user"
sed -i -e '/^\[helper\]/,/^\[/ s/^#enabled = .*/enabled = true/' -e '/^\[auth\]/,/^\[/ s/^#system = .*/system = "shadow"/' /etc/postrider/postrider.toml
postrider config check || die "config check"
systemctl enable -q --now postrider-helper.socket || die "helper: $?"
restart
useradd -m dora
echo "dora:correct staple" | chpasswd
postrider account add dora@debian.example --system || die "account of a system user"
curl -s --cacert /var/lib/postrider/tls/ca.pem --user dora@debian.example:"correct staple" imaps://localhost/ >/dev/null || die "login of a system user: $?"
if curl -s --cacert /var/lib/postrider/tls/ca.pem --user dora@debian.example:"wrong staple" imaps://localhost/ >/dev/null; then die "a wrong password"; fi
[ "$(systemctl is-active postrider-helper)" = active ] || die "the helper was not started"

say "no call was refused"
if journalctl -q --no-pager -u 'postrider*' | grep -i -E 'operation not permitted|SIGSYS|permission denied'; then die "refused"; fi

say "removed is stopped"
before=$(pid)
dpkg -r postrider
if kill -0 "$before" 2>/dev/null; then die "it still runs"; fi
[ -f /var/lib/postrider/store.db ] || die "the mail is gone"
dpkg -P postrider
[ ! -e /etc/postrider/postrider.toml ] && [ -f /var/lib/postrider/store.db ] || die "purge"
say "done"
