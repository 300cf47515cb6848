"""A graph put to the test by three made-up inputs, before anything else is asked of it."""

import numpy as np

from models.device import made_up
from models.errors import UnusableGraph
from models.runtime import Graph


def probe_graph(graph: Graph, shape: tuple[int, ...], classes: int) -> list[np.ndarray]:
    """See that `graph` tells grey, a slope and noise apart, by finite logits.

    Returns:
        Its answers, three of (1, classes) float32.

    Raises:
        UnusableGraph: it does not.
    """
    answers = [graph.run(probe, ["logits"])[0] for probe in made_up(shape)]
    for logits in answers:
        if logits.shape != (1, classes):
            raise UnusableGraph(f"answers with {logits[0].size} numbers; expected {classes} logits")
    if all(np.array_equal(answers[0], other) for other in answers[1:]):
        raise UnusableGraph("answers every photo alike: its weights say nothing, as if all zero")
    return answers
