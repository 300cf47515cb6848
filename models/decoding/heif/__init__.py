"""AVIF and HEIC: what their decoders would do, found out before they are opened.

- boxes.py   the tables of a file: items, their bytes, properties and references
- items.py   what its pictures and metadata cost, all together
- made.py    which pictures may be made of others
- av1.py     frames and true size of a picture in AV1
- hevc.py    slices of a picture in HEVC
"""
