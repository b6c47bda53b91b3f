#!/bin/bash
# Builds postrider_VERSION_ARCH.deb, in bin/ or in another folder, from bin/postrider, which `make build` has made. It needs dpkg-deb and gzip, no
# debhelper and no root. The same commit gives the same bytes: times are the commit's (SOURCE_DATE_EPOCH), owners root's.
#
#   packaging/deb/build.sh [VERSION [FOLDER]]
set -euo pipefail
umask 022
cd "$(dirname "$0")/../.."
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
arch=$(dpkg --print-architecture)

# A Debian version begins with a digit: a tag v1.2.3 gives 1.2.3, a bare commit sorts before every release and by time.
default_version() {
	local described
	described=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
	case $described in
	v[0-9]*) described=${described#v}; echo "${described//-/+}" ;;
	*) echo "0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S)+${described//-/.}" ;;
	esac
}
# third_party prints the licence of every module that is in the program.
third_party() {
	local module version dir
	go version -m bin/postrider | awk '$1 == "dep" { print $2, $3 }' | while read -r module version; do
		dir=$(go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p')
		echo "== $module $version"
		cat "$dir"/LICENSE* "$dir"/LICENCE* "$dir"/COPYING* "$dir"/NOTICE* 2>/dev/null || true
		echo
	done
}
version=${1:-$(default_version)}
[ -x bin/postrider ] || { echo "there is no bin/postrider; make build makes it" >&2; exit 66; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
put() { install -D -m "$1" "$2" "$root$3"; } # mode, file, place

put 755 bin/postrider /usr/bin/postrider
for program in sendmail mailq newaliases postqueue postsuper postcat qshape postconf postfix postmap postalias; do # what update-alternatives points at (postinst)
	install -d "$root/usr/lib/postrider"
	ln -s ../../bin/postrider "$root/usr/lib/postrider/$program"
done
for unit in packaging/systemd/*.service packaging/systemd/*.socket; do
	put 644 "$unit" "/lib/systemd/system/$(basename "$unit")"
done
put 644 packaging/systemd/postrider.sysusers /usr/lib/sysusers.d/postrider.conf
put 644 packaging/systemd/postrider.tmpfiles /usr/lib/tmpfiles.d/postrider.conf

install -d "$root/etc/postrider"
bin/postrider config default >"$root/etc/postrider/postrider.toml"
chmod 640 "$root/etc/postrider/postrider.toml"

doc=/usr/share/doc/postrider
for page in README.md docs/*.md; do put 644 "$page" "$doc/$(basename "$page")"; done
put 644 packaging/deb/copyright "$doc/copyright"
put 644 LICENSE "$doc/LICENSE"
third_party >"$root$doc/third-party-licenses"
gzip -9n "$root$doc/third-party-licenses"

install -d "$root/usr/share/man"
bin/postrider man "$root/usr/share/man" >/dev/null
for page in "$root"/usr/share/man/*.[1-8] packaging/man/*.[1-8]; do
	section=${page##*.}
	install -D -m 644 "$page" "$root/usr/share/man/man$section/$(basename "$page")"
done
rm -f "$root"/usr/share/man/*.[1-8]
gzip -9n "$root"/usr/share/man/man*/*

install -d "$root/DEBIAN"
for script in preinst postinst prerm postrm; do
	if [ -e packaging/deb/$script ]; then install -m 755 packaging/deb/$script "$root/DEBIAN/$script"; fi
done
echo /etc/postrider/postrider.toml >"$root/DEBIAN/conffiles"
(cd "$root" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
size=$(du -sk --apparent-size "$root" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/" packaging/deb/control >"$root/DEBIAN/control"

find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
deb=${2:-bin}/postrider_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz -b "$root" "$deb" >/dev/null
echo "$deb"
