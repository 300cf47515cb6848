"""Report: write a result as a page that opens with the network off, and as a model card.

Doors: cost, drawings, gallery, learning, mistakes, model_card, page, reliability. Begin at page.py.

- page.py         the page, put together from templates/
- summary.py      what was trained, how good it is and what to do next, in words
- confusion.py    which classes are taken for which;  gallery.py  the photos behind it
- mistakes.py     the worst mistakes, and the parts of the photos that led to them
- learning.py     each training by gradient descent;  verdicts.py  what its curves mean
- reliability.py  how far the probabilities can be trusted
- cost.py         time and energy of each stage
- drawings.py     curves as pictures
- quantities.py   shares, times, energies and settings in words
- model_card.py   the same for users of the model, as Markdown
"""
