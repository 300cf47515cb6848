"""Exporting: a bundle in the format of another runtime, proven there before anybody sees it.

Doors: config, export. Begin at export.py.

- export.py           the story: photos, write, run, compare
- config.py           its settings
- proof_photos.py     the photos that an export is proven on, and calibrated on
- source.py           what a format is written from: the bundle, its Keras network
- formats.py          the table of formats: title, packages, writer
- tf_formats.py       SavedModel;  litert.py  LiteRT, of float32 or of 8 bits
- litert_metadata.py  labels and meaning of the tensors, inside a LiteRT file
- proof.py            the export's own example, run in a process of its own, next to our answers
- timed_run.py        what that process does
- description.py      labels.txt, export.json, README.md, and the example next to the model

examples/ holds the program that each format ships; nothing here imports it.
"""
