"""Settings: what can be chosen for a run, with its range, and the progress that is shown.

Doors: cluster, config, console, hyperparameters, options, printable, quiet, recipe, setting.
Begin at config.py.

- config.py           the settings of every command; contradictions refused
- hyperparameters.py  defaults and ranges of training, of a neural head, of random views
- setting.py          what a setting is: default, range, help
- options.py          the options of a command, made from the settings
- cluster.py          the workers that TF_CONFIG names
- console.py          progress, and time by stage
- recipe.py           short names for all that a cached result depends on
- printable.py        names from strangers, safe for a terminal
- quiet.py            loads Keras without TensorFlow's remarks
"""
