"""Photos: from a folder or a list to labelled photos, each on its side.

Doors: class_sizes, find, levels, pictures, sides, split, units. Begin at find.py, then split.py.

- find.py      folders or a CSV -> labelled photos, and what was skipped and why
- units.py     photos that must stand on one side: copies, near copies, groups
- class_sizes.py  when the classes are uneven
- split.py     train, validation and test sides that share no copy and no group
- sides.py     the sides remembered in a bundle, for the next one
- levels.py    which numbers of photos of more than eight bits are black and white
- pictures.py  photos read once more, to be tried or shown
"""
