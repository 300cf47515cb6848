"""Heads: features -> class.

Begin at train.py.
Doors: calibrated_head, fit, fitted_head, forward, held_out, kinds, neural,
out_of_core, standardise, train.

- train.py            the head that the config names
- kinds.py            the table of linear heads, with how each is fitted: add a kind here
- fit.py              one kind, its setting chosen on photos held out
- choose.py           every kind tried, the best taken (`--head auto`)
- out_of_core.py      the chosen head fitted on more photos than memory holds
- neural.py           a head with hidden layers, by gradient descent
- fitted_head.py      what comes out: layers, and the record of how they were found
- calibrated_head.py  a head with its temperature, prediction sets and familiarity
- held_out.py         photos that a head did not see, and how it does on them
- forward.py          a head applied to features, in NumPy
- standardise.py      features at mean 0 and spread 1, folded into weights
"""
