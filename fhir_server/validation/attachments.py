"""Attachments whose size or hash contradicts their data.  https://hl7.org/fhir/R4/datatypes.html#Attachment"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.fhir.contents import compact, has_member
from fhir_server.fhir.errors import Issue, Unprocessable


def check(type_: str, resource: Mapping[str, Any], text: bytes = b"") -> None:
    """Unprocessable (422 value) if an inline attachment's size or SHA-1 is not that of its data (row 71).

    `text` is the resource as compact JSON, where it is known already; hardly any has such data.
    """
    if has_member(text or compact(resource), b"data"):
        issues = [issue for path, node in _inline(resource, type_) for issue in _issues(path, node)]
        if issues:
            raise Unprocessable(issues=issues[:50])


def _inline(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object with data and a size or hash: R4 has these together in Attachment only."""
    if isinstance(node, dict):
        if isinstance(node.get("data"), str) and ("size" in node or "hash" in node):
            yield path, node
        for name, child in node.items():
            if isinstance(child, (dict, list)):
                yield from _inline(child, f"{path}.{name}")
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _inline(child, f"{path}[{number}]")


def _issues(path: str, node: Mapping[str, Any]) -> Iterator[Issue]:
    data = base64.b64decode(node["data"])
    if "size" in node and node["size"] != len(data):
        yield Issue("value", "size is not the number of bytes in data. Correct it, or leave it out.", f"{path}.size")
    if "hash" in node and node["hash"] != base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode():
        yield Issue("value", "hash is not the SHA-1 of data in base64. Correct it, or leave it out.", f"{path}.hash")
