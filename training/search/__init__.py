"""Search: many heads tried on the same features, and the best one saved.

Doors: run. Begin there.

- run.py        trials until the budget is spent
- space.py      what is tried: every kind of head and its hyperparameters
- candidate.py  one candidate, trained and judged
- study.py      the trials on disk, for a search that was killed
- outcome.py    who won, by how much, what mattered
"""
