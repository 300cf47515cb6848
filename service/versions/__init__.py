"""One version serves until another can: a tour.

In the parent process:
- sources.py    where versions come from: bundles by name, or a folder of them
- trials.py     a bundle put to the test in a process of its own (`models/trial.py`)
- slot.py       one model, and which of its versions to try next
- keeper.py     what is served; has a new version loaded by every worker, then switches all
- links.py      a line to each worker;  catalogue.py  what is said over it
- arbiter.py    gunicorn's parent process with the keeper in its loop

In a worker:
- follower.py   loads what the parent announces, serves what it published
- routes.py     which models a request is answered by, and the routes of one version
"""
