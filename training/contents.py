"""What every bundle holds beside its manifest: the network, its graphs, sample photos."""

from pathlib import Path


def write_contents(
    folder: Path, files: dict[str, bytes], samples: list[tuple[bytes, str]]
) -> list[dict[str, str]]:
    """Write model.keras, the ONNX graphs and samples/.

    Args:
        files: file name -> content of the network in its forms.
        samples: JPEG and label of each sample photo.

    Returns:
        The samples as the manifest lists them: name and label.
    """
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "samples").mkdir()
    for number, (picture, _) in enumerate(samples):
        (folder / "samples" / f"{number}.jpg").write_bytes(picture)
    return [{"name": f"{number}.jpg", "label": label} for number, (_, label) in enumerate(samples)]
