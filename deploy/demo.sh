#!/bin/sh
# Shows the whole door on this machine, without any hardware: enrols somebody from pictures, then replays a
# clip in which a stranger and then that person come to the door. Real finder, aligner, model and loop; only
# the pins are fakes. The people in it are nobody, see tests/scenarios/make_demo_people.py.
#
#   sh deploy/demo.sh                    exit code 0 only if the lock opened once, and for the right person
#   sh deploy/demo.sh --camera [DEVICE]  you, before a camera of this machine (default /dev/video0)
#   sh deploy/demo.sh --console [PORT]   the drawn people before a door with its web page (default port 8080): a link to open
#
# Makes .venv when needed; PYTHON=python3.13 chooses the interpreter. Leaves nothing else behind.
set -eu
cd -- "$(dirname -- "$0")/.."

say() { printf '\n== %s\n' "$*"; }
usage() { sed -n '2,/^set -eu/s/^# \{0,1\}//p' deploy/demo.sh; }

camera='' port=''
case "${1:-}" in
    "") ;;
    --camera) camera=${2:-/dev/video0} ;;
    --console) port=${2:-8080} ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac
if [ -n "$camera" ] && [ ! -e "$camera" ]; then
    printf 'demo: no camera at %s; name another (ls /dev/video*), or leave out --camera\n' "$camera" >&2
    exit 5
fi

if [ -n "$port" ]; then sh deploy/venv.sh console; else sh deploy/venv.sh; fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-demo.XXXXXX")
daemon='' beside=''
clean_up() {
    # shellcheck disable=SC2086  # process ids, apart
    for process in $daemon $beside; do
        if kill "$process" 2>/dev/null; then wait "$process" || true; fi
    done
    rm -rf -- "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cat >"$scratch/facelatch.toml" <<CONFIG
[camera]
source = "v4l2"
device = "${camera:-unused}"
width_px = 640
height_px = 480
rate_fps = 10.0
[storage]
state_directory = "$scratch/state"
[control]
socket = "$scratch/control.sock"
group = ""
CONFIG
# Takes the place of the shell that calls it. In the background that makes $! the program's own number: to end a shell
# that waits for a program would leave the program running.
become_facelatch() { exec .venv/bin/python -m facelatch --config "$scratch/facelatch.toml" "$@"; }
facelatch() { (become_facelatch "$@"); }

draw() {
    say "Drawing a porch, and people who do not exist"
    .venv/bin/python tests/scenarios/demo_clip.py "$scratch/demo"
}

await_daemon() {
    while [ ! -S "$scratch/control.sock" ]; do
        kill -0 "$daemon" 2>/dev/null || { wait "$daemon"; exit $?; }
        sleep 1
    done
}

on_recorded_frames() {
    draw
    say "facelatch enroll robin --images ..."
    facelatch enroll robin --images "$scratch/demo/enrol"
    say "facelatch replay ...: a stranger comes, then robin"
    facelatch replay "$scratch/demo/clip" --json --frames >"$scratch/events.jsonl"
    .venv/bin/python tests/scenarios/demo_story.py robin <"$scratch/events.jsonl"
}

before_a_camera() {
    say "facelatch run --dry-run on $camera: the daemon, with fakes for lock, LED and button"
    become_facelatch run --dry-run &
    daemon=$!
    await_daemon
    say "facelatch enroll you --camera"
    facelatch enroll you --camera
    say "Step away, come back, let a friend try. Every event is a line. Ctrl-C ends it."
    wait "$daemon"
}

with_its_console() {
    draw
    cat >>"$scratch/facelatch.toml" <<CONFIG
[console]
listen = "127.0.0.1:$port"
state_directory = "$scratch/console"
intake = "$scratch/intake.sock"
CONFIG
    sed -i "s|^source = .*|source = \"files\"|; s|^device = .*|device = \"$scratch/demo/clip\"|" "$scratch/facelatch.toml"
    facelatch enroll robin --images "$scratch/demo/enrol"
    say "facelatch run --dry-run --loop: a stranger comes, then robin, again and again"
    become_facelatch run --dry-run --loop >"$scratch/door.log" 2>&1 &
    daemon=$!
    become_facelatch console intake --listen "$scratch/intake.sock" &
    beside=$!
    become_facelatch console serve &
    beside="$beside $!"
    await_daemon
    say "facelatch aim: for five minutes the page Aim shows what the camera sees; once more by .venv/bin/python -m facelatch --config $scratch/facelatch.toml aim"
    facelatch aim
    say "facelatch console invite alice --role admin: open this link, choose a password"
    facelatch console invite alice --role admin
    say "Pictures to try an upload with: $scratch/demo/enrol. Ctrl-C ends it all."
    wait "$daemon"
}

if [ -n "$port" ]; then with_its_console; elif [ -n "$camera" ]; then before_a_camera; else on_recorded_frames; fi
