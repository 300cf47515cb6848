"""How each kind of head is fitted: features -> plain layers, one small function a kind.

A function prepares what all settings of its kind share (scales, a covariance) and returns
a solver, which gives the layers for one setting. Whatever is done to the features first is
folded into the weights, so the layers read features as the backbone gives them.

scikit-learn takes a second to load, so it is loaded by the kinds that need it.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from models.building.head import DenseLayer, Head, UnitLength
from models.errors import PhotosError
from training.heads.forward import unit_length
from training.heads.standardise import Standardisation

ITERATIONS = 500
STRENGTHS = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # C: the inverse of the L2 penalty

Solver = Callable[[float], Head]


@dataclass(frozen=True)
class Samples:
    """What a head is fitted on. Labels are 0 to K - 1, and each occurs."""

    features: np.ndarray  # (N, F) float32
    labels: np.ndarray  # (N,) int
    balanced: bool = False  # every class counts the same, however few its photos
    start: DenseLayer | None = None  # a head of the same kind to begin from: quicker


@dataclass(frozen=True)
class HeadKind:
    """One kind of head, how it is fitted, and the number that is chosen for it."""

    words: str
    prepare: Callable[[Samples], Solver]
    setting: str = ""  # name of the number that is chosen
    values: tuple[float, ...] = (0.0,)  # ascending
    default: float = 0.0  # where the search begins; kept where nothing can be judged
    temperature: float = 1.0  # that scores are divided by, likewise
    probable: bool = False  # its scores are logits already
    fewest: float = 1.0  # photos a class, on average


def logistic(samples: Samples) -> Solver:
    """Fit multinomial logistic regression on standardised features; the setting is C."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scale = Standardisation.of(samples.features)
    scaled = scale.apply(samples.features)  # float32: twice as fast, the same answers
    model = LogisticRegression(
        max_iter=ITERATIONS,
        tol=3e-4,  # a third of the steps of 1e-4; log loss changes in the fourth digit
        warm_start=True,
        class_weight="balanced" if samples.balanced else None,
    )
    if samples.start is not None:
        kernel, intercept = scale.unfold(samples.start.kernel, samples.start.bias)
        coefficients = kernel.T
        if len(coefficients) == 2:  # as `as_dense` made two of one
            coefficients, intercept = np.diff(coefficients, axis=0), np.diff(intercept)
        model.coef_, model.intercept_ = coefficients.astype(np.float32), intercept

    def solve(strength: float) -> Head:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # photos held out judge it anyway
            model.set_params(C=strength).fit(scaled, samples.labels)
        weights, bias = asdense(model.coef_, model.intercept_, share=0.5)
        return [dense(*scale.fold(weights, bias))]

    return solve


def svm(samples: Samples) -> Solver:
    """Fit linear support vector machines, one against the rest; the setting is C.

    On features of unit length: standardised ones take ten times as long and do worse
    (log loss 0.400 and 0.463 on the clothing photos).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    scaled = unit_length(samples.features)
    weights = "balanced" if samples.balanced else None

    def solve(strength: float) -> Head:
        model = LinearSVC(C=strength, tol=1e-2, max_iter=ITERATIONS, class_weight=weights,
                          random_state=0)  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(scaled, samples.labels)
        return [UnitLength(), dense(*asdense(model.coef_, model.intercept_, share=1.0))]

    return solve


def lda(samples: Samples) -> Solver:
    """Fit linear discriminant analysis; the setting is how far its covariance is shrunk.

    scikit-learn would estimate the covariance anew for every setting.
    """
    counts = np.bincount(samples.labels)
    if len(samples.labels) < KINDS["lda"].fewest * len(counts):
        raise PhotosError(
            f"head lda needs half as many photos again as there are classes ({len(counts)}); "
            f"it got {len(samples.labels)}: choose the head prototypes, or auto"
        )
    means = _class_means(samples.features, samples.labels)  # (K, F) float64
    inner = (samples.features - means[samples.labels]).astype(np.float32)
    shares = counts / counts.sum()
    priors = np.full(len(counts), 1 / len(counts)) if samples.balanced else shares
    inner *= np.sqrt(priors / counts)[samples.labels, None].astype(np.float32)
    within = (inner.T @ inner).astype(np.float64)  # the mean of the classes' covariances

    def solve(shrinkage: float) -> Head:
        return [dense(*discriminant(means, within, priors, shrinkage))]

    return solve


def discriminant(
    means: np.ndarray, covariance: np.ndarray, priors: np.ndarray, shrinkage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Solve for Gaussian classes that share a covariance, shrunk towards a sphere.

    The covariance becomes (1 - s) S + s tr(S)/F I (Friedman 1989).

    Args:
        means: (K, F) of the classes; covariance: (F, F) within them; priors: (K,).

    Returns:
        Kernel (F, K) and bias (K,) of the scores.
    """
    level = covariance.trace() / len(covariance)
    shrunk = (1 - shrinkage) * covariance
    shrunk[np.diag_indices_from(shrunk)] += shrinkage * level + 1e-9 * (level if level > 0 else 1)
    kernel = cho_solve(cho_factor(shrunk, overwrite_a=True), means.T)
    return kernel, np.log(priors) - 0.5 * (means.T * kernel).sum(axis=0)


def centroid(samples: Samples) -> Solver:
    """Score by the nearest class mean: minus the squared distance to it, but for what all share.

    Distances are in units of the means' own spread, so that no backbone's scale matters.
    """
    layers = centroid_layers(_class_means(samples.features, samples.labels))
    return lambda _: layers


def centroid_layers(means: np.ndarray) -> Head:
    """Turn the means (K, F) of the classes into layers."""
    spread = ((means - means.mean(axis=0)) ** 2).sum(axis=1).mean()
    spread = spread if spread > 0 else 1.0  # all means are equal
    return [dense(2 * means.T / spread, -(means**2).sum(axis=1) / spread)]


def prototypes(samples: Samples) -> Solver:
    """Score by the cosine to each class's mean direction: works from one photo a class.

    The mean of unit vectors, at unit length again (Snell et al. 2017, arXiv:1703.05175, with
    the cosine of Chen et al. 2019, arXiv:1904.04232).
    """
    layers = prototype_layers(_class_means(unit_length(samples.features), samples.labels))
    return lambda _: layers


def prototype_layers(means: np.ndarray) -> Head:
    """Turn the mean unit vectors (K, F) of the classes into layers."""
    directions = unit_length(means)
    return [UnitLength(), dense(directions.T, np.zeros(len(directions)))]


# A new kind goes here and into `HEADS` of settings/config.py; one with a setting also into
# `STRENGTH_RANGES` of search/space.py.
# Temperatures for where nothing can be judged: the best ones at one photo a class, clothing.
KINDS = {
    "logistic": HeadKind("logistic regression", logistic, "C", STRENGTHS, 1e-2, probable=True),
    "svm": HeadKind("linear SVM", svm, "C", (0.03, 0.1, 0.3, 1, 3, 10), 1, temperature=0.1),
    "lda": HeadKind("linear discriminant analysis", lda, "shrinkage",
                (0.01, 0.03, 0.1, 0.3, 0.6, 0.9), 0.3, temperature=5, probable=True, fewest=1.5),
    "centroid": HeadKind("nearest centroid", centroid, temperature=0.33),
    "prototypes": HeadKind("cosine prototypes", prototypes, temperature=0.07),
}  # fmt: skip


def asdense(
    coefficients: np.ndarray, intercept: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Turn a linear model of scikit-learn into a kernel (F, K) and a bias (K,).

    For two classes it keeps one row, x, for the second; they become -x and x, each times
    `share`: a half where the model's probability is a sigmoid of x.
    """
    if len(coefficients) == 1:
        coefficients = np.vstack([-coefficients, coefficients]) * share
        intercept = np.hstack([-intercept, intercept]) * share
    return coefficients.T, intercept


def dense(kernel: np.ndarray, bias: np.ndarray) -> DenseLayer:
    """Make the layer of a kernel (F, K) and a bias (K,)."""
    return DenseLayer(kernel.astype(np.float32), bias.astype(np.float32))


def _class_means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    members = np.eye(labels.max() + 1)[labels]  # (N, K)
    means: np.ndarray = members.T @ features.astype(np.float64) / members.sum(axis=0)[:, None]
    return means
