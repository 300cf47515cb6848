"""Features: run each photo once through the frozen backbone, and keep what it computes.

Doors: backbone, cache, compute, int8, rows, summaries, thumbnails. Begin at compute.py.

- backbone.py    the backbone compiled to ONNX once and kept; a head attached; parity checked
- compute.py     photos -> pooled features, in threads or on a cluster, or from the cache
- cache.py       features on disk, by the content of the photo
- rows.py        features in memory, or in a file where they are many, read block by block
- int8.py        the backbone in INT8, and what it answers for the validation photos, kept
- thumbnails.py  size, type and a thumbnail of each photo, for the doctor
- summaries.py   five numbers for each channel and photo, for insight
"""
