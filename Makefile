# Postrider: what can be made here. docs/hacking.md tells what each stage proves.

export CGO_ENABLED = 0
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS = -s -w -X main.version=$(VERSION)

.PHONY: all build deb run test check check-long bench bench-quick bench-relay gobench crash crash-long fuzz peers docs clean

all: build

# Static programs in bin/: postrider, mailbench.
build:
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

# A Debian package in bin/: postrider_VERSION_ARCH.deb.
deb: build
	packaging/deb/build.sh

# A whole mail system on loopback, in ./postrider-data; stop it with ^C.
run: build
	bin/postrider quickstart $(ARGS)

# Quick: at most 4 minutes.
test:
	test/ci/check.sh build vet format layering quick

# What must pass before anything lands: at most 25 minutes from cold. CI runs this.
check:
	test/ci/check.sh peers build vet format staticcheck layering unit race dialogues interop crowds order powercut kill crashes fuzz

# Everything, long forms included; run before a release and quoted in its note.
check-long:
	POSTRIDER_LONG=1 CRASH_SECONDS=900 FUZZ_SECONDS=900 TEST_TIMEOUT=60m \
	test/ci/check.sh peers build vet format staticcheck layering docs unit race dialogues interop crowds order powercut kill crashes fuzz package thunderbird

# Postrider beside Postfix and Dovecot, as root: about 35 minutes; writes docs/benchmarks.md and two plots.
bench: build
	test/ci/check.sh bench

# The same in about 8 minutes, with fewer, shorter and smaller runs: bin/benchmarks-quick.md.
bench-quick: build
	BENCH_QUICK=1 test/ci/check.sh bench

# Relaying beside Postfix between its own smtp-source and smtp-sink, as root: about 4 minutes; writes docs/benchmarks-relay.md.
bench-relay: build
	bin/mailbench compare --only smtp-source,smtp-source-d --systems postrider,maildir,maildir-noflow --save bin/bench-relay.json --write docs/benchmarks-relay.md

# The benchmarks beside the code.
gobench:
	test/ci/check.sh gobench

# The three crash proofs: order of syncs, power cuts, SIGKILLs. CRASH_SECONDS sets how long the open-ended ones go on.
crash:
	test/ci/check.sh build order powercut kill crashes

# Their long form: 1,000 kills, 200 power cuts in each test, every damage of a torn record.
crash-long:
	CRASH_KILLS=$${CRASH_KILLS:-1000} CRASH_CUTS=$${CRASH_CUTS:-200} CRASH_TORN=10000 TEST_TIMEOUT=90m test/ci/check.sh build order powercut kill crashes

# Every fuzz target in turn. FUZZ_SECONDS is the time in all.
fuzz:
	FUZZ_SECONDS=$${FUZZ_SECONDS:-600} test/ci/check.sh fuzz

# The Debian programs that tests talk to (test/peers.txt; with POSTRIDER_LONG=1 also test/peers-long.txt); needs root.
peers:
	test/ci/peers.sh

# Documents that are made from the source.
docs:
	cd tools && $(GO) run ./rfccover -root .. -out ../docs/rfc-coverage.md

clean:
	rm -rf bin
