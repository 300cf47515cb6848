"""The saved model on disk and in memory: a tour. `models/bundle.py` is the door.

- manifest.py   what `manifest.json` may hold, each field with its type and range
- calibration.py  how far its answers can be relied on, in float32 and in INT8;
                fields.py has the kinds of values of both
- folder.py     one file of a folder that a stranger may have filled: no link, no pipe
- exchange.py   one folder in the place of another, in one step
- names.py      what a bundle, its manifest and its signature may be called
- nameless.py   a file that nobody else can open
- pinned.py     a copy of a bundle that nobody can change
- signature.py  who made a bundle
- arrays.py     plain arrays out of a file; json_text.py what is JSON in one
"""
