"""Photos: from a folder, a list or shards (in a room of their own) to labelled photos.

Doors: find, labels, levels, listing, pictures, side_names, system_files, table. Begin at find.py.

- find.py          folders or a CSV -> labelled photos, and what was left out and why
- listing.py       what was found: photos, what was left out, and the table of it
- folders.py       class folders, under sides or not -> photos
- layouts.py       which folders are classes, which are sides, which are neither
- side_names.py    `Training`, `val_set`, `images-test`: names that say a side
- walk.py          the files below a folder, each once; links, pipes, rights
- system_files.py  what systems and programs leave among photos
- rows.py          rows of a CSV -> photos
- table.py         a CSV in any delimiter and encoding -> columns and rows
- labels.py        labels that look alike
- levels.py        which numbers of photos of more than eight bits are black and white
- pictures.py      photos read once more, to be tried or shown
"""
