#!/bin/sh
# Sets up what smidgen needs and the machine does not have yet: a linker, compilers for the boards, QEMU.
# It may be run as often as you like; what is there stays as it is. Needs root, or sudo, where packages are missing.
set -eu
cd "$(dirname "$0")/.."
. scripts/bare-metal.sh

# The longest that rustup may try to download targets, in seconds.
download_timeout=300
refreshed=
second_qemu=$PWD/target/second-qemu/qemu-system-arm

say() {
    echo "setup: $*"
}

give_up() {
    say "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null || give_up "Packages are missing, and neither are you root nor is there sudo."
        sudo "$@"
    fi
}

# install_packages PACKAGE...: by apt, whose list is refreshed first.
install_packages() {
    command -v apt-get >/dev/null || give_up "Please install what Debian calls $*: this machine has no apt-get."
    [ -n "$refreshed" ] || as_root apt-get -qq update
    refreshed=yes
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null ||
        give_up "apt-get cannot install $*."
    say "Installed the packages $*."
}

set_up_rust() {
    command -v cargo >/dev/null || give_up "Please install Rust first: https://rustup.rs tells how."
    command -v cc >/dev/null || install_packages gcc libc6-dev
    if command -v rustup >/dev/null; then
        cargo fmt --version >/dev/null 2>&1 || rustup --quiet component add rustfmt
        cargo clippy --version >/dev/null 2>&1 || rustup --quiet component add clippy
    fi
    say "Rust is here: $(rustc --version)."
}

# By rustup where it can download; Debian's compiler, which brings the sources of the core library, elsewhere.
set_up_bare_metal() {
    if allows rustup && has_targets rustc; then
        say "The compiler has the targets of all boards."
    elif allows rustup && has_sources rustc; then
        say "The compiler has the sources of the core library and builds for all boards with them."
    elif allows debian && has_sources /usr/bin/rustc && [ -x /usr/bin/cargo-clippy ] && command -v ld.lld >/dev/null; then
        say "Debian's compiler builds for the boards: $(/usr/bin/rustc --version)."
    elif allows rustup && add_targets; then
        say "rustup has added the targets of all boards."
    elif allows debian; then
        say "The targets of the boards cannot be downloaded or are not wanted, so Debian's compiler shall build for them."
        install_packages rustc-web cargo-web rust-web-src rust-web-clippy rust-web-llvm lld
    else
        give_up "rustup cannot add the targets of the boards: $bare_targets."
    fi
}

# What rustup believes to have may be gone from its folder; then it is told so first.
add_targets() {
    command -v rustup >/dev/null || return
    download_targets && has_targets rustc && return
    # shellcheck disable=SC2086 # The targets are several words.
    rustup --quiet target remove $bare_targets >/dev/null 2>&1 || true
    download_targets && has_targets rustc
}

download_targets() {
    # shellcheck disable=SC2086 # The targets are several words.
    timeout "$download_timeout" rustup --quiet target add $bare_targets 2>/dev/null
}

set_up_qemu() {
    command -v qemu-system-arm >/dev/null || install_packages qemu-system-arm
    say "QEMU is here: $(qemu-system-arm --version | head -n 1)."
}

# A second version of QEMU for the tests, beside the installed one: Debian's backports have a newer one. It may be missing.
set_up_second_qemu() {
    [ -x "$second_qemu" ] && say "A second QEMU is here: $("$second_qemu" --version | head -n 1)." && return
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME-}")-backports
    (
        command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit 1
        folder=$(mktemp -d) && cd "$folder" && mkdir -p lists/partial cache/archives/partial || exit 1
        trap 'rm -rf "$folder"' EXIT
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 /debian/) || exit 1
        keyring=/usr/share/keyrings/debian-archive-keyring.gpg
        echo "deb [signed-by=$keyring] $mirror $suite main" >sources
        apt() {
            apt-get -qq -o Dir::Etc::SourceList="$folder/sources" -o Dir::Etc::SourceParts=/dev/null -o APT::Sandbox::User= \
                -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache" "$@"
        }
        apt update && apt download "qemu-system-arm/$suite" || exit 1
        dpkg-deb -x qemu-system-arm_*.deb unpacked && mkdir -p "$(dirname "$second_qemu")" || exit 1
        # Libraries that the installed one does not need may be missing.
        unpacked/usr/bin/qemu-system-arm --version && mv unpacked/usr/bin/qemu-system-arm "$second_qemu"
    ) >/dev/null 2>&1 || {
        say "There is no second QEMU to be had: what is tested with two is tested with one."
        return
    }
    say "Unpacked a second QEMU: $("$second_qemu" --version | head -n 1)."
}

set_up_rust
# What cannot be had here keeps nothing else from being set up.
status=0
(set_up_bare_metal) || status=1
(set_up_qemu) || status=1
set_up_second_qemu
exit $status
