#!/usr/bin/env bash
# Fuzzes every target for so many seconds, two at a time, from its seeds and what was found before (corpus/, not kept
# by git). What breaks a check is shown, and kept in artifacts/: mend it, and put it among the seeds.
#
#   tests/fuzz/run.sh [SECONDS]   20
#
# Needs cargo-fuzz and a C++ compiler. Our code has no `unsafe`, so no sanitizer is needed, nor a nightly toolchain.
set -euo pipefail
cd "$(dirname "$0")/../.."
export seconds=${1:-20}

fuzz() { cargo fuzz "$1" --fuzz-dir tests/fuzz "${@:2}"; }

# What a target says is told only where it fails.
one() {
    local target=$1 log
    log=$(mktemp)
    mkdir -p "tests/fuzz/corpus/$target"
    fuzz run --sanitizer none "$target" "tests/fuzz/corpus/$target" "tests/fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=4096 >"$log" 2>&1 || { cat "$log" && echo "$target: failed" && return 1; }
    echo "$target: $(grep ^Done "$log")"
    rm "$log"
}

export -f fuzz one
fuzz build --sanitizer none
fuzz list | xargs -P 2 -n 1 bash -euc 'one "$0"'
