"""JSON answers without NaN and infinity, which are not JSON: they would be a bug of ours."""

from typing import Any

from flask.json.provider import DefaultJSONProvider


class FiniteJSON(DefaultJSONProvider):
    """Flask's own, in the order that fields were given."""

    sort_keys = False

    def dumps(self, obj: Any, **options: Any) -> str:
        """Write `obj`. Raises ValueError: a number in it is not finite."""
        return super().dumps(obj, allow_nan=False, **options)
