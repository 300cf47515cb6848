#!/usr/bin/env bash
# Performs the steps of the Dockerfile in empty folders and new virtual environments, and tries what
# results: what the images would do, where no Docker runs.
#
#   deploy/check_image.sh [BUNDLE [PHOTO]]
#
# Target `training` fits a tiny model on photos that are drawn here; target `service` serves BUNDLE, or
# else that model, and is asked about PHOTO, or else one of those. TARGETS="service" checks one alone.
# PYTHON names the interpreter; as root, one that every user may read. Files, packages, environment,
# command and health check are read from the Dockerfile. Started as root, what is tried runs as the
# image's user; else as you. Nobody may write to the sources.
set -euo pipefail

LARGEST_SERVICE_MB=450
# What is below ours, from above: Debian's packages of a minimal system 106, Python 54; slim has less.
BASE_MB=160

targets=${TARGETS:-training service}
if [[ $# -gt 2 || ! $targets =~ ^(training|service|training service)$ ]]; then
    echo "usage: [TARGETS='training service'] deploy/check_image.sh [BUNDLE [PHOTO]]" >&2
    exit 2
fi
bundle=${1:-} photo=${2:-}
if [[ -z $bundle && $targets == service ]]; then
    echo "error: target service alone needs a bundle: deploy/check_image.sh BUNDLE" >&2
    exit 2
fi
if [[ -n $bundle && ! -f $bundle/manifest.json ]]; then
    echo "error: $bundle is not a bundle: it holds no manifest.json" >&2
    exit 2
fi
if [[ -n $photo && ! -f $photo ]]; then
    echo "error: there is no photo $photo" >&2
    exit 2
fi
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
bundle=${bundle:+$(realpath -- "$bundle")} photo=${photo:+$(realpath -- "$photo")}

work=$(mktemp -d)
server='' ready=''
finish() {
    status=$?
    trap - EXIT
    if [[ -n $server ]] && kill -0 "$server" 2>/dev/null; then
        kill -TERM "$server" 2>/dev/null || true
        for _ in {1..50}; do
            kill -0 "$server" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$server" 2>/dev/null || true
    fi
    if [[ $status -ne 0 && -s $work/log ]]; then
        echo "--- what was logged" >&2
        tail -n 40 "$work/log" >&2
    fi
    chmod -R u+w "$work"
    rm -rf -- "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$work" # the image's user must reach what is inside

# The image's user, with no more rights than a container without capabilities has.
user=()
if [[ $(id -u) -eq 0 ]] && command -v setpriv >/dev/null; then
    ids=$(sed -n 's/^USER //p' "$root/Dockerfile" | tail -n 1)
    user=(setpriv "--reuid=${ids%:*}" "--regid=${ids#*:}" --clear-groups --no-new-privs
        --inh-caps=-all --bounding-set=-all)
fi

# Prints where an interpreter lies that the service's user may run: root's own one often lies in
# root's home. It is looked up once, from here: another folder or user may find another.
usable() {
    local path
    path=$(command -v "$1") && path=$(realpath -s -- "$path") &&
        "$path" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null &&
        (cd / && "${user[@]}" env "$path" -c '' 2>/dev/null) && # setpriv itself still reaches all
        echo "$path"
}
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 /usr/local/bin/python3 /usr/bin/python3}; do
        usable "$candidate" && return
    done
    return 1
}
if ! python=$(find_python); then
    user=()
    if ! python=$(find_python); then
        echo "error: no Python 3.11 to 3.13 with the module venv; name one with PYTHON=" >&2
        exit 2
    fi
    echo "note: no Python here that another user may run, so the service runs as you"
fi

megabytes() { # of a folder's files, rounded up
    echo $((($(du -sb "$1" | cut -f 1) + 999999) / 1000000))
}

# Lays out a target's sources and packages in $place, and says how large they are.
build() {
    local target=$1
    place=$work/$target
    mkdir "$place"
    echo "target $target: copying what the Dockerfile copies and .dockerignore lets through"
    "$python" "$root/deploy/image_steps.py" "$target" "$place"
    chmod -R a-w,a+rX "$place/app"

    local requirements
    requirements=$(<"$place/requirements.txt")
    echo "installing $requirements into a new virtual environment"
    "$python" -m venv "$place/venv"
    "$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir \
        -r "$place/app/$requirements"
    chmod -R a+rX "$place/venv"
    "$place/venv/bin/python" -m pip check
    packages=$(megabytes "$place/venv") sources=$(megabytes "$place/app")
    echo "installed: packages $packages MB, sources $sources MB; $BASE_MB MB at most are below them"

    # The only places that a container may write: --read-only --tmpfs /tmp leaves the first
    mkdir "$place/tmp" "$place/cache"
    chmod 1777 "$place/tmp" "$place/cache"
    mapfile -t environment < <(sed "s|=/cache$|=$place/cache|" "$place/environment.txt")
    inside=("${user[@]}" env -i "PATH=$place/venv/bin:/usr/bin:/bin" HOME=/nonexistent
        "TMPDIR=$place/tmp" LANG=C.UTF-8 "${environment[@]}")
    : >"$place/built"
}

refuse_changes() {
    if [[ -n $(find "$place/app" -newer "$place/built" -print -quit) ]]; then
        echo "error: target $1 wrote beside its sources" >&2
        exit 1
    fi
    # It tries to keep an identifier in the user's home, and complains where there is none.
    if grep -qi telemetry "$work/log"; then
        echo "error: ONNX Runtime collects usage data: ORT_DISABLE_TELEMETRY=1 is missing" >&2
        exit 1
    fi
}

# The words of the image's own command or health check, with the bundle, address and port of this run.
words_of() {
    "$python" - "$place/command.json" "$1" "$work/bundle" "${port:-}" <<'PYTHON'
import json
import sys
from pathlib import Path

path, which, bundle, port = sys.argv[1:]
here = {"/bundle": bundle, "0.0.0.0": "127.0.0.1", "8000": port}
for word in json.loads(Path(path).read_text())[which]:
    print(here.get(word, word.replace("127.0.0.1:8000", f"127.0.0.1:{port}")), end="\0")
PYTHON
}

draw_photos() {
    "$1" - "$2" <<'PYTHON'
import sys
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
for label, colour in COLOURS.items():
    folder = Path(sys.argv[1], label)
    folder.mkdir(parents=True)
    for number in range(16):  # enough for all three sides of a split
        photo = Image.linear_gradient("L").resize((96, 72)).convert("RGB")
        ImageDraw.Draw(photo).ellipse((9 + number, 9, 60, 40 + number), fill=colour)
        photo.save(folder / f"{number}.jpg")
PYTHON
}

check_training() {
    build training
    mapfile -d '' -t start < <(words_of start)
    cd "$place/app"
    echo "starting: ${start[*]}"
    "${inside[@]}" "${start[@]}" >"$work/log" 2>&1
    mkdir "$place/out"
    chmod 1777 "$place/out"
    draw_photos "$place/venv/bin/python" "$work/photos"
    echo "fitting a tiny model on 48 drawn photos"
    "${inside[@]}" python -m training fit "$work/photos" --out "$place/out/tiny" --backbone tiny \
        --quiet >"$work/log" 2>&1
    bundle=${bundle:-$place/out/tiny}
    photo=${photo:-$work/photos/red/0.jpg}
    refuse_changes training
}

check_service() {
    build service
    if ((packages + sources + BASE_MB > LARGEST_SERVICE_MB)); then
        echo "error: with its base that is more than $LARGEST_SERVICE_MB MB" >&2
        exit 1
    fi
    if [[ -e $place/app/models/building || -e $place/app/models/adopting ]]; then
        echo "error: the image must not hold models/building or adopting: only training needs them" >&2
        exit 1
    fi
    "$place/venv/bin/python" - <<'PYTHON'
import importlib.util
import sys

found = [name for name in ("tensorflow", "keras", "onnx") if importlib.util.find_spec(name)]
if found:
    sys.exit(f"error: the service must not bring {', '.join(found)}")
print("neither tensorflow nor keras nor onnx can be imported")
PYTHON
    cp -R -- "$bundle" "$work/bundle" # with its own access rights, as a mount has
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mapfile -d '' -t start < <(words_of start)
    mapfile -d '' -t health < <(words_of health)

    echo "starting: ${start[*]}"
    cd "$place/app"
    "${inside[@]}" "${start[@]}" >"$work/log" 2>&1 &
    server=$!
    for _ in {1..120}; do
        if "${inside[@]}" "${health[@]}" 2>/dev/null; then
            ready=yes
            break
        fi
        if ! kill -0 "$server" 2>/dev/null; then
            echo "error: the service stopped before it was ready" >&2
            exit 1
        fi
        sleep 0.25
    done
    if [[ -z ${ready:-} ]]; then
        echo "error: the service was not ready after 30 s" >&2
        exit 1
    fi
    echo "ready; it runs as user $(sed -n 's/^Uid:\t\([0-9]*\).*/\1/p' "/proc/$server/status" 2>/dev/null || echo unknown)"
    if [[ -z $photo ]]; then
        draw_photos "$place/venv/bin/python" "$work/photos"
        photo=$work/photos/red/0.jpg
    fi
    "$place/venv/bin/python" - "$photo" "$port" <<'PYTHON'
import json
import sys
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

photo, port = Path(sys.argv[1]).read_bytes(), sys.argv[2]
request = Request(
    f"http://127.0.0.1:{port}/predict",
    data=photo,
    headers={"Content-Type": "application/octet-stream"},
)
with build_opener(ProxyHandler({})).open(request, timeout=30) as reply:
    answer = json.load(reply)
first = (answer.get("predictions") or [{}])[0]
if not isinstance(first.get("label"), str) or not 0 <= first.get("probability", -1) <= 1:
    sys.exit(f"error: /predict answered no prediction: {answer}")
print(f"/predict says {first['label']} ({first['probability']:.2f})")
PYTHON

    kill -TERM "$server"
    stopped=0
    wait "$server" || stopped=$?
    server=''
    if [[ $stopped -ne 0 && $stopped -ne 143 ]]; then
        echo "error: the service ended with code $stopped after SIGTERM" >&2
        exit 1
    fi
    refuse_changes service
}

for target in $targets; do
    "check_$target"
    echo "target $target: ok"
done
echo "image steps: ok"
