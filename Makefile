# The two commands of the README, `make demo` and `make test`, and the few that developers need.

# Where cargo puts what it builds; the filters, the guests and the Rust SDK are workspaces of their own.
BUILT := $(or $(CARGO_TARGET_DIR),target)
WORKSPACES := . sdk/rust filters examples tests/guests tests/proxy-wasm
WASM := wasm32-unknown-unknown

# Scenarios that run a second time with filters entered as components: what guests made for tests do, not what shipped ones are for.
BOTH_WAYS := bodies:: callouts:: chunks:: complete:: conformance:: contract:: destinations:: failures:: filters:: habits:: headers:: \
	hooks:: images:: inputs:: limits:: loading:: metrics:: pools:: stores:: tick:: trailers::

.DEFAULT_GOAL := help
.PHONY: help targets build demo test check conformance bindings bench instructions instructions-check bench-peers growth must-show clean

help: ## tells what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

targets: ## adds the WebAssembly targets that are missing
	@for target in $(WASM) wasm32-wasip2; do \
		rustup target list --installed | grep -qx $$target || rustup target add $$target || exit 1; \
	done

build: targets ## builds the release binary, with the shipped filters inside
	cargo build --release --package tamis
	@echo "built $(BUILT)/release/tamis"

demo: build ## runs the demo on 127.0.0.1:8080
	@exec $(BUILT)/release/tamis demo

test: targets ## installs what the tests need, and runs all of them
	scripts/test-deps
	cargo test --workspace --manifest-path sdk/rust/Cargo.toml
	cargo test --workspace --manifest-path filters/Cargo.toml
	cargo test --workspace --manifest-path examples/Cargo.toml
	cargo test --workspace --lib --bins
	cargo test --workspace --doc
	TAMIS_TEST_MISSING=skip cargo test --workspace --test '*'
	TAMIS_TEST_ENTER=component cargo test --workspace --test it -- $(BOTH_WAYS)

check: targets ## formatting, lints and the order of modules
	@for workspace in $(WORKSPACES); do \
		echo "cargo fmt in $$workspace" && cargo fmt --all --check --manifest-path $$workspace/Cargo.toml || exit 1; \
	done
	cargo test --quiet --package tamis-order
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --workspace --all-targets --manifest-path sdk/rust/Cargo.toml -- --deny warnings
	cargo clippy --workspace --all-targets --manifest-path filters/Cargo.toml -- --deny warnings
	cargo clippy --workspace --target $(WASM) --manifest-path filters/Cargo.toml -- --deny warnings
	cargo clippy --workspace --all-targets --manifest-path examples/Cargo.toml -- --deny warnings
	cargo clippy --workspace --target $(WASM) --manifest-path tests/guests/Cargo.toml -- --deny warnings
	cargo clippy --workspace --target $(WASM) --manifest-path tests/proxy-wasm/Cargo.toml -- --deny warnings

conformance: targets ## builds a filter in each language, and shows that all behave the same; fails if a language is missing
	scripts/test-deps
	env --unset=TAMIS_TEST_MISSING --unset=TAMIS_LANGUAGES cargo test --package tamis-tests --test it -- --nocapture languages::

bindings: ## writes what the SDKs in C and Go take from wit/
	cargo run --quiet --package tamis-sdk-generate

bench: targets ## one filter call, one exchange, one pick, and the router with many routes
	cargo bench --package tamis-benches
	cargo bench --manifest-path filters/Cargo.toml --package router

# Each of them is built once, whatever has to be counted.
COUNTED := $(shell awk '$$1 ~ /^[0-9]+$$/ { print $$2 }' benches/instructions.txt | sort -u)
COUNT = scripts/test-deps instructions && cargo build --release --package tamis-benches $(COUNTED:%=--example %) && \
	benches/instructions.py $(BUILT)/release/examples

instructions: targets ## counts the instructions of a filter call, and writes benches/instructions.txt anew
	$(COUNT)

instructions-check: targets ## tells whether one takes more than there
	$(COUNT) --check

bench-peers: targets ## measures Tamis beside nginx, HAProxy and Envoy; writes benches/RESULTS.md; takes half an hour
	scripts/test-deps peers
	cargo build --profile dist --package tamis
	cargo build --profile dist --package tamis-benches --bin forward --bin pace
	cargo build --package tamis-tests
	.venv/bin/python benches/peers/peers.py --tamis $(BUILT)/dist/tamis --forward $(BUILT)/dist/forward --pace $(BUILT)/dist/pace \
		--wasm $(BUILT)/guests/$(WASM)/release/pw_cost.wasm

growth: targets ## measures a request as clusters, connections and endpoints grow; writes benches/GROWTH.md; takes ten minutes
	scripts/test-deps peers
	cargo build --profile dist --package tamis
	.venv/bin/python benches/peers/growth.py --tamis $(BUILT)/dist/tamis

must-show: build ## measures the release binary as scripts/must-show says; takes minutes
	scripts/test-deps
	scripts/must-show/all.sh

clean: ## removes what was built and installed here
	for workspace in $(WORKSPACES); do cargo clean --quiet --manifest-path $$workspace/Cargo.toml; done
	rm -rf .venv
