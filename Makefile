# Targets for people who work on moncap. `make help` lists them.
GO ?= go
# Executions, not a time: a timed run of Go's fuzzer that ends while a worker is busy can fail with "context deadline exceeded".
FUZZTIME ?= 200000x
SOAKTIME ?= 10m
FLEETRUNS ?= 10000
FLEETFAULTS ?= all
LABCAUSES ?= all
ATTACKTIME ?= 10m
DIST ?= dist
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -buildid=
PACKAGE_ARCHS ?= amd64 arm64
IMAGE_ARCH ?= $(shell $(GO) env GOARCH)
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

.PHONY: successors help build test lab race fuzz bench bench-analyze bench-long lint vuln sec referee soak fleet-soak fleet-faults attack release reproduce packages packages-check image accuracy golden
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## build ./bin/moncap
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/moncap ./cmd/moncap

# How long a package may take is a limit for what hangs, and no measure: a slow machine needs several times what others do.
# It lies below the 90 minutes that CI has for all, so that what hangs is still told with its goroutines.
test: ## run every test
	$(GO) test -timeout 30m ./...

race: ## run every test with the race detector
	$(GO) test -race -timeout 45m ./...

lab: ## real gateways in network namespaces, one thing broken at a time, moncap over SSH: a table of verdicts (root, strongSwan; docs/lab.md)
	MONCAP_LAB="$(LABCAUSES)" $(GO) test -run '^TestLab$$' -count 1 -timeout 30m -v ./cmd/moncap

golden: ## write the golden judgements of all scenes and incidents anew, to be read in the diff
	$(GO) test ./analysis ./analysis/diagnose -run TestGolden -count 1 -update

accuracy: ## write docs/accuracy.md anew: every incident, what was wrong, what moncap says
	$(GO) test ./analysis -run TestAccuracyGetsNoWorse -count 1 -timeout 30m -accuracy

fuzz: ## run every fuzz target FUZZTIME each (executions such as 200000x, or a time)
	@set -e; packages=$$($(GO) list ./...); for pkg in $$packages; do \
		listed=$$($(GO) test -list '^Fuzz' $$pkg); \
		for f in $$(echo "$$listed" | grep '^Fuzz' || true); do \
			echo "fuzz $$pkg $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$pkg; \
		done; \
	done

referee: ## every container and link layer, compared with tshark
	MONCAP_REFEREE=1 $(GO) test -run Tshark -count 1 ./analysis/...

soak: ## throw random faults at runs for SOAKTIME; a failure names the seed that repeats it
	MONCAP_SOAK=$(SOAKTIME) $(GO) test -run '^TestSoak$$' -count 1 -timeout 0 -v ./cmd/moncap

fleet-soak: ## FLEETRUNS runs of a fleet whose workers are killed, frozen and terminated at random, on SQLite and on PostgreSQL
	for db in sqlite postgres; do \
		MONCAP_FLEET_SOAK=$(FLEETRUNS) MONCAP_FLEET_SOAK_DB=$$db $(GO) test -run '^TestSoak$$' -count 1 -timeout 0 -v ./capture/fleet || exit 1; \
	done

fleet-faults: ## FLEETFAULTS of the product: worker killed, frozen or ended x phase x database gone x router fault, on both databases (SEED repeats the order)
	MONCAP_FLEET_FAULTS=$(FLEETFAULTS) MONCAP_FLEET_FAULTS_SEED=$(SEED) $(GO) test -run '^TestMishaps$$' -count 1 -parallel 24 -timeout 0 -v ./capture/fleet

attack: ## hostile routers, tampered bundles, crafted captures and unsafe runs at random, for ATTACKTIME; a failure's name is its MONCAP_ATTACK_SEED
	MONCAP_ATTACK=$(ATTACKTIME) $(GO) test -run '^TestAttack$$' -count 1 -timeout 0 -v ./cmd/moncap

bench: ## run every benchmark once
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-analyze: ## moncap analyze of every kind of traffic, two captures of 10,000 and of 100,000 packets: CPU, packets/s, peak memory, bytes a message
	$(GO) test -run '^$$' -bench 'BenchmarkAnalyze' -benchtime 3x ./cmd/moncap

bench-long: ## the same up to a million packets, and ten million of ESP (5 GB of disk)
	MONCAP_BENCH_LONG=1 $(GO) test -run '^$$' -bench 'BenchmarkAnalyze' -benchtime 1x -timeout 0 ./cmd/moncap

lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools.mod staticcheck ./...

vuln: ## check the dependencies against the Go vulnerability database, where it can be reached
	$(GO) tool -modfile=tools.mod govulncheck ./...

# Not looked for: errors that are dropped (errcheck does that better), conversions and indices of lengths (every parser is
# tested on all prefixes of its input, and by fuzzing), and files that the operator names.
GOSEC_EXCLUDE := G104,G115,G304,G602
sec: ## gosec; what it may not complain of is marked with a reason
	$(GO) tool -modfile=tools.mod gosec -quiet -exclude-generated -exclude=$(GOSEC_EXCLUDE) -exclude-dir=analysis/packet/gen ./...

# gopacket and yaml.v3 are no longer kept where they are. This shows that the door to their successors is open.
SUCCESSORS := github.com/google/gopacket=github.com/gopacket/gopacket@v1.7.7 gopkg.in/yaml.v3=go.yaml.in/yaml/v3@v3.0.6
successors: ## a copy of the tree with the successors of two libraries: its tests, and the benchmarks of both
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir" "$$dir.before"' EXIT; git archive HEAD | tar -x -C "$$dir"; \
	$(GO) test -run '^$$' -bench 'Reader|Decode' -benchtime 20x ./analysis/packet > "$$dir.before" || true; \
	cd "$$dir"; for s in $(SUCCESSORS); do old=$${s%%=*}; new=$${s#*=}; path=$${new%@*}; \
		grep -rl --include='*.go' "\"$$old" . | xargs sed -i "s|\"$$old|\"$$path|g"; \
		$(GO) get "$$new"; done; \
	$(GO) mod tidy; $(GO) vet ./...; $(GO) test ./analysis/... ./device/... ./cmd/moncap -run 'Test'; \
	echo "== benchmarks: as it is"; grep ns/op "$$dir.before"; \
	echo "== benchmarks: with the successors"; $(GO) test -run '^$$' -bench 'Reader|Decode' -benchtime 20x ./analysis/packet | grep ns/op

release: ## reproducible static builds of VERSION for every platform, with checksums and SBOMs (CycloneDX), in DIST
	@rm -rf $(DIST); mkdir -p $(DIST); set -e; for p in $(PLATFORMS); do \
		os=$${p%/*}; arch=$${p#*/}; ext=; [ $$os = windows ] && ext=.exe; out=$(DIST)/moncap-$$os-$$arch; \
		echo "build $$os/$$arch"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -ldflags "$(LDFLAGS) -X main.version=$(VERSION)" -o $$out$$ext ./cmd/moncap; \
		chmod +x $$out$$ext; \
		$(GO) tool -modfile=tools.mod cyclonedx-gomod bin -json -noserial -notimestamp -version $(VERSION) -output $$out.cdx.json $$out$$ext; \
	done; cd $(DIST) && sha256sum moncap-* > SHA256SUMS && cd - >/dev/null && .ci/package/formula $(VERSION) < $(DIST)/SHA256SUMS > $(DIST)/moncap.rb

reproduce: ## build every platform twice and compare every byte
	$(MAKE) release DIST=dist
	$(MAKE) release DIST=dist-again
	diff -r dist dist-again && echo "both builds are the same" && rm -rf dist-again

packages: ## deb and rpm of VERSION for each architecture in PACKAGE_ARCHS, in DIST; the same bytes each time (SOURCE_DATE_EPOCH)
	.ci/package/build $(VERSION) $(DIST) $(PACKAGE_ARCHS)

packages-check: ## build the packages twice and compare, look into them, and run moncap from the deb in a bare root
	.ci/package/check

image: ## a container image from scratch, with certificates and time zones, by podman or docker
	CGO_ENABLED=0 GOOS=linux GOARCH=$(IMAGE_ARCH) $(GO) build -trimpath -ldflags "$(LDFLAGS) -X main.version=$(VERSION)" -o $(DIST)/moncap-linux-$(IMAGE_ARCH) ./cmd/moncap
	$$(command -v podman || command -v docker || echo podman) build --build-arg TARGETARCH=$(IMAGE_ARCH) -f .ci/package/Containerfile -t moncap:$(VERSION) -t moncap:latest .
