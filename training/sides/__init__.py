"""Sides: photos dealt out to train, validation and test.

Doors: class_sizes, remembered, split, units. Begin at split.py.

- units.py        photos that must stand on one side: copies, near copies, groups
- split.py        train, validation and test sides that share no copy and no group
- remembered.py   the sides recorded in a bundle, for the next one
- class_sizes.py  when the classes are uneven
"""
