"""Settings: what a run can be told, where it is checked, and what a person sees meanwhile.

Doors: config, console, hyperparameters, options, quiet, recipe. Begin at config.py.

- config.py           every setting of a run: default, range, help; contradictions refused
- hyperparameters.py  those of gradient descent and of a neural head
- options.py          the options of a command, made from the config
- console.py          progress and time by stage
- recipe.py           short names for all that a cached result depends on
- quiet.py            loads Keras without TensorFlow's remarks
"""
