#!/bin/bash
# Runs every fuzz target of the tree in turn, FUZZ_SECONDS in all, at least one second each. The seeds and every input
# that ever failed stand under testdata/fuzz and run in the unit tests as well.
set -uo pipefail
cd "$(dirname "$0")/../.."
total=${FUZZ_SECONDS:-60}
targets=$(grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' cmd internal test 2>/dev/null | sed -E 's/:func /:/' | sort)
if [ -z "$targets" ]; then
	echo "no fuzz targets"
	exit 0
fi
count=$(wc -l <<<"$targets")
each=$((total / count))
[ $each -ge 1 ] || each=1
echo "$count targets, $each s each"
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
built=
while IFS=: read -r file name; do
	dir=$(dirname "$file")
	if [ "$dir" != "$built" ]; then # once for all targets of a package
		if ! go test -c -fuzz "^$name\$" -o "$work/fuzz.test" "./$dir" >"$log" 2>&1; then
			echo "FAIL $dir does not build"
			cat "$log"
			failed=1
			continue
		fi
		built=$dir
	fi
	for try in 1 2 3; do
		if (cd "$dir" && "$work/fuzz.test" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "${each}s" -test.fuzzminimizetime 10x -test.fuzzcachedir "$work/cache") >"$log" 2>&1; then
			echo "ok   $name $(grep -o 'execs: [0-9]*' "$log" | tail -1)"
			break
		fi
		# The fuzzing engine may report its own deadline as a failure; that is no finding, and it writes no input.
		if [ $try -lt 3 ] && grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
			continue
		fi
		echo "FAIL $name ($file)"
		cat "$log"
		failed=1
		break
	done
done <<<"$targets"
exit $failed
