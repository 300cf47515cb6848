"""Who made a bundle: a detached Ed25519 signature of its manifest, which has all other hashes.

OpenSSL makes keys and signatures (docs/serving.md has the three commands); PyNaCl checks them.
It is a third of the size of `cryptography`, of the same maintainers.
"""

import base64
import binascii
from pathlib import Path

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from models.bundle import Bundle
from models.bundles.folder import read_file
from models.bundles.names import SIGNATURE
from models.errors import BundleError, SettingError

_DER = bytes.fromhex("302a300506032b6570032100")  # what precedes an Ed25519 key (RFC 8410)
_MOST = 10_000  # bytes of a key file


def read_key(path: Path) -> VerifyKey:
    """Read a public key, as `openssl pkey -pubout` writes it. Raises SettingError."""
    expected = "expected an Ed25519 public key in PEM, from `openssl pkey -pubout`"
    try:
        lines = read_file(path.parent, path.name, _MOST).decode("ascii").split("\n")
        start, end = (
            lines.index("-----BEGIN PUBLIC KEY-----"),
            lines.index("-----END PUBLIC KEY-----"),
        )
        content = base64.b64decode("".join(lines[start + 1 : end]), validate=True)
    except OSError as error:
        raise SettingError(f"--trust {path} cannot be read: {error.strerror}") from error
    except (ValueError, binascii.Error) as error:
        raise SettingError(f"--trust {path} is no key: {expected}") from error
    if len(content) != len(_DER) + 32 or not content.startswith(_DER):
        raise SettingError(f"--trust {path} is a key of another kind: {expected}")
    return VerifyKey(content[len(_DER) :])


def key_of(digits: str) -> VerifyKey:
    """The key that `bytes(key).hex()` has written."""
    return VerifyKey(bytes.fromhex(digits))


def check_signature(bundle: Bundle, key: VerifyKey) -> None:
    """See that the owner of `key` signed this very manifest. Raises BundleError."""
    try:
        key.verify(bundle.content, bundle.signature())
    except (BadSignatureError, ValueError) as error:
        reason = f"{SIGNATURE} is not a signature of this manifest by the trusted key"
        raise BundleError(bundle.path, reason) from error
