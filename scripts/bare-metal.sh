# Which compiler builds for the boards. To be sourced; `host/src/image.rs` decides by the same rules.

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

# can_build_boards: some compiler does.
can_build_boards() {
    has_targets rustc || has_sources rustc || has_sources /usr/bin/rustc
}
