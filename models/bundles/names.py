"""What a bundle, and the files that speak for it, may be called."""

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"  # Ed25519, detached; `signature.py` checks it
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # of a model: goes into URLs
