# The recipes that people and CI run. `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

musl := arch() + "-unknown-linux-musl"
# Docker's name of this machine's architecture
image_arch := if arch() == "aarch64" { "arm64" } else { "amd64" }
image_tag := env("IMAGE_TAG", "pullgate:dev")
ca_bundle := env("CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
# helm from the PATH, else the one that the test bed builds
helm := `command -v helm || echo target/testbed/bin/helm`

_default:
    @just --list --unsorted

# Everything CI runs
ci: lint test deny doc chart

# Format the sources
fmt:
    cargo fmt

# Formatting, clippy and shell syntax; warnings are errors
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    sh -n certs/dev.sh
    bash -n tests/run.sh
    bash -n fuzz/run.sh

# All tests that need nothing but loopback
test:
    cargo test --locked

# The tests whose name contains NAME, with their output
test-one NAME:
    cargo test --locked {{ NAME }} -- --nocapture

# The tests against a real API server and real registries
real *ARGS:
    tests/run.sh {{ ARGS }}

# Fuzz TARGETS (all: none named) for SECONDS each; needs nightly and cargo-fuzz, see fuzz/README.md
fuzz SECONDS="600" *TARGETS:
    fuzz/run.sh {{ SECONDS }} {{ TARGETS }}

# Licences, banned and duplicate crates, sources
deny:
    cargo deny check bans licenses sources

# Known vulnerabilities; fetches the RustSec database
advisories:
    cargo deny check advisories

# The library's documentation; warnings are errors
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Lint and render the chart for the oldest Kubernetes it supports: every values file
chart:
    for values in charts/pullgate/values*.yaml charts/pullgate/ci/*.yaml; do \
        {{ helm }} lint --strict --kube-version 1.30.0 charts/pullgate --values "$values"; \
        {{ helm }} template pullgate charts/pullgate --kube-version 1.30.0 --namespace pullgate --values "$values" >/dev/null; \
    done

# A development CA and serving certificate in certs/
certs-dev *ARGS:
    certs/dev.sh {{ ARGS }}

# Every finding code, without a cluster or a network
demo:
    cargo run --locked --release -- demo

# The published numbers, each beside its baseline
bench *ARGS:
    cargo bench --profile dist --locked --bench reviews {{ ARGS }}

# A simulated day of 10,000 pods, with its picture
day *ARGS:
    cargo bench --profile dist --locked --bench day {{ ARGS }}

# The static binary that ships, with the shared cache in it
dist:
    cargo build --locked --profile dist --features redis --target {{ musl }}

# The container image for this machine's architecture
image: dist
    install -D target/{{ musl }}/dist/pullgate target/image/{{ image_arch }}/pullgate
    install -D -m 0644 {{ ca_bundle }} target/image/ca-certificates.crt
    docker build --build-arg TARGETARCH={{ image_arch }} --tag {{ image_tag }} .
