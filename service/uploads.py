"""A request -> the encoded photos in it: multipart fields `image`, or the raw body."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from flask import Request
from werkzeug.exceptions import HTTPException

from models.classifier import Classifier
from models.errors import ImageError
from models.images import Limits
from service.errors import BadUpload, TooManyPhotos

DECODERS = threading.BoundedSemaphore(2)  # in a worker: a photo at the limit takes 400 MB
DECODE_S = 20.0  # for all photos of a request
RECEIVED = "layerscope.received"  # in the WSGI environment: called once the body is read

T = TypeVar("T")


def photos_in(request: Request, most: int) -> list[bytes]:
    """The bytes of every photo that was posted, in order.

    Raises:
        BadUpload: none, or a body that breaks off. TooManyPhotos: more than `most`.
    """
    if request.mimetype == "multipart/form-data":
        files = _read(lambda: request.files.getlist("image"))
        photos = [file.read() for file in files]
    else:
        body = _read(request.get_data)
        photos = [body] if body else []
    request.environ.get(RECEIVED, lambda: None)()
    if not photos:
        raise BadUpload(
            "no photo was posted: send it as the multipart field `image` or as the raw body"
        )
    if len(photos) > most:
        raise TooManyPhotos(f"{len(photos)} photos in one request; the limit is {most}")
    return photos


def photo_in(request: Request) -> bytes:
    """The one photo that was posted. Raises BadUpload."""
    return photos_in(request, most=1)[0]


def _read(read: Callable[[], T]) -> T:
    """Read from the connection; a body that breaks off is the sender's error."""
    try:
        return read()
    except HTTPException:
        raise
    except Exception as error:  # gunicorn raises its own: InvalidChunkSize, NoMoreData, ...
        raise BadUpload(f"the body could not be read: {type(error).__name__}") from error


def decode(classifier: Classifier, data: bytes, limits: Limits) -> np.ndarray:
    """The pixels of one photo, with few decoded at the same time. Raises ImageError."""
    with DECODERS:
        return classifier.decode(data, limits)


def decode_all(classifier: Classifier, encoded: list[bytes], limits: Limits) -> list[np.ndarray]:
    """The pixels of every photo.

    Raises:
        ImageError, which says which photo it was; TooManyPhotos: it took too long.
    """
    photos: list[np.ndarray] = []
    started = time.monotonic()
    for number, data in enumerate(encoded, start=1):
        if time.monotonic() - started > DECODE_S:
            raise TooManyPhotos(
                f"decoding {number - 1} of {len(encoded)} photos took over {DECODE_S:.0f} s: "
                "send fewer or smaller ones"
            )
        try:
            photos.append(decode(classifier, data, limits))
        except ImageError as error:
            if len(encoded) > 1:
                error.args = (f"photo {number} of {len(encoded)}: {error}",)
            raise
    return photos
