#!/usr/bin/env bash
# Makes sure that what the build needs is there: Rust, and for libopus a C compiler, make and cmake.
# Installs the latter with the system's package manager where that is allowed; otherwise prints the command for
# it and stops. With the argument "lints" it looks for rustfmt and clippy instead.
set -euo pipefail

cd "$(dirname "$0")/.."

fail() {
    printf '\nsandpool: %s\n' "$1" >&2
    exit 1
}

# The oldest Rust that builds this, as Cargo.toml says.
needed_rust() {
    sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml | head -n 1
}

check_rust() {
    local needed found
    needed=$(needed_rust)
    if ! command -v cargo >/dev/null 2>&1; then
        # Where rustup puts it when the shell was not started anew since.
        if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
            fail "Rust is installed but not on your PATH. Run this and try again:
    . \"${CARGO_HOME:-$HOME/.cargo}/env\""
        fi
        fail "Rust is missing: this needs cargo $needed or newer. https://rustup.rs says how to install it."
    fi
    # "rustc 1.95.0 (59807616e 2026-04-14)"
    found=$(rustc --version | cut -d ' ' -f 2)
    if [ "$(printf '%s\n%s\n' "$needed" "${found%%-*}" | sort -V | head -n 1)" != "$needed" ]; then
        fail "Rust $found is too old: this needs $needed or newer. With rustup: rustup update stable"
    fi
}

# A compiler is there when it turns a program with a header of the C library into an executable: Debian's
# "gcc" alone comes without the headers.
has_c_compiler() {
    local dir compiler
    dir=$(mktemp -d)
    printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' >"$dir/try.c"
    for compiler in ${CC:+"$CC"} cc; do
        if $compiler "$dir/try.c" -o "$dir/try" >/dev/null 2>&1; then
            rm -rf "$dir"
            return 0
        fi
    done
    rm -rf "$dir"
    return 1
}

# The command that installs all of it with this system's package manager; empty where none is known.
install_command() {
    if command -v apt-get >/dev/null 2>&1; then
        echo "apt-get install -y --no-install-recommends gcc libc6-dev make cmake"
    elif command -v dnf >/dev/null 2>&1; then
        echo "dnf install -y gcc make cmake"
    elif command -v pacman >/dev/null 2>&1; then
        echo "pacman -S --needed --noconfirm gcc make cmake"
    elif command -v apk >/dev/null 2>&1; then
        echo "apk add gcc musl-dev make cmake"
    fi
}

install_missing() {
    local missing=() install rights=()
    has_c_compiler || missing+=("a C compiler")
    command -v cmake >/dev/null 2>&1 || missing+=("cmake")
    command -v make >/dev/null 2>&1 || missing+=("make")
    [ ${#missing[@]} -gt 0 ] || return 0

    local list
    list=$(printf '%s, ' "${missing[@]}")
    list=${list%, }
    install=$(install_command)
    [ -n "$install" ] || fail "missing: $list. No package manager that this script knows; please install them."

    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; then
            rights=(sudo -n)
        else
            local update=""
            case $install in apt-get*) update="sudo apt-get update && " ;; esac
            fail "missing: $list. Installing needs rights that this shell does not have. Please run

    ${update}sudo $install

and try again."
        fi
    fi

    echo "sandpool: installing $list"
    case $install in
        apt-get*)
            "${rights[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
            # shellcheck disable=SC2086 # words of a command
            "${rights[@]}" env DEBIAN_FRONTEND=noninteractive $install
            ;;
        *)
            # shellcheck disable=SC2086
            "${rights[@]}" $install
            ;;
    esac
    has_c_compiler || fail "there is still no working C compiler, although this went well: $install"
    command -v cmake >/dev/null 2>&1 || fail "there is still no cmake, although this went well: $install"
}

# A minimal installation of Rust comes without these two.
check_lints() {
    local part missing=()
    for part in fmt:rustfmt clippy:clippy; do
        cargo "${part%%:*}" --version >/dev/null 2>&1 || missing+=("${part##*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v rustup >/dev/null 2>&1 || fail "missing: ${missing[*]}. Please install them from where Rust came from."
    echo "sandpool: installing ${missing[*]}"
    rustup component add "${missing[@]}"
}

case ${1:-} in
    "")
        check_rust
        install_missing
        ;;
    lints) check_lints ;;
    *) fail "usage: scripts/setup.sh [lints]" ;;
esac
