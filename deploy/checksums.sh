#!/bin/sh
# The list of a release's files with their SHA-256, signed, and whether files are those of the list.
#
#   sh deploy/checksums.sh FOLDER [--sign KEY]         write FOLDER/SHA256SUMS of the wheels and packages in it; sign it
#   sh deploy/checksums.sh --verify FOLDER [SIGNERS]   are they those of the list, and who signed it?
#
# KEY is a private key of ssh-keygen, which lies nowhere in this project. SIGNERS is a file with the keys of those who may
# sign (ssh-keygen, ALLOWED SIGNERS), /etc/facelatch/allowed_signers by default. A list with a signature that does not
# fit is refused; without one only damage is found, not exchange, and that is said.
set -eu
namespace=facelatch-release

say() { printf 'checksums: %s\n' "$*"; }
fail() { printf 'checksums: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//p;}' "$0" >&2; exit 2; }

verify() {
    cd -- "$1"
    [ -f SHA256SUMS ] || fail "$1: no SHA256SUMS in it"
    if [ -f SHA256SUMS.sig ]; then
        who=$(ssh-keygen -Y find-principals -f "$2" -s SHA256SUMS.sig 2>/dev/null | head -n 1) || true
        [ -n "$who" ] || fail "SHA256SUMS.sig: signed by nobody whose key is in $2"
        ssh-keygen -Y verify -f "$2" -I "$who" -n "$namespace" -s SHA256SUMS.sig <SHA256SUMS >/dev/null 2>&1 ||
            fail "SHA256SUMS.sig: does not fit SHA256SUMS"
        say "the list is signed by $who"
    else
        say "the list is not signed: damage would be found, exchange would not"
    fi
    for file in *.whl *.deb; do
        [ ! -f "$file" ] || grep -q "  $file\$" SHA256SUMS || fail "$file: not in SHA256SUMS"
    done
    sha256sum --check --quiet --ignore-missing SHA256SUMS || fail "not the files of the list"
}

write() {
    cd -- "$1"
    for file in *.whl *.deb; do [ ! -f "$file" ] || sha256sum -- "$file"; done >SHA256SUMS.draft
    [ -s SHA256SUMS.draft ] || fail "$1: no wheel and no package in it"
    mv -- SHA256SUMS.draft SHA256SUMS
    rm -f -- SHA256SUMS.sig
    if [ -n "$2" ]; then ssh-keygen -q -Y sign -f "$2" -n "$namespace" SHA256SUMS; fi
    cat SHA256SUMS
}

case ${1:-} in
    --verify) [ $# -ge 2 ] || usage; verify "$2" "${3:-/etc/facelatch/allowed_signers}" ;;
    '' | -*) usage ;;
    *)
        key=''
        if [ $# -gt 1 ]; then
            [ "$2" = --sign ] && [ $# -eq 3 ] || usage
            key=$3
            [ -f "$key" ] || fail "$key: no such key"
            key=$(cd -- "$(dirname -- "$key")" && pwd)/$(basename -- "$key")
        fi
        write "$1" "$key" ;;
esac
