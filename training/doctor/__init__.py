"""Data doctor: what is wrong with the photos. It deletes nothing.

Doors: check, examine, exclusions, near_copies, page, suspects. Begin at examine.py.

- check.py         the command `check`
- examine.py       all findings: damaged, copies, sizes, colours, labels
- near_copies.py   pairs of photos that show the same picture
- overlay.py       two thumbnails laid over each other: are they one picture?
- suspects.py      labels that are likely wrong
- exclusions.py    a list of photos to leave out, written and read
- page.py          the findings as a page, from section.html.j2 and page.html.j2
"""
