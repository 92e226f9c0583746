"""FHIRPath text to closures, by recursive descent along its precedence.

http://hl7.org/fhirpath/N1/#operator-precedence
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from fhir_server.validation.invariant_functions import FUNCTIONS
from fhir_server.validation.invariant_steps import (
    COMPARE,
    SUMS,
    MemberOf,
    Step,
    arithmetic,
    both,
    constant,
    either,
    equality,
    extended,
    form,
    implied,
    logic,
    member,
    member_of,
    membership,
    once,
    only_one,
    order,
    refers_to,
    then,
    union,
    variable,
)
from fhir_server.validation.invariant_tokens import END, BeyondError, tokens, unescaped

_RESOLVE: Final = ("resolve", "(", ")")
_TYPED: Final = ("is", "as", "ofType")


class _Place(NamedTuple):
    """Where a path has come to: the step so far; and if it can be asked for its type, the parent, name or kind."""

    step: Step
    parent: Step | None = None
    name: str = ""
    kind: str = ""
    resolved: bool = False


_LITERALS: Final[dict[str, Step]] = {
    "true": constant(value=True),
    "false": constant(value=False),
}
_VARIABLES: Final = frozenset({"context", "resource", "rootResource", "extension"})
_CONSTANTS: Final = {"ucum": "http://unitsofmeasure.org", "sct": "http://snomed.info/sct", "loinc": "http://loinc.org"}
_NAMED: Final = {"vs-": "http://hl7.org/fhir/ValueSet/", "ext-": "http://hl7.org/fhir/StructureDefinition/"}


def _itself(items: list[object]) -> list[object]:
    return items


class Parser:
    """Every method returns a function from a collection to a collection; BeyondError where it cannot."""

    def __init__(self, expression: str, kind: str = "", member_of: MemberOf | None = None) -> None:
        self._tokens = tokens(expression)
        self._at = 0
        self._kind = kind
        self._member_of = member_of
        self._resolved = False
        self.looks_around = False

    def whole(self) -> Step:
        """The whole expression."""
        step = self._implies()
        if self._peek() != END:
            raise BeyondError
        return step

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _take(self, *wanted: str) -> str | None:
        kind, text = self._peek()
        if kind in ("text", "number", "variable") or text not in wanted:
            return None
        self._at += 1
        return text

    def _must(self, wanted: str) -> None:
        if self._take(wanted) is None:
            raise BeyondError

    # ---- operators, the weakest first
    def _implies(self) -> Step:
        step = self._or()
        while self._take("implies"):
            step = logic(implied, step, self._or())
        return step

    def _or(self) -> Step:
        step = self._and()
        while word := self._take("or", "xor"):
            step = logic(either if word == "or" else only_one, step, self._and())
        return step

    def _and(self) -> Step:
        step = self._member()
        while self._take("and"):
            step = logic(both, step, self._member())
        return step

    def _member(self) -> Step:
        step = self._equal()
        while word := self._take("in", "contains"):
            other = self._equal()
            step = membership(step, other) if word == "in" else membership(other, step)
        return step

    def _equal(self) -> Step:
        step = self._order()
        while sign := self._take("=", "!="):
            step = equality(step, self._order(), same=sign == "=")
        return step

    def _order(self) -> Step:
        step = self._union()
        while sign := self._take("<", ">", "<=", ">="):
            step = order(COMPARE[sign], step, self._union())
        return step

    def _union(self) -> Step:
        step = self._typed()
        while self._take("|"):
            step = union(step, self._typed())
        return step

    def _typed(self) -> Step:
        place = self._sum(self._product)
        while word := self._take("is", "as"):
            place = _of_type(place, word, self._type_name())
        return place.step

    def _sum(self, part: Callable[[], _Place]) -> _Place:
        return self._chain(part, "+", "-")

    def _product(self) -> _Place:
        return self._chain(self._path, "*", "/", "div", "mod")

    def _chain(self, part: Callable[[], _Place], *signs: str) -> _Place:
        place = part()
        while (sign := self._take(*signs)) and sign in SUMS:
            place = _Place(arithmetic(sign, place.step, part().step))
        return place

    # ---- paths
    def _path(self) -> _Place:
        fixed = self._peek()[0] == "variable"
        place = self._term()
        while self._take("."):
            place = self._step_from(place)
        if fixed and not place.resolved:
            place = place._replace(step=once(place.step))
        if place.resolved and self._peek()[1] != "is":
            raise BeyondError
        return place

    def _step_from(self, place: _Place) -> _Place:
        kind, text = self._peek()
        if kind == "name" and text in _TYPED and self._tokens[self._at + 1][1] == "(":
            self._at += 2
            found = _of_type(place, text, self._type_name())
            self._must(")")
            return found
        if tuple(word for _, word in self._tokens[self._at : self._at + 3]) == _RESOLVE:
            self._at += 3
            return _Place(place.step, resolved=True)
        if place.resolved:
            return self._of_targets(place)
        beside = place.name and text == "extension"
        after = self._name()
        if beside and place.parent is not None:  # of a primitive, which has its extensions beside it
            return _Place(then(extended(place.parent, place.name, place.step), after.step))
        return _Place(then(place.step, after.step), place.step if after.name else None, after.name)

    def _of_targets(self, place: _Place) -> _Place:
        """all(...) and exists(...) of what references lead to: their types alone can be asked."""
        if self._peek()[1] not in ("all", "exists") or self._tokens[self._at + 2][1] == ")":
            raise BeyondError
        self._resolved = True
        after = self._name()
        self._resolved = False
        return _Place(then(place.step, after.step))

    def _type_name(self) -> str:
        kind, text = self._peek()
        if kind != "name":
            raise BeyondError
        self._at += 1
        if text in ("FHIR", "System") and self._take("."):
            return self._type_name()
        return text

    def _term(self) -> _Place:
        kind, text = self._peek()
        if self._take("("):
            step = self._implies()
            self._must(")")
            return _Place(step)
        if kind == "name":
            return self._first_name()
        self._at += 1
        if kind == "text":
            return _Place(constant(unescaped(text[1:-1])))
        if kind == "number":
            return _Place(constant(int(text)))
        if kind == "variable":
            return _Place(self._variable(text.strip("`'")))
        raise BeyondError

    def _variable(self, name: str) -> Step:
        if name in _VARIABLES:
            self.looks_around = True
            return variable(name)
        for start, url in _NAMED.items():
            if name.startswith(start):
                return constant(url + name.removeprefix(start))
        if name not in _CONSTANTS:
            raise BeyondError
        return constant(_CONSTANTS[name])

    def _first_name(self) -> _Place:
        here = _Place(_itself, kind=self._kind)
        if self._take("$this"):
            return _Place(_itself, resolved=True) if self._resolved else here
        if self._resolved:
            raise BeyondError
        if self._peek()[1] in (*_TYPED, "resolve") and self._tokens[self._at + 1][1] == "(":
            return self._step_from(here)
        return self._name()

    def _name(self) -> _Place:
        kind, text = self._peek()
        if kind != "name":
            raise BeyondError
        self._at += 1
        if not self._take("("):
            if text in _LITERALS:
                return _Place(_LITERALS[text])
            return _Place(member(text), _itself, text)
        arguments = [] if self._take(")") else self._arguments()
        if text == "memberOf" and len(arguments) == 1 and self._member_of is not None:
            return _Place(member_of(arguments[0], self._member_of))
        make = FUNCTIONS.get((text, len(arguments)))
        if make is None:
            raise BeyondError
        return _Place(make(*arguments))

    def _arguments(self) -> list[Step]:
        outer, self._kind = self._kind, ""  # within, $this is an item of what went before
        found = [self._implies()]
        while self._take(","):
            found.append(self._implies())
        self._must(")")
        self._kind = outer
        return found


def _of_type(place: _Place, word: str, wanted: str) -> _Place:
    """What `is`, `as` and ofType() say of a place; the type of a choice stands in its name."""
    if place.resolved and word == "is":
        return _Place(then(place.step, refers_to(wanted)))
    if place.kind:
        fits = place.kind[:1].lower() + place.kind[1:] == wanted[:1].lower() + wanted[1:]
        step = (constant(value=fits)) if word == "is" else place.step if fits else lambda _: []
        return _Place(step)
    if place.parent is None:
        raise BeyondError
    chosen = then(place.parent, form(place.name, wanted))
    if word != "is":
        return _Place(chosen)
    there = place.step
    return _Place(lambda items: [bool(chosen(items))] if there(items) else [])
