"""Who may ask: hosts, origins, keys, rates; and the headers of every answer."""

import base64
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from models.errors import SettingError
from service.app import create_app
from service.incoming import guard
from service.incoming.guard import address, read_keys
from service.settings import Settings, choose_workers
from tests.conftest import encode_photo, paint_photo

PHOTO = encode_photo(paint_photo(40, 40))
KEYS = ["first-key-of-sixteen", "second-key-of-sixteen"]
SITE = "https://example.org"


def client(bundle: Path, **settings: object) -> FlaskClient:
    return create_app([bundle], Settings(**settings)).test_client()  # type: ignore[arg-type]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text(f"# of the shop\n{KEYS[0]}\n\n  {KEYS[1]}  \n")
    return file


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]["code"]


def test_a_key_is_asked_for_everywhere_but_at_health(tiny_bundle, keys):
    asked = client(tiny_bundle, api_keys=keys)
    assert code(asked.post("/predict", data=PHOTO)) == (401, "unauthorized")
    assert code(asked.get("/")) == (401, "unauthorized")
    assert code(asked.get("/models")) == (401, "unauthorized")
    assert asked.get("/").headers["WWW-Authenticate"].startswith("Basic")  # a browser then asks
    assert asked.get("/v2/health/live").status_code == 200
    assert asked.get("/v2/health/ready").status_code == 200


@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens_in_three_ways(tiny_bundle, keys, key):
    asked = client(tiny_bundle, api_keys=keys)
    basic = base64.b64encode(f"anyone:{key}".encode()).decode()
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"X-API-Key": key},
        {"Authorization": f"Basic {basic}"},
    ):
        assert asked.post("/predict", data=PHOTO, headers=headers).status_code == 200


@pytest.mark.parametrize("letters", ["utf-8", "latin-1"])
def test_a_key_with_other_letters_opens_however_they_are_sent(tiny_bundle, tmp_path, letters):
    (tmp_path / "keys").write_text("schlüssel-für-größere\n", encoding="utf-8")
    sent = "schlüssel-für-größere".encode(letters).decode("latin-1")
    asked = client(tiny_bundle, api_keys=tmp_path / "keys")
    assert asked.get("/models", headers={"X-API-Key": sent}).status_code == 200
    assert asked.get("/models", headers={"Authorization": f"Bearer {sent}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "third-key-of-sixteen"},
        {"X-API-Key": KEYS[0][:-1]},
        {"X-API-Key": "# of the shop"},
        {"X-API-Key": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"Authorization": "Digest " + KEYS[0]},
    ],
)
def test_no_other_key_opens(tiny_bundle, keys, headers):
    answer = client(tiny_bundle, api_keys=keys).post("/predict", data=PHOTO, headers=headers)
    assert code(answer) == (401, "unauthorized")


def test_every_known_key_is_compared_whichever_is_sent(tiny_bundle, keys, monkeypatch):
    asked = client(tiny_bundle, api_keys=keys)
    compared = []
    real = guard.hmac.compare_digest

    def count(sent: bytes, known: bytes) -> bool:
        compared.append(known)
        return real(sent, known)

    monkeypatch.setattr(guard.hmac, "compare_digest", count)
    asked.post("/predict", data=PHOTO, headers={"X-API-Key": KEYS[0]})
    assert len(compared) == len(KEYS)  # it does not stop at the first that fits


@pytest.mark.parametrize("content", ["", "# nothing\n", "short\n", None])
def test_a_file_of_keys_that_cannot_be_used_is_refused(tmp_path, content):
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingError, match="--api-keys"):
        read_keys(file)


def test_a_rate_is_counted_for_each_key(tiny_bundle, keys):
    asked = client(tiny_bundle, api_keys=keys, rate_limit="2/hour")
    first, second = ({"X-API-Key": key} for key in KEYS)
    statuses = [asked.post("/predict", data=PHOTO, headers=first).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert asked.post("/predict", data=PHOTO, headers=second).status_code == 200
    answer = asked.post("/predict", data=PHOTO, headers=first)
    assert code(answer) == (429, "too_many_requests")
    assert 1 <= int(answer.headers["Retry-After"]) <= 3601


def test_a_rate_without_keys_is_counted_for_each_address(tiny_bundle):
    asked = client(tiny_bundle, rate_limit="1/hour")
    here, there = ({"REMOTE_ADDR": one} for one in ("10.0.0.1", "10.0.0.2"))
    assert asked.post("/predict", data=PHOTO, environ_base=here).status_code == 200
    assert asked.post("/predict", data=PHOTO, environ_base=here).status_code == 429
    assert asked.post("/predict", data=PHOTO, environ_base=there).status_code == 200
    assert asked.get("/models", environ_base=here).status_code == 200  # only posts are counted


def test_an_ipv6_client_is_counted_by_the_network_it_owns():
    assert address("2001:db8:1:2:aaaa::1") == address("2001:db8:1:2:bbbb::2")
    assert address("2001:db8:1:3::1") != address("2001:db8:1:2::1")


@pytest.mark.parametrize("rate", ["", "many", "0/second x", "5/fortnight", "-1/second", "0/minute"])
def test_a_rate_that_is_none_is_refused(tiny_bundle, rate):
    with pytest.raises(SettingError, match="--rate-limit"):
        client(tiny_bundle, rate_limit=rate)


def test_only_the_named_hosts_are_answered(tiny_bundle):
    asked = client(tiny_bundle, allow_hosts=("photos.example", ".inner.example"))
    for host in ("photos.example", "photos.example:8000", "a.inner.example"):
        assert asked.get("/models", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "photos.example.evil.example", "127.0.0.1"):
        assert code(asked.get("/models", headers={"Host": host})) == (400, "host_not_allowed")
    assert asked.get("/v2/health/live", headers={"Host": "127.0.0.1"}).status_code == 200


@pytest.mark.parametrize("asked", ["\u00b2", "0", "65", "-1", "9" * 5000, ""])
def test_a_number_of_workers_that_is_none_is_refused(asked):
    with pytest.raises(SettingError, match="--workers"):
        choose_workers(asked)


def test_a_host_is_the_same_in_large_letters_and_with_its_last_dot(tiny_bundle):
    asked = client(tiny_bundle, allow_hosts=("LocalHost", "photos.example."))
    for host in ("localhost", "LOCALHOST:8000", "localhost.", "localhost.:8000", "Photos.example"):
        assert asked.get("/models", headers={"Host": host}).status_code == 200, host
    for host in ("localhost..", ".", "", "localhost.evil.example"):
        assert code(asked.get("/models", headers={"Host": host})) == (400, "host_not_allowed")


def test_a_host_may_be_an_ipv6_address(tiny_bundle):
    asked = client(tiny_bundle, allow_hosts=("[::1]", "photos.example"))
    for host in ("[::1]", "[::1]:8000", "[0:0::1]:80", "photos.example:80"):
        assert asked.get("/models", headers={"Host": host}).status_code == 200, host
    for host in ("[::2]", "::1", "[::1", "[::1]x", "[::1].evil.example", "[]", "[evil]"):
        assert code(asked.get("/models", headers={"Host": host})) == (400, "host_not_allowed")


def test_nothing_is_redirected_to_the_host_that_was_sent(tiny_bundle):
    asked = client(tiny_bundle)
    for path in ("//page", "//evil.example/page", "/predict//", "/models//x"):
        answer = asked.get(
            "/", headers={"Host": "evil.example"}, environ_overrides={"PATH_INFO": path}
        )
        assert answer.status_code in (404, 405), path
        assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),  # no browser
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://localhost"}, True),  # an older browser, our own page
        ({"Sec-Fetch-Site": "cross-site", "Origin": SITE}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, False),
        ({"Origin": SITE}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_a_post_that_another_site_starts_is_refused(tiny_bundle, headers, allowed):
    answer = client(tiny_bundle).post("/predict", data=PHOTO, headers=headers)
    assert (answer.status_code == 200) == allowed
    if not allowed:
        assert code(answer) == (403, "origin_not_allowed")


def test_a_page_of_an_allowed_site_may_ask_and_read(tiny_bundle):
    asked = client(tiny_bundle, allow_origins=(SITE,))
    headers = {"Origin": SITE, "Sec-Fetch-Site": "cross-site"}
    answer = asked.post("/predict", data=PHOTO, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "Origin" in answer.headers["Vary"]
    failed = asked.post("/predict", data=b"none", headers=headers)  # an error can be read too
    assert failed.headers["Access-Control-Allow-Origin"] == SITE
    other = asked.post("/predict", data=PHOTO, headers=headers | {"Origin": "https://evil.example"})
    assert other.status_code == 403
    assert "Access-Control-Allow-Origin" not in other.headers


def test_a_preflight_is_answered_for_an_allowed_site_without_a_key(tiny_bundle, keys):
    asked = client(tiny_bundle, allow_origins=(SITE,), api_keys=keys)
    headers = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
    answer = asked.options("/predict", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "X-API-Key" in answer.headers["Access-Control-Allow-Headers"]
    strange = asked.options("/predict", headers=headers | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in strange.headers


@pytest.mark.parametrize("origin", ["*", "example.org", "https://example.org/", "null", "ftp://a"])
def test_an_origin_that_is_none_is_refused(origin):
    with pytest.raises(SettingError, match="--allow-origin"):
        Settings(allow_origins=(origin,))


def test_every_answer_has_the_security_headers(tiny_bundle):
    asked = client(tiny_bundle)
    for path in ("/", "/models", "/nowhere", "/v2/health/live"):
        with asked.get(path) as answer:
            headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]


def test_a_script_name_header_moves_nothing(tiny_bundle):
    asked = client(tiny_bundle)
    answer = asked.get("/models", headers={"Script-Name": "/models", "X-Script-Name": "/x"})
    assert answer.status_code == 200
