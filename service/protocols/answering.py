"""Photos of either protocol -> logits, counted and timed as those of /predict are."""

from typing import Any

import numpy as np

from models.classifier import Classifier, Reading, softmax
from service.incoming.asking import settings
from service.incoming.uploads import decode_all
from service.watching.metrics import note_model, note_reading
from service.watching.record import record, stage


def logits_of(classifier: Classifier, photos: list[Any]) -> np.ndarray:
    """(N, K) float32, of encoded photos or of (S, S, 3) pixels; one by one, as /predict does."""
    note_model(classifier)
    record().photos = len(photos)
    if isinstance(photos[0], bytes):
        photos = decode_all(classifier, photos, settings().limits)
    with stage("network"):
        logits = np.concatenate([classifier.logits(photo[None]) for photo in photos])
    for probabilities in softmax(logits):
        note_reading(classifier, Reading(probabilities, None))
    return logits
