"""Optimisation: gradient descent, for heads and for blocks.

Doors: checkpoint, epochs, find_rate, loop, optimiser, together, tracking, training_set, workers.
Begin at loop.py.

- loop.py          the training loop: epochs, validation, early stopping
- optimiser.py     the optimiser with its schedule, and the mean of the weights
- training_set.py  inputs and labels, batch by batch; mixup, class weights
- workers.py       who takes a step: this process, or several that add up their gradients
- meeting.py       workers find one another before they begin
- together.py      the workers of a cluster, by TensorFlow's collectives
- epochs.py        the record of a run, epoch by epoch; no Keras
- checkpoint.py    the state after the last whole epoch, for a run that was killed
- find_rate.py     a learning rate found by trying
- tracking.py      a run recorded in TensorBoard or MLflow
"""
