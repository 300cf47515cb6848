#!/usr/bin/env bash
# Performs the steps of the Dockerfile in an empty folder and a new virtual environment, and asks
# the service that results for a prediction: what the image would do, where no Docker runs.
#
#   deploy/check_image.sh BUNDLE [PHOTO]
#
# Without PHOTO, one is drawn. PYTHON names the interpreter; as root, one that every user may read.
# Files, packages, environment, command and health check are read from the Dockerfile. Started as
# root, the service runs as the image's user; else as you.
set -euo pipefail

if [[ $# -lt 1 || $# -gt 2 ]]; then
    echo "usage: deploy/check_image.sh BUNDLE [PHOTO]" >&2
    exit 2
fi
bundle=$1 photo=${2:-}
if [[ ! -f $bundle/manifest.json ]]; then
    echo "error: $bundle is not a bundle: it holds no manifest.json" >&2
    exit 2
fi
if [[ -n $photo && ! -f $photo ]]; then
    echo "error: there is no photo $photo" >&2
    exit 2
fi
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

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
        echo "--- what the service said" >&2
        tail -n 40 "$work/log" >&2
    fi
    rm -rf -- "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$work" # the service's user must reach what is inside

# The image's user, with no more rights than a container without capabilities has.
user=()
if [[ $(id -u) -eq 0 ]] && command -v setpriv >/dev/null; then
    ids=$(sed -n 's/^USER //p' "$root/Dockerfile")
    user=(setpriv "--reuid=${ids%:*}" "--regid=${ids#*:}" --clear-groups --no-new-privs
        --inh-caps=-all --bounding-set=-all)
fi

# An interpreter the service's user may run: root's own one often lies in root's home.
usable() {
    command -v "$1" >/dev/null &&
        "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null &&
        (cd / && "${user[@]}" "$1" -c '' 2>/dev/null)
}
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 /usr/local/bin/python3 /usr/bin/python3}; do
        if usable "$candidate"; then
            command -v "$candidate"
            return
        fi
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

# What the Dockerfile says, as files the shell can read: copy.txt, env.txt, and command.json.
"$python" - "$root/Dockerfile" "$work" <<'PYTHON'
import json
import re
import shlex
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text(encoding="utf-8")
text = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ")
steps = [line.split(None, 1) for line in text.splitlines() if line.strip()]
copied = [(*words[:-1], words[-1]) for verb, rest in steps if verb == "COPY" for words in [rest.split()]]
environment = [pair for verb, rest in steps if verb == "ENV" for pair in shlex.split(rest)]
said = {verb: rest for verb, rest in steps}
health = said["HEALTHCHECK"].split("CMD", 1)[1]
command = json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])
packages = [rest for verb, rest in steps if verb == "RUN" and "pip install" in rest]
if len(packages) != 1 or not copied:
    sys.exit("error: the Dockerfile should have one pip install and at least one COPY")

work = Path(sys.argv[2])
lines = [f"{source}\t{target}\n" for *sources, target in copied for source in sources]
(work / "copy.txt").write_text("".join(lines))
(work / "env.txt").write_text("".join(f"{pair}\n" for pair in environment))
(work / "pip.txt").write_text(f"{shlex.split(packages[0])[-1]}\n")
(work / "command.json").write_text(json.dumps({"start": command, "health": json.loads(health)}))
PYTHON

echo "copying what the Dockerfile copies"
app=$work/app
mkdir "$app"
while IFS=$'\t' read -r source target; do
    # as COPY does: a folder's content into the target, a file by its name; what .dockerignore
    # names stays
    if [[ -d $root/$source ]]; then
        mkdir -p "$app/$target"
        left_out=(--exclude=__pycache__ '--exclude=*.py[cod]')
        while IFS= read -r folder; do
            left_out+=("--exclude=./${folder#"${source%/}"/}")
        done < <(grep "^${source%/}/" "$root/.dockerignore" || true)
        tar -C "$root/$source" "${left_out[@]}" -cf - . | tar -C "$app/$target" -xf -
    else
        cp "$root/$source" "$app/$target"
    fi
    echo "  $source"
done <"$work/copy.txt"
chmod -R u+w,go-w,a+rX "$app"
cp -R -- "$bundle" "$work/bundle" # with its own access rights, as a mount has

if [[ -e $app/models/building ]]; then
    echo "error: the image must not hold models/building, which only training needs" >&2
    exit 1
fi

requirements=$(<"$work/pip.txt")
echo "installing $requirements into a new virtual environment"
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$app/$requirements"
chmod -R a+rX "$work/venv"
"$work/venv/bin/python" -m pip check

"$work/venv/bin/python" - <<'PYTHON'
import importlib.util
import sys

found = [name for name in ("tensorflow", "keras", "onnx") if importlib.util.find_spec(name)]
if found:
    sys.exit(f"error: the service must not bring {', '.join(found)}")
print("neither tensorflow nor keras nor onnx can be imported")
PYTHON

mkdir "$work/tmp" # the only place the service may write, as --read-only --tmpfs /tmp leaves it
chmod 1777 "$work/tmp"
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# The image's own command or health check, with the bundle, address and port of this run.
command_of() {
    "$python" - "$work/command.json" "$1" "$work/bundle" "$port" <<'PYTHON'
import json
import sys
from pathlib import Path

path, which, bundle, port = sys.argv[1:]
here = {"/bundle": bundle, "0.0.0.0": "127.0.0.1", "8000": port}
for word in json.loads(Path(path).read_text())[which]:
    print(here.get(word, word.replace("127.0.0.1:8000", f"127.0.0.1:{port}")), end="\0")
PYTHON
}
mapfile -d '' -t start < <(command_of start)
mapfile -d '' -t health < <(command_of health)
mapfile -t environment <"$work/env.txt"
inside=(env -i "PATH=$work/venv/bin:/usr/bin:/bin" HOME=/nonexistent "TMPDIR=$work/tmp" LANG=C.UTF-8
    "${environment[@]}")

echo "starting: ${start[*]}"
cd "$app"
"${user[@]}" "${inside[@]}" "${start[@]}" >"$work/log" 2>&1 &
server=$!
for _ in {1..120}; do
    if "${user[@]}" "${inside[@]}" "${health[@]}" 2>/dev/null; then
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
    photo=$work/photo.jpg
    "$work/venv/bin/python" - "$photo" <<'PYTHON'
import sys

from PIL import Image, ImageDraw

photo = Image.linear_gradient("L").resize((400, 300)).convert("RGB")
ImageDraw.Draw(photo).ellipse((120, 60, 280, 240), fill=(200, 40, 40))
photo.save(sys.argv[1])
PYTHON
fi

"$work/venv/bin/python" - "$photo" "$port" <<'PYTHON'
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
if [[ -n $(find "$app" -newer "$work/command.json" -name '*.pyc' -print -quit) ]]; then
    echo "error: the service wrote beside its sources" >&2
    exit 1
fi
# It tries to keep an identifier in the user's home, and complains where there is none.
if grep -qi telemetry "$work/log"; then
    echo "error: ONNX Runtime collects usage data: ORT_DISABLE_TELEMETRY=1 is missing" >&2
    exit 1
fi
echo "image steps: ok"
