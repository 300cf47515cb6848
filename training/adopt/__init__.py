"""Adopt somebody else's Keras model: a bundle of it, with what photos say about it.

Doors: adopt, config.

- adopt.py      the command: file -> network -> bundle
- config.py     its settings
- labels.py     the names of the classes, in the shapes that people have
- network.py    the network with its layers in front, compiled and compared with the file's own
- trial.py      each scaling tried on labelled photos
- measured.py   evaluation, calibration, insight and report, from labelled photos
"""
