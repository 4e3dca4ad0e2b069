# How long each suite took, as one table at the end of whatever was started first; sourced by the scripts that run tests.
# shellcheck shell=sh

# Scripts started by that one add their lines to its file, and leave the printing to it.
laps_are_mine=
if [ -z "${FACELATCH_LAPS:-}" ]; then
    laps_are_mine=yes
    FACELATCH_LAPS=$(mktemp "${TMPDIR:-/tmp}/facelatch-laps.XXXXXX")
    export FACELATCH_LAPS
fi

# lap NAME COMMAND...: runs it, notes how long it took and how it ended, and ends like it.
lap() {
    lap_name=$1 lap_began=$(date +%s) lap_code=0
    shift
    "$@" || lap_code=$?
    printf '%s\t%s\t%s\n' "$(($(date +%s) - lap_began))" "$lap_code" "$lap_name" >>"$FACELATCH_LAPS"
    return "$lap_code"
}

# Prints the table, once, however the script ends: to be called by its trap on EXIT.
print_laps() {
    [ -n "$laps_are_mine" ] || return 0
    awk -F '\t' '
        NR == 1 { print "\nminutes  suite" }
        { end = $2 == 0 || $2 == 5 ? "" : $2 == 75 ? "   (not possible here)" : "   FAILED (" $2 ")" }
        { printf "%7.1f  %s%s\n", $1 / 60, $3, end }' "$FACELATCH_LAPS"
    rm -f -- "$FACELATCH_LAPS"
}
