# Concordat's house. `make demo` and `make test` are all that a fresh clone needs; `make help` lists the rest.
#
# Every module is built, vetted and tested with GOWORK=off, alone, as a reader who takes just that folder would build it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export GOWORK := off

# Tools that are not dependencies of the program, each at one exact version, installed under .tools.
GOLANGCI_LINT      := v2.15.0
GOVULNCHECK        := v1.9.0
PROTOC_GEN_GO      := v1.36.11
PROTOC_GEN_CONNECT := v1.21.1
VERSITYGW          := v1.0.14
AZURITE            := 3.37.0
CYCLONEDX          := v1.10.0
FLIGHT_SQL_JDBC    := 18.3.0

TOOLS   := $(CURDIR)/.tools
MODULES := protocol observe sql policies worker ui coordinator integration
# -trimpath and -buildvcs=false keep a binary, and so its measurement, the same wherever and whenever it is built. A worker is linked with DuckDB's
# library, and Go's and the linker's build ids would hold the folder where that lies: it has none.
BUILD   := go build -trimpath -buildvcs=false
TAGS    := -tags duckdb_arrow
NO_ID   := -ldflags=-buildid=
# No test of ours may hang; the longest one is a journey through a real mesh.
TIMEOUT ?= 12m
FUZZTIME ?= 20s
SOAK     ?= 30m
# Log entries of the node that `make bench` lets recover: ENTRIES=1000000 takes two minutes and 7 GB.
ENTRIES  ?= 100000

WEB_SOURCES := $(shell find ui/web/src ui/web/public ui/web/index.html ui/web/*.ts ui/web/*.js ui/web/package-lock.json -type f 2>/dev/null)

# The web pages, built once and embedded in concordat and concordat-coordinator.
ui/web/dist/index.html: $(WEB_SOURCES) | ui/web/node_modules/.package-lock.json
	@echo "build  ui/web/dist"
	@cd ui/web && npx vite build --logLevel warn

## build: the web pages and the four binaries, in bin/
.PHONY: build
build: compiler ui/web/dist/index.html binaries

# binaries: the four alone, around the pages as they lie there.
.PHONY: binaries
binaries:
	@mkdir -p bin
	@echo "build  bin/concordat"
	@cd ui && CGO_ENABLED=0 $(BUILD) -o ../bin/concordat ./cmd/concordat
	@echo "build  bin/concordat-coordinator"
	@cd coordinator && CGO_ENABLED=0 $(BUILD) -o ../bin/concordat-coordinator ./cmd/concordat-coordinator
	@echo "build  bin/concordat-worker"
	@cd worker && CGO_ENABLED=1 $(BUILD) $(NO_ID) $(TAGS) -o ../bin/concordat-worker ./cmd/concordat-worker
	@echo "build  bin/marblerun-coordinator"
	@cd tools/marblerun && $(BUILD) -o ../../bin/marblerun-coordinator github.com/edgelesssys/marblerun/cmd/coordinator

# The version of this source, as the programs say it.
VERSION = $(shell sed -n 's/^const Number = "\(.*\)"/\1/p' protocol/version/version.go)
RELEASE ?= release
# What a release is built from: folder, package, environment and flags of each program. The worker needs cgo, so it is built for the machine alone.
release-program = @echo "release $(1)-$(3)"; cd $(2) && CGO_ENABLED=$(5) GOOS=linux GOARCH=$(3) $(BUILD) $(6) -o $(abspath $(RELEASE))/$(1)-$(VERSION)-linux-$(3) $(4)
release-parts   = @echo "release $(1).cdx.json"; cd $(2) && CGO_ENABLED=$(4) GOFLAGS=$(5) $(TOOLS)/cyclonedx-$(CYCLONEDX)/cyclonedx-gomod app -json -licenses -noserial -std -main $(3) -output $(abspath $(RELEASE))/$(1)-$(VERSION).cdx.json . 2>$(abspath $(RELEASE)).said || { cat $(abspath $(RELEASE)).said; exit 1; }; rm -f $(abspath $(RELEASE)).said; sed -i '/"timestamp":/d' $(abspath $(RELEASE))/$(1)-$(VERSION).cdx.json

## release: the programs for linux, amd64 and where no cgo is needed arm64, with a list of their parts (CycloneDX) and SHA256SUMS, in RELEASE (release)
.PHONY: release
release: compiler ui/web/dist/index.html $(TOOLS)/cyclonedx-$(CYCLONEDX)/cyclonedx-gomod
	@rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	$(call release-program,concordat,ui,amd64,./cmd/concordat,0)
	$(call release-program,concordat,ui,arm64,./cmd/concordat,0)
	$(call release-program,concordat-coordinator,coordinator,amd64,./cmd/concordat-coordinator,0)
	$(call release-program,concordat-coordinator,coordinator,arm64,./cmd/concordat-coordinator,0)
	$(call release-program,concordat-worker,worker,amd64,./cmd/concordat-worker,1,$(NO_ID) $(TAGS))
	$(call release-parts,concordat,ui,cmd/concordat,0,)
	$(call release-parts,concordat-coordinator,coordinator,cmd/concordat-coordinator,0,)
	$(call release-parts,concordat-worker,worker,cmd/concordat-worker,1,-tags=duckdb_arrow)
	@cd $(RELEASE) && sha256sum * > SHA256SUMS && cat SHA256SUMS

$(TOOLS)/cyclonedx-$(CYCLONEDX)/cyclonedx-gomod:
	@echo "install cyclonedx-gomod@$(CYCLONEDX)"
	@mkdir -p $(dir $@) && cd $(TOOLS) && GOBIN=$(dir $@) GOFLAGS= CGO_ENABLED=0 go install -trimpath github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX)

## demo: a mesh on this machine, three organisations, one study; Ctrl-C ends it, ONCE=1 ends it after the study
.PHONY: demo
demo: build
	@exec bin/concordat demo $(if $(filter 1 yes true,$(ONCE)),--once)

## test: every module built alone, vetted and tested
.PHONY: test
test: build client-tools
	@for m in $(MODULES) tools/attest tools/quotes tools/tlog tools/helm tools/licences; do \
	  echo "test   $$m"; \
	  (cd $$m && go build -o /dev/null $(TAGS) ./... && go vet $(TAGS) ./... && go test $(TAGS) -timeout $(TIMEOUT) ./...); \
	done
	@echo "test   ui/web"
	@cd ui/web && npm run --silent check && npm test --silent
	@if $(MAKE) --no-print-directory chromium; then cd ui/web && npm run --silent browser:short; \
	  else echo "the pages are not tested in a browser"; fi

## browser: the journey of each face in Chromium against real meshes, and how pages look, by axe; CHROMIUM names another browser
# `make test` runs one journey of each face, a minute in all (measured: 53 s at a load of 5). The whole takes more than six minutes on two
# cores (participants two, hosted pages one, how the auditor's pages look two), since axe reads each page in both schemes and widths, and
# each file starts a mesh of its own.
.PHONY: browser
browser: build chromium
	@cd ui/web && npm run --silent browser

## guide: the screenshots of docs/GUIDE.md, taken anew from a mesh of the demo
.PHONY: guide
guide: build chromium
	@cd ui/web && npm run --silent guide

# chromium: any of these on the path will do; Debian's package is installed only where none is there.
.PHONY: chromium
chromium:
	@[ -n "$${CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null || { $(call debian,chromium,Chromium); }

## clients: the study by database/sql, Python with ADBC, JDBC and our Python package, against a real mesh; installs into .tools what is missing
.PHONY: clients
clients: build client-tools
	@[ ! -x $(PYTHON_CLIENTS)/bin/python ] || { cd ui/python && $(PYTHON_CLIENTS)/bin/ruff check . && $(PYTHON_CLIENTS)/bin/ruff format --check . && $(PYTHON_CLIENTS)/bin/mypy; }
	@cd integration && go test $(TAGS) -count 1 -v -timeout $(TIMEOUT) ./clients

# client-tools installs clients in other languages, each if it can: their tests say that they are skipped where it cannot.
PYTHON_CLIENTS := $(TOOLS)/clients/python
JDBC_CLIENT    := $(TOOLS)/clients/flight-sql-jdbc-driver.jar
.PHONY: client-tools
client-tools:
	@[ $(PYTHON_CLIENTS)/.done -nt integration/clients/requirements.txt ] || { \
	  echo "install Python clients into .tools"; rm -rf $(PYTHON_CLIENTS); \
	  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' && python3 -m venv $(PYTHON_CLIENTS) && \
	  $(PYTHON_CLIENTS)/bin/pip install -q --disable-pip-version-check --retries 1 -r integration/clients/requirements.txt && touch $(PYTHON_CLIENTS)/.done; \
	} || { rm -rf $(PYTHON_CLIENTS); echo "the Python clients are not tested: they need python3 (3.11 or newer) with venv, and PyPI"; }
	@[ -f $(JDBC_CLIENT) ] || { \
	  command -v java >/dev/null && echo "install the JDBC driver into .tools" && mkdir -p $(TOOLS)/clients && \
	  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact=org.apache.arrow:flight-sql-jdbc-driver:$(FLIGHT_SQL_JDBC) \
	    -DoutputDirectory=$(TOOLS)/clients -Dmdep.stripVersion=true; \
	} || echo "the JDBC driver is not tested: it needs Java 17, mvn and Maven Central"

## bench: lines "figure NAME VALUE UNIT"
.PHONY: bench
bench: build
	@cd integration && go run $(TAGS) ./cmd/bench
	@cd coordinator && go test -run '^$$' -bench '^BenchmarkStream$$' ./flight | awk '/^BenchmarkStream/ {printf "figure flight_thousand_groups %.2f ms\n", $$3/1e6} /FAIL/'
	@cd coordinator && go test -run '^$$' -bench Ledger -benchtime 1x -timeout 1h ./bench -args -entries $(ENTRIES) | { grep '^figure\|FAIL\|_test.go' || true; }

# image-roots: below ROOTS a folder for each program, as its image has it under /opt/concordat. That of concordat has the measurements
# that `concordat mesh setup` sets MarbleRun's manifest by.
ROOTS  ?= $(CURDIR)/.images
BIN    ?= $(CURDIR)/bin
IMAGES := concordat concordat-coordinator concordat-worker marblerun-coordinator versitygw
# Times of files in images are the commit's, as of whatever else wants to be built again the same.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
.PHONY: image-roots
image-roots: $(if $(wildcard $(BIN)/concordat-worker),,binaries) $(TOOLS)/versitygw-$(VERSITYGW)/versitygw
	@rm -rf "$(ROOTS)" && for p in $(IMAGES); do \
	  file=$(BIN)/$$p; [ $$p != versitygw ] || file=$(TOOLS)/versitygw-$(VERSITYGW)/versitygw; \
	  install -D -m 0755 $$file "$(ROOTS)/$$p/$$p"; \
	done
	@cd $(BIN) && sha256sum concordat-coordinator concordat-worker marblerun-coordinator > "$(ROOTS)/concordat/measurements"
	@find "$(ROOTS)" -exec touch -h -d @$(SOURCE_DATE_EPOCH) {} +

## images: the images of docker-compose.yml around the binaries of bin/, by a Docker engine that needs neither Go nor Node
BASE_IMAGE    ?= debian:bookworm-slim
CONCORDAT_TAG ?= local
.PHONY: images
images: build
	@$(MAKE) --no-print-directory images-of-bin

.PHONY: images-of-bin
images-of-bin: image-roots
	@for p in $(IMAGES); do \
	  echo "image  concordat/$$p:$(CONCORDAT_TAG)"; \
	  docker build -q -f Dockerfile.prebuilt --build-arg BASE_IMAGE=$(BASE_IMAGE) --build-arg SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
	    -t concordat/$$p:$(CONCORDAT_TAG) "$(ROOTS)/$$p" >/dev/null; \
	done
	@rm -rf "$(ROOTS)"

## compose-init: what docker-compose.yml needs to be told: the key that may propose the first manifest, into .env
.PHONY: compose-init
compose-init: bin/concordat
	@[ ! -e .env ] || { echo ".env is there already"; exit 1; }
	@mkdir -p .concordat/keys && { [ -e .concordat/keys/default.key ] || bin/concordat key new >/dev/null; }
	@umask 077 && echo "CONCORDAT_FOUNDER=$$(bin/concordat key show .concordat/keys/default.key)" > .env
	@echo "wrote .env; next: docker compose up -d"

bin/concordat:
	@$(MAKE) --no-print-directory build

## compose-test: docker-compose.yml on a Docker engine, with the demo's study and faults; says why where none can run
.PHONY: compose-test
compose-test: build $(TOOLS)/versitygw-$(VERSITYGW)/versitygw
	@cd integration && CONCORDAT_COMPOSE=1 go test $(TAGS) -run '^TestCompose' -count 1 -v -timeout 1h .

## compose-source-test: the images from source by Dockerfile, in containers of Debian with this machine's Go and Node; the bytes of bin/ have to come out
.PHONY: compose-source-test
compose-source-test: build
	@cd integration && CONCORDAT_COMPOSE=source go test $(TAGS) -run '^TestComposeFromSource$$' -count 1 -v -timeout 2h .

## stores: the object store against versitygw (S3) and Azurite (Azure), each a server of its own, which it installs into .tools
.PHONY: stores
stores: $(TOOLS)/versitygw-$(VERSITYGW)/versitygw
	@[ -x .tools/azurite-$(AZURITE)/node_modules/.bin/azurite-blob ] || npm install --silent --no-audit --no-fund --prefix .tools/azurite-$(AZURITE) azurite@$(AZURITE)
	@cd worker && CONCORDAT_TEST_VERSITYGW=$(CURDIR)/.tools/versitygw-$(VERSITYGW)/versitygw \
	  CONCORDAT_TEST_AZURITE=$(CURDIR)/.tools/azurite-$(AZURITE)/node_modules/.bin/azurite-blob \
	  go test $(TAGS) -run 'TestVersityGateway|TestAzurite' -count 1 -v ./storage

## soak: five soaks, about three times SOAK (30m) and half an hour in all; SOAK_RUN=TestSoakLoad runs one of them (docs/OPERATIONS.md, Soaks)
# TestLinearizable, TestSoak and TestSoakLoad take SOAK each; TestSoakUpload and TestSoakHandover as long as it takes them.
SOAK_RUN ?= TestLinearizable|TestSoak
.PHONY: soak
soak: build $(TOOLS)/versitygw-$(VERSITYGW)/versitygw
	@cd coordinator && CONCORDAT_SOAK=$(SOAK) go test -run '^($(SOAK_RUN))' -count 1 -v -timeout 6h ./linearize
	@cd integration && CONCORDAT_SOAK=$(SOAK) go test $(TAGS),soak -run '^($(SOAK_RUN))' -count 1 -v -timeout 6h .

## fuzz: every fuzz test for FUZZTIME (20s)
.PHONY: fuzz
fuzz: compiler
	@for m in $(MODULES); do \
	  (cd $$m; grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
	    sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | while read -r name; do \
	      echo "fuzz   $$m $$(dirname $$file) $$name"; \
	      go test $(TAGS) -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2s "$$(dirname $$file)" </dev/null; \
	    done; done); \
	done

## lint: formatting, freshness of generated code, golangci-lint and vulnerabilities, over all modules
.PHONY: lint
lint: compiler fresh $(TOOLS)/$(GOLANGCI_LINT)/golangci-lint
	@unformatted=$$(git ls-files '*.go' | grep -v /gen/ | xargs -r gofmt -l); \
	  [ -z "$$unformatted" ] || { echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; }
	@for m in $(MODULES) tools/attest tools/quotes tools/tlog tools/helm tools/licences; do \
	  echo "lint   $$m"; \
	  (cd $$m && $(TOOLS)/$(GOLANGCI_LINT)/golangci-lint run --config $(CURDIR)/.golangci.yml --build-tags duckdb_arrow,soak ./...); \
	done
	@said=$$($(MAKE) --no-print-directory vulnerabilities 2>&1) || unchecked=yes; echo "$$said"; \
	  if [ "$${unchecked:-}" ]; then \
	    grep -q 'govulncheck: fetching vulnerabilities' <<< "$$said" || exit 1; \
	    echo "vulnerabilities were NOT checked: the database can not be reached from here; GOVULNDB names a copy"; \
	  fi

## vulnerabilities: govulncheck over all modules, npm audit of the pages; asks vuln.go.dev, or the copy that GOVULNDB names, and npm's registry
.PHONY: vulnerabilities
vulnerabilities: compiler $(TOOLS)/$(GOVULNCHECK)/govulncheck
	@for m in $(MODULES); do \
	  echo "vulnerabilities   $$m"; \
	  (cd $$m && $(TOOLS)/$(GOVULNCHECK)/govulncheck $${GOVULNDB:+-db "$$GOVULNDB"} $(TAGS) ./...); \
	done
	@echo "vulnerabilities   ui/web"
	@cd ui/web && said=$$(npm audit --package-lock-only --audit-level=high 2>&1) || { \
	  if grep -q 'audit endpoint' <<< "$$said"; then echo "npm's registry gives no advisories here: the packages of the pages were not looked up"; \
	  else echo "$$said"; exit 1; fi; }

## licences: licences of all that is linked, digests and versions of the pages' packages, against a list of what is allowed
.PHONY: licences
licences:
	@cd tools/licences && go run . ../..

## outdated: dependencies and tools that have newer versions; changes nothing
.PHONY: outdated
outdated:
	@tools/outdated.sh $(MODULES) tools/attest tools/quotes tools/tlog tools/helm tools/licences tools/marblerun

## latest: builds and tests all modules with the newest dependencies, in a copy; TEST=0 builds and vets only
.PHONY: latest
latest: compiler
	@tools/latest.sh $(MODULES)

## enclave: Gramine manifests and EGo's coordinator in bin/enclave, with measurements; KEY=FILE signs. Not run on hardware
.PHONY: enclave
enclave: build
	@deploy/enclave/build.sh bin bin/enclave $(KEY)

## generate: the code of protocol/gen from protocol/proto, the tables of docs/CONFIG.md from the structs
.PHONY: generate
generate: generators
	@$(call protoc,protocol/gen)
	@$(call protoc-es,ui/web/src/gen)
	@cd integration && go run ./cmd/configuration

# fresh fails when the committed code is not what the definitions give.
.PHONY: fresh
fresh: generators
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	  $(call protoc,$$out); \
	  diff -r "$$out" protocol/gen || { echo "protocol/gen is stale: run 'make generate' and commit the result"; exit 1; }; \
	  rm -rf "$$out" && mkdir "$$out" && $(call protoc-es,$$out); \
	  diff -r "$$out" ui/web/src/gen || { echo "ui/web/src/gen is stale: run 'make generate' and commit the result"; exit 1; }
	@cd integration && go run ./cmd/configuration --check

# protoc FOLDER writes the generated code below it.
define protoc
protoc -I protocol/proto \
	  --plugin=protoc-gen-go=$(TOOLS)/$(PROTOC_GEN_GO)/protoc-gen-go --go_out=$(1) --go_opt=module=concordat.dev/protocol/gen \
	  --plugin=protoc-gen-connect-go=$(TOOLS)/$(PROTOC_GEN_CONNECT)/protoc-gen-connect-go \
	  --connect-go_out=$(1) --connect-go_opt=module=concordat.dev/protocol/gen \
	  $$(cd protocol/proto && find . -name '*.proto' | sed 's|^\./||' | sort)
endef

# protoc-es FOLDER writes the TypeScript of the calls below it.
define protoc-es
protoc -I protocol/proto --plugin=protoc-gen-es=ui/web/node_modules/.bin/protoc-gen-es --es_out=$(1) --es_opt=target=ts \
	  $$(cd protocol/proto && find concordat -name '*.proto' | sort)
endef

.PHONY: generators
generators: $(TOOLS)/$(PROTOC_GEN_GO)/protoc-gen-go $(TOOLS)/$(PROTOC_GEN_CONNECT)/protoc-gen-connect-go ui/web/node_modules/.package-lock.json
	@command -v protoc >/dev/null || { $(call debian,protobuf-compiler,protoc); }

# compiler: DuckDB is linked as C++, so the worker needs a C compiler with the C++ library.
.PHONY: compiler
compiler:
	@command -v go >/dev/null || { echo "Go 1.26 or newer is missing: see https://go.dev/dl"; exit 1; }
	@command -v $${CC:-cc} >/dev/null && command -v $${CXX:-c++} >/dev/null || { $(call debian,build-essential,a C and C++ compiler); }

# web-packages: the packages of the web pages, as package-lock.json names them by digest.
ui/web/node_modules/.package-lock.json: ui/web/package.json ui/web/package-lock.json
	@command -v npm >/dev/null || { $(call debian,npm,Node and npm); }
	@echo "install npm packages of ui/web"
	@cd ui/web && npm ci --silent
	@touch $@

# debian PACKAGE WHAT installs a Debian package that is missing, or says what to do where that is not possible.
define debian
echo "$(2) is missing: installing the Debian package $(1)"; \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
	  else echo "cannot install it here (no apt-get, or not root): install $(2), on Debian with 'sudo apt-get install $(1)'"; exit 1; fi
endef

# tool PACKAGE VERSION
define tool
	@echo "install $(1)@$(2)"
	@mkdir -p $(TOOLS)/$(2) && cd $(TOOLS) && GOBIN=$(TOOLS)/$(2) GOFLAGS= go install $(1)@$(2)
endef

$(TOOLS)/$(GOLANGCI_LINT)/golangci-lint:
	$(call tool,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,$(GOLANGCI_LINT))
$(TOOLS)/versitygw-$(VERSITYGW)/versitygw:
	@echo "install versitygw@$(VERSITYGW)"
	@mkdir -p $(@D) && CGO_ENABLED=0 GOFLAGS= GOBIN=$(@D) go install -trimpath github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)
$(TOOLS)/$(GOVULNCHECK)/govulncheck:
	$(call tool,golang.org/x/vuln/cmd/govulncheck,$(GOVULNCHECK))
$(TOOLS)/$(PROTOC_GEN_GO)/protoc-gen-go:
	$(call tool,google.golang.org/protobuf/cmd/protoc-gen-go,$(PROTOC_GEN_GO))
$(TOOLS)/$(PROTOC_GEN_CONNECT)/protoc-gen-connect-go:
	$(call tool,connectrpc.com/connect/cmd/protoc-gen-connect-go,$(PROTOC_GEN_CONNECT))

## clean: binaries and installed tools (state under .concordat stays)
.PHONY: clean
clean:
	rm -rf bin .tools

## help: this list
.PHONY: help
help:
	@sed -n 's/^## //p' Makefile | sed 's/^\([a-z-]*\): /\1\t/' | expand -t 17
