"""Insight: what each layer detects, found out from the training photos.

Doors: add, write. Begin at write.py.

- write.py          every layer: channels, probe, exemplars, written into a bundle
- channel_facts.py  channels in numbers: class, selectivity, dead, copies
- exemplars.py      the photos that excite a channel most, cut out
- trust.py          the saliency put to the test
- add.py            insight for a bundle that has none: the command `insight`
- visualise.py      a picture made from noise that excites a channel
"""
