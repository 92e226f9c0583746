"""What a profile recommends without refusing anything: for people who ask with $validate.

https://hl7.org/fhir/R4/conformance-rules.html#mustSupport
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import Issue
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import binding, invariant, profile_rules
from fhir_server.validation.findings import Findings
from fhir_server.validation.profile_tree import Node
from fhir_server.validation.slicing import Profiles, belongs, listed

Advice = Callable[[Any, str, Findings], None]
_LONGEST_ECHO: Final = 64


class Advisor:
    """Compiles a profile's tree into one function that adds warnings and information, and never an error."""

    def __init__(self, definitions: Definitions, terminology: Terminology, profiles: Profiles) -> None:
        self._definitions = definitions
        self._terminology = terminology
        self._profiles = profiles

    def compile(self, root: Node) -> Advice:
        """The advice on a whole resource."""
        return _together(self._value(root, root.path))

    def _value(self, node: Node, kind: str) -> list[Advice]:
        advice = [*self._extensible(node), *self._recommended(node, kind)]
        return [*advice, *(self._field(child) for child in node.children.values())]

    def _extensible(self, node: Node) -> Iterator[Advice]:
        for value_set, required in profile_rules.bindings(node):
            if not required:
                yield _better_from(self._terminology, value_set)

    def _recommended(self, node: Node, kind: str) -> Iterator[Advice]:
        for one in profile_rules.constraints(node):
            found = invariant.compiled(one["expression"], kind, partial(binding.member, self._terminology))
            yield _invariant(found, one, warns=one.get("severity") == "warning")

    def _field(self, node: Node) -> Advice:
        element = self._definitions.element(node.path)
        names = dict(element.json_names) if element is not None and element.choice else {node.name: ""}
        of_name = {
            name: _together(self._value(node, kind or profile_rules.kind_of(node, self._definitions)))
            for name, kind in names.items()
        }
        sliced, stem = self._sliced(node), node.name.removesuffix("[x]")
        wanted = bool(node.rules.get("mustSupport")) and profile_rules.cardinality(node)[1] != 0

        def advise(parent: Any, where: str, findings: Findings) -> None:
            if not isinstance(parent, dict):
                return
            present = [name for name in of_name if name in parent or f"_{name}" in parent]
            for name in present:
                repeats = isinstance(parent.get(name), list)
                for index, value in enumerate(listed(parent.get(name))):
                    at = f"{where}.{stem}[{index}]" if repeats else f"{where}.{stem}"
                    of_name[name](value, at, findings)
                    sliced(value, at, findings)
            if wanted and not present:
                text = f"{where}.{stem}: the profile asks systems to support this. It is missing; send it if known."
                findings.append(Issue("informational", text, f"{where}.{stem}", severity="information"))

        return advise

    def _sliced(self, node: Node) -> Advice:
        found, _ = profile_rules.slices(node, self._terminology, self._profiles) if node.slices else ((), False)
        advice = [(test, _together(self._value(one, ""))) for _, one, test in found]

        def advise(value: Any, where: str, findings: Findings) -> None:
            for test, of_slice in advice:
                if belongs(test, value, findings):
                    of_slice(value, where, findings)

        return advise


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
        shown = ", ".join(code[:_LONGEST_ECHO] for _, code in found) or "no code"
        text = f"{where} holds {shown}. Use a code from the value set {value_set} if one fits."
        findings.append(Issue("code-invalid", text, where, severity="warning"))

    return advise


def _invariant(found: invariant.Compiled, constraint: Mapping[str, Any], *, warns: bool) -> Advice:
    key, human = constraint.get("key", "?"), str(constraint.get("human", "")).rstrip(".")

    def advise(value: Any, where: str, findings: Findings) -> None:
        answer = found.rule(value) if found.rule is not None else None
        if answer is None:
            why = found.reason or "it cannot be told from this resource alone"
            text = f"{where}: rule {key} is not checked here: {why}."
            findings.append(Issue("informational", text, where, severity="information"))
        elif warns and not answer:
            findings.append(Issue("invariant", f"{where}: {human} (rule {key}).", where, severity="warning"))

    return advise
