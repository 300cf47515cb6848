"""Demo: models to try at once.

Doors: imagenet. Begin there.

- imagenet.py  the pretrained network itself as a bundle, 1,000 classes
- digits.py    handwritten digits as class folders
"""
