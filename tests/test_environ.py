"""What of a request's headers reaches the application."""

import pytest

from service.network.environ import make_environ


def environ_of(*headers):
    return make_environ(
        {
            "client": None,
            "server": None,
            "method": "GET",
            "raw_path": b"/",
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "headers": headers,
        }
    )


@pytest.mark.parametrize("name", ["ACCEPT", "IF_NONE_MATCH"])
def test_long_lists_of_wishes_are_passed_over_also_when_they_come_in_parts(name):
    header = name.lower().replace("_", "-").encode()
    part = b"a," * 249 + b"b"
    found = environ_of((header, part), (header, part))
    assert found[f"HTTP_{name}"] == f"{part.decode()},{part.decode()}"  # 999 characters
    assert f"HTTP_{name}" not in environ_of((header, part), (header, part), (header, b"c"))
