"""Keyed 64-bit hashes of references and systems, so that posting lists and joins stay narrow.

The key is fixed by the schema: it only keeps chosen ids from colliding with a published hash function's weak inputs.
"""

import hashlib

from fhir_server.fhir.memory import remembered

_KEY = b"ecm-exchange/reference/1"


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=_KEY).digest()
    return int.from_bytes(digest, "big", signed=True)


@remembered(65536)
def rh(reference: str) -> int:
    """The signed 64-bit hash of a reference as stored: "Type/id", or an absolute URL."""
    return _hash(reference)


@remembered(4096)
def system_hash(uri: str) -> int:
    """The signed 64-bit hash of a code or identifier system; 0 where there is none."""
    return _hash("|" + uri) if uri else 0
