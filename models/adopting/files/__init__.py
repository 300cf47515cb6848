"""A model file on disk, checked and read as text and arrays.

- file_kinds.py    what a file is, by its first bytes
- archive.py       the three members of a `.keras` file, checked before any is read
- hdf5.py          the numbers of an HDF5 file, checked likewise
- child.py         both in a process of its own, with limits on memory and time
- model_file.py    starts that process; what came out of it
"""
