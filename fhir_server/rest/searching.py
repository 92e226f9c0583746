"""The searchset Bundle that answers a search, by GET or POST.  https://hl7.org/fhir/R4/search.html"""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

from fhir_server.engine import hits, repository
from fhir_server.engine.context import Context
from fhir_server.fhir import bundles
from fhir_server.fhir.errors import BadValue, InsecureRequest, Issue, NotSupported, UnknownType
from fhir_server.fhir.outcome import outcome_bytes
from fhir_server.fhir.values import instant
from fhir_server.rest.decoding import pairs
from fhir_server.rest.message import Request, Response, preference
from fhir_server.rest.subset import elements, summary
from fhir_server.search.include import Hit
from fhir_server.search.model import SearchQuery
from fhir_server.search.run import Page

_NOT_SEARCH = {"_format", "_pretty", "_page"}
_ALL = "*"
_MOST_UNDER_WAY_MS = 60_000


def by_get(context: Context, request: Request) -> Response:
    """A searchset Bundle of what matches and the caller may see: of a type, of several, or in a compartment."""
    return _answer(context, request, request.path, request.parameters)


def first(context: Context, request: Request) -> Response:
    """As by GET, the first match alone: nothing leads to the others."""
    query = context.engine.searcher.parse(request.path[0], request.parameters)
    page = repository.search(context, query)
    alone = replace(page, total=len(page.hits), next_token=None)
    return Response(200, _bundle(context, request, query, alone, ""), is_empty=not page.hits)


def by_post(context: Context, request: Request) -> Response:
    """As by GET; parameters of the URL and of the form both count (B-49)."""
    try:
        form = pairs(request.body.decode())
    except UnicodeDecodeError as error:
        raise BadValue("The form is not UTF-8.") from error
    if any(name == "access_token" for name, _ in form):
        raise InsecureRequest("An access token does not belong in a form. Send it as Authorization: Bearer.")
    return _answer(context, request, request.path[:-1], [*request.parameters, *form])


def _answer(
    context: Context, request: Request, path: tuple[str, ...], parameters: Sequence[tuple[str, str]]
) -> Response:
    """Matches, what they include, and a warning entry for parameters left out (B-26 to B-29, B-43 to B-47)."""
    given = [pair for pair in parameters if pair[0] not in _NOT_SEARCH]
    tokens = [value for name, value in parameters if name == "_page"]
    type_, within = _place(context, path)
    if type_:
        context.require("s", type_)
    if tokens:
        query = _resumed(context, type_, within, tokens, given)
    else:
        lenient = preference(request, "handling") == "lenient"
        query = context.engine.searcher.parse(type_, given, lenient=lenient, within=within)
    began = _began(context, query)
    page = repository.search(context, query)
    return Response(200, _bundle(context, request, query, page, began), is_empty=not page.hits)


def _began(context: Context, query: SearchQuery) -> str:
    """Where time is the order: an instant from which on a later search finds all that this walk may miss.

    What is being stored at this moment has its time already; a minute is more than that may take.
    """
    if query.after is not None or not query.sort or query.sort[0].kind != "instant":
        return ""
    return instant(repository.settled(context, context.now - _MOST_UNDER_WAY_MS))


def _place(context: Context, path: tuple[str, ...]) -> tuple[str, str]:
    """The type searched, "" for several, and the compartment, if any; UnknownType if there is no such type."""
    within, last = "/".join(path[:2]) if len(path) > 1 else "", path[-1] if path else ""
    if len(path) == 2 or last == _ALL:  # noqa: PLR2004 - a compartment without a type means all of it
        last = ""
    if last and last not in context.engine.definitions.types:
        raise UnknownType(f"{last[:64]} is not a resource type of FHIR R4.")
    return last, within


def _resumed(
    context: Context, type_: str, within: str, tokens: Sequence[str], others: Sequence[tuple[str, str]]
) -> SearchQuery:
    """The query behind a page link; refused when the link was changed."""
    if others or len(tokens) > 1:
        raise NotSupported("_page stands alone: it carries the whole search. Follow the link exactly as it was given.")
    query = repository.resume(context, tokens[0])
    if (query.type, query.within) != (type_, within):
        raise BadValue("This page belongs to another URL. Follow the link exactly as it was given.")
    return query


def _bundle(context: Context, request: Request, query: SearchQuery, page: Page, began: str) -> bytes:
    entries = [_entry(context, request, query, hit, "match") for hit in page.hits]
    entries += [_entry(context, request, query, hit, "include") for hit in page.included]
    entries += [bundles.outcome_entry(outcome_bytes([_ignored(name)])) for name in query.ignored]
    return bundles.bundle("searchset", _links(request, query, page), entries, page.total, began)


def _entry(context: Context, request: Request, query: SearchQuery, hit: Hit, mode: str) -> bytes:
    type_, version = hits.holder(hit)
    body, url = repository.render(context, type_, version), f"{request.base}/{type_}/{version.fid}"
    if hit.view == hits.CONTAINED:
        body, url = hits.part(body, hit.fid), f"{url}#{hit.fid}"
    body = summary(context.engine.definitions, body, query.summary)
    if query.fields and mode == "match":  # search.html#elements: not of what is included
        body = elements(context.engine.definitions, body, query.fields)
    return bundles.match(url, body, mode)


def _ignored(name: str) -> Issue:
    message = f"The search parameter {name[:64]} is not known here and was left out."
    return Issue("not-supported", message, severity="warning")


def _links(request: Request, query: SearchQuery, page: Page) -> list[tuple[str, str]]:
    url = f"{request.base}/{query.path}" if query.path else request.base
    tail = query.text
    links = [("self", f"{url}?{tail}" if tail else url)]
    for relation, token in (("next", page.next_token), ("prev", page.prev_token)):
        if token:
            links.append((relation, f"{url}?{urlencode([('_page', token)])}"))
    return links
