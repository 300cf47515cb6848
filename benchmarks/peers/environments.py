"""A virtual environment for each peer, made once: nothing of theirs comes into ours."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def make_environment(folder: Path, packages: Sequence[str]) -> Path:
    """Install pinned packages into `folder`, unless just these are there.

    Returns:
        Its folder of programs.

    Raises:
        subprocess.CalledProcessError: pip did not find or install them.
    """
    programs, done = folder / "bin", folder / "installed.txt"
    wanted = "\n".join(packages)
    if not done.exists() or done.read_text() != wanted:
        print(f"installing {', '.join(packages)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [str(programs / "python"), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(install, check=True)
        done.write_text(wanted)
    return programs
