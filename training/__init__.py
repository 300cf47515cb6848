"""Makes a model: a tour of this room. Importing it loads nothing else.

photos -> features -> split -> head -> network -> bundle, in the order of `fit.py`:

- config.py    every setting of a run, checked
- photos.py    folders or a CSV -> a list of labelled photos, and what was skipped
- compiled.py  the backbone as ONNX and as a Keras file, made once and kept; heads put on both
- features.py  each photo once through the compiled backbone;  cache.py keeps the result
- split.py     train, validation and test sides that share no copy: units.py joins those that must
               stand together, sides.py remembers them from one bundle to the next
- doctor.py    what is wrong with the photos: near_copies.py (overlay.py on thumbnails of
               looks.py), suspects.py (labels);  doctor_page.py shows it, exclusions.py lists it
               and reads the list, check.py is the command
- heads.py     features -> class, one kind of head; choose_head.py tries them all. linear_heads.py
               fits each kind, held_out.py judges, forward.py answers in NumPy
- train_head.py  the head that the config asks for;  neural.py a neural one, with Keras
- descent.py   gradient descent, for heads and blocks: hyperparameters.py, checkpoint.py
- fine_tune.py the upper blocks, from feature maps that views.py draws and map_store.py keeps;
               budget.py says what fits into some minutes
- belief.py    how far to believe it: calibrate.py (sureness, prediction sets), familiarity.py
- insight.py   what each layer detects, from summaries.py: channel_facts.py, exemplars.py, and
               trust.py for saliency;  add_insight.py, visualise.py for a bundle that has none
- fit.py       the whole run, stage by stage;  write.py  what came of it, as a bundle
- evaluate.py  predictions -> numbers to believe, with intervals.py;  compare.py, of two models
- search.py    many heads on the same features, and the best of them; search_space.py says what is
               tried, candidate.py trains one, study.py keeps the trials, search_report.py tells
- report.py    those numbers as a page, from templates/: summary.py puts them into words,
               confusion.py and gallery.py show the photos behind them, mistakes.py what spoke
               for the worst ones, cost.py time and energy, drawings.py curves,
               calibration_report.py how far to believe it
- model_card.py  the same for whoever uses the model, as Markdown
- curves.py    what the epochs of epochs.py say about a run;  find_rate.py a learning rate by
               trying, rate_search.py what became of it
- tracking.py  a run told to TensorBoard or MLflow
- pictures.py  photos read once more to be shown
- contents.py  what every bundle holds beside its manifest
- imagenet.py, digits.py  the two models of the demo
- provenance.py  versions and memory of a run
- console.py   progress and timing;  __main__.py  the commands
"""
