"""Demo: models to try at once.

Doors: imagenet. Begin there.

- imagenet.py  the pretrained network itself as a bundle, 1,000 classes

photos/ holds 125 photos in five classes, for an ordinary `fit`; SOURCES.tsv names the author,
the source and the licence of each.
"""
