#!/bin/bash
# Runs the stages that are named as arguments, in order, and prints what each took. A failed stage does not stop the
# ones after it (peers and build do): one run tells all that is wrong. Exit 1 if any failed.
#
# CRASH_SECONDS   how long the open-ended crash tests go on (60); CRASH_KILLS, CRASH_CUTS, CRASH_TORN instead count kills,
#                 power cuts in each test, damages of a torn record
# FUZZ_SECONDS    time for all fuzz targets together (60)
# TEST_TIMEOUT    limit for one test binary (10m)
# BENCH_QUICK     not empty: the short form of bench
# BENCH_ARGS      further flags of `mailbench compare` for bench
set -uo pipefail
cd "$(dirname "$0")/../.."
export CGO_ENABLED=0
export CRASH_SECONDS=${CRASH_SECONDS:-60} FUZZ_SECONDS=${FUZZ_SECONDS:-60}
timeout=${TEST_TIMEOUT:-10m}
module=$(go list -m)

# packages lists what unit tests run on: all but the stages that have a name of their own.
packages() { go list ./... | grep -v -E "^$module/test/(dialogue|interop|crash|crowd|bench|layering|packages|thunderbird)(/|$)"; }

# below runs `go test` on the packages under the given folders, if there are any yet.
below() {
	local dir=$1
	shift
	if [ -z "$(find "$dir" -name '*_test.go' -print -quit 2>/dev/null)" ]; then
		echo "no tests under $dir"
		return 0
	fi
	go test -timeout "$timeout" "$@" "./$dir/..."
}

# with runs a stage of tests of the built program, which its packages need not build each for themselves.
with() { make -s build && POSTRIDER_BIN=$PWD/bin/postrider "$@"; }

peers() { test/ci/peers.sh; }
build() { make -s build && go test -run '^$' ./... >/dev/null && mutants; }
# mutants are builds that lack one sync each; test/crash finds them out.
mutants() { for tag in nosync_pack nosync_packdir nosync_copies nosync_wal; do go build -tags $tag ./... || return 1; done; }
vet() { go vet ./... && (cd tools && go vet ./...); }
format() {
	local bad
	bad=$(gofmt -l $(git ls-files --cached --others --exclude-standard '*.go'))
	[ -z "$bad" ] || { echo "not gofmt'ed:"; echo "$bad"; return 1; }
}
staticcheck() { (cd tools && go build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck) && bin/staticcheck ./...; }
layering() { go test -count=1 ./test/layering; } # -count=1: its result depends on files the test cache does not see
docs() { (cd tools && go run ./rfccover -root .. -check ../docs/rfc-coverage.md); }
quick() { go test -short -shuffle=on -timeout 3m $(packages) && below test/dialogue -short; }
unit() { go test -shuffle=on -timeout "$timeout" $(packages) && (cd tools && go test ./...); }

# race runs the race detector, which needs cgo and gcc, over what does not link SQLite (14 times slower under it), and
# in the rest only over tests that say by their name that they use the memory store.
race() {
	local all plain linked
	all=$(go list -test -f '{{.ImportPath}} {{join .Deps " "}}' $(packages) | grep '^[^ ]*\.test ')
	plain=$(grep -v ' modernc.org/sqlite' <<<"$all" | sed 's/\.test .*//')
	linked=$(grep ' modernc.org/sqlite' <<<"$all" | sed 's/\.test .*//')
	CGO_ENABLED=1 go test -race -short -shuffle=on -timeout "$timeout" $plain || return 1
	[ -z "$linked" ] || CGO_ENABLED=1 go test -race -short -shuffle=on -timeout "$timeout" -run 'Memory' $linked || return 1
	# Where goroutines meet most: affordable in full, on the database in memory.
	CGO_ENABLED=1 go test -race -short -timeout "$timeout" ./internal/state/queue
}
dialogues() { with below test/dialogue -shuffle=on; }
interop() { with below test/interop -p 1 -v 2>&1 | test/ci/brief.sh; }
crash() { below test/crash -p 1 -v "$@" 2>&1 | test/ci/brief.sh figures; } # what was acknowledged, found, lost
order() { crash -run Order; }
powercut() { crash -run PowerCut; }
kill_() { crash -run Kill; }
crowds() { with below test/crowd -v 2>&1 | grep -v -E '^(=== |--- SKIP|    [a-z_]*.go:[0-9]*: long test)' && below test/bench/destinations -v; } # with the figures
crashes() { crash -skip 'Order|PowerCut|Kill'; }
fuzz() { test/ci/fuzz.sh; }
package() { below test/packages -v; }
thunderbird() { below test/thunderbird -v -count=1; }

# bench compares this build with Postfix and Dovecot, after a test that the comparison can be trusted. What a run that was
# ended has measured is in bin/bench*.json, and the next one goes on there.
bench() {
	test/ci/peers.sh postfix dovecot-imapd dovecot-lmtpd dovecot-pop3d strace || return 1
	below test/bench -v || return 1
	if [ -n "${BENCH_QUICK:-}" ]; then
		bin/mailbench compare --quick --save bin/bench-quick.json --write bin/benchmarks-quick.md ${BENCH_ARGS:-}
	else
		bin/mailbench compare --save bin/bench.json --write docs/benchmarks.md ${BENCH_ARGS:-}
	fi
}
gobench() { go test -run '^$' -bench . -benchmem $(packages); }

summary=() failed=0 started=$SECONDS
for stage in "$@"; do
	echo "== $stage"
	begin=$SECONDS
	case $stage in kill) run=kill_ ;; *) run=$stage ;; esac
	if "$run"; then result=ok; else result=FAILED failed=1; fi
	summary+=("$(printf '%-12s %5d s  %s' "$stage" $((SECONDS - begin)) "$result")")
	echo "-- $stage: $((SECONDS - begin)) s, $result"
	if [ $result = FAILED ] && { [ "$stage" = peers ] || [ "$stage" = build ]; }; then break; fi
done
echo
printf '%s\n' "${summary[@]}"
printf '%-12s %5d s  %s\n' all $((SECONDS - started)) "$([ $failed = 0 ] && echo ok || echo FAILED)"
exit $failed
