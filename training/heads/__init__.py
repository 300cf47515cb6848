"""Heads: features -> class.

Doors: calibrated_head, fit, forward, held_out, kinds, neural, train. Begin at train.py.

- train.py            the head that the config asks for
- kinds.py            the table of linear heads: logistic, svm, lda, centroid, prototypes
- fit.py              one kind, its setting chosen on photos held out
- choose.py           every kind tried, the best taken (`--head auto`)
- held_out.py         photos that a head did not see, and how it does on them
- forward.py          a head in NumPy
- neural.py           a head with hidden layers, by gradient descent
- calibrated_head.py  a head with its temperature, prediction sets and familiarity
"""
