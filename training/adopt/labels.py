"""The names of the classes in the order of the network's answers, in the shapes people have.

Text with one name a line; the same with numbers in front, as Teachable Machine writes it; JSON
or Python text: a list, index to name, or name to index as Keras' generators have it
(`class_indices`); or names with commas between them on the command line.
"""

import ast
import json
import re
from pathlib import Path
from typing import Any

from models.bundles.fields import check_letters
from models.errors import SettingError

LARGEST = 5_000_000  # bytes of a file of labels
NUMBERED = re.compile(r"(\d+)(?:\s*[:,;.)=\t]\s*|\s+)(\S.*)")
KEYS = ("class_names", "labels", "classes", "class_indices", "id2label", "index_to_class",
        "idx_to_class", "class_to_idx", "names", "label2id")  # fmt: skip


def read_labels(text: str) -> list[str]:
    """Read class names from a file, or from names with commas between them.

    Raises:
        SettingError: the file cannot be read, or holds no names for 0, 1, 2 and so on, or longer
            ones than a bundle may.
    """
    path = Path(text)
    if path.is_file():
        names = _from_file(path)
    elif "," in text:
        names = [name.strip() for name in text.split(",")]
    else:
        raise SettingError(
            f"--labels is {text[:100]!r}; expected a file that exists, or names with commas"
        )
    if not all(names):
        raise SettingError(f"--labels has an empty name at place {names.index('')}")
    twice = sorted({name for name in names if names.count(name) > 1}) if len(names) < 5000 else []
    if twice or len(set(names)) != len(names):
        raise SettingError(f"--labels has a name twice: {', '.join(twice[:5])}")
    try:
        return check_letters(names)
    except ValueError as error:
        raise SettingError(f"--labels has {error}") from None


def check_count(names: list[str], classes: int, unit: bool) -> None:
    """Raise SettingError unless there is a name for every answer of the network."""
    if len(names) == classes:
        return
    why = " (one number: the probability of the second)" if unit else ""
    raise SettingError(
        f"--labels has {len(names)} names; the network tells {classes} classes apart{why}: "
        f"give {classes} names, in the order of its answers"
    )


def _from_file(path: Path) -> list[str]:
    if path.suffix in (".pkl", ".pickle", ".npy", ".joblib"):
        raise SettingError(
            f"--labels is {path.name}, which runs code when it is read: write the names as text, "
            "one a line"
        )
    try:
        if path.stat().st_size > LARGEST:
            raise SettingError(f"--labels: {path.name} is larger than {LARGEST:,} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingError(f"--labels: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingError(f"--labels: {path.name} is no text in UTF-8: save it as that") from None
    if text.lstrip().startswith(("{", "[")):
        return _from_structure(_parse(text, path), path)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise SettingError(f"--labels: {path.name} is empty")
    if len(lines) == 1 and "," in lines[0] and not NUMBERED.fullmatch(lines[0]):
        return [name.strip() for name in lines[0].split(",")]
    return _without_numbers(lines)


def _without_numbers(lines: list[str]) -> list[str]:
    """Drop `0 name`, `1 name` where every line has its number; else take the lines whole."""
    found = [NUMBERED.fullmatch(line) for line in lines]
    if all(found):
        numbered = {int(match[1]): match[2].strip() for match in found if match}
        if sorted(numbered) == list(range(len(lines))):
            return [numbered[number] for number in range(len(lines))]
    return lines


def _parse(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)  # what print(class_indices) shows; runs nothing
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise SettingError(f"--labels: {path.name} begins like JSON and is none") from None


def _from_structure(found: Any, path: Path) -> list[str]:
    if isinstance(found, dict):
        for key in KEYS:
            if isinstance(found.get(key), dict | list):
                return _from_structure(found[key], path)
    if isinstance(found, list):
        items = [one.get("name", one.get("label")) if isinstance(one, dict) else one
                 for one in found]  # fmt: skip
        if all(isinstance(one, str) for one in items):
            return [str(one).strip() for one in items]
    if isinstance(found, dict) and found:
        by_index = _by_index(found)
        if by_index is not None:
            if sorted(by_index) != list(range(len(found))):
                raise SettingError(
                    f"--labels: {path.name} has the numbers {_span(by_index)} for {len(found)} "
                    f"names; expected 0 to {len(found) - 1}, each once"
                )
            return [by_index[number] for number in range(len(found))]
    raise SettingError(
        f"--labels: {path.name} holds no class names: expected a list of names, numbers to names, "
        "or names to numbers"
    )


def _by_index(found: dict[Any, Any]) -> dict[int, str] | None:
    """Return index -> name of a dictionary in either direction; None: it is none of both."""
    if all(isinstance(value, list) and value for value in found.values()):
        found = {key: value[-1] for key, value in found.items()}  # ImageNet: [WordNet id, name]
    if all(str(key).strip().isdigit() for key in found) and all(
        isinstance(value, str) for value in found.values()
    ):
        return {int(key): str(value).strip() for key, value in found.items()}
    if all(type(value) is int for value in found.values()):
        return {value: str(key).strip() for key, value in found.items()}
    return None


def _span(numbers: dict[int, str]) -> str:
    ordered = sorted(numbers)
    return f"{ordered[0]} to {ordered[-1]}" if ordered else "none"
