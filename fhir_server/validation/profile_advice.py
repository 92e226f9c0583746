"""What a profile recommends without refusing anything: for people who ask with $validate.

https://hl7.org/fhir/R4/conformance-rules.html#mustSupport
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element
from fhir_server.fhir.errors import Issue
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import binding, invariant, profile_rules
from fhir_server.validation.findings import Findings
from fhir_server.validation.profile_tree import Node
from fhir_server.validation.profile_words import LONGEST_ECHO
from fhir_server.validation.slice_paths import listed
from fhir_server.validation.slicing import Profiles, belongs

Advice = Callable[[Any, str, Findings], None]
Items = Sequence[tuple[str, Any]]  # values with their places
SlicesAdvice = Callable[[Items, str, Findings], None]
_MOST_SAID: Final = 3


class Advisor:
    """Compiles a profile's tree into one function that adds warnings and information, and never an error."""

    def __init__(self, definitions: Definitions, terminology: Terminology, profiles: Profiles) -> None:
        self._definitions = definitions
        self._terminology = terminology
        self._profiles = profiles

    def compile(self, root: Node) -> Advice:
        """The advice on a whole resource."""
        return _together(self._value(root, None, root.path))

    def _value(self, node: Node, element: Element | None, kind: str) -> list[Advice]:
        holder = profile_rules.holder_of(node, element, kind)
        advice = [*self._extensible(node), *self._recommended(node, kind)]
        return [*advice, *(self._field(child, holder) for child in node.children.values())]

    def _extensible(self, node: Node) -> Iterator[Advice]:
        for value_set, required in profile_rules.bindings(node):
            if not required:
                yield _better_from(self._terminology, value_set)

    def _recommended(self, node: Node, kind: str) -> Iterator[Advice]:
        for one in profile_rules.constraints(node):
            found = invariant.compiled(one["expression"], kind, partial(binding.member, self._terminology))
            yield _invariant(found, one, warns=one.get("severity") == "warning")

    def _field(self, node: Node, holder: str) -> Advice:
        element = profile_rules.element_of(node, holder, self._definitions)
        forms = element.json_names if element is not None and element.choice else {}
        of_name = {
            name: _together(self._value(node, element, kind))
            for name, kind in (forms or {node.name: profile_rules.kind_of(element)}).items()
        }
        sliced, stem = self._sliced(node, element, forms), node.name.removesuffix("[x]")
        wanted = _is_wanted(node)

        def advise(parent: Any, where: str, findings: Findings) -> None:
            if not isinstance(parent, dict):
                return
            present = [name for name in of_name if name in parent or f"_{name}" in parent]
            items: list[tuple[str, Any]] = []
            for name in present:
                repeats = isinstance(parent.get(name), list)
                for index, value in enumerate(listed(parent.get(name))):
                    at = f"{where}.{stem}[{index}]" if repeats else f"{where}.{stem}"
                    of_name[name](value, at, findings)
                    items.append((at, value))
            if wanted and not present:
                findings.append(_missing(f"{where}.{stem}"))
            else:
                sliced(items, f"{where}.{stem}", findings)

        return advise

    def _sliced(self, node: Node, element: Element | None, forms: Mapping[str, str]) -> SlicesAdvice:
        """What is advised of the items of each slice, and of slices that are missing."""
        found, _ = (
            profile_rules.slices(node, self._terminology, self._profiles) if node.slices and not forms else ((), ())
        )
        kind = profile_rules.kind_of(element)
        advice = [
            (name, test, _together(self._value(one, element, kind)), _is_wanted(one)) for name, one, test in found
        ]

        def advise(items: Items, where: str, findings: Findings) -> None:
            for name, test, of_slice, wanted in advice:
                answers = [(belongs(test, value, findings), value, at) for at, value in items]
                for _, value, at in (one for one in answers if one[0]):
                    of_slice(value, at, findings)
                if wanted and not any(answer is not False for answer, _, _ in answers):
                    findings.append(_missing(where, f" ({name})"))

        return advise


def _is_wanted(node: Node) -> bool:
    return bool(node.rules.get("mustSupport")) and profile_rules.cardinality(node)[1] != 0


def _missing(where: str, name: str = "") -> Issue:
    text = f"{where}{name}: the profile asks systems to support this. It is missing; send it if known."
    return Issue("informational", text, where, severity="information")


def _together(advice: Sequence[Advice]) -> Advice:
    def advise(value: Any, where: str, findings: Findings) -> None:
        for one in advice:
            one(value, where, findings)

    return advise


def _better_from(terminology: Terminology, value_set: str) -> Advice:
    def advise(value: Any, where: str, findings: Findings) -> None:
        found = list(binding.codings(value))
        if any(terminology.contains(value_set, system, code) is not False for system, code in found):
            return
        shown = ", ".join(code[:LONGEST_ECHO] for _, code in found[:_MOST_SAID]) or "no code"
        text = f"{where} holds {shown}. Use a code from the value set {value_set} if one fits."
        findings.append(Issue("code-invalid", text, where, severity="warning"))

    return advise


def _invariant(found: invariant.Compiled, constraint: Mapping[str, Any], *, warns: bool) -> Advice:
    key, human = constraint.get("key", "?"), str(constraint.get("human", "")).rstrip(".")

    def advise(value: Any, where: str, findings: Findings) -> None:
        answer = found.holds(value, findings.surroundings())
        if answer is None:
            why = found.reason or "it cannot be told from this resource alone"
            text = f"{where}: rule {key} is not checked here: {why}."
            findings.append(Issue("informational", text, where, severity="information"))
        elif warns and not answer:
            findings.append(Issue("invariant", f"{where}: {human} (rule {key}).", where, severity="warning"))

    return advise
