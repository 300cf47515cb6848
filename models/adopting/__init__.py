"""Read a Keras model that somebody else saved, as text and numbers; nothing in it is executed.

Keras' own loader is not used: it executes what a file says, and refuses many older ones. The
file's text is read against a list of built-in layers, and the network built anew from it, flat;
its weights are read with h5py after checks. Begin at rebuild.py.

- files/             a file on disk -> text and arrays, in a process of its own
- kinds.py           the built-in layers that are read, with the settings that count
- entries.py         the entries of a configuration: models and layers
- shape.py           what a network reads: images, or something else
- settings.py        one layer's settings: known ones kept, older spellings translated
- arguments.py       what a layer was called with
- wanted.py          the arrays that a layer needs
- weights.py         where a `.keras` file has them;  legacy_weights.py  where a legacy file does
- assemble.py        one flat network, layer after layer
- operations.py      arithmetic between layers, as layers
- functional.py      a functional model's calls, each once its inputs exist
- rebuild.py         the whole: models inside models become part of one network
- refusals.py        why a layer is refused
"""
