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
- evaluate.py  predictions -> numbers to believe
- report.py    those numbers as a page, from templates/: summary.py puts them into words,
               confusion.py and gallery.py show the photos behind them, mistakes.py what spoke
               for the worst ones, cost.py time and energy, drawings.py curves
- model_card.py  the same for whoever uses the model, as Markdown
- curves.py    what the epochs of epochs.py say about a run;  find_rate.py a learning rate by trying
- tracking.py  a run told to TensorBoard or MLflow
- pictures.py  photos read once more to be shown
- contents.py  what every bundle holds beside its manifest
- imagenet.py, digits.py  the two models of the demo
- provenance.py  versions and memory of a run
- console.py   progress and timing;  __main__.py  the commands
"""
