"""Data doctor: find what is wrong with the photos. It deletes nothing.

Doors: check, examine, exclusions, near_copies, neighbours, page, suspects. Begin at examine.py.

- check.py         the command `check`
- examine.py       all findings: damaged files, copies, sizes, colours, labels
- near_copies.py   pairs of photos that show the same picture
- neighbours.py    the nearest rows of each: all compared, or by an index
- overlay.py       two thumbnails aligned and compared
- suspects.py      labels that are likely wrong
- doubts.py        the model behind them; and the same for more photos than memory holds
- exclusions.py    a list of photos to leave out, written and read
- page.py          the findings as a page, from section.html.j2 and page.html.j2
"""
