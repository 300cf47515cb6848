"""Shows a model over HTTP: a tour of this room.

- settings.py   what the server may be told
- shelf.py      the loaded bundles, by name
- uploads.py    a request -> the photos in it, within limits
- routes.py     predict, activations, layers, models: bytes in, answer out
- pages.py      the page, its files, samples and reports;  page/ holds it
- health.py     is the process alive, is it ready
- errors.py     everything that goes wrong -> one shape of answer
- app.py        puts these together;  __main__.py runs them under gunicorn

Nothing here, nor anything it imports, loads TensorFlow or a Python object from disk.
"""

from service.app import create_app

__all__ = ["create_app"]
