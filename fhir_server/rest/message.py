"""Request and Response: what HTTP, batch entries and tests have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from fhir_server.access.caller import Caller
    from fhir_server.engine.context import Context
    from fhir_server.store.resources import Version

Level = Literal["instance", "type", "system"]


@dataclass(frozen=True)
class Request:
    """One interaction asked for. `headers` has lower-case names; `parameters` are decoded, in their order.

    `resource` is the body parsed, where whoever asks has parsed it; nobody changes it.
    """

    method: str
    path: tuple[str, ...]
    parameters: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = ""
    resource: Mapping[str, Any] | None = None
    stream: Any = None
    assigned_id: str = ""  # by a transaction, so that its other entries could refer to it
    dispatch: Callable[[Context, Request], Response] | None = None
    caller: Caller | None = None  # where it was looked up before the body was read

    @property
    def type(self) -> str:
        """The resource type in the URL, "" at system level."""
        return self.path[0] if self.path and self.path[0][:1].isupper() else ""

    @property
    def id(self) -> str:
        """The logical id in the URL, "" at type and system level."""
        return self.path[1] if len(self.path) > 1 and self.path[1][:1] not in {"$", "_"} else ""

    def with_body(self, body: bytes) -> Request:
        """The same request with its body."""
        return replace(self, body=body)

    @property
    def media_type(self) -> str:
        """The media type of the body, without its parameters; "" if none is stated."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """A header's value, "" if absent."""
        return self.headers.get(name, "")


@dataclass
class Response:
    """What goes back: status, headers, and bytes (or pieces of them for what is too long to hold).

    `modified` is the instant of the version in it, which a header would give in whole seconds only. `is_empty` tells
    of a search that matched nothing.
    """

    status: int
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    modified: int | None = None
    is_empty: bool = False


@dataclass(frozen=True)
class Interaction:
    """A row of the routing table; `path` is made of {type}, {id}, {vid} and literal words."""

    code: str
    method: str
    path: str
    handler: Callable[[Context, Request], Response]
    open: bool = False  # answers without an access token


@dataclass(frozen=True)
class Operation:
    """An operation: its name without $, where it may be called, and how; no types: all of them.

    `reads_stream`: the body is a file, handed over as a stream, whatever its media type. `answers_file`: so is the
    answer, and the handler itself reads Accept. `beat`: seconds on whose multiples every answer leaves, for what must
    not tell by its time what was found. `also_takes`: media types of a body that is no resource; neither is the answer.
    """

    name: str
    levels: tuple[Level, ...]
    types: tuple[str, ...]
    handler: Callable[[Context, Request], Response]
    methods: tuple[str, ...] = ("POST",)
    definition: str = ""
    reads_stream: bool = False
    answers_file: bool = False
    beat: float = 0.0
    also_takes: tuple[str, ...] = ()


def etag(row: Version) -> str:
    """The weak ETag of a version (B-05)."""
    return f'W/"{row.ver}"'


def version_headers(row: Version) -> dict[str, str]:
    """ETag and Last-Modified of a version."""
    return {"ETag": etag(row), "Last-Modified": _http_date(row.ts // 1000)}


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def wishes(request: Request, name: str) -> bool:
    """Whether the Prefer header holds a word that needs no value, such as respond-async."""
    return name in [part.strip().lower() for part in request.header("prefer").replace(",", ";").split(";")]


def preference(request: Request, name: str) -> str:
    """One preference of the Prefer header, "" if not given; its name in any letters.  RFC 7240"""
    for part in request.header("prefer").replace(",", ";").split(";"):
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip('" ')
    return ""
