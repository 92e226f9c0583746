"""What a resource holds, asked of its compact JSON: a scan of bytes instead of a walk over thousands of objects.

In JSON that our own writer made, a member is the text `"name":`, and within a string that text cannot stand: its quotes
would be escaped. So a question answered with no is settled, and only who gets a yes has to look closer.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_REFERENCE = re.compile(rb'"reference":("[^"\\]*(?:\\.[^"\\]*)*")')


def compact(resource: Mapping[str, Any]) -> bytes:
    """The resource as JSON without spaces: what the other functions read."""
    return orjson.dumps(resource)


def has_member(text: bytes, name: bytes) -> bool:
    """Whether some object has a member of that name."""
    return b'"%s":' % name in text


def reference_texts(text: bytes) -> Iterator[str]:
    """Every text of a member `reference`, in the order in which they stand there."""
    for found in _REFERENCE.findall(text):
        yield orjson.loads(found) if b"\\" in found else found[1:-1].decode()


def count_extensions(text: bytes) -> int:
    """How many arrays of extensions there are, those of modifiers among them; rather too many than too few."""
    return text.count(b'xtension":[') if b'xtension":[' in text else 0
