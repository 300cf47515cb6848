"""A graph put to the test by three made-up inputs, before anything else is asked of it."""

import numpy as np

from models.device import made_up
from models.runtime import Graph, UnusableGraph


def probe_graph(graph: Graph, shape: tuple[int, ...], classes: int) -> list[np.ndarray]:
    """See that `graph` tells grey, a slope and noise apart, by finite logits.

    Returns:
        Its answers, three of (1, classes) float32.

    Raises:
        UnusableGraph: it does not.
    """
    try:
        answers = [graph.run(probe, ["logits"])[0] for probe in made_up(shape)]
    except Exception as error:  # the runtime's own exceptions have no common base
        raise UnusableGraph(f"does not run: {error}") from error
    for logits in answers:
        if logits.shape != (1, classes) or not np.isfinite(logits).all():
            found = f"numbers of shape {logits.shape}, not all of them finite"
            if np.isfinite(logits).all():
                found = f"{logits.shape[-1] if logits.ndim else 1} numbers"
            raise UnusableGraph(f"answers with {found}; expected {classes} finite logits")
    if all(np.array_equal(answers[0], other) for other in answers[1:]):
        raise UnusableGraph("answers every photo alike: its weights say nothing, as if all zero")
    return answers
