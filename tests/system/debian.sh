# For the scripts that make a Debian root of another release or processor; sourced by them.
# shellcheck shell=sh

# The mirror that this machine's own apt uses.
debian_mirror() {
    # shellcheck disable=SC2016  # apt's variable
    apt-get indextargets --format '$(REPO_URI)' | grep -m 1 '/debian/$'
}

# Installs what is missing of the packages named; fails where it cannot. One at a time with vm/build.sh, which may run
# beside it: apt does not wait for the lock of its lists.
need_packages() {
    dpkg -s "$@" >/dev/null 2>&1 && return
    (
        flock 9
        apt-get update -qq || true
        DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends "$@" \
            >/dev/null
    ) 9>/run/lock/facelatch-apt
}

# can_make_root PACKAGE...: skips where no root can be made; the packages are those needed here for it.
can_make_root() {
    [ "$(uname -s)" = Linux ] || skip "not Linux"
    [ "$(id -u)" = 0 ] || skip "they need root"
    command -v dpkg >/dev/null || skip "not Debian"
    need_packages "$@" || skip "apt cannot install $*"
    debian_mirror >/dev/null || skip "apt knows no mirror of Debian"
    unshare --mount --pid --fork true || skip "no namespaces here"
}

# make_scratch NAME: a folder in $scratch, deleted when the script ends.
make_scratch() {
    scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/facelatch-$1.XXXXXX")
    trap 'rm -rf --one-file-system -- "$scratch"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# apart SECONDS COMMAND...: in namespaces of its own, so that its mounts and processes end with it, and deleting the
# root is safe.
apart() {
    seconds=$1
    shift
    timeout --kill-after=30 "$seconds" unshare --mount --pid --fork --kill-child "$@"
}

# Gives the root $1 what programs expect of a running system. In a mount namespace of its own: nothing of it is left
# when that ends, and no device of this machine is in it.
furnish() {
    mount --make-rprivate /
    mount -t proc proc "$1/proc"
    mount -t tmpfs -o mode=755 dev "$1/dev"
    for node in null zero full random urandom; do cp -a "/dev/$node" "$1/dev/"; done
    mkdir "$1/dev/shm"
    mount -t tmpfs -o mode=1777 shm "$1/dev/shm"
    ln -s /proc/self/fd "$1/dev/fd"
    # Whom this machine trusts, and where it finds others.
    mkdir -p "$1/etc/ssl/certs"
    cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
    cp /etc/resolv.conf /etc/hosts "$1/etc/"
}

# in_root ROOT COMMAND...: runs it there, with a fresh environment.
in_root() {
    (
        within=$1
        shift
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
            PIP_CERT=/etc/ssl/certs/ca-certificates.crt ${PIP_INDEX_URL:+"PIP_INDEX_URL=$PIP_INDEX_URL"} \
            chroot "$within" "$@"
    )
}
