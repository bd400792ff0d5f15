#!/usr/bin/env bash
# Builds the real parts that tests/run.sh runs pullgate against, from Go modules only.
# Usage: tests/testbed/build.sh [PART ...]   (without arguments: every part of the usual run; --all: also the API servers
# of other Kubernetes lines). Output: target/testbed/bin, or $TESTBED_BIN. A part whose inputs did not change is not built again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${TESTBED_BIN:-$(cd "$here/../.." && pwd)/target/testbed/bin}

registries=(registry token-server pull-oracle pull-oracle-1.7 pull-oracle-crio keyring-oracle)
# kube-apiserver first: the others are quick once its packages are built
cluster=(kube-apiserver etcd kubectl kube-controller-manager kube-scheduler helm)
node=(kubelet containerd containerd-shim-runc-v2 runc pause)
other_lines=()
for line in 1.34 1.36; do
	other_lines+=("kube-apiserver-$line" "kube-controller-manager-$line" "kube-scheduler-$line")
done

if ! command -v go >/dev/null; then
	echo "the testbed is built with Go, and go is not on the PATH; type (1.21 or newer is enough, it fetches the 1.26 it needs):" >&2
	echo "  apt-get install -y golang-go" >&2
	exit 1
fi

export CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false" GOTOOLCHAIN=${GOTOOLCHAIN:-auto} GOWORK=off
mkdir -p "$out"

# flags VERSION: what the linker is told; Kubernetes binaries learn their version there and nowhere else
flags() {
	local flags="-s -w" minor=${1#v1.}
	if [ -n "$1" ]; then
		for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
			flags+=" -X $package.gitVersion=$1 -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
			flags+=" -X $package.gitCommit=0000000000000000000000000000000000000000 -X $package.buildDate=1970-01-01T00:00:00Z"
		done
	fi
	echo "$flags"
}

# stamp MODULE PACKAGE LDFLAGS: the hash of everything that decides what the binary is
stamp() {
	{
		(cd "$here/$1" && go version)
		echo "$2 $3 $GOFLAGS $CGO_ENABLED"
		find "$here/$1" -type f \( -name go.mod -o -name go.sum -o -name '*.go' \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | cut -d' ' -f1
	} | sha256sum | cut -d' ' -f1
}

# part NAME MODULE PACKAGE [VERSION]
part() {
	local name=$1 module=$2 package=$3 started=$SECONDS ldflags want
	ldflags=$(flags "${4:-}")
	want=$(stamp "$module" "$package" "$ldflags")
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
	printf 'built %-28s %4d s %4d MB\n' "$name" "$((SECONDS - started))" "$(($(wc -c <"$out/$name") / 1000000))"
}

# kubernetes NAME: NAME, of the usual line, or NAME-1.34 of another
kubernetes() {
	local line module=k8s binary=$1
	line=${1##*-}
	if [[ $line == 1.* ]]; then
		module=k8s-$line binary=${1%-"$line"}
	fi
	part "$1" "$module" "k8s.io/kubernetes/cmd/$binary" "$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$here/$module/go.mod")"
}

build() {
	case $1 in
	registry) part "$1" oci github.com/distribution/distribution/v3/cmd/registry ;;
	token-server) part "$1" oci github.com/docker/distribution/contrib/token-server ;;
	pull-oracle | pause) part "$1" cri "./$1" ;;
	pull-oracle-1.7) part "$1" cri-1.7 "./$1" ;;
	# without the tag the library wants GPGME, which is C
	pull-oracle-crio) GOFLAGS="$GOFLAGS -tags=containers_image_openpgp" part "$1" crio "./$1" ;;
	kubelet) kubernetes "$1" ;;
	containerd | containerd-shim-runc-v2) part "$1" cri "github.com/containerd/containerd/v2/cmd/$1" ;;
	# it enters namespaces before Go starts: in C
	runc) CGO_ENABLED=1 part "$1" runc github.com/opencontainers/runc ;;
	keyring-oracle) part "$1" ../oracle . ;;
	etcd) part "$1" k8s go.etcd.io/etcd/server/v3 ;;
	helm) part "$1" k8s helm.sh/helm/v3/cmd/helm ;;
	kube-* | kubectl) kubernetes "$1" ;;
	esac
}

usual=("${registries[@]}" "${cluster[@]}" "${node[@]}")
wanted=()
for name in "${@:-usual}"; do
	case $name in
	usual) wanted+=("${usual[@]}") ;;
	--all) wanted+=("${usual[@]}" "${other_lines[@]}") ;;
	*)
		if ! printf '%s\n' "${usual[@]}" "${other_lines[@]}" | grep -qxF -- "$name"; then
			echo "unknown part \"$name\"; the parts are ${usual[*]}, and with --all ${other_lines[*]}" >&2
			exit 2
		fi
		wanted+=("$name")
		;;
	esac
done
for name in "${wanted[@]}"; do
	build "$name"
done
