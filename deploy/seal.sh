#!/bin/sh
# The key of the sealed gallery: a systemd credential, encrypted by this machine, which only the daemon's unit is given.
#
#   sudo facelatch-seal make          make the key, if there is none; the gallery is sealed at the next start
#   sudo facelatch-seal rotate        make another key, seal everything anew with it, and forget the old one
#   sudo facelatch-seal run WORDS...  run `facelatch WORDS...` with the key, while the daemon is stopped
#   sudo facelatch-seal status        is the gallery sealed, and what is the key kept by?
#
# Where there is a TPM the key is encrypted by it too. FACELATCH_SEAL_WITH names another way, as systemd-creds does: host,
# tpm2, host+tpm2. Interrupted at any moment, the same command finishes what is left.
set -eu
credential=/etc/facelatch/seal.cred
next=/etc/facelatch/seal-next.cred
becomes=/etc/facelatch/seal.cred.new # the next key once more, under the name it will have
drop_in=/etc/systemd/system/facelatch.service.d/seal.conf
unit=facelatch.service
name=facelatch-seal

say() { printf 'facelatch-seal: %s\n' "$*"; }
fail() { printf 'facelatch-seal: %s\n' "$*" >&2; exit 1; }

kept_by() { # by what to encrypt; named, as systemd by itself takes a TPM only where the firmware is UEFI, which a Pi's is not
    if [ -n "${FACELATCH_SEAL_WITH:-}" ]; then
        echo "$FACELATCH_SEAL_WITH"
    elif [ ! -e /dev/tpmrm0 ]; then
        echo host
    elif systemd-creds encrypt --with-key=host+tpm2 /dev/null - >/dev/null; then
        echo host+tpm2
    else
        say "the TPM cannot be used: the key is kept without it (apt install tpm2-tools libtss2-rc0, then rotate)" >&2
        echo host
    fi
}

encrypt() { # the key in file $1, for a credential of name $2, into file $3: whole or not at all
    systemd-creds encrypt --with-key="$(kept_by)" --name="$2" "$1" "$3.draft" ||
        fail "systemd-creds cannot encrypt the key: nothing was changed"
    # The daemon's user may see what it is encrypted by, for `facelatch check`; it cannot decrypt it.
    chown root:facelatch "$3.draft"
    chmod 640 "$3.draft"
    sync "$3.draft"
    mv -T -- "$3.draft" "$3"
}

new_key() { # prints the name of a file in memory with 32 random bytes
    made=$(umask 077 && mktemp -p /run facelatch-seal.XXXXXX)
    head -c 32 /dev/urandom >"$made"
    printf '%s' "$made"
}

forget() { [ ! -e "$1" ] || shred --force --iterations=0 --zero --remove=unlink -- "$1"; }

make() {
    if [ -e "$credential" ]; then
        say "there is a key already: $credential"
    else
        key=$(new_key)
        trap 'rm -f -- "$key"' EXIT
        encrypt "$key" "$name" "$credential"
        say "made a key: $credential. It opens on this machine only: keep encrypted exports elsewhere"
    fi
    mkdir -p "${drop_in%/*}"
    cat >"$drop_in.draft" <<UNIT
# Written by facelatch-seal. The daemon gets the key of its gallery, decrypted, in a file that only it can read.
[Service]
LoadCredentialEncrypted=$name:$credential
# A key that cannot be decrypted is not mended by trying again; the door stays locked.
RestartPreventExitStatus=243
UNIT
    mv -T -- "$drop_in.draft" "$drop_in"
    systemctl daemon-reload
}

with_key() { # facelatch with these words, as the unit would run it; in `keys` further credentials
    # In a folder of its own: the library of the pins makes a file where it is.
    # shellcheck disable=SC2086  # one word each
    systemd-run --quiet --wait --pipe --collect --service-type=exec \
        --property=RuntimeDirectory=facelatch-command --property=WorkingDirectory=/run/facelatch-command \
        --property=User=facelatch --property=Group=facelatch --property=LimitCORE=0 --property=MemorySwapMax=0 \
        --property=UMask=0077 --property=LoadCredentialEncrypted="$name:$credential" ${keys:-} \
        /opt/facelatch/bin/facelatch --config /etc/facelatch/facelatch.toml "$@"
}

rotate() { # with words, facelatch with these in place of `seal rotate`: it does the same with something else
    [ $# -gt 0 ] || set -- seal rotate
    [ -e "$credential" ] || fail "there is no key yet: sudo facelatch-seal make"
    if [ ! -e "$next" ] || [ ! -e "$becomes" ]; then
        # Both or none: one alone is of a rotation that never began to seal.
        forget "$next"
        forget "$becomes"
        key=$(new_key)
        trap 'rm -f -- "$key"' EXIT
        encrypt "$key" "$name" "$becomes"
        encrypt "$key" "$name-next" "$next"
    fi
    serving=no
    if systemctl is-active --quiet "$unit"; then
        serving=yes
        say "stopping the daemon: the door is locked until everything is sealed anew" >&2
    fi
    systemctl stop "$unit"
    keys="--property=LoadCredentialEncrypted=$name-next:$next"
    if ! with_key "$@"; then
        [ "$serving" = no ] || systemctl start "$unit" || true
        fail "everything is still under the old key; the same command tries again"
    fi
    cp -- "$credential" "$credential.old"
    mv -T -- "$becomes" "$credential"
    sync "${credential%/*}"
    forget "$credential.old"
    forget "$next"
    [ "$serving" = no ] || systemctl start "$unit"
}

action=${1:-}
[ -z "$action" ] || shift
case $action in make | rotate | run | status) [ "$(id -u)" = 0 ] || fail "run it as root: sudo facelatch-seal $action" ;; esac
case $action in
    make) make ;;
    rotate) rotate "$@" ;;
    run) with_key "$@" ;;
    status)
        if [ -e "$credential" ]; then with_key seal status; else say "there is no key: the gallery is not sealed"; fi ;;
    *) sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//p;}' "$0" >&2; exit 2 ;;
esac
