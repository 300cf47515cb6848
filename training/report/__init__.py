"""Report: a result as a page that opens with the network off, and as a model card.

Doors: cost, drawings, gallery, mistakes, model_card, page, reliability. Begin at page.py.

- page.py         the page, put together from templates/
- summary.py      what was trained, how good it is and what to do next, in words
- confusion.py    which classes are taken for which;  gallery.py  the photos behind it
- mistakes.py     the worst mistakes, with what spoke for them
- verdicts.py     learning curves in words: overfitting, underfitting, unstable
- reliability.py  how far the probabilities can be believed
- cost.py         time and energy of each stage
- drawings.py     curves and plots
- quantities.py   shares, times and energies in words
- model_card.py   the same for whoever uses the model, as Markdown
"""
