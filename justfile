# The recipes that people and CI run. `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

# Docker's name of this machine's architecture
image_arch := if arch() == "aarch64" { "arm64" } else { "amd64" }
image_tag := env("IMAGE_TAG", "pullgate:dev")
# helm from the PATH, else the one that the test bed builds
helm := `command -v helm || echo target/testbed/bin/helm`

_default:
    @just --list --unsorted

# Everything CI runs
ci: lint test deny doc chart alerts

# Format the sources
fmt:
    cargo fmt

# Formatting, clippy and shell syntax; warnings are errors
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets --features real-parts,redis,otlp -- -D warnings
    cargo clippy --locked --all-targets -- -D warnings
    sh -n certs/dev.sh
    for script in tests/run.sh tests/image.sh tests/testbed/build.sh .ci/dist .ci/run; do bash -n $script; done
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

# The alerts: syntax, and whether each fires when it should and only then
alerts:
    promtool check rules charts/pullgate/alerts.yaml
    promtool test rules tests/alerts.yaml

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

# The static binary that ships, for this machine's architecture or another TARGET, with the shared cache in it
dist PROFILE="dist" *TARGET:
    .ci/dist {{ PROFILE }} {{ TARGET }}

# The container image for this machine's architecture
image: dist
    docker build --build-arg TARGETARCH={{ image_arch }} --tag {{ image_tag }} .

# The image without a Docker engine: what is in it, that it runs, that it is the same when built again (root, buildah)
image-test PROFILE="dev":
    tests/image.sh {{ PROFILE }}

# Of a release: crate and chart say the version of the tag
release-version VERSION:
    grep -qx 'version = "{{ trim_start_match(VERSION, "v") }}"' Cargo.toml
    grep -qx 'version: {{ trim_start_match(VERSION, "v") }}' charts/pullgate/Chart.yaml
    grep -qx 'appVersion: "\?{{ trim_start_match(VERSION, "v") }}"\?' charts/pullgate/Chart.yaml

# Of a release: the password comes from REGISTRY_PASSWORD
login REGISTRY USER:
    docker login --username {{ USER }} --password-stdin {{ REGISTRY }} <<<"$REGISTRY_PASSWORD"
    {{ helm }} registry login --username {{ USER }} --password-stdin {{ REGISTRY }} <<<"$REGISTRY_PASSWORD"

# Of a release: the image of both architectures, pushed, signed, with the crates of each; prints its digest
publish-image IMAGE VERSION:
    docker buildx inspect pullgate >/dev/null 2>&1 || docker buildx create --name pullgate >&2
    docker buildx build --builder pullgate --platform linux/amd64,linux/arm64 --build-arg VERSION={{ VERSION }} \
        --build-arg REVISION="$(git rev-parse HEAD)" --provenance=false --tag {{ IMAGE }}:{{ VERSION }} \
        --metadata-file target/image/metadata.json --push . >&2
    digest=$(jq -r '."containerimage.digest"' target/image/metadata.json); \
        cosign sign --yes {{ IMAGE }}@"$digest" >&2; \
        for arch in amd64 arm64; do cosign attest --yes --type cyclonedx --predicate target/image/$arch/sbom.cdx.json {{ IMAGE }}@"$digest" >&2; done; \
        echo "$digest"

# Of a release: the chart as an OCI artefact, signed; it names the image by digest
publish-chart CHARTS VERSION IMAGE:
    digest=$(jq -r '."containerimage.digest"' target/image/metadata.json); \
        sed -i -e 's|^  repository: pullgate$|  repository: {{ IMAGE }}|' -e "s|^  digest: \"\"$|  digest: $digest|" charts/pullgate/values.yaml
    {{ helm }} package charts/pullgate --destination target/chart
    pushed=$({{ helm }} push target/chart/pullgate-*.tgz oci://{{ CHARTS }} 2>&1 | tee /dev/stderr | awk '/^Digest:/ { print $2 }'); \
        cosign sign --yes {{ CHARTS }}/pullgate@"$pushed"

# Of a release: binaries, their crates and checksums
publish-release VERSION:
    chmod 0755 target/image/*/pullgate
    cd target/image && for arch in amd64 arm64; do tar -czf ../pullgate-linux-$arch.tar.gz -C $arch pullgate; done
    cd target && sha256sum pullgate-linux-*.tar.gz >SHA256SUMS && cosign sign-blob --yes --bundle SHA256SUMS.sigstore.json SHA256SUMS
    gh release create {{ VERSION }} --verify-tag --notes-file <(awk '/^## /{ n++ } n == 1' CHANGELOG.md) \
        target/pullgate-linux-*.tar.gz target/SHA256SUMS target/SHA256SUMS.sigstore.json target/image/amd64/sbom.cdx.json#sbom-amd64 target/image/arm64/sbom.cdx.json#sbom-arm64
