"""Evaluation: predictions -> numbers to believe.

Doors: calibrate, compare, evaluate, familiarity, folds, intervals. Begin at evaluate.py.

- evaluate.py     accuracy and the rest, of predictions or of a bundle
- compare.py      two bundles on the same photos
- intervals.py    how far a share or a difference is known
- calibrate.py    the temperature, prediction sets, and how well they keep their promise
- familiarity.py  is a photo anything like the training photos?
- folds.py        photos dealt out to folds, every class evenly
"""
