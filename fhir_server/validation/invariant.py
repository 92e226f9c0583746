"""FHIRPath invariants as Python functions.

The plain part of FHIRPath (paths, types, where, exists, comparisons, sums, logic) becomes closures over the parsed
JSON, about a microsecond a rule; whatever goes beyond it is compiled once by `fhirpathpy`.  http://hl7.org/fhirpath/N1/
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import fhirpathpy
import fhirpathpy.parser
from fhirpathpy.engine.invocations import invocation_registry
from fhirpathpy.models import models

from fhir_server.validation.invariant_parser import Parser
from fhir_server.validation.invariant_steps import SURROUNDINGS, CannotTellError, Items, MemberOf, truth
from fhir_server.validation.invariant_tokens import BeyondError

Rule = Callable[[Any], bool | None]
"""Whether a value keeps the invariant; None if this cannot be told, because the expression does not suit the value."""

_GRAMMAR: Final[Any] = fhirpathpy.parser  # it has no types
_ASKS_OTHERS: Final = re.compile(r"%|\b(?:resolve|memberOf|conformsTo|subsumes|subsumedBy|htmlChecks)\(")


Path = Callable[[Any], list[Any] | None]
"""What an expression leads to from a resource; None if this cannot be told."""


class Compiled(NamedTuple):
    """The rule of an expression; or None, and why it cannot be asked here. `looks_around`: it names variables."""

    rule: Rule | None
    reason: str = ""
    looks_around: bool = False

    def holds(self, value: Any, surroundings: Mapping[str, Any]) -> bool | None:
        """What the rule says of a value, among %resource, %rootResource and %extension if it names them."""
        if self.rule is None or not self.looks_around:
            return None if self.rule is None else self.rule(value)
        token = SURROUNDINGS.set({"context": value, "memo": {}, **surroundings})
        try:
            return self.rule(value)
        finally:
            SURROUNDINGS.reset(token)


def compiled(expression: str, kind: str = "", member_of: MemberOf | None = None) -> Compiled:
    """The rule of an expression, or why there is none: it asks others, is no FHIRPath, or uses an unknown function.

    What yields nothing does not hold. `kind` is the type of the element, if known.
    """
    try:
        parser = Parser(expression, kind, member_of)
        return Compiled(_guarded(parser.whole()), looks_around=parser.looks_around)
    except BeyondError:
        pass
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError, re.error):
        return Compiled(None, "it is no FHIRPath that can be read")
    if _ASKS_OTHERS.search(expression):
        return Compiled(None, "it asks other resources, a terminology or the environment")
    return _by_library(expression)


def path(expression: str) -> Path | None:
    """What an expression leads to; None if it cannot be asked here."""
    try:
        step = Parser(expression).whole()
    except BeyondError:
        return None
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError, re.error):
        return None

    def found(resource: Any) -> list[Any] | None:
        try:
            return step([resource])
        except Exception:  # noqa: BLE001 - a definition of others must not bring down a write
            return None

    return found


def _by_library(expression: str) -> Compiled:
    try:
        if _mistakes(expression):
            return Compiled(None, "it is no FHIRPath that can be read")
        evaluate = fhirpathpy.compile(expression, models["r4"])
        parsed: Mapping[str, Any] = _GRAMMAR.parse(expression)
        unknown = sorted(set(_functions(parsed)) - invocation_registry.keys())
    except Exception:  # noqa: BLE001 - the library raises what it likes at what it cannot read
        return Compiled(None, "it is no FHIRPath that can be read")
    if unknown:
        return Compiled(None, f"it uses {unknown[0][:32]}(), which is not known here")
    return Compiled(_guarded(lambda items: evaluate(items[0], {})))


def _mistakes(expression: str) -> int:
    """How many mistakes the grammar finds: the library mends what it cannot read and says nothing."""
    words = _GRAMMAR.CommonTokenStream(_GRAMMAR.FHIRPathLexer(_GRAMMAR.InputStream(expression)))
    parser = _GRAMMAR.FHIRPathParser(words)
    parser.removeErrorListeners()
    parser.entireExpression()
    return int(parser.getNumberOfSyntaxErrors())


def _functions(node: Mapping[str, Any]) -> Iterator[str]:
    """The name of every function that a parsed expression calls."""
    if node.get("type") == "FunctionInvocation":
        yield node["children"][0]["children"][0]["terminalNodeText"][0].strip("`")
    for child in node.get("children", ()):
        yield from _functions(child)


def _guarded(step: Callable[[Items], Items]) -> Rule:
    def rule(value: Any) -> bool | None:
        try:
            return truth(step([value])) is True
        except CannotTellError:
            return None
        except Exception:  # noqa: BLE001 - a definition of others must not bring down a write
            return None

    return rule
