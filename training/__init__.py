"""Make a model: a tour of this room. Importing it loads nothing else.

A photo goes one way: photos -> features -> sides -> head -> network -> bundle. Begin at fit.py,
which reads that story aloud.

- __main__.py  the commands;  command.py  how each of them ends where something is wrong
- fit.py       a whole run, stage by stage
- prepare.py   folder -> data set: listing, features, copies, sides, checkup
- results.py   what a run came to: data set, trained network, search
- quantise.py  the same network in INT8, kept if it is nearly as good
- write.py     a result as a bundle, with its report;  contents.py  what every bundle holds
- predict.py   a saved model over many photos
- command_output.py  the last lines of a command, and the same as JSON

Rooms, each with a tour of its own; a room imports only from those above it:

- settings/      every setting with its range, the options of the commands, progress
- photos/        folders and lists -> labelled photos
- scale/         the same work for many photos, in threads or on a Ray cluster
- sides/         labelled photos -> train, validation and test, without a copy on two of them
- evaluation/    predictions -> numbers to believe
- features/      each photo once through the frozen backbone, kept on disk
- optimisation/  gradient descent: the training loop, its curves, checkpoints
- heads/         features -> class: every kind of head, fitted, chosen, calibrated
- doctor/        what is wrong with the photos
- fine_tuning/   the upper blocks of the backbone, trained from cached feature maps
- insight/       what each layer detects
- report/        a result as a page and a model card
- search/        many heads tried on the same features
- demo/          the models of the demo
- exporting/     a bundle in the format of another runtime
"""
