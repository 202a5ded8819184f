# One command each; CI runs exactly these. LANE sets the sizes:
# quick (a developer's), change (each change), nightly.
LANE ?= quick

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

seeds.quick   := 50
seeds.change  := 300
seeds.nightly := 50000
kills.quick   := 50
kills.change  := 50
kills.nightly := 200
fuzz.quick    := 5s
fuzz.change   := 5s
fuzz.nightly  := 10m

.PHONY: build test race lint sim chaos fuzz bench golden

build:
	CGO_ENABLED=0 go build -trimpath -o bin/kstream ./cmd/kstream

# Every test, on every broker that can start. The last lines say what ran.
test:
	@go run ./testcontainers/summary -count=1 -timeout 20m -parallel 4 -tags harness ./...

# The packages that have goroutines; the others run in one. Of the command line
# only the simulation is in this process: what its other tests run is not built
# for the detector, which then looks at the client of the tests alone.
race:
	go test -race -count=1 -timeout 20m -tags harness ./checkpoint ./state ./runtime ./control ./internal/kafka
	KSTREAM_SEEDS=24 go test -race -count=1 -timeout 20m -tags harness -run Simulat ./cmd/kstream

lint:
	@out="$$(gofmt -l .)"; if [ -n "$$out" ]; then echo "gofmt: $$out"; exit 1; fi
	go vet ./...
	go vet -tags harness ./...
	go run $(STATICCHECK) -tags harness ./...
	go test -count=1 ./internal/structure

# The whole instance in virtual time, one run per seed.
sim:
	KSTREAM_SEEDS=$(seeds.$(LANE)) go test -count=1 -timeout 60m -tags harness -run 'Simulat|Explore' ./checkpoint ./runtime ./cmd/kstream

# Random kill -9 and damage on real brokers.
chaos:
	@KSTREAM_CHAOS_KILLS=$(kills.$(LANE)) go run ./testcontainers/summary -count=1 -timeout 60m -tags harness -run 'Chaos' ./testcontainers

fuzz:
	@for pkg in $$(go list ./...); do \
		for f in $$(go test -tags harness -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; \
			go test -tags harness -run '^$$' -fuzz "^$$f\$$" -fuzztime $(fuzz.$(LANE)) $$pkg || exit 1; \
		done; \
	done

bench:
	go run ./bench

# Write all golden files anew; then read the diff.
golden:
	go test -count=1 -tags harness $$(grep -rlE 'cockroachdb/datadriven|Bool\("rewrite"' --include='*_test.go' . | xargs -n1 dirname | sort -u) -rewrite
