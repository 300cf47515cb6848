"""Makes a model: a tour of this room. Importing it loads nothing else.

photos -> features -> split -> head -> network -> bundle, in the order of `fit.py`:

- config.py    every setting of a run, checked
- photos.py    folders or a CSV -> a list of labelled photos, and what was skipped
- features.py  each photo once through the compiled backbone;  cache.py keeps the result
- split.py     train, validation and test sides that share no file
- heads.py     features -> class: logistic regression
- insight.py   what each layer detects, from summaries.py: channel_facts.py, exemplars.py, and
               trust.py for saliency;  add_insight.py, visualise.py for a bundle that has none
- fit.py       the whole run, stage by stage
- search.py    many heads on the same features, and the best of them; search_space.py says what is
               tried, candidate.py trains one, study.py keeps the trials, search_report.py tells
- evaluate.py  predictions -> numbers to believe
- report.py    those numbers as a page
- pictures.py  photos read once more to be shown
- contents.py  what every bundle holds beside its manifest
- imagenet.py, digits.py  the two models of the demo
- provenance.py  versions and memory of a run
- console.py   progress and timing;  __main__.py  the commands
"""
