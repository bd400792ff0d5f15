#!/bin/sh
# Makes a development CA and a serving certificate for the webhook in the directory of this script.
#
#   certs/dev.sh [--service NAME] [--namespace NAME] [--out DIR] [--force]
#
# Writes ca.pem, ca.key, tls.pem and tls.key (all git-ignored) and prints what to do with them.
# For a laptop, a test cluster and nothing else: see README.md in this directory.
set -eu

service=pullgate
namespace=pullgate
out=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
force=no
# A year for the CA and a quarter for the leaf: long enough to forget, short enough not to outlive the laptop.
ca_days=365
leaf_days=90

usage() {
	echo "usage: certs/dev.sh [--service NAME] [--namespace NAME] [--out DIR] [--force]" >&2
	exit 2
}

while [ $# -gt 0 ]; do
	case $1 in
	--service) [ $# -ge 2 ] || usage; service=$2; shift 2 ;;
	--namespace) [ $# -ge 2 ] || usage; namespace=$2; shift 2 ;;
	--out) [ $# -ge 2 ] || usage; out=$2; shift 2 ;;
	--force) force=yes; shift ;;
	*) usage ;;
	esac
done

# Both go into a configuration file for openssl: nothing but DNS labels.
for label in "$service" "$namespace"; do
	case $label in
	'' | -* | *- | *[!a-z0-9-]*)
		echo "certs/dev.sh: \"$label\" is not a DNS label (a-z, 0-9 and -)" >&2
		exit 2
		;;
	esac
done

command -v openssl >/dev/null || {
	echo "certs/dev.sh: openssl is not on the PATH" >&2
	exit 1
}

mkdir -p "$out"
for name in ca.pem ca.key tls.pem tls.key; do
	if [ -e "$out/$name" ] && [ "$force" = no ]; then
		echo "certs/dev.sh: $out/$name exists; --force makes a new CA, which every caBundle must then be given" >&2
		exit 1
	fi
done

# Everything is made beside its destination and moved at the end: a failure leaves the old files alone.
umask 077
work=$(mktemp -d "$out/.dev-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

cat >"$work/openssl.cnf" <<EOF
[req]
prompt = no
distinguished_name = name
[name]
CN = pullgate development CA
[ca]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:$service.$namespace.svc, DNS:$service.$namespace.svc.cluster.local, DNS:localhost, IP:127.0.0.1
EOF

key() {
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

key "$work/ca.key"
openssl req -x509 -new -sha256 -key "$work/ca.key" -days "$ca_days" \
	-config "$work/openssl.cnf" -extensions ca -out "$work/ca.pem"

# API servers look at the subjectAltName only; a service name in CN could pass its limit of 64 characters.
key "$work/tls.key"
openssl req -new -sha256 -key "$work/tls.key" -config "$work/openssl.cnf" \
	-subj "/CN=pullgate webhook" -out "$work/tls.csr"
openssl x509 -req -sha256 -in "$work/tls.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
	-set_serial "0x$(openssl rand -hex 16 | sed 's/^./1/')" -days "$leaf_days" \
	-extfile "$work/openssl.cnf" -extensions leaf -out "$work/tls.pem" 2>/dev/null
openssl verify -CAfile "$work/ca.pem" -purpose sslserver "$work/tls.pem" >/dev/null

chmod 644 "$work/ca.pem" "$work/tls.pem"
for name in ca.key ca.pem tls.key tls.pem; do
	mv -f "$work/$name" "$out/$name"
done

cat <<EOF
CA for $ca_days days and serving certificate for $leaf_days days, in $out.

For the webhook configurations, or the chart's tls.caBundle with tls.mode=files:
caBundle: $(openssl base64 -A -in "$out/ca.pem")

For the server:
--tls-cert-file $out/tls.pem --tls-private-key-file $out/tls.key
EOF
