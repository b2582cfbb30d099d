# Which compiler builds for the boards. To be sourced; `host/src/boards/image.rs` decides by the same rules.
# SMIDGEN_BOARD_COMPILER chooses one: `rustup` is the compiler in the path, `debian` is that of Debian's packages.
# Without it, the first of the two that is able does.

# The targets of firmware/boards.
bare_targets="thumbv6m-none-eabi thumbv7m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf"

# has_target RUSTC TARGET: that compiler has the core library of the target.
has_target() {
    library=$("$1" --print target-libdir --target "$2" 2>/dev/null) && [ -d "$library" ]
}

# has_targets RUSTC: it has that of all targets.
has_targets() {
    for target in $bare_targets; do
        has_target "$1" "$target" || return 1
    done
}

# has_sources RUSTC: that compiler comes with the sources of the core library and can compile them itself.
has_sources() {
    sysroot=$("$1" --print sysroot 2>/dev/null) && [ -d "$sysroot/lib/rustlib/src/rust/library/core" ]
}

# allows NAME: the choice is that compiler, or there is no choice.
allows() {
    [ "${SMIDGEN_BOARD_COMPILER:-$1}" = "$1" ]
}

# board_compiler TARGET: prints the compiler that builds for that target.
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

# can_build_boards: there is a compiler for every target.
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
