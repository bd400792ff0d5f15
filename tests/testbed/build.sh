#!/usr/bin/env bash
# Builds the real parts that tests/run.sh runs pullgate against, from Go modules only.
# Usage: tests/testbed/build.sh [registry|token-server|pull-oracle ...]   (all without arguments)
# Output: target/testbed/bin, or $TESTBED_BIN. A part whose inputs did not change is not built again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${TESTBED_BIN:-$(cd "$here/../.." && pwd)/target/testbed/bin}
ldflags="-s -w"

if ! command -v go >/dev/null; then
	echo "the testbed is built with Go, and go is not on the PATH; type (1.21 or newer is enough, it fetches the 1.26 it needs):" >&2
	echo "  apt-get install -y golang-go" >&2
	exit 1
fi

export CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false" GOTOOLCHAIN=${GOTOOLCHAIN:-auto} GOWORK=off
mkdir -p "$out"

# stamp MODULE PACKAGE: the hash of everything that decides what the binary is
stamp() {
	{
		(cd "$here/$1" && go version)
		echo "$2 $ldflags $GOFLAGS $CGO_ENABLED"
		find "$here/$1" -type f \( -name go.mod -o -name go.sum -o -name '*.go' \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | cut -d' ' -f1
	} | sha256sum | cut -d' ' -f1
}

# part NAME MODULE PACKAGE
part() {
	local name=$1 module=$2 package=$3 started=$SECONDS want
	want=$(stamp "$module" "$package")
	if [ -x "$out/$name" ] && [ "$(cat "$out/.$name.stamp" 2>/dev/null)" = "$want" ]; then
		return
	fi
	rm -f "$out/.$name.stamp"
	if ! (cd "$here/$module" && nice go build -ldflags "$ldflags" -o "$out/$name" "$package"); then
		echo "the part $name could not be built (Go fetches its modules from \$GOPROXY, here $(go env GOPROXY)); to see it again, type:" >&2
		echo "  $here/build.sh $name" >&2
		exit 1
	fi
	echo "$want" >"$out/.$name.stamp"
	printf 'built %-14s %4d s %4d MB\n' "$name" "$((SECONDS - started))" "$(($(wc -c <"$out/$name") / 1000000))"
}

for name in "${@:-all}"; do
	case $name in
	all | registry) part registry oci github.com/distribution/distribution/v3/cmd/registry ;;&
	all | token-server) part token-server oci github.com/docker/distribution/contrib/token-server ;;&
	all | pull-oracle) part pull-oracle cri ./pull-oracle ;;&
	all | registry | token-server | pull-oracle) ;;
	*)
		echo "unknown part \"$name\"; the parts are registry, token-server, pull-oracle" >&2
		exit 2
		;;
	esac
done
