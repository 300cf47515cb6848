"""A head that a search saves is divided by a temperature once, and its record says by which."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.runtime import Graph
from tests.making import write_sides
from training.fit import fit
from training.heads.fit import cross_logits, fit_head
from training.heads.held_out import Sides
from training.heads.kinds import KINDS
from training.search.candidate import train_candidate
from training.search.run import search
from training.search.space import LinearCandidate
from training.settings.config import FitConfig, SearchBudget
from training.settings.console import Stages


def head_logits(bundle: Path, features: np.ndarray) -> np.ndarray:
    """What the head of a saved bundle answers."""
    answer: np.ndarray = Graph(Bundle(bundle).read("head.onnx")).run(features, ["logits"])[0]
    return answer


def test_a_linear_head_saved_by_search_is_divided_by_one_temperature_as_one_by_fit(tmp_path):
    photos = write_sides(tmp_path / "photos", {"train": 6, "validation": 10, "test": 4})
    config = FitConfig(backbone="tiny", cache=tmp_path / "cache", insight=False)
    usual = fit(photos, tmp_path / "fit", config, Stages(quiet=True))
    found = search(photos, tmp_path / "search", config, SearchBudget(trials=1), Stages(quiet=True))
    features = np.random.default_rng(0).random((20, 16), np.float32)
    raw = [
        head_logits(tmp_path / name, features) * manifest.calibration.temperature
        for name, manifest in (("fit", usual), ("search", found))
    ]
    np.testing.assert_allclose(raw[1], raw[0], rtol=1e-3, atol=1e-4)  # the scores as trained
    assert found.calibration.temperature != 1
    assert found.calibration.temperature == pytest.approx(usual.calibration.temperature, rel=1e-3)
    for side in ("before", "after"):
        theirs, ours = (
            getattr(each.calibration.test, side).expected_calibration_error
            for each in (usual, found)
        )
        assert ours == pytest.approx(theirs, abs=1e-3)


@pytest.mark.parametrize("kind", ["logistic", "svm", "lda", "centroid", "prototypes"])
def test_a_candidates_record_holds_all_that_its_scores_were_divided_by(kind):
    rng, labels = np.random.default_rng(1), np.arange(90) % 3
    points = (np.eye(8, dtype=np.float32)[labels] + rng.normal(size=(90, 8))).astype(np.float32)
    sides = Sides(points[:45], labels[:45], points[45:], labels[45:], classes=3)
    values = [KINDS[kind].default]
    plain = fit_head(kind, sides, values=values)
    trained = train_candidate(LinearCandidate(kind, values[0]), sides).head
    scale = trained.record.temperature
    np.testing.assert_allclose(
        trained.logits(points) * scale,
        plain.logits(points) * plain.record.temperature,
        rtol=1e-3,
        atol=1e-4,
    )
    assert trained.record.as_json()["temperature"] == scale != 1
    held, truth = cross_logits(trained, sides)
    others, _ = cross_logits(plain, sides)
    np.testing.assert_allclose(held * scale, others * plain.record.temperature, atol=1e-4)
    assert len(truth) == 45
