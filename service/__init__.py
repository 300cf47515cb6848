"""Shows a model over HTTP: a tour of this room.

- settings.py   what the server may be told
- shelf.py      the models that are served at one time, by name
- versions/     how one version takes the place of another while they serve
- uploads.py    a request -> the photos in it, within limits
- asking.py     what every route asks of a request;  channels.py  which channels it asks for
- routes.py     predict, one layer's activations, models: bytes in, answer out
- inside.py     all layers of a photo, saliency, what each channel detects
- pages.py      the page, its files, samples and reports;  page/ holds it
- health.py     is the process alive, is it ready
- errors.py     everything that goes wrong -> one shape of answer
- worker.py     a gunicorn worker that does not wait for ever
- finite_json.py  answers hold no number that JSON has not
- app.py        puts these together;  __main__.py runs them under gunicorn

Nothing here, nor anything it imports, loads TensorFlow or a Python object from disk.
"""

from service.app import create_app

__all__ = ["create_app"]
