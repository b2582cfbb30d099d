#!/usr/bin/env bash
# Installs what is missing and runs every test, emulated boards included. Cheap steps run first, and the first failure
# ends the run. The last lines list skipped tests and count passed, failed and skipped ones.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# A fixed seed, so that property tests of a commit give the same result on every machine.
# `PROPTEST_RNG_SEED=$RANDOM scripts/test.sh` draws other cases.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-10}
# Many tests wait for emulated boards or for other programs, so more of them run at a time than there are processors.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}

# All boards are tested here.
unset SMIDGEN_BOARDS

log=$(mktemp)
trap 'rm -f "$log"' EXIT
steps_passed=0 steps_skipped=0

# board_step NAME COMMAND: runs a step that needs a compiler for the boards, or skips it.
board_step() {
    if [ -z "$missing" ]; then
        step "$@"
    else
        echo "SKIPPED: $1: $missing" | tee -a "$log"
        steps_skipped=$((steps_skipped + 1))
    fi
}

# step NAME COMMAND [ARGUMENT...]: runs a step, and ends the run if it fails.
step() {
    printf '\n== %s (%d s)\n' "$1" "$SECONDS"
    if "${@:2}" 2>&1 | tee -a "$log"; then
        steps_passed=$((steps_passed + 1))
    else
        printf '\nFAILED: %s\n' "$1"
        finish 1
    fi
}

# finish STEPS_FAILED: prints the summary and exits. A skipped test prints `SKIPPED: NAME: WHY`, but libtest counts it
# as passed.
finish() {
    local skips ignored passed failed skipped
    skips=$(grep -o 'SKIPPED: .*' "$log" | sort -u)
    ignored=$(grep -E '^test .* \.\.\. ignored' "$log" | sed 's/^test /SKIPPED: /; s/ \.\.\. /: /')
    read -r passed failed < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
    # A test may report several missing things, but counts once.
    skipped=$(awk -F ': ' '!seen[$2]++ && NF' <<<"$skips" | grep -c '')
    passed=$((passed + steps_passed + steps_skipped - skipped))
    skipped=$((skipped + $(printf '%s' "$ignored" | grep -c '')))
    [ "$failed" -gt 0 ] || failed=$1
    printf '\n'
    printf '%s\n' "$skips" "$ignored" | sed '/^$/d'
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
    exit
}

# Builds what the steps after it run, all at once: that takes less time than package by package.
build() {
    cargo test --locked --workspace --no-run
}

# tests PACKAGE...: runs the tests of the packages. Passed tests print their output too, which tells if one was skipped.
tests() {
    cargo test --locked --no-fail-fast "${@/#/--package=}" -- --show-output
}

# boards TASK: runs a task on all boards of the table.
boards() {
    cargo run --locked --quiet --profile test --package smidgen-tests --example boards -- "$@"
}

format() {
    local manifest
    for manifest in Cargo.toml firmware/boards/Cargo.toml fuzz/Cargo.toml examples/*/Cargo.toml examples/*/images/*/Cargo.toml; do
        cargo fmt --all --check --manifest-path "$manifest" || return
    done
}

lint() {
    cargo clippy --locked --workspace --all-targets -- -D warnings || return
    # By itself, as it is installed: without features that other packages and tests select.
    cargo check --locked --package smidgen
}

# The fuzzing engine is C++, so it is left out; the bodies of the targets run in the end-to-end tests.
lint_fuzzers() {
    cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}" --no-default-features -- -D warnings
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
}

# Uses the command that the README documents, of the smidgen that its tests have built.
images() {
    for board in $(boards names); do
        "${CARGO_TARGET_DIR:-target}/debug/smidgen" image --board "$board" || return
    done
    boards sizes
}

# If the setup succeeds, a test that cannot run its emulated boards fails instead of being skipped.
printf '\n== setup\n'
scripts/setup.sh && export SMIDGEN_NO_SKIP=1
second_qemu=$PWD/target/second-qemu/qemu-system
[ ! -x "$second_qemu-arm" ] || export SMIDGEN_OTHER_QEMU=$second_qemu-arm
[ ! -x "$second_qemu-riscv32" ] || export SMIDGEN_OTHER_QEMU_RISCV32=$second_qemu-riscv32

step "format" format
step "lint" lint
step "lint of the fuzzers" lint_fuzzers
step "build of the tests" build
missing=$(boards missing) || finish 1
board_step "lint of the boards" boards lint
step "unit tests and examples" tests smidgen-protocol smidgen-firmware smidgen-aggregator smidgen
step "documentation" documentation
board_step "protocol and firmware without a standard library" boards no-std
board_step "images" images
step "end to end" tests smidgen-tests
finish 0
