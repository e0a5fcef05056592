# Vitrine: `make run` starts it, `make test` tests it. `make help` lists the rest.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run build packages guest test test-compat soak bench bench-ceph lint fmt clean deps deps-build deps-test

GO ?= go
# What can be built here: with Ceph where its headers are. TAGS= does without.
TAGS ?= $(shell scripts/tags)
GOFLAGS_GIVEN := $(GOFLAGS)
export GOFLAGS = $(GOFLAGS_GIVEN) $(if $(TAGS),-tags=$(TAGS))
# What `vitrined --version` says: the last tag, the commits since, and whether files differ from them.
VERSION ?= $(shell git describe --tags --dirty 2>/dev/null || git describe --always --abbrev=12 --dirty 2>/dev/null | sed 's/^/0.0.0+/')
LDFLAGS := -X github.com/vitrine-image/vitrine/internal/version.version=$(VERSION)

# PKG narrows test, soak and lint: make test PKG=./fusefs/...
PKG ?= ./...
# Rounds of the tests that go on until stopped: a few for every day, all of them to soak.
ROUNDS ?= 200
# A test that finds its server missing fails instead of skipping, and so does one that needs root when this is root.
comma := ,
REQUIRE ?= all$(if $(filter 0,$(shell id -u)),$(comma)root)
# The race detector would let every child process of a test sleep for a second at its end.
TESTENV := VITRINE_TEST_REQUIRE=$(REQUIRE) GORACE=atexit_sleep_ms=0
# The listener and the places of `make run`.
LISTEN ?= 127.0.0.1:9292
DATA ?= ./data
MOUNT ?= ./mnt

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

run: ## build, and run the daemon on 127.0.0.1:9292 with ./data and ./mnt
	@scripts/deps run
	@$(MAKE) --no-print-directory build
	@exec bin/vitrined --data '$(DATA)' --listen '$(LISTEN)' --mount '$(MOUNT)'

build: deps-build ## compile bin/vitrined, bin/vitrine and bin/vitrine-mounter
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

packages: ## build deb and rpm packages into dist, for amd64 and arm64
	@scripts/deps packages
	GOFLAGS= packaging/build dist

guest: deps-test ## make a small bootable disk image to try, bin/guest.raw
	@mkdir -p bin
	@$(GO) run ./internal/guestimage/mkguest bin/guest.raw

test: deps-test ## run every test with -race, real mounts and the guest's boot included (some 12 minutes)
	$(TESTENV) $(GO) test -race -vet=off -timeout 20m $(PKG)

test-compat: deps-test ## run the tests with Keystone, Tempest and the clients of OpenStack alone (a part of test)
	$(TESTENV) $(GO) test -race -vet=off -count=1 -timeout 10m ./internal/compat

soak: deps-test ## the same with ROUNDS=200 rounds of every long test (hours)
	$(TESTENV) VITRINE_ROUNDS=$(ROUNDS) $(GO) test -race -vet=off -count=1 -timeout 12h $(PKG)

bench: ## measure against the references and write docs/benchmarks.md (PEER=glance adds Glance)
	@scripts/deps bench
	@$(MAKE) --no-print-directory build
	$(GO) run ./internal/bench $(if $(PEER),-peer $(PEER)) $(BENCHFLAGS)

bench-ceph: ## measure images on Ceph against rbd, rbd-fuse and fio, and write docs/benchmarks-ceph.md
	@scripts/deps bench
	@$(MAKE) --no-print-directory build
	$(GO) run ./internal/bench -suite bench-ceph $(BENCHFLAGS)

lint: deps-build ## go vet (without librbd, too), staticcheck, gofmt
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l); \
		if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet $(PKG)
	$(if $(TAGS),GOFLAGS='$(GOFLAGS_GIVEN)' $(GO) vet $(PKG))
	$(GO) tool staticcheck -tags '$(TAGS)' $(PKG)

fmt: ## format every Go file
	git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -w

clean: ## remove bin, dist and .cache; ./data stays
	rm -rf bin dist .cache

deps: ## install the Debian packages that running needs
	@scripts/deps run

deps-build:
	@scripts/deps build

deps-test: ## install the Debian packages that testing needs
	@scripts/deps test
