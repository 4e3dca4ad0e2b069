# The date that a package carries, the same for whoever builds it: sourced by the scripts that build.
# shellcheck shell=sh

# Without git and without a word it is the first of January 2020: a date that says nothing.
# shellcheck disable=SC2154  # of the script that sources this
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git -C "$source" log -1 --format=%ct 2>/dev/null || echo 1577836800)
fi
export SOURCE_DATE_EPOCH
