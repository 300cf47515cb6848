"""What labelled photos say about an adopted network: everything that `fit` says of its own.

Nothing is trained. Where the network was trained on these photos, its numbers are too good:
whether it was cannot be seen from the file, so the report says so.
"""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.building.scalings import Front
from models.bundle import Manifest
from training.adopt.config import MeasureConfig
from training.adopt.network import Source, check_answers, compile_source
from training.features.backbone import attach, generate_pictures
from training.heads.fitted_head import FittedHead, HeadRecord
from training.photos.listing import Listing
from training.prepare import open_cache, prepare
from training.results import measure_head
from training.settings.console import Stages
from training.write import write_bundle


def write_measured(
    source: Source,
    front: Front,
    listing: Listing,
    class_names: list[str],
    out: Path,
    config: MeasureConfig,
    stages: Stages,
) -> Manifest:
    """Measure an adopted network on photos, and write it as a bundle with a report.

    Args:
        listing: with labels that are among `class_names`.

    Raises:
        LayerscopeError: the photos cannot be divided, a layer not be written, or `out` neither.
    """
    with stages.stage("compile the network"):
        pictures = generate_pictures(config.framing.size)
        compiled = compile_source(source, front, config.framing, pictures)
        files, _ = attach(compiled, source.ending.head, pictures)
        check_answers(source, files, front, config.framing, pictures)
    config = replace(config, insight=config.insight and bool(compiled.layers))
    with closing(open_cache(compiled, config)) as cache:
        data = prepare(listing, out, compiled, cache, config, stages)
        places = {name: index for index, name in enumerate(class_names)}
        labels = np.array([places[photo.label] for photo in data.features.photos])
        data = replace(data, class_names=class_names, labels=labels)
        head = FittedHead(source.ending.head, HeadRecord("adopted", "its own head"))
        trained = measure_head(compiled, data, head, config, stages)
        return write_bundle(listing.source, out, config, stages, trained, cache)
