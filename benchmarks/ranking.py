"""Tables of recipes: means over seeds and sets, ranks, and differences photo by photo."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

Row = Mapping[str, Any]  # a line of the file of rows; see transfer.py
REFERENCE = "default"


class Difference(NamedTuple):
    """Test accuracy of a recipe less that of another, on one set."""

    value: float
    error: float  # standard error over test photos


def version_of(row: Row) -> str:
    """Name the set of a row, with the photos a class that it was thinned to."""
    return f"{row['set']}, {row['few']} a class" if row["few"] else str(row["set"])


def pack_bits(right: Sequence[bool] | np.ndarray) -> str:
    """Write one bit a photo as hexadecimal digits."""
    return np.packbits(np.asarray(right, bool)).tobytes().hex()


def right_bits(row: Row) -> np.ndarray:
    """Read (N,) bool, in order of the photos' content: whether each test photo was right."""
    packed = np.frombuffer(bytes.fromhex(row["right"]), np.uint8)
    return np.unpackbits(packed, count=row["test"]["photos"]).astype(bool)


def difference(pairs: Iterable[tuple[Row, Row]]) -> Difference:
    """Compare two recipes on one set: pairs of rows, one for each seed.

    Seeds that share their test photos are averaged photo by photo; others are independent.
    One seed with the same photos gives McNemar's standard error. Rows of different test photos
    are compared as independent shares.
    """
    groups: dict[str, list[np.ndarray]] = {}
    values: list[float] = []
    variance = 0.0  # of the sum of all values
    for one, other in pairs:
        first, second = right_bits(one), right_bits(other)
        values.append(float(first.mean() - second.mean()))
        if one["test_side"] == other["test_side"]:
            groups.setdefault(one["test_side"], []).append(first.astype(float) - second)
        else:
            variance += sum(float(bits.var()) / len(bits) for bits in (first, second))
    for differences in groups.values():
        summed = np.sum(differences, axis=0)
        variance += float(summed.var()) / len(summed)
    return Difference(fmean(values), math.sqrt(variance) / len(values))


def cells_of(rows: Iterable[Row], recipes: Sequence[str]) -> dict[str, dict[int, dict[str, Row]]]:
    """Group rows as version -> seed -> recipe; only seeds that every recipe has."""
    found: dict[str, dict[int, dict[str, Row]]] = {}
    for row in rows:
        found.setdefault(version_of(row), {}).setdefault(row["seed"], {})[row["recipe"]] = row
    whole = {
        version: {seed: cell for seed, cell in seeds.items() if all(r in cell for r in recipes)}
        for version, seeds in found.items()
    }
    return {version: seeds for version, seeds in whole.items() if seeds}


def mean_ranks(
    cells: Mapping[str, Mapping[int, Mapping[str, Row]]], recipes: Sequence[str]
) -> dict[str, float]:
    """Average the rank by test accuracy over sets, of each over seeds; 1: the best; ties share."""
    ranks: dict[str, list[float]] = {recipe: [] for recipe in recipes}
    for seeds in cells.values():
        of_set: dict[str, list[float]] = {recipe: [] for recipe in recipes}
        for cell in seeds.values():
            scores = np.array([cell[recipe]["test"]["accuracy"] for recipe in recipes])
            for recipe, score in zip(recipes, scores, strict=True):
                above, same = (scores > score).sum(), (scores == score).sum()
                of_set[recipe].append(float(above + (same + 1) / 2))
        for recipe, found in of_set.items():
            ranks[recipe].append(fmean(found))
    return {recipe: fmean(found) for recipe, found in ranks.items()}


def means(rows: Sequence[Row]) -> dict[str, float]:
    """Average accuracy, log loss, ECE and seconds over rows."""
    found = {name: fmean(row["test"][name] for row in rows) for name in ("accuracy", "log_loss")}
    found["ece"] = fmean(row["test"]["ece"] for row in rows)
    return found | {name: fmean(row[name] for row in rows) for name in ("training_s", "seconds")}


def format_numbers(found: Mapping[str, float]) -> str:
    """Format what `means` gives, as columns under HEADER."""
    return (
        f"{found['accuracy']:>9.3f}{found['log_loss']:>9.3f}{found['ece']:>8.3f}"
        f"{found['training_s']:>9.0f}{found['seconds']:>9.0f}"
    )


HEADER = f"{'accuracy':>9}{'log loss':>9}{'ECE':>8}{'train s':>9}{'whole s':>9}"


def tables(rows: Sequence[Row], recipes: Sequence[str]) -> list[str]:
    """Write the lines of both tables: each set, and all sets with ranks and differences."""
    lines = ["", f"{'set':<28}{'recipe':<24}{'seeds':>6}{HEADER}"]
    for version in dict.fromkeys(map(version_of, rows)):
        for recipe in recipes:
            own = [r for r in rows if version_of(r) == version and r["recipe"] == recipe]
            if own:
                found = format_numbers(means(own))
                lines.append(f"{version:<28}{recipe:<24}{len(own):>6}{found}")
    cells = cells_of(rows, recipes)
    count = sum(map(len, cells.values()))
    lines += ["", f"mean of {len(cells)} sets, {count} sets x seeds that every recipe has"]
    return lines + (_summary(cells, recipes) if cells else [])


def _summary(
    cells: Mapping[str, Mapping[int, Mapping[str, Row]]], recipes: Sequence[str]
) -> list[str]:
    """Write the table over all sets: means, mean rank, differences to the reference."""
    against = REFERENCE if REFERENCE in recipes else recipes[0]
    ranks = mean_ranks(cells, recipes)
    lines = [f"{'recipe':<24}{HEADER}{'rank':>6}  less {against}: mean; worst set"]
    for recipe in recipes:
        of_sets = [means([cell[recipe] for cell in seeds.values()]) for seeds in cells.values()]
        found = {name: fmean(one[name] for one in of_sets) for name in of_sets[0]}
        line = f"{recipe:<24}{format_numbers(found)}{ranks[recipe]:>6.2f}"
        if recipe != against:
            differences = {
                version: difference((cell[recipe], cell[against]) for cell in seeds.values())
                for version, seeds in cells.items()
            }
            mean = fmean(one.value for one in differences.values())
            worst = min(differences, key=lambda version: differences[version].value)
            value, error = differences[worst]
            line += f"  {mean:+.4f}; {value:+.4f} +- {error:.4f} ({worst})"
        lines.append(line)
    return lines
