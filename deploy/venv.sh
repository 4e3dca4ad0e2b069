#!/bin/sh
# Makes .venv beside pyproject.toml, or brings it up to date, and installs the project into it.
#
#   sh deploy/venv.sh [EXTRAS]      EXTRAS of pyproject.toml, such as train,dev
#
# PYTHON names the interpreter; without it, the one .venv was made with, else the first that fits.
# Does nothing when .venv already holds what pyproject.toml asks for.
set -eu
cd -- "$(dirname -- "$0")/.."
extras=${1:-}
wanted="Python 3.11, 3.12 or 3.13"

say() { printf '%s\n' "$*" >&2; }
fail() { say "venv: $*"; exit 1; }

# -I: what lies in the current folder is no library, whatever its name.
fits() { "$1" -I -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
can_make_venv() { "$1" -I -c 'import venv, ensurepip' 2>/dev/null; }
version() { "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON is not $wanted, or cannot be run"
        python=$PYTHON
    else
        python=
        for name in .venv/bin/python python3 python3.13 python3.12 python3.11; do
            if fits "$name"; then python=$name; break; fi
        done
        [ -n "$python" ] || fail "no $wanted found; install one (apt install python3 python3-venv) or set PYTHON"
    fi
}

make_venv() {
    if [ -x .venv/bin/python ] && fits .venv/bin/python; then
        [ "$(version .venv/bin/python)" = "$(version "$python")" ] && return
        say "venv: .venv is for another Python: making it anew"
    fi
    can_make_venv "$python" || fail "$python has no venv module: apt install python$(version "$python")-venv"
    "$python" -I -m venv --clear .venv
}

# What .venv was made from, to notice when pyproject.toml, the checkout or Python has changed.
origin() { .venv/bin/python -I -c '
import hashlib, pathlib, sys
print(hashlib.sha256(pathlib.Path("pyproject.toml").read_bytes()).hexdigest(), pathlib.Path.cwd(), sys.version)'; }

up_to_date() {
    for stamp in .venv/made-from-${extras:-*}; do # with no extras wanted any installation will do
        if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(origin)" ]; then return 0; fi
    done
    return 1
}

install() {
    say "venv: installing facelatch${extras:+ with $extras} into .venv (the first time takes minutes)"
    .venv/bin/python -I -m pip install -qq --disable-pip-version-check --editable ".${extras:+[$extras]}" \
        >.venv/pip.log 2>&1 &
    pip=$!
    while kill -0 "$pip" 2>/dev/null; do
        [ -t 2 ] && printf '.' >&2
        sleep 1
    done
    [ -t 2 ] && say ""
    wait "$pip" || { tail -n 20 .venv/pip.log >&2; fail "pip failed, see above and .venv/pip.log"; }
}

choose_python
make_venv
up_to_date && exit 0
install
origin >".venv/made-from-$extras"
