"""What follows features, at a million rows and more; and what photos by the million cost.

- __main__.py    the command: rows, seconds and peak memory of each step
- made_rows.py   photos that do not exist: features, copies, thumbnails
- steps.py       the steps of a run after its features, on these
- rates.py       what one core does a second, on real photos
- arithmetic.py  from such rates to time and cost of 1 million to 1 billion photos
"""
