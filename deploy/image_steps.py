"""Read one target of the Dockerfile, and copy what it copies, as a build would, without Docker.

Needs nothing but Python, because nothing is installed yet when check_image.sh starts it:

    python deploy/image_steps.py TARGET WORK

leaves in WORK the folder `app`, and what the shell needs to know in `requirements.txt` (the name of
the file that pip installs), `environment.txt` (one setting a line) and `command.json`.
"""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Step(NamedTuple):
    """One instruction of a Dockerfile."""

    verb: str
    rest: str


def stages(text: str) -> dict[str, list[Step]]:
    """Split a Dockerfile into its stages; each begins with the steps of the stage it stands on."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    found: dict[str, list[Step]] = {}
    for line in filter(str.strip, text.splitlines()):
        step = Step(*line.split(None, 1))
        if step.verb == "FROM":
            image, _, name = step.rest.split()
            steps = found[name] = [*found.get(image, [step])]
        else:
            steps.append(step)
    return found


def ignore_rules(text: str) -> list[tuple[bool, re.Pattern[str]]]:
    """Read a .dockerignore: for each line whether it leaves out, and which paths it is about."""
    rules = []
    for line in text.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        words = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", pattern.removeprefix("!").strip("/"))
        signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        regex = "".join(
            signs.get(word, word if word.startswith("[") else re.escape(word)) for word in words
        )
        rules.append((not pattern.startswith("!"), re.compile(regex)))
    return rules


def is_ignored(path: str, rules: list[tuple[bool, re.Pattern[str]]]) -> bool:
    """Decide whether a build sees `path`: the last rule for it or a folder above it counts."""
    parts = path.split("/")
    here_and_above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    ignored = False
    for leaves_out, regex in rules:
        if any(regex.fullmatch(each) for each in here_and_above):
            ignored = leaves_out
    return ignored


def copied(steps: list[Step], root: Path) -> Iterator[tuple[Path, str]]:
    """List every file that the COPY steps bring in, with its path inside the image.

    Raises:
        SystemExit: a source is not there, as a build would find.
    """
    rules = ignore_rules((root / ".dockerignore").read_text(encoding="utf-8"))
    for *sources, target in (step.rest.split() for step in steps if step.verb == "COPY"):
        for source in sources:
            count = 0
            for found in sorted(root.glob(source.rstrip("/"))):
                files = sorted(found.rglob("*")) if found.is_dir() else [found]
                base = found if found.is_dir() else found.parent  # a folder's content is copied
                for file in files:
                    if file.is_file() and not is_ignored(file.relative_to(root).as_posix(), rules):
                        yield file, str(PurePosixPath(target) / file.relative_to(base).as_posix())
                        count += 1
            if not count:
                sys.exit(f"error: COPY {source}: no such file, or .dockerignore leaves it out")


def command_of(steps: list[Step]) -> dict[str, list[str]]:
    """Find what the image starts, and how its health is asked (empty: it is not)."""
    last = {step.verb: step.rest for step in steps}
    health = last.get("HEALTHCHECK", "CMD []").split("CMD", 1)[1]
    start = json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"])
    return {"start": start, "health": json.loads(health)}


def main(target: str, work: Path) -> None:
    """Perform the steps of `target` that need no root rights."""
    steps = stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))[target]
    packages = [step.rest for step in steps if "pip install" in step.rest]
    if len(packages) != 1:
        sys.exit(f"error: target {target} should have one pip install, has {len(packages)}")
    for file, inside in copied(steps, ROOT):
        place = work / "app" / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    settings = [pair for step in steps if step.verb == "ENV" for pair in shlex.split(step.rest)]
    (work / "requirements.txt").write_text(shlex.split(packages[0])[-1] + "\n")
    (work / "environment.txt").write_text("".join(f"{pair}\n" for pair in settings))
    (work / "command.json").write_text(json.dumps(command_of(steps)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
