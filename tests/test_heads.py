"""The head: plain layers that answer as scikit-learn's own models would."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC

from models.building.head import DenseLayer, Head, UnitLength
from models.errors import PhotosError, SettingError
from training.heads.choose import choose_head
from training.heads.fit import cross_logits, fit_head
from training.heads.fitted_head import HeadRecord
from training.heads.forward import ACTIVATIONS, apply_head
from training.heads.held_out import Sides, deal_folds
from training.heads.kinds import KINDS, STRENGTHS


def clouds(classes: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`count` points in 6 dimensions, in overlapping clouds; scales differ a thousandfold."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(99).normal(size=(classes, 6))
    points = centres[labels] + rng.normal(size=(count, 6))
    return (points * np.logspace(-1, 2, 6) + 5).astype(np.float32), labels


def vectors(classes: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same in 16 dimensions of one scale, as the backbone `tiny` gives them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(99).normal(size=(classes, 16))
    return (np.abs(centres[labels] + rng.normal(size=(count, 16)))).astype(np.float32), labels


NONE = np.zeros((0, 16), np.float32), np.zeros(0, np.int64)  # a validation side without photos


def original(kind, record: HeadRecord, train, labels, points):
    """Probabilities as scikit-learn alone gives them, at the temperature that was found."""
    if kind == "logistic":
        model = make_pipeline(StandardScaler(), LogisticRegression(C=record.setting["C"], tol=3e-4))
        # the same float32 as the head's own: the solver stops where it does, not at the optimum
        model[0].fit(train)
        scaled = model[0].transform(train).astype(np.float32)
        return model[1].fit(scaled, labels).predict_proba(model[0].transform(points))
    if kind == "svm":
        svc = LinearSVC(C=record.setting["C"], tol=1e-2, max_iter=500, random_state=0)
        scores = make_pipeline(Normalizer(), svc).fit(train, labels).decision_function(points)
        if scores.ndim == 1:
            scores = np.stack([-scores, scores], axis=1)
    elif kind == "lda":
        lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=record.setting["shrinkage"])
        return lda.fit(train.astype(np.float64), labels).predict_proba(points)
    elif kind == "centroid":
        means = NearestCentroid().fit(train, labels).centroids_
        scores = -(pairwise_distances(points, means) ** 2)
        scores /= ((means - means.mean(axis=0)) ** 2).sum(axis=1).mean()
    else:
        directions = NearestCentroid().fit(Normalizer().transform(train), labels).centroids_
        scores = 1 - pairwise_distances(points, directions, metric="cosine")
    return softmax(scores / record.temperature, axis=1)


@pytest.mark.parametrize("classes", [2, 3, 10])  # for two, scikit-learn keeps one row of weights
@pytest.mark.parametrize("kind", KINDS)
def test_keras_and_onnx_answer_as_the_original_of_each_head(kind, classes):
    import keras

    from models.building.attach import head_graph
    from models.runtime import Graph
    from tests.networks import add_head

    train, labels = vectors(classes, 40 * classes)
    points, truth = vectors(classes, 20 * classes, seed=1)
    value = [KINDS[kind].default]  # one, so that the logistic regression starts from zero
    head = fit_head(kind, Sides(train, labels, points, truth, classes), values=value)
    expected = original(kind, head.record, train, labels, points)
    features = keras.Input((16,), name="features")
    network = add_head(keras.Model(features, keras.layers.Identity()(features)), head.layers)
    graph = Graph(head_graph(head.layers))
    logits = np.asarray(network(points)), graph.run(points, ["logits"])[0]
    for answer in (head.probabilities(points), *(softmax(each, axis=1) for each in logits)):
        np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_the_svms_temperature_is_the_one_scikit_learn_finds():
    train, labels = vectors(3, 120)
    points, truth = vectors(3, 600, seed=1)
    head = fit_head("svm", Sides(train, labels, points, truth, 3), values=[1])
    svc = make_pipeline(Normalizer(), LinearSVC(C=1, tol=1e-2, max_iter=500, random_state=0))
    frozen = FrozenEstimator(svc.fit(train, labels))
    theirs = CalibratedClassifierCV(frozen, method="temperature").fit(points, truth)
    expected = theirs.predict_proba(points)
    np.testing.assert_allclose(head.probabilities(points), expected, atol=2e-3)  # a weak prior


@pytest.mark.parametrize("kind", ["logistic", "svm", "lda"])
def test_balanced_classes_are_named_more_often_where_they_are_rare(kind):
    points, labels = vectors(2, 400, seed=5)
    kept = (labels == 0) | (np.arange(400) % 20 == 1)  # twenty of the second class
    train, rare = points[kept], labels[kept]
    others, truth = vectors(2, 400, seed=6)
    sides = Sides(train, rare, others, truth, classes=2)
    plain = fit_head(kind, sides, values=[0.3])
    fair = fit_head(kind, sides, values=[0.3], balanced=True)
    named = [(head.probabilities(others).argmax(1) == 1).sum() for head in (plain, fair)]
    assert named[1] > named[0]
    assert fair.record.balanced


def test_one_photo_a_class_is_enough_for_auto():
    train, labels = vectors(4, 4)
    head = choose_head(list(KINDS), Sides(train, labels, *NONE, classes=4))
    assert head.record.kind == "prototypes"
    assert head.record.as_json()["validation_accuracy"] is None
    assert head.record.judged_by.startswith("nothing")
    assert head.probabilities(train).argmax(1).tolist() == [0, 1, 2, 3]
    assert "lda" not in [row["kind"] for row in head.record.table]


def test_a_few_photos_held_out_are_reported_but_decide_nothing():
    train, labels = vectors(4, 4)
    points, truth = vectors(4, 4, seed=1)
    head = choose_head(list(KINDS), Sides(train, labels, points, truth, classes=4))
    assert head.record.kind == "prototypes"
    assert head.record.judged_photos == 4
    assert head.record.scores.validation_accuracy in (0, 0.25, 0.5, 0.75, 1)
    assert head.record.temperature == KINDS["prototypes"].temperature


def test_lda_says_that_one_photo_a_class_is_too_few():
    train, labels = vectors(4, 4)
    with pytest.raises(PhotosError, match="it got 4: choose the head prototypes"):
        fit_head("lda", Sides(train, labels, *NONE, classes=4))


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiny_validation_side_leaves_the_choice_to_cross_validation(kind):
    train, labels = vectors(3, 60)
    few, few_labels = vectors(3, 3, seed=1)
    record = fit_head(kind, Sides(train, labels, few, few_labels, 3)).record
    assert record.judged_by.startswith("cross-validation")
    right = 63 * record.scores.validation_accuracy  # all 60 were held out once, and the 3
    assert right == pytest.approx(round(right))


def test_folds_never_take_the_only_photo_of_a_class():
    labels = np.array([0] * 7 + [1] * 2 + [2])
    dealt = deal_folds(labels, seed=3)
    assert dealt[9] == -1
    assert sorted(dealt[:7]) == [0, 0, 1, 1, 2, 3, 4]
    for fold in range(5):
        assert set(labels[dealt != fold]) == {0, 1, 2}


def test_cross_fitted_logits_are_of_heads_that_did_not_see_the_photo():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(60, 80)).astype(np.float32)
    labels = rng.integers(0, 2, 60)  # nothing to learn, and enough dimensions to learn it by heart
    sides = Sides(train, labels, train, labels, classes=2)
    head = fit_head("logistic", sides, values=[0.1])
    assert (head.logits(train).argmax(1) == labels).mean() == 1
    logits, truth = cross_logits(head, sides)
    assert len(logits) == 60
    assert 0.3 < (logits.argmax(1) == truth).mean() < 0.7


def test_auto_takes_the_kind_with_the_least_log_loss_and_shows_them_all():
    head = choose_head(list(KINDS), Sides(*vectors(3, 90), *vectors(3, 60, seed=1), classes=3))
    rows = {row["kind"]: row for row in head.record.table}
    assert list(rows) == [*KINDS, "knn"]
    losses = {kind: row["validation_log_loss"] for kind, row in rows.items() if kind != "knn"}
    assert head.record.kind == min(losses, key=lambda kind: losses[kind])
    assert [kind for kind, row in rows.items() if row["reference"]] == ["knn"]
    for row in rows.values():
        low, high = row["validation_accuracy_interval"]
        assert low < row["validation_accuracy"] < high
        assert row["seconds"] >= 0


def test_a_class_without_training_photos_is_refused():
    train, labels = vectors(3, 30)
    with pytest.raises(PhotosError, match="train has photos of 3 classes, expected 4"):
        fit_head("centroid", Sides(train, labels, *NONE, classes=4))


def test_a_kind_that_is_not_known_is_refused_with_those_that_are():
    with pytest.raises(
        SettingError, match="head is 'forest'; expected auto or one of logistic, svm"
    ):
        fit_head("forest", Sides(*vectors(2, 20), *vectors(2, 20), classes=2))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_hidden_layers_answer_as_in_keras(activation):
    import keras

    from tests.networks import add_head

    rng = np.random.default_rng(0)
    sizes = [(6, 5), (5, 3)]
    first, last = [DenseLayer(rng.normal(size=s).astype("f4"), rng.normal(size=s[1]).astype("f4"))
                   for s in sizes]  # fmt: skip
    head: Head = [UnitLength(), DenseLayer(first.kernel, first.bias, activation), last]
    features = keras.Input((6,))
    network = add_head(keras.Model(features, keras.layers.Identity()(features)), head)
    points = np.vstack([3 * rng.normal(size=(20, 6)), np.zeros((1, 6))]).astype(np.float32)
    expected = softmax(np.asarray(network(points)), axis=1)
    np.testing.assert_allclose(apply_head(head, points), expected, atol=1e-6)


def test_an_unknown_activation_is_refused_with_its_name():
    head = [DenseLayer(np.ones((1, 1), "f4"), np.ones(1, "f4"), "snake")]
    with pytest.raises(SettingError, match="activation is 'snake'; expected one of linear"):
        apply_head(head, np.ones((1, 1), "f4"))


def test_a_head_is_applied_as_logits_then_softmax():
    head = [DenseLayer(np.array([[1, 0], [0, 2]], np.float32), np.array([0, 1], np.float32))]
    answer = apply_head(head, np.array([[3, 1], [1000, 0]], np.float32))  # logits (3, 3), (1000, 1)
    np.testing.assert_allclose(answer, np.array([[0.5, 0.5], [1, 0]]), atol=1e-12)


def test_the_same_photos_give_the_same_head_bit_for_bit():
    sides = Sides(*clouds(3, 90), *clouds(3, 30, seed=1), classes=3)
    one, other = fit_head("logistic", sides), fit_head("logistic", sides)
    assert one.layers[0].kernel.tobytes() == other.layers[0].kernel.tobytes()
    assert one.layers[0].bias.tobytes() == other.layers[0].bias.tobytes()
    assert one.record == other.record


def test_the_strength_is_the_one_with_the_least_loss_on_validation_photos():
    train, labels = clouds(3, 90)
    others, other_labels = clouds(3, 60, seed=1)
    steps: list[int] = []
    sides = Sides(train, labels, others, other_labels, classes=3)
    record = fit_head("logistic", sides, progress=steps.append).record
    tried = record.as_json()["tried"]
    assert {row["C"] for row in tried} <= set(STRENGTHS)  # those that were worth a try
    assert [row["C"] for row in tried] == sorted(row["C"] for row in tried)
    assert sum(steps) == len(STRENGTHS)
    best = min(tried, key=lambda row: row["validation_log_loss"])
    assert record.setting == {"C": best["C"]}
    assert record.scores.validation_accuracy == best["validation_accuracy"]


def test_a_head_that_learns_by_heart_is_held_back_by_photos_it_did_not_see():
    train, labels = clouds(2, 90)
    others, other_labels = clouds(2, 90, seed=1)
    agree = fit_head("logistic", Sides(train, labels, train, labels, 2)).record
    guessed = np.random.default_rng(0).permutation(other_labels)  # nothing learnt holds for them
    honest = fit_head("logistic", Sides(train, labels, others, guessed, 2)).record
    assert agree.setting["C"] == max(STRENGTHS)  # the same photos: the least penalty fits best
    chance = np.log(2)
    assert honest.scores.validation_log_loss == pytest.approx(chance, abs=0.02)


@pytest.mark.parametrize("constant", [0.0, 0.1, 3.7, 1000.1])  # 0: a dead channel, the usual one
def test_a_channel_that_never_changes_is_harmless(constant):
    train, labels = clouds(3, 301)  # float32 sums of 301 times 3.7 do not divide back to 3.7
    others, other_labels = clouds(3, 60, seed=1)
    plain = fit_head("logistic", Sides(train, labels, others, other_labels, 3)).layers
    wider = [np.hstack([x, np.full((len(x), 1), constant, "float32")]) for x in (train, others)]
    head = fit_head("logistic", Sides(wider[0], labels, wider[1], other_labels, 3)).layers
    np.testing.assert_allclose(apply_head(head, wider[1]), apply_head(plain, others), atol=1e-5)
    assert np.abs(head[0].kernel[6]).max() < 1e-3  # should it change after all, nothing explodes


def test_a_validation_side_without_one_of_the_classes_still_chooses():
    train, labels = clouds(3, 90)
    others, other_labels = clouds(3, 60, seed=1)
    few = other_labels != 2
    sides = Sides(train, labels, others[few], other_labels[few], classes=3)
    record = fit_head("logistic", sides).record
    assert record.setting["C"] in STRENGTHS
    assert np.isfinite(record.scores.validation_log_loss)


def test_the_features_that_are_given_are_not_changed():
    train, labels = clouds(2, 30)
    before = train.copy()
    fit_head("logistic", Sides(train, labels, train, labels, classes=2))
    assert train.tobytes() == before.tobytes()
