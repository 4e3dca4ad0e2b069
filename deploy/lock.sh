#!/bin/sh
# Writes deploy/requirements/: what the installer installs, each file by its hash, for every Python and processor that is
# supported; and the one tool that builds the wheel. Run it after a change of the dependencies in pyproject.toml, and
# commit what it writes.
#
#   sh deploy/lock.sh                 keeps the versions that still fit, and adds what is missing
#   sh deploy/lock.sh --upgrade       takes the newest of everything
#
# Needs the network; PIP_INDEX_URL and pip's own configuration say which index. uv does the work, of which it gets
# a virtual environment of its own that is thrown away. PYTHON names the interpreter, python3 by default.
set -eu
unset CDPATH
python=${PYTHON:-python3}
cd -- "$(dirname -- "$0")/.."
folder=deploy/requirements
case "${1:-}" in
    "") upgrade= ;;
    --upgrade) upgrade=--upgrade ;;
    *) sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//p;}' "$0" >&2; exit 2 ;;
esac

scratch=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-lock.XXXXXX")
trap 'rm -rf -- "$scratch"' EXIT
"$python" -I -m venv "$scratch/venv"
"$scratch/venv/bin/python" -I -m pip install --quiet --disable-pip-version-check uv==0.13.9

# uv reads none of pip's settings, so it is told them.
setting() {
    for name in ":env:.$1" "install.$1" "global.$1"; do
        "$scratch/venv/bin/python" -I -m pip config get "$name" 2>/dev/null && return
    done
    return 0
}
index=$(setting index-url)
certificates=${SSL_CERT_FILE:-$(setting cert)}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
[ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"
# The hashes are those of the index that everybody has, and no other Python is fetched.
export UV_NO_CONFIG=1 UV_PYTHON_DOWNLOADS=never UV_PYTHON="$scratch/venv/bin/python"

# Neither the index nor how it was called is written into the file. manylinux_2_36: Debian 12 and Raspberry Pi OS bookworm,
# the oldest system supported.
compile() { # compile FILE OPTIONS...
    file=$folder/$1
    shift
    "$scratch/venv/bin/uv" pip compile --quiet --generate-hashes --only-binary :all: --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links $upgrade "$@" --output-file "$file"
    sed -i '1i # Written by deploy/lock.sh, not by hand.' "$file"
}

# pip's own word that there is a file for that Python and processor, and the packages' that they are for that Python: uv
# overlooks the newest Python that a package says it is for.
require_there() { # require_there VERSION PROCESSOR
    platforms=--platform=manylinux2014_$2
    for glibc in $(seq 17 36); do platforms="$platforms --platform=manylinux_2_${glibc}_$2"; done
    sed -n 's/^\([a-z0-9-]*==[^ ;]*\).*/\1/p' "$folder/$1-$2.txt" >"$scratch/versions"
    # Without the hashes, so that it need not fetch the packages themselves; and told to overlook the Python it runs under.
    # shellcheck disable=SC2086  # one word each
    "$scratch/venv/bin/python" -I -m pip install --quiet --disable-pip-version-check --dry-run --no-deps \
        --ignore-requires-python --only-binary :all: --python-version "$1" $platforms --target "$scratch/none" \
        --report "$scratch/report" --requirement "$scratch/versions"
    "$scratch/venv/bin/python" -I -c '
import json, sys
from pip._vendor.packaging.specifiers import SpecifierSet
for one in json.load(open(sys.argv[2], encoding="utf-8"))["install"]:
    about = one["metadata"]
    if sys.argv[1] not in SpecifierSet(about.get("requires_python", "")):
        sys.exit("{name} {version} is not for Python {0}".format(sys.argv[1], **about))
' "$1.9" "$scratch/report"
}

# Releases for Python before 3.11 only, see above.
printf 'backports-strenum<1.3\n' >"$scratch/constraints.in"

for version in 3.11 3.12 3.13; do
    for processor in aarch64 x86_64; do
        compile "$version-$processor.txt" pyproject.toml --extra pi --extra console --extra passkeys --extra heic --extra factors --extra fleet \
            --python-version "$version" \
            --python-platform "$processor-manylinux_2_36" --constraint "$scratch/constraints.in"
        require_there "$version" "$processor"
    done
done
printf 'setuptools>=77\n' >"$scratch/build.in"
compile build.txt "$scratch/build.in" --python-version 3.11 --universal
printf 'wrote %s\n' "$folder"/*.txt
