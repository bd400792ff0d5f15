#!/usr/bin/env bash
# The image: the static binary of .ci/dist and the Dockerfile, put together by buildah without a network. What is in it, that
# a second build from another directory gives the same bytes, and that it runs with nothing around it. For root (chroot).
# tests/image.sh [PROFILE]; the last line is "N passed, M failed".
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=${1:-dev}
machine=$(uname -m)
target=$machine-unknown-linux-musl
case $machine in x86_64) arch=amd64 ;; *) arch=arm64 ;; esac
passed=0 failed=0
work=$(mktemp -d)
buildah=(buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run")
trap '"${buildah[@]}" umount --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

# check WHAT COMMAND...: one thing that must be so
check() {
	if "${@:2}" >"$work/said" 2>&1; then
		echo "ok: $1"
		passed=$((passed + 1))
	else
		echo "FAILED: $1"
		sed 's/^/    /' "$work/said" | tail -n 20
		failed=$((failed + 1))
	fi
}

# image NAME: what docker build does here
image() {
	"${buildah[@]}" build --isolation chroot --timestamp 0 --build-arg "TARGETARCH=$arch" --build-arg VERSION=test --build-arg REVISION=none \
		--tag "$1" . >/dev/null
	"${buildah[@]}" push --quiet "$1" "oci:$work/oci:$1" >/dev/null 2>&1
}

# manifest NAME: its digest
manifest() {
	tr -d ' \n' <"$work/oci/index.json" | sed 's/{"mediaType"/\n&/g' | sed -n "s/.*\"digest\":\"\\([^\"]*\\)\".*\"$1\".*/\\1/p"
}

# label NAME, user, ...: of the configuration
configured() {
	"${buildah[@]}" inspect --type image --format "$1" localhost/first
}

static() {
	! readelf --program-headers "target/image/$arch/pullgate" | grep -q INTERP
}

# crates: each name and version in the binary's own list is one of the lock file, and the ones that count are there
crates() {
	auditable2cdx "target/image/$arch/pullgate" >"target/image/$arch/sbom.cdx.json"
	local listed
	listed=$(tr -d '\n' <"target/image/$arch/sbom.cdx.json" | grep -o '"purl": *"pkg:cargo/[^"?&]*' | sed 's|.*pkg:cargo/||' | sort -u)
	for name in pullgate tokio rustls kube axum moka oci-client; do
		grep -q "^$name@" <<<"$listed" || { echo "$name is not listed"; return 1; }
	done
	while IFS=@ read -r name version; do
		grep -A1 "^name = \"$name\"$" Cargo.lock | grep -q "^version = \"$version\"$" || { echo "$name $version is not in Cargo.lock"; return 1; }
	done <<<"$listed"
}

# elsewhere: the same sources in another directory, the same bytes
elsewhere() {
	local first
	first=$(sha256sum <"target/image/$arch/pullgate")
	mkdir "$work/elsewhere"
	git ls-files -z | xargs -0 cp --parents -t "$work/elsewhere"
	(cd "$work/elsewhere" && CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$OLDPWD/target} .ci/dist "$profile")
	[ "$first" = "$(sha256sum <"$work/elsewhere/target/image/$arch/pullgate")" ]
}

alone() {
	unshare --net sh -c 'ip link set lo up && exec "$@"' alone chroot --userspec=65532:65532 "$root" /pullgate "$@"
}

demo() {
	# it keeps what it makes in a temporary directory; the image has none
	mkdir -m 1777 "$root/tmp"
	alone demo >"$work/demo" 2>&1 || { cat "$work/demo"; return 1; }
	grep -q "each answered as it must be" "$work/demo"
}

.ci/dist "$profile"
check "the binary is static" static
# __DATE__ of the C parts
check "it does not tell when it was built" grep -aq 'Jan  1 1970' "target/image/$arch/pullgate"
check "it lists its crates, each as in Cargo.lock" crates
image first
check "two files and nothing else" diff - <(
	root=$("${buildah[@]}" mount "$("${buildah[@]}" from --pull-never localhost/first)")
	ln -s "$root" "$work/root"
	cd "$root" && find . ! -type d | sort
) <<'FILES'
./etc/ssl/certs/ca-certificates.crt
./pullgate
FILES
root=$(readlink "$work/root")
check "it runs as nobody in particular" test "$(configured '{{.OCIv1.Config.User}}')" = 65532:65532
check "it serves" test "$(configured '{{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}')" = "[/pullgate] [serve]"
check "its labels say what it is" test "$(configured '{{index .OCIv1.Config.Labels "org.opencontainers.image.version"}}')" = test
check "it has the architecture it was built for" test "$(configured '{{.OCIv1.Architecture}}')" = "$arch"
check "it runs alone, without rights" alone --version
check "the demo runs in it" demo
image second
check "the same image from the same binary" test "$(manifest first)" = "$(manifest second)"
# for a release: it builds everything again
if [ "$profile" = dist ]; then
	check "the same binary from another directory" elsewhere
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
