"""Decoding: the parts of `models/images.py`, which puts them together. Begin at limits.py.

- limits.py        what one photo may cost, and which formats it may have
- image_stream.py  what of a file shows the picture;  jpeg_stream.py  the same of a JPEG
- tags.py          what a TIFF may hold beside its pixels;  tiff_parts.py  its strips and tiles
- heif/            what an AVIF or HEIC costs
- file_kinds.py    what a file is that is no accepted photo, and what to do
- framing.py       how a photo meets the square
- pixels.py        a decoded picture -> eight bits, flattened, upright
- deep_pixels.py   more than eight bits: which numbers are black and white
- quiet.py         keeps image libraries' remarks from the terminal
- openable.py      which formats may be tried, and why a file is in none of them
- decode_cost.py   how much memory decoding takes, by the kind and size that the header says
"""
