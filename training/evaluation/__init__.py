"""Evaluation: measure predictions, and how far the numbers can be trusted.

Doors: calibrate, compare, evaluate, familiarity, folds, intervals, layer_distances.
Begin at evaluate.py.

- evaluate.py     accuracy and the rest, of predictions or of a bundle
- ask.py          what is asked of a classifier for one photo, wherever it runs
- compare.py      two bundles on the same photos
- intervals.py    how precisely a share or a difference is known
- calibrate.py    the temperature, prediction sets, and how well both work on other photos
- calibration_error.py  confidence next to accuracy, and what of it is chance
- familiarity.py  which photos are like the training photos
- layer_distances.py  the same for a fine-tuned network, by several of its layers
- folds.py        photos dealt out to folds, every class evenly
"""
