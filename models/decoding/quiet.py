"""Keep what image libraries remark on damaged files from the terminal: a photo is read or refused.

Filters of warnings belong to a whole process and are not safe among threads, so each library
is told once, when the decoder is imported.
"""

import ctypes
from contextlib import suppress
from types import SimpleNamespace

from PIL import Image, TiffImagePlugin, _imaging


def silence_libraries() -> None:
    """Silence Pillow on pixels and on the tags of a TIFF, and libtiff on its errors."""
    Image.MAX_IMAGE_PIXELS = None  # it would warn above 89 Mpx; our own limits are stricter
    setattr(TiffImagePlugin, "warnings", SimpleNamespace(warn=lambda *remark, **how: None))  # noqa: B010
    with suppress(AttributeError, OSError):  # where its symbols cannot be found, it may speak
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
