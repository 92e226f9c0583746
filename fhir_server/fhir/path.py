"""FHIRPath compiled once, for rare and ad hoc expressions.  https://hl7.org/fhirpath/N1/

`resolve()` and `memberOf()` are not supported, because they would need the store; searching uses generated code.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

import fhirpathpy
from antlr4 import CommonTokenStream, InputStream, Token  # type: ignore[import-untyped]
from antlr4.error.ErrorListener import ErrorListener  # type: ignore[import-untyped]
from fhirpathpy.models import models
from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

from fhir_server.fhir.errors import BadValue, NotSupported, TooCostly

MAX_FOREIGN = 1000

_UNSUPPORTED = re.compile(r"\b(resolve|memberOf|conformsTo|htmlChecks|subsumes|subsumedBy)\s*\(")
_NAME = re.compile(r"`?[A-Za-z_]\w*`?")
_OPERATORS = {"and", "div", "implies", "mod", "or", "xor"}
# What is taken from requests ends in time, however it is combined: no regular expressions, no powers, nothing that
# builds longer values or compares everything with everything.
_FUNCTIONS = {
    "all", "allFalse", "allTrue", "anyFalse", "anyTrue", "as", "children", "contains", "count", "empty", "endsWith",
    "exists", "extension", "first", "iif", "in", "indexOf", "is", "last", "length", "lower", "not", "now", "ofType",
    "single", "skip", "startsWith", "substring", "tail", "take", "toDate", "toDateTime", "toString", "today", "trim",
    "upper", "where",
}  # fmt: skip
_COSTLY = {"%", "|", "+", "&"}
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`")

Compiled = Callable[[Any, Any], list[Any]]


def evaluate(
    expression: str, resource: Mapping[str, Any], variables: Mapping[str, Any] | None = None, *, foreign: bool = False
) -> list[Any]:
    """What a FHIRPath expression finds in a resource.

    NotSupported for functions this server does not have, BadValue for what is no FHIRPath. `foreign` is for text that
    came with a request: TooCostly if it is long or could run without end.
    """
    if foreign:
        _check_foreign(expression)
    run = _compiled(expression)
    try:
        found: list[Any] = run(resource, dict(variables or {}))
    except RecursionError:
        raise TooCostly("the FHIRPath expression nests too deeply") from None
    except Exception as error:  # noqa: BLE001 - the library raises plain Exception
        raise _failure(expression, error) from None
    return found


@lru_cache(maxsize=128)  # of a third of a megabyte each
def _compiled(expression: str) -> Compiled:
    if missing := _UNSUPPORTED.search(_STRING.sub("", expression)):
        raise NotSupported(f"the FHIRPath function {missing[1]}() is not supported")
    try:
        _check_syntax(expression)
        run: Compiled = fhirpathpy.compile(expression, models["r4"])
    except RecursionError:
        raise TooCostly("the FHIRPath expression nests too deeply") from None
    except Exception as error:  # noqa: BLE001 - as above
        raise _failure(expression, error) from None
    return run


class _Refusing(ErrorListener):  # type: ignore[misc]
    """The library guesses what a broken expression might mean; this one does not."""

    def syntaxError(self, _recognizer: Any, _symbol: Any, _line: int, column: int, *_: Any) -> None:  # noqa: N802
        raise ValueError(column)


def _check_syntax(expression: str) -> None:
    lexer = FHIRPathLexer(InputStream(expression))
    tokens = CommonTokenStream(lexer)
    parser = FHIRPathParser(tokens)
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(_Refusing())
    parser.expression()
    if tokens.LA(1) != FHIRPathParser.EOF:
        raise ValueError(tokens.LT(1).column)


def _check_foreign(expression: str) -> None:
    if len(expression) > MAX_FOREIGN:
        raise TooCostly(f"the FHIRPath expression has more than {MAX_FOREIGN} characters")
    words = _words(expression)
    if costly := _COSTLY.intersection(words):
        raise TooCostly(f"{min(costly)} is not taken from requests in FHIRPath")
    for word, behind in pairwise(words):
        if behind == "(" and _NAME.fullmatch(word) and word not in _FUNCTIONS | _OPERATORS:
            raise TooCostly(f"the FHIRPath function {word.strip('`')[:64]}() is not taken from requests")


def _words(expression: str) -> list[str]:
    """The words that the library will read: comments and spaces are none."""
    lexer = FHIRPathLexer(InputStream(expression))
    lexer.removeErrorListeners()
    tokens = CommonTokenStream(lexer)
    tokens.fill()
    return [token.text for token in tokens.tokens if token.channel == Token.DEFAULT_CHANNEL]


def _failure(expression: str, error: Exception) -> NotSupported | BadValue:
    text = str(error)
    if text.startswith("Not implemented"):
        return NotSupported(f"FHIRPath: {text[:120]}")
    return BadValue(f"FHIRPath: {expression[:64]!r} cannot be evaluated")
