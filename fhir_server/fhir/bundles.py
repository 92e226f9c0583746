"""Bundles put together from stored bytes, never parsed.  https://hl7.org/fhir/R4/bundle.html"""

from collections.abc import Iterable, Sequence

import orjson


def bundle(
    kind: str, links: Sequence[tuple[str, str]], entries: Iterable[bytes], total: int | None = None, timestamp: str = ""
) -> bytes:
    """A Bundle of entries that are JSON objects already; without entries it has no `entry` member (B-26)."""
    head: dict[str, object] = {"resourceType": "Bundle", "type": kind}
    if timestamp:
        head["timestamp"] = timestamp
    if total is not None:
        head["total"] = total
    if links:
        head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    opened = orjson.dumps(head)[:-1]
    joined = b",".join(entries)
    return opened + b',"entry":[' + joined + b"]}" if joined else opened + b"}"


def match(full_url: str, body: bytes, mode: str) -> bytes:
    """One entry of a searchset: mode match, include or outcome."""
    return b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}' % (full_url.encode(), body, mode.encode())


def outcome_entry(body: bytes) -> bytes:
    """A warning that travels with the matches and is not counted (B-44)."""
    return b'{"resource":%b,"search":{"mode":"outcome"}}' % body


def version(full_url: str, body: bytes, request: dict[str, str], response: dict[str, str]) -> bytes:
    """One entry of a history: a deletion has no resource (B-62)."""
    tail = b'"request":%b,"response":%b}' % (orjson.dumps(request), orjson.dumps(response))
    opened = b'{"fullUrl":"%b",' % full_url.encode()
    return opened + (b'"resource":%b,' % body if body else b"") + tail


def answer(response: dict[str, object], body: bytes = b"") -> bytes:
    """One entry of a batch or transaction response."""
    tail = b'"response":%b}' % orjson.dumps(response)
    return (b'{"resource":%b,' % body if body else b"{") + tail
