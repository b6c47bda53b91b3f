#!/bin/bash
# Shortens the output of `go test -v`: one line per finished top-level test, everything about failures. A pipe's
# failure is the caller's to see (pipefail).
exec awk '
/^=== (RUN|PAUSE|CONT|NAME)/ { next }
/^--- (PASS|SKIP)/ { print; held = ""; next }
/^(ok|\?|FAIL|panic:|--- FAIL|PASS)/ { printf "%s", held; held = ""; print; next }
{ held = held $0 "\n" }
END { printf "%s", held }'
