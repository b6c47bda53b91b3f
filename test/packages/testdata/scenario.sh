# What an administrator does with the package, in a fresh Debian without a network. Each step says what it proves.
set -euo pipefail
mount -t proc proc /proc
ip link set lo up
hostname mail.debian.example
echo "127.0.0.1 localhost mail.debian.example" >/etc/hosts
cd /root

. /root/lib.sh
server_log() { tail -n 30 /root/server.log 2>/dev/null || true; }

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
say "install"
dpkg -i old.deb
getent passwd postrider | grep -q nologin || die "no user"
[ "$(stat -c '%U %a' /var/lib/postrider)" = "postrider 711" ] || die "data folder: $(stat -c '%U %a' /var/lib/postrider)"
[ "$(stat -c '%G %a' /etc/postrider/postrider.toml)" = "postrider 640" ] || die "configuration: $(stat -c '%G %a' /etc/postrider/postrider.toml)"
for name in /usr/sbin/sendmail /usr/bin/mailq /usr/bin/newaliases /usr/lib/sendmail /usr/sbin/postqueue /usr/sbin/postsuper /usr/sbin/postcat /usr/sbin/qshape /usr/sbin/postconf /usr/sbin/postfix /usr/sbin/postmap /usr/sbin/postalias; do
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
curl -s --cacert /var/lib/postrider/tls/ca.pem --user carol@debian.example:"horse battery" pop3s://localhost/1 >fetched.eml
grep -q "Subject: by" fetched.eml || die "POP3: $(cat fetched.eml)"
mailq | grep -q "Mail queue is empty" || die "mailq: $(mailq)"
postqueue -p | grep -q "Mail queue is empty" || die "postqueue: $(postqueue -p)"
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
for name in /usr/bin/postrider /usr/sbin/sendmail /usr/bin/mailq /usr/sbin/postqueue /usr/lib/sendmail /lib/systemd/system/postrider.service; do
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

# systemd does not run here; what stands for it notes what it is told, and that the server is up, or is not.
says_told() { grep -q "$1" systemctl.log || die "systemd was not told to $1: $(cat systemctl.log)"; }
mkdir -p /run/systemd/system
cat >/usr/bin/systemctl <<'END'
#!/bin/sh
echo "$*" >>/root/systemctl.log
case "$*" in
*is-enabled*) echo enabled ;;
*is-active*) test -e /root/active ;;
*try-restart*) ;;
*start\ postrider.service*) touch /root/active ;;
*stop*) rm -f /root/active ;;
esac
END
chmod 755 /usr/bin/systemctl

say "systemd: the server is started, and again at an upgrade; the helper's socket before it"
dpkg -i old.deb
[ -e active ] || die "not started"
says_told "start postrider-helper.socket"
: >systemctl.log
dpkg -i new.deb
says_told "restart postrider.service"
says_told "try-restart postrider-helper.service"

say "systemd: removed and installed again, it runs again"
: >systemctl.log
dpkg -r postrider
[ ! -e active ] || die "it runs after its removal"
says_told "stop.* postrider.socket" # it would start the server again
dpkg -i new.deb
[ -e active ] || die "not started after a removal"

say "a removal that is called off takes nothing away"
/var/lib/dpkg/info/postrider.prerm remove
[ ! -e /usr/sbin/sendmail ] || die "prerm has left sendmail"
/var/lib/dpkg/info/postrider.postinst abort-remove
for name in /usr/sbin/sendmail /usr/bin/mailq /usr/bin/newaliases /usr/lib/sendmail; do
	[ "$(readlink -f $name)" = /usr/bin/postrider ] || die "$name leads to $(readlink -f $name)"
done
[ -e active ] || die "not started again"
dpkg -P postrider
rm -rf /run/systemd /usr/bin/systemctl

say "a link that leads nowhere is no obstacle"
ln -s ../sbin/nothing /usr/lib/sendmail
dpkg -i new.deb
[ "$(readlink -f /usr/lib/sendmail)" = /usr/bin/postrider ] || die "/usr/lib/sendmail leads to $(readlink -f /usr/lib/sendmail)"
dpkg -P postrider

say "beside a mail system that no package brought: its sendmail stays, whether a file or a link, before and after"
printf '#!/bin/sh\necho other\n' >/usr/local/bin/other && chmod 755 /usr/local/bin/other
for how in "cp" "ln -s"; do
	$how /usr/local/bin/other /usr/sbin/sendmail
	dpkg -i new.deb >install.log
	grep -q "/usr/sbin/sendmail belongs to another mail system" install.log || die "$(cat install.log)"
	[ "$(/usr/sbin/sendmail)" = other ] || die "the other's sendmail was replaced ($how)"
	dpkg -P postrider
	[ "$(/usr/sbin/sendmail)" = other ] || die "the other's sendmail was removed ($how)"
	rm /usr/sbin/sendmail
done

say "beside another package that is a mail transport agent: one of the two, as everywhere in Debian"
mkdir -p other/DEBIAN
printf '%s\n' "Package: other" "Version: 1" "Architecture: all" "Maintainer: nobody <nobody@debian.example>" "Description: other" \
	"Provides: mail-transport-agent" "Conflicts: mail-transport-agent" >other/DEBIAN/control
dpkg-deb -b other other.deb
dpkg -i other.deb
if dpkg -i new.deb 2>install.log; then die "installed beside another mail transport agent"; fi
grep -q "conflicts with mail-transport-agent" install.log || die "$(cat install.log)"
say "done"
