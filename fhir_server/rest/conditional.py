"""Conditional headers and criteria.  https://hl7.org/fhir/R4/http.html#concurrency and #cond-update"""

import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from fhir_server.engine import repository
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.writing import NONE_YET
from fhir_server.fhir.errors import BadValue, MethodNotAllowed, MultipleMatches, NotSupported
from fhir_server.rest.decoding import pairs
from fhir_server.rest.message import Request
from fhir_server.search.include import Hit
from fhir_server.store.db import lock_key
from fhir_server.store.hashing import rh
from fhir_server.store.resources import Row

_TAG = re.compile(r'(?:W/)?"(\d{1,9})(?:-[0-9A-Za-z]+)?"')


def version_tag(text: str, header: str = "If-Match") -> int | None:
    """The version a tag such as W/"3" names; None if the header is absent; BadValue if it is not one tag (row 60)."""
    if not text:
        return None
    tag = _TAG.fullmatch(text.strip())
    if not tag:
        message = f'{header} must be one version tag such as W/"3".'
        raise BadValue(message)
    return int(tag[1])


def wanted_version(request: Request) -> int | None:
    """The version that an update is to follow: what If-Match names, none at all for `If-None-Match: *`, None for any.

    BadValue for any other If-None-Match, which would say nothing that an update could mean.
    """
    none_match = request.header("if-none-match").strip()
    if none_match not in ("", "*"):
        raise BadValue("If-None-Match of an update is * alone: it stores the resource only if there is none yet.")
    return NONE_YET if none_match else version_tag(request.header("if-match"))


def is_known(request: Request, tag: str) -> bool:
    """Whether If-None-Match names this tag, so that the client has what would be answered."""
    tags = [one.strip().removeprefix("W/") for one in request.header("if-none-match").split(",")]
    return "*" in tags or tag.removeprefix("W/") in tags


def is_unchanged(request: Request, row: Row, tag: str) -> bool:
    """Whether a conditional read may be answered 304 (B-08)."""
    if request.header("if-none-match"):
        return is_known(request, tag)
    since = request.header("if-modified-since")
    if not since:
        return False
    try:
        return row.ts // 1000 <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError) as error:
        message = "If-Modified-Since must be an HTTP date such as Sun, 22 Nov 2026 10:00:00 GMT."
        raise BadValue(message) from error


def one_match(context: Context, type_: str, criteria: str | Sequence[tuple[str, str]]) -> Hit | None:
    """The single resource that criteria match; None if none; MultipleMatches (412) if several (row 62)."""
    hits = matches(context, type_, criteria, 2)
    if len(hits) > 1:
        message = f"More than one {type_} matches the criteria. Make them more exact."
        raise MultipleMatches(message)
    return hits[0] if hits else None


def matches(context: Context, type_: str, criteria: str | Sequence[tuple[str, str]], limit: int) -> Sequence[Hit]:
    """Up to `limit` resources that criteria match; NotSupported (400) unless they name a search parameter (row 63)."""
    given = pairs(criteria.removeprefix(f"{type_}?").removeprefix("?")) if isinstance(criteria, str) else list(criteria)
    if context.transaction:
        context.transaction.flush()  # what this transaction wrote can be matched as well
    query = context.engine.searcher.parse(type_, [pair for pair in given if pair[0] not in {"_format", "_pretty"}])
    if not query.criteria:  # _count or _sort alone would match everything
        message = "A conditional request needs at least one search parameter as its criteria."
        raise NotSupported(message)
    return repository.match(context, query, limit)


def require_criteria(request: Request) -> None:
    """MethodNotAllowed (405) for a change of a whole type, which criteria must narrow (row 31)."""
    if not request.parameters:
        verb, kind = request.method, request.type
        message = f"{verb} needs an id ({verb} {kind}/[id]) or search criteria ({verb} {kind}?...)."
        raise MethodNotAllowed(message, headers={"Allow": "GET, HEAD, POST"})


def lock_criteria(transaction: Transaction, type_: str, criteria: object) -> None:
    """Let equal conditional writes of one organization come one after another."""
    lock_key(transaction.connection, rh(f"{transaction.context.caller.org}|{type_}|{criteria}"))
