"""Shows a model over HTTP: a tour of this room. Importing it loads nothing else.

- settings.py   what the server may be told
- shelf.py      the models that are served at one time, by name
- versions/     how one version takes the place of another while they serve
- incoming/     what a request may do and bring: keys, rates, photos, memory for them
- headers.py    the headers of every answer
- routes.py     predict, one layer's activations, models: bytes in, answer out
- lines.py      predict, one line of JSON a photo, as they are computed
- inside.py     all layers of a photo, saliency, what each channel detects
- pages.py      the page, its files, samples and reports;  page/ holds it
- protocols/    the same for clients of two protocols: Open Inference, TensorFlow Serving
- described/    what all routes take and answer, as OpenAPI and as a page
- health.py     is the process alive, is it ready
- errors.py     everything that goes wrong -> one shape of answer
- logs.py       one line a message, whatever names are in it
- watching/    metrics, times of a request's stages, a line of the log for each request
- config_file.py  settings from the environment and a file
- network/      a gunicorn worker that reads requests whole, and admits as many as it can answer
- finite_json.py  answers hold no number that JSON has not
- app.py        puts these together;  server.py runs them under gunicorn
- __main__.py   the command line: has bundles tried, while server.py is loaded

Nothing here, nor anything it imports, loads TensorFlow or a Python object from disk.
"""
