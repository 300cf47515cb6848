"""Files and folders that are no photos though they lie among them: whose they are, by name.

Systems, storage boxes, photo programs and version control leave their own behind: thumbnails,
waste bins, databases. Names are compared without regard to case. Names that people give their
classes are not here: `Recycled` is one of waste, `Originals` one of stamps.
"""

import os
import re
from pathlib import Path

from training.places.place import Place

_NAMES = {
    # storage boxes: Synology, QNAP, NetApp, Western Digital
    "@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "@tmp", "~snapshot",
    # Windows
    "$RECYCLE.BIN", "$Extend", "System Volume Information", "Thumbs.db", "ehthumbs.db",
    "ehthumbs_vista.db", "desktop.ini", "Config.Msi", "found.000",
    # macOS
    "__MACOSX", "Icon\r", "Network Trash Folder", "Temporary Items", "TheVolumeSettingsFolder",
    # Linux and Android
    "lost+found", "LOST.DIR",
    # programs of photographers
    "CaptureOne", "Lightroom Catalog Previews.lrdata", "ZbThumbnail.info", "Picasa.ini",
    # programming
    "__pycache__", "__pypackages__", "venv", "ipynb_checkpoints", "node_modules", "mlruns",
}  # fmt: skip
_BY_NAME = {name.casefold(): name for name in _NAMES}
# Pattern -> what the kind is called; a name that begins with a dot is hidden on every system.
_PATTERNS = {
    r"\._.*": "._*",
    r"\.trash-\d+": ".Trash-*",
    r"\.fuse_hidden.*": ".fuse_hidden*",
    r"\.nfs[0-9a-f]+": ".nfs*",
    r"\.trashed-.*": ".trashed-*",
    r"[@#]syno.*": "@Syno*",
    r"_vti_.*": "_vti_*",
    r"_gsdata_": "_gsdata_",
    r"syno(file|photo|index|resource)_.*": "SYNO*",
    r"thumbs\.db:.*": "Thumbs.db",
    r".*\.(lrdata|lrcat|lrcat-data|photoslibrary|aplibrary|migratedphotolibrary)": "a catalogue",
    r".*\.(crdownload|partial|part|opdownload)": "half a download",
    r".*\.(xmp|aae|pp3|dop|on1|cos|thm)": "settings of a photo program",
    r"~\$.*": "~$*",
    r".*\.(swp|swo)": "an editor's copy",
    r"[^.].*~": "an editor's copy",
    r"events\.out\.tfevents\..*": "logs of TensorBoard",
}
_COMPILED = {re.compile(pattern, re.DOTALL): kind for pattern, kind in _PATTERNS.items()}
_BUNDLE = "manifest.json"
_GRAPHS = ("predict.onnx", "model.keras")
_SAVED_MODEL = "saved_model.pb"  # TensorFlow's
CACHE_TAG = "CACHEDIR.TAG"  # by convention in every folder that holds only what can be remade


def system_name(name: str) -> str | None:
    """What kind of system file or folder bears this name; None: it may be somebody's photo."""
    folded = name.casefold()
    if folded in _BY_NAME:
        return _BY_NAME[folded]
    for pattern, kind in _COMPILED.items():
        if pattern.fullmatch(folded):
            return kind
    return (name if len(name) <= 30 else ".*") if name.startswith(".") else None


def own_output(folder: Path) -> str | None:
    """Whether a folder is no place for photos: `a saved model` or `a cache`; None: it is."""
    if isinstance(folder, Place):  # one listing instead of a request for each name
        names = {child.name for child in folder.children() if child.is_file()}
    else:  # unlike Path.is_file, os.path.isfile answers where it may not look
        known = (_BUNDLE, *_GRAPHS, _SAVED_MODEL, CACHE_TAG)
        names = {name for name in known if os.path.isfile(folder / name)}
    if _SAVED_MODEL in names or (_BUNDLE in names and names.intersection(_GRAPHS)):
        return "a saved model"
    return "a cache" if CACHE_TAG in names else None


# What people keep beside their class folders, and what no camera writes.
_DOCUMENTS = """
    md txt rst rtf pdf doc docx odt csv tsv xls xlsx ods json jsonl ndjson xml yaml yml toml ini
    cfg html htm log py ipynb sh bat ps1 r m mat npy npz pkl pickle h5 hdf5 onnx keras pb tflite
    pt pth ckpt safetensors tfrecord db sqlite sqlite3 zip tar gz tgz bz2 xz 7z rar bib url
    torrent md5 sha1 sha256 names lst license
"""
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
_DOCUMENT_SUFFIXES = frozenset(_DOCUMENTS.split())


def is_document(path: Path) -> bool:
    """Whether a file's name says that it is no photo."""
    suffix = path.suffix.lower().lstrip(".")
    plain = path.name.lower() in ("readme", "license", "licence", "copying", "changelog", "notice")
    return plain or suffix in _DOCUMENT_SUFFIXES
