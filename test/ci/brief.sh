#!/bin/bash
# Shortens the output of `go test -v`: one line per finished top-level test, everything about failures; with the argument
# "figures" also what tests that passed have logged. A pipe's failure is the caller's to see (pipefail).
exec awk -v figures="${1-}" '
/^=== (RUN|PAUSE|CONT|NAME)/ { next }
/^--- (PASS|SKIP)/ { if (figures) printf "%s", said; print; held = said = ""; next }
/\[no tests to run\]$|\[no test files\]$|^testing: warning: no tests to run$/ && figures { next }
/^(ok|\?|FAIL|panic:|--- FAIL|PASS)/ { printf "%s", held; held = said = ""; print; next }
/^ +--- PASS/ && figures { next }
/^ +[a-z0-9_]+\.go:[0-9]+: / { said = said $0 "\n" }
{ held = held $0 "\n" }
END { printf "%s", held }'
