#!/usr/bin/env bash
# Fuzzes every target for so many seconds, two at a time, from its seeds and what was found before (corpus/, not kept
# by git). What breaks a check is shown, and kept in artifacts/: mend it, and put it among the seeds.
#
#   tests/fuzz/run.sh [--dev] [SECONDS]   20; --dev: built sooner, runs at a part of the speed
#
# Needs cargo-fuzz and a C++ compiler. Our code has no `unsafe`, so no sanitizer is needed, nor a nightly toolchain.
set -euo pipefail
cd "$(dirname "$0")/../.."
export how='--sanitizer none'
if [ "${1:-}" = --dev ]; then how="$how --dev" && shift; fi
export seconds=${1:-20}

# What a target says is told only where it fails.
one() {
    local target=$1 log
    log=$(mktemp)
    mkdir -p "tests/fuzz/corpus/$target"
    # shellcheck disable=SC2086 # several flags
    cargo fuzz run --fuzz-dir tests/fuzz $how "$target" "tests/fuzz/corpus/$target" "tests/fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 >"$log" 2>&1 || { cat "$log" && echo "$target: failed" && return 1; }
    echo "$target: $(grep ^Done "$log")"
    rm "$log"
}

export -f one
# shellcheck disable=SC2086
cargo fuzz build --fuzz-dir tests/fuzz $how
cargo fuzz list --fuzz-dir tests/fuzz | xargs -P 2 -n 1 bash -euc 'one "$0"'
