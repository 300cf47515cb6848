"""What looking inside costs, over real HTTP, beside one prediction and beside Keras.

    python -m benchmarks.inside BUNDLE [--photo FILE] [--seconds 5]

One worker of ours answers with every block of the network, with one layer and with the
saliency; a plain Flask service builds a Keras sub-model for one layer on each request, as
viewers for Keras do. One client, medians; both get the same photo.
"""

import argparse
import statistics
from pathlib import Path

from benchmarks.serving import ask, commands, free_port, make_photo, running, wait_until_ready
from models.bundle import Bundle, pick_blocks


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    photo = options.photo.read_bytes() if options.photo else make_photo()
    blocks = pick_blocks(Bundle(options.bundle).manifest.layers)
    layer = blocks[len(blocks) // 2].name
    paths = {
        "one prediction": "/predict",
        "every block, drawn": "/activations",
        f"one layer ({layer})": f"/activations/{layer}?channels=top:16",
        "saliency": "/saliency",
    }
    ours, plain = commands(options.bundle)
    mine = medians(ours, photo, paths, options.seconds)
    keras = f"one layer ({layer})"
    theirs = medians(plain, photo, {keras: f"/activations/{layer}"}, options.seconds)
    base = mine["one prediction"]
    print(f"{'median ms, 1 client':<36}{'ms':>9}{'predictions':>13}")
    for name, taken in mine.items():
        print(f"{name:<36}{taken:>9.1f}{taken / base:>12.1f}x")
    print(f"{'Keras sub-model, ' + keras:<36}{theirs[keras]:>9.1f}{theirs[keras] / base:>12.1f}x")
    print(f"one layer is answered {theirs[keras] / mine[keras]:.0f} times faster than by Keras")


def medians(
    command: list[str], photo: bytes, paths: dict[str, str], seconds: float
) -> dict[str, float]:
    """Milliseconds that each path takes on a service started by `command`."""
    port = free_port()
    with running([part.replace("{port}", str(port)) for part in command]) as process:
        wait_until_ready(process, port, photo)
        found = {}
        for name, path in paths.items():
            ask(port, photo, 1, 1.0, path)  # warm
            times = ask(port, photo, 1, seconds, path)
            found[name] = statistics.median(times) * 1000
    return found


if __name__ == "__main__":
    main()
