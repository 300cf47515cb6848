"""Who made a bundle: only what the owner of the trusted key signed is believed."""

import pytest

from models.bundle import Bundle
from models.bundles.names import SIGNATURE
from models.bundles.signature import check_signature, read_key
from models.errors import BundleError, SettingError
from tests.crafting import edit, make_key, sign
from tests.making import colour_bundle


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return make_key(tmp_path_factory.mktemp("key"))


@pytest.fixture
def copied(tmp_path):
    return colour_bundle(tmp_path / "colours")


def test_a_bundle_signed_by_the_trusted_key_is_believed(copied, key):
    sign(copied, key)
    check_signature(Bundle(copied), read_key(key / "public.pem"))
    Bundle(copied).verify()  # the signature is no file of the bundle


@pytest.mark.parametrize("how", ["unsigned", "altered", "cut", "another"])
def test_any_other_is_refused(how, copied, key):
    if how != "unsigned":
        sign(copied, key)
    if how == "altered":
        edit(copied, lambda fields: fields.update(class_names=["green", "red", "blue"]))
    if how == "cut":
        (copied / SIGNATURE).write_bytes((copied / SIGNATURE).read_bytes()[:63])
    if how == "another":
        (copied / SIGNATURE).write_bytes(bytes(64))
    with pytest.raises(BundleError, match=r"manifest\.sig"):
        check_signature(Bundle(copied), read_key(key / "public.pem"))


@pytest.mark.parametrize("content", [b"", b"ssh-ed25519 AAAA", b"\xff", None])
def test_what_is_no_key_is_refused_with_what_was_expected(content, tmp_path):
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(SettingError, match=r"--trust .*key\.pem (is no key|cannot be read)"):
        read_key(tmp_path / "key.pem")


def test_a_private_key_is_not_taken_for_a_public_one(key):
    with pytest.raises(SettingError, match="is no key"):
        read_key(key / "key.pem")
