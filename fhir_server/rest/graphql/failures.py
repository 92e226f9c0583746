"""Failures of a query as GraphQL tells them: with the place in its text, each around an OperationOutcome.

https://hl7.org/fhir/R4/graphql.html#errors
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from graphql import GraphQLError, Node

from fhir_server.fhir.errors import FHIRError, Invalid
from fhir_server.fhir.outcome import outcome

_LONGEST = 200  # characters of a message: the library repeats what it was sent
_MOST = 20  # errors told
_LONG_WORD = re.compile(r"\S{61,}")


class Refused(Exception):
    """A query that is not answered; `errors` holds at least one."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors

    @property
    def cause(self) -> FHIRError:
        """What it is over HTTP: the first failure."""
        return _cause(self.errors[0])


@contextmanager
def told_at(node: Node) -> Iterator[None]:
    """What fails inside is told with the place of this node."""
    try:
        yield
    except FHIRError as error:
        raise GraphQLError(str(error), node, original_error=error) from error


def body(errors: Sequence[GraphQLError]) -> bytes:
    """The answer that holds errors and no data."""
    return orjson.dumps({"data": None, "errors": [_told(one) for one in errors[:_MOST]]})


def _told(error: GraphQLError) -> dict[str, Any]:
    places = [{"line": one.line, "column": one.column} for one in error.locations or ()]
    told: dict[str, Any] = {"message": _words(error)}
    if places:
        told["locations"] = places
    return told | {"extensions": {"resource": outcome(_cause(error).issues)}}


def _cause(error: GraphQLError) -> FHIRError:
    found = error.original_error
    return found if isinstance(found, FHIRError) else Invalid(_words(error))


def _words(error: GraphQLError) -> str:
    return _LONG_WORD.sub(lambda one: f"{one[0][:60]}...", error.message)[:_LONGEST]
