"""Read a Keras model that somebody else saved, as text and numbers; nothing in it is executed.

Keras' own loader is not used: it executes what a file says, and refuses many older ones.
The configuration's text is read against a list of built-in layers, and the network built anew
from it, flat; the weights are read with h5py after checks.

- file_kinds.py    what a file is, by its first bytes
- archive.py       the three members of a `.keras` file, checked before any is read
- hdf5.py          the numbers of an HDF5 file, checked likewise
- child.py         both in a process of its own, with limits on memory and time
- model_file.py    starts that process; what came out of it
- kinds.py         the built-in layers that are read, with the settings that count
- settings.py      one layer's settings: known ones kept, older spellings translated
- arguments.py     what a layer was called with
- operations.py    arithmetic between layers, as layers
- weights.py       which numbers belong to which layer
- assemble.py      one flat network, layer after layer
- shape.py         what a network reads: images, or something else
- rebuild.py       the graph of a model and of models inside it
- front.py         the layers in front: size, grey, channel order, scaling
"""
