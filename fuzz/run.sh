#!/usr/bin/env bash
# Fuzzes targets one after another: fuzz/run.sh SECONDS [TARGET]...   All of them where none is named.
# Needs the nightly toolchain and cargo-fuzz (`cargo install cargo-fuzz --locked`). What is found stays in fuzz/artifacts.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET]...}
shift
all=(admission challenge docker_config error_body hosts_toml manifest reference)
if [ $# -eq 0 ]; then set -- "${all[@]}"; fi

for target; do
	case "$target" in
	# One change at a time where the mutator is our own: several would leave no JSON.
	admission) dictionary=json length=12000 depth=1 ;;
	docker_config) dictionary=json length=4096 depth=2 ;;
	manifest) dictionary=json length=40000 depth=1 ;;
	hosts_toml) dictionary=hosts_toml length=1024 depth=2 ;;
	*) dictionary=$target length=1024 depth=5 ;;
	esac
	# New inputs go to a folder of their own; `cargo fuzz cmin` brings the good ones into the corpus.
	mkdir -p "target/found/$target"
	cargo +nightly fuzz run -O "$target" "target/found/$target" "corpus/$target" -- \
		-max_total_time="$seconds" -dict="dictionaries/$dictionary.dict" -max_len="$length" -mutate_depth="$depth" -timeout=10 \
		-print_final_stats=1
done
