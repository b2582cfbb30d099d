# Chooses the compiler for the boards; to be sourced. `host/src/boards/image.rs` applies the same rules.
# SMIDGEN_BOARD_COMPILER is `rustup` for the compiler on the path or `debian` for that of Debian's packages. If it is
# not set, the first of the two that can build for the target is used.

# The targets of firmware/boards.
bare_targets="thumbv6m-none-eabi thumbv7m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf"

# has_target RUSTC TARGET: succeeds if the compiler has the core library of the target.
has_target() {
    library=$("$1" --print target-libdir --target "$2" 2>/dev/null) && [ -d "$library" ]
}

# has_targets RUSTC: succeeds if the compiler has the core libraries of all targets.
has_targets() {
    for target in $bare_targets; do
        has_target "$1" "$target" || return 1
    done
}

# has_sources RUSTC: succeeds if the compiler can build the core library from its own sources.
has_sources() {
    sysroot=$("$1" --print sysroot 2>/dev/null) && [ -d "$sysroot/lib/rustlib/src/rust/library/core" ]
}

# allows NAME: succeeds if SMIDGEN_BOARD_COMPILER is NAME or not set.
allows() {
    [ "${SMIDGEN_BOARD_COMPILER:-$1}" = "$1" ]
}

# board_compiler TARGET: prints the compiler for the target.
board_compiler() {
    for candidate in rustup:rustc debian:/usr/bin/rustc; do
        allows "${candidate%%:*}" || continue
        if has_target "${candidate#*:}" "$1" || has_sources "${candidate#*:}"; then
            echo "${candidate#*:}"
            return
        fi
    done
    return 1
}

# can_build_boards: succeeds if every target has a compiler.
can_build_boards() {
    for target in $bare_targets; do
        board_compiler "$target" >/dev/null || return 1
    done
}

case "${SMIDGEN_BOARD_COMPILER-}" in
    '' | rustup | debian) ;;
    *)
        echo "SMIDGEN_BOARD_COMPILER is \`$SMIDGEN_BOARD_COMPILER\`: set it to \`rustup\` or \`debian\`, or unset it." >&2
        exit 2
        ;;
esac
