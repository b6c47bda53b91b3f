# What both scenarios need.
say() { echo "== $*"; }
die() { echo "FAILED: $*"; server_log; exit 1; }

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
