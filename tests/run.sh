#!/usr/bin/env bash
# Every test of the project, from any directory: the hermetic ones, then pullgate beside the real parts (registries from
# Go modules, containerd's own resolver as the judge; tests/testbed, tests/real), then behind a real API server, driven
# with kubectl (tests/cluster), then replicas of it over a real Valkey or Redis (tests/shared), then beside a real kubelet
# and a real containerd (tests/node; as root only), then with pods created while the release of the chart changes
# (tests/lifecycle; as root only); with --all behind the API servers of other Kubernetes lines, too. As root whatever runs
# does so in a network namespace in which only loopback is up. The last line is "N passed, M failed".
set -euo pipefail

parts=() lines=()
case "$*" in
"") ;;
--all) parts=(--all) lines=(1.34 1.36) ;;
*)
	echo "usage: tests/run.sh [--all]" >&2
	exit 2
	;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
passed=0 failed=0

# need TOOL LINE-TO-TYPE: a missing tool is a failure, never a skip
need() {
	if ! command -v "$1" >/dev/null; then
		echo "the tests need $1, which is not on the PATH; type:" >&2
		echo "  $2" >&2
		echo "$passed passed, $((failed + 1)) failed"
		exit 1
	fi
}

step() {
	printf '\n== %s\n' "$1"
}

# built COMMAND...: whatever cannot be built ends the run
built() {
	if ! "$@"; then
		echo "$passed passed, $((failed + 1)) failed"
		exit 1
	fi
}

# tally STATUS LOG: adds the counts of a test run; one that failed without a count is one failure
tally() {
	local counts ok bad
	counts=$(awk '
		/^test result: / { for (i = 2; i <= NF; i++) { if ($i == "passed;") ok += $(i - 1); if ($i == "failed;") bad += $(i - 1) } }
		/^[0-9]+ passed, [0-9]+ failed$/ { ok += $1; bad += $3 }
		END { print ok + 0, bad + 0 }' "$2")
	read -r ok bad <<<"$counts"
	if [ "$1" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
	fi
	passed=$((passed + ok)) failed=$((failed + bad))
}

# Every password of the tests begins with this; and how base64 writes that, wherever it stands (tests/parts/canary.rs).
canary='canary-|Y2FuYXJ5L|NhbmFyeS|jYW5hcnkt'

# tests COMMAND...: runs it off the network, counts, and searches what it printed for a password
tests() {
	local status=0 log
	log=$(mktemp)
	"${alone[@]}" "$@" 2>&1 | tee "$log" || status=$?
	tally "$status" "$log"
	if grep -nE "$canary" "$log" >&2; then
		echo "a password of the tests is in what this suite printed: $*" >&2
		failed=$((failed + 1))
	fi
	rm -f "$log"
}

need cargo "curl -sSf https://sh.rustup.rs | sh -s -- -y"
need go "apt-get install -y golang-go"
# runc, the one part in C
need cc "apt-get install -y build-essential"
# asked for by what the messages say to type
need skopeo "apt-get install -y skopeo"
command -v valkey-server >/dev/null || need redis-server "apt-get install -y redis-server"
alone=()
if [ "$(id -u)" -ne 0 ]; then
	echo "not root: the tests run without a network namespace of their own"
else
	need unshare "apt-get install -y util-linux"
	need ip "apt-get install -y iproute2"
	if unshare -n true 2>/dev/null; then
		# shellcheck disable=SC2016 # expanded by the inner shell
		alone=(unshare -n bash -c 'ip link set lo up && exec "$@"' offline)
	else
		echo "root without the right to make a network namespace: the tests run without one of their own"
	fi
fi

# one build for all suites; what ships has the shared cache in it
with=(--features "real-parts,redis,otlp")
step "building the tests"
built cargo test --locked "${with[@]}" --no-run
step "hermetic tests"
tests cargo test --locked --offline "${with[@]}" --lib --bins --test suite

step "building the real parts"
built tests/testbed/build.sh "${parts[@]}"
step "replicas over a real Valkey or Redis"
tests cargo test --locked --offline "${with[@]}" --test shared
step "pullgate beside the real parts"
tests cargo test --locked --offline "${with[@]}" --test real
step "pullgate behind a real API server"
tests cargo test --locked --offline "${with[@]}" --test cluster
# node: a kubelet and a containerd; lifecycle: an address for each replica
for suite in node lifecycle; do
	case $suite in
	node) step "pullgate beside a real kubelet" ;;
	lifecycle) step "pods created while the release of the chart changes" ;;
	esac
	if [ "$(id -u)" -ne 0 ]; then
		echo "left out: what it starts runs as root only; to run it, type: sudo -E tests/run.sh"
	elif ! unshare --net --mount --pid --fork true 2>/dev/null; then
		echo "left out: this machine gives root no network, mount and process namespaces, which it needs"
	else
		before=$failed
		tests cargo test --locked --offline "${with[@]}" --test $suite
		# a load needs a machine that keeps up with it: what fails twice has failed
		if [ $suite = lifecycle ] && [ "$failed" -gt "$before" ]; then
			step "once more: pods created while the release of the chart changes"
			failed=$before
			tests cargo test --locked --offline "${with[@]}" --test $suite
		fi
	fi
done
for line in "${lines[@]}"; do
	step "pullgate behind an API server of Kubernetes $line"
	tests env TESTBED_KUBERNETES="$line" cargo test --locked --offline "${with[@]}" --test cluster
done
step "the image, built without a network and run in it"
musl=$(uname -m)-unknown-linux-musl
if [ "$(id -u)" -ne 0 ]; then
	echo "left out: buildah and chroot run as root only here; to run it, type: sudo -E tests/run.sh"
elif ! rustup target list --installed 2>/dev/null | grep -qx "$musl"; then
	echo "left out: the binary that ships is built for $musl; to run it, type: rustup target add $musl"
else
	need buildah "apt-get install -y buildah"
	need musl-gcc "apt-get install -y musl-tools"
	need cargo-auditable "cargo install --locked cargo-auditable auditable2cdx"
	alone=()
	tests tests/image.sh
fi

echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
