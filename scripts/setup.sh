#!/bin/sh
# Installs what smidgen needs and the machine lacks: a linker, compilers for the boards, QEMU, Python packages for tests.
# It changes nothing that is installed, so it can be run again. It needs root or sudo to install packages.
#
# `scripts/setup.sh compiler` only prints which compiler it accepts for the boards, or fails.
set -eu
cd "$(dirname "$0")/.."

# The targets of all boards, from the table of boards.
bare_targets=$(sed -n 's/^ *target: "\(thumb[^"]*\)".*/\1/p' host/src/boards/board.rs | sort -u | xargs)
# Time-out of the download of targets by rustup, in seconds.
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
        command -v sudo >/dev/null || give_up "Packages are missing: run this as root, or install sudo."
        sudo "$@"
    fi
}

# install_packages PACKAGE...: installs them with apt-get, after one update of its lists.
install_packages() {
    command -v apt-get >/dev/null || give_up "This machine has no apt-get: please install the packages that Debian calls $*."
    [ -n "$refreshed" ] || as_root apt-get -qq update
    refreshed=yes
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null ||
        give_up "apt-get cannot install $*."
    say "Installed the packages $*."
}

# allows NAME: succeeds if SMIDGEN_BOARD_COMPILER is NAME or not set.
allows() {
    [ "${SMIDGEN_BOARD_COMPILER:-$1}" = "$1" ]
}

# has_targets RUSTC: succeeds if the compiler has the core libraries of all targets.
has_targets() {
    for target in $bare_targets; do
        library=$("$1" --print target-libdir --target "$target" 2>/dev/null) && [ -d "$library" ] || return 1
    done
}

# has_sources RUSTC: succeeds if the compiler can build the core library from its own sources.
has_sources() {
    sysroot=$("$1" --print sysroot 2>/dev/null) && [ -d "$sysroot/lib/rustlib/src/rust/library/core" ]
}

set_up_rust() {
    command -v cargo >/dev/null || give_up "Please install Rust first: see https://rustup.rs."
    command -v cc >/dev/null || install_packages gcc libc6-dev
    if command -v rustup >/dev/null; then
        cargo fmt --version >/dev/null 2>&1 || rustup --quiet component add rustfmt
        cargo clippy --version >/dev/null 2>&1 || rustup --quiet component add clippy
    fi
    say "Found Rust: $(rustc --version)."
}

# Prints the compiler for the boards that `host/src/boards/image.rs` chooses, or fails. It has the targets or the sources
# of the core library. Debian has its linker and its lints in packages of their own.
compiler() {
    if allows rustup && { has_targets rustc || has_sources rustc; }; then
        echo rustc
    elif allows debian && has_sources /usr/bin/rustc; then
        [ -x /usr/bin/cargo-clippy ] && command -v ld.lld >/dev/null && echo /usr/bin/rustc
    else
        return 1
    fi
}

# Installs a compiler for the boards, unless there is one: the targets by rustup where they can be downloaded, else
# Debian's compiler, which comes with the sources of the core library.
set_up_bare_metal() {
    if rustc=$(compiler); then
        say "Found a compiler for the boards: $("$rustc" --version)."
    elif allows rustup && add_targets; then
        say "rustup has added the targets of all boards."
    elif allows debian; then
        say "rustup cannot download the targets of the boards, or is not selected: installing Debian's compiler."
        install_packages rustc-web cargo-web rust-web-src rust-web-clippy rust-web-llvm lld
    else
        give_up "rustup cannot add the targets of the boards: $bare_targets."
    fi
}

# rustup may list targets whose files are gone; it downloads them again only after it has removed them.
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
    say "Found QEMU: $(qemu-system-arm --version | head -n 1)."
}

# Unpacks a second version of QEMU for the tests from Debian's backports. Without it the tests use one version.
set_up_second_qemu() {
    [ -x "$second_qemu" ] && say "Found a second QEMU: $("$second_qemu" --version | head -n 1)." && return
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
        # It may need libraries that are not installed.
        unpacked/usr/bin/qemu-system-arm --version && mv unpacked/usr/bin/qemu-system-arm "$second_qemu"
    ) >/dev/null 2>&1 || {
        say "No second QEMU is available: tests of two versions use one."
        return
    }
    say "Unpacked a second QEMU: $("$second_qemu" --version | head -n 1)."
}

# Installs the Python packages that read exported models, in an environment of their own.
set_up_python() {
    python=target/python/bin/python3
    imports='import numpy, onnx, onnxruntime, safetensors'
    if [ -x "$python" ] && "$python" -c "$imports" 2>/dev/null; then
        say "Found the Python packages that read exported models."
        return
    fi
    command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null ||
        install_packages python3 python3-venv
    python3 -m venv --clear target/python && "$python" -m pip --quiet --disable-pip-version-check install \
        numpy onnx onnxruntime safetensors && "$python" -c "$imports" ||
        give_up "pip cannot install the Python packages that read exported models: numpy onnx onnxruntime safetensors."
    say "Installed Python packages that read exported models, in target/python."
}

case "${SMIDGEN_BOARD_COMPILER-}" in
    '' | rustup | debian) ;;
    *)
        give_up "SMIDGEN_BOARD_COMPILER is \`$SMIDGEN_BOARD_COMPILER\`: set it to \`rustup\` or \`debian\`," \
            "or unset it."
        ;;
esac
if [ "${1-}" = compiler ]; then
    compiler
    exit
fi
set_up_rust
# A step that fails does not prevent the others.
status=0
(set_up_bare_metal) || status=1
(set_up_qemu) || status=1
(set_up_python) || status=1
set_up_second_qemu
exit $status
