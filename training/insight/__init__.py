"""Insight: find out from the training photos what each layer detects.

Doors: add, write. Begin at write.py.

- write.py          every layer: channels, probe, exemplars, written into a bundle
- channel_facts.py  channels in numbers: class, selectivity, dead, duplicates
- exemplars.py      the photos that excite a channel most, cut out
- trust.py          two tests of the saliency
- add.py            insight for a bundle that has none: the command `insight`
- visualise.py      a picture computed from noise that excites a channel
"""
