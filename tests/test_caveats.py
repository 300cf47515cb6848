"""What the report and the card say of how far a calibration can be believed."""

from models.bundle import Manifest
from models.bundles.calibration import CalibrationFacts, PredictionSet, Reliability, Thresholds
from models.images import Framing
from training.report.reliability import caveats, error_in_words

TUNED = {"kept": True, "hyperparameters": {"keep": "best"}}


def manifest(training: dict, photos: int = 60, **changes) -> Manifest:
    """Of a network whose sets were made for 90 % on so many photos."""
    fields = {
        "name": "pets",
        "class_names": ["cat", "dog"],
        "image": Framing(size=32, resize="crop", fraction=0.875),
        "backbone": {"name": "tiny"},
        "head": {},
        "layers": [],
        "training": training,
        "calibration": CalibrationFacts(
            method="temperature", temperature=1.2, photos=photos, coverage_interval=(0.813, 0.961)
        ),
        "thresholds": Thresholds(prediction_set=PredictionSet(coverage=0.9, least_probability=0.2)),
    }
    return Manifest(**fields | changes)


def test_it_is_said_what_sets_made_on_few_photos_may_hold():
    (sentence,) = caveats(manifest({"fine_tune": "no"}))
    assert "made for 90 % on 60 photos" in sentence
    assert "holds the true class of 81.3 % to 96.1 %" in sentence
    assert "The predicted class belongs to every set" in sentence


def test_photos_that_chose_the_epoch_and_fitted_the_temperature_are_named():
    *_, sentence = caveats(manifest({"fine_tune": "yes", "fine_tuning": TUNED}))
    assert sentence.startswith("The 60 photos that the temperature and the sets were fitted on")
    assert "also chose the epoch that was kept:" in sentence
    *_, sentence = caveats(manifest({"fine_tune": "auto", "fine_tuning": TUNED}))
    assert "chose the epoch that was kept and whether to keep the trained blocks:" in sentence


def test_photos_that_chose_nothing_are_not_accused():
    last = {"fine_tune": "yes", "fine_tuning": TUNED | {"hyperparameters": {"keep": "last"}}}
    unused = {"fine_tune": "auto", "fine_tuning": TUNED | {"kept": False}}
    for training in (last, unused, {}):
        assert len(caveats(manifest(training))) == 1  # of the sets alone


def test_without_calibration_or_with_an_older_one_there_is_nothing_to_say():
    assert caveats(manifest({}, calibration=None)) == []
    older = CalibrationFacts(method="temperature", temperature=1.2, photos=60)
    assert caveats(manifest({}, calibration=older)) == []


def test_the_error_comes_with_what_chance_makes_of_it():
    known = Reliability(
        expected_calibration_error=0.045, error_interval=(0.02, 0.06), error_by_chance=0.05, bins=[]
    )
    assert error_in_words(known) == (
        "4.5 % (95 % interval 2.0 % to 6.0 %; by chance alone up to 5.0 %)"
    )
    assert error_in_words(Reliability(expected_calibration_error=0.045, bins=[])) == "4.5 %"
