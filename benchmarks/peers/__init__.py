"""Our service against other ways to serve the same ONNX file: a tour of this folder.

- services.py      who is compared, how each is started and asked
- environments.py  a virtual environment for each peer, with pinned packages
- apps/            each peer's application, as its documentation shows it
- load.py          clients that cost little themselves
- loop.py          decode and infer without a server: what the cores allow
- __main__.py      rounds in which all take turns, and the table
"""
