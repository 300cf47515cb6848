"""Photos for schemathesis, which reads this file as its hooks: whole ones, or broken ones too."""

import os

import schemathesis
from hypothesis import strategies

from tests.making import COLOURS, DEFECTS, picture

BROKEN = "LAYERSCOPE_TEST_BROKEN"  # in the environment: whether broken ones are posted too

photos = [picture(colour, kind=kind) for colour in COLOURS.values() for kind in ("PNG", "JPEG")]
if os.environ.get(BROKEN):
    photos += [content for content, _ in DEFECTS.values()] + [photo[:60] for photo in photos]
chosen = strategies.sampled_from(photos)
for kind in ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"):
    schemathesis.openapi.media_type(kind, chosen)
schemathesis.openapi.media_type("application/octet-stream", chosen)
schemathesis.openapi.format("binary", chosen)
