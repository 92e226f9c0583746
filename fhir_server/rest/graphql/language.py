"""The text of a query -> the fields it selects: fragments in their places, variables and @skip and @include done.

https://spec.graphql.org/October2021/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import graphql

from fhir_server.rest.graphql.failures import Refused, told_at
from fhir_server.rest.graphql.limits import MOST, Spent
from fhir_server.validation.primitives import PRIMITIVES

Value = str | bool | tuple[Any, ...]

_PATH: Final = {"path": graphql.GraphQLArgument(graphql.GraphQLNonNull(graphql.GraphQLString))}
_MARKS: Final = tuple(
    graphql.GraphQLDirective(name, [graphql.DirectiveLocation.FIELD], _PATH if name == "slice" else {})
    for name in ("flatten", "first", "singleton", "slice")
)
_SCHEMA: Final = graphql.GraphQLSchema(
    graphql.GraphQLObjectType("Query", {"_": graphql.GraphQLField(graphql.GraphQLString)}),
    directives=[graphql.GraphQLSkipDirective, graphql.GraphQLIncludeDirective, *_MARKS],
    types=[*graphql.specified_scalar_types.values(), *map(graphql.GraphQLScalarType, sorted(PRIMITIVES))],
)
# Of the rules for all queries these need types: which are in R4's definitions, and not in a GraphQL schema.
_TYPED: Final = (
    "FieldsOn", "FragmentsOn", "KnownTypeNames", "OverlappingFields", "PossibleFragmentSpreads", "ScalarLeafs",
)  # fmt: skip
_RULES: Final = [rule for rule in graphql.specified_rules if not rule.__name__.startswith(_TYPED)]
_MOST_ERRORS: Final = 20


@dataclass(frozen=True, slots=True)
class Field:
    """A field selected: under which key, with what arguments and directives; `on` are the types it is selected for."""

    node: graphql.FieldNode
    name: str
    key: str
    arguments: Mapping[str, Value]
    marks: Mapping[str, str]
    on: tuple[str, ...]
    fields: tuple["Field", ...]


def written(value: object) -> str:
    """A plain value as the text that it is compared or searched by."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read(text: str, operation: str, variables: dict[str, Any], spent: Spent) -> tuple[Field, ...]:
    """The fields at the root of a query; GraphQLError or Refused where the text breaks GraphQL's own rules."""
    tokens, length = MOST["tokens"], MOST["characters"]
    document = graphql.parse(
        text, allow_empty_selection_sets=False, max_tokens=tokens, max_comments=tokens, max_source_length=length
    )
    errors = graphql.validate(_SCHEMA, document, _RULES, _MOST_ERRORS, hide_suggestions=True)
    if errors:
        raise Refused(errors)
    chosen = graphql.get_operation_ast(document, operation or None)
    if chosen is None:
        raise graphql.GraphQLError("Name one of the operations in operationName.", document)
    given = graphql.get_variable_values(_SCHEMA, chosen.variable_definitions or (), variables, _MOST_ERRORS)
    if isinstance(given, list):
        raise Refused(given)
    return tuple(_Reader(document, given, spent).fields(chosen.selection_set, 1, ()))


class _Reader:
    """Reads the fields of one operation."""

    def __init__(self, document: graphql.DocumentNode, given: graphql.VariableValues, spent: Spent) -> None:
        defined = [one for one in document.definitions if isinstance(one, graphql.FragmentDefinitionNode)]
        self._fragments = {one.name.value: one for one in defined}
        self._given, self._spent = given, spent

    def fields(self, chosen: graphql.SelectionSetNode | None, level: int, on: tuple[str, ...]) -> Iterator[Field]:
        """The fields of a selection and of the fragments in it, which are for the types `on`."""
        for node in chosen.selections if chosen else ():
            with told_at(node):
                self._spent.take("fields")
                self._spent.reach("levels of fields", level)
            if not self._is_wanted(node):
                continue
            if isinstance(node, graphql.FieldNode):
                yield self._field(node, level, on)
            elif isinstance(node, graphql.InlineFragmentNode):
                narrowed = (*on, node.type_condition.name.value) if node.type_condition else on
                yield from self.fields(node.selection_set, level, narrowed)
            elif isinstance(node, graphql.FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                yield from self.fields(fragment.selection_set, level, (*on, fragment.type_condition.name.value))

    def _is_wanted(self, node: graphql.SelectionNode) -> bool:
        left_out = graphql.get_directive_values(graphql.GraphQLSkipDirective, node, self._given) or {"if": False}
        kept = graphql.get_directive_values(graphql.GraphQLIncludeDirective, node, self._given) or {"if": True}
        return bool(kept["if"]) and not left_out["if"]

    def _field(self, node: graphql.FieldNode, level: int, on: tuple[str, ...]) -> Field:
        if node.alias:
            with told_at(node):
                self._spent.take("aliases")
        given = {one.name.value: self._value(one.value) for one in node.arguments or ()}
        arguments = {name: value for name, value in given.items() if value is not None}
        marks = {one.name: graphql.get_directive_values(one, node, self._given) for one in _MARKS}
        found = {name: values.get("path", "") for name, values in marks.items() if values is not None}
        name, fields = node.name.value, tuple(self.fields(node.selection_set, level + 1, ()))
        return Field(node, name, node.alias.value if node.alias else name, arguments, found, on, fields)

    def _value(self, node: graphql.ValueNode) -> Value | None:
        """The value of an argument, numbers as they are written; None for null."""
        if isinstance(node, graphql.VariableNode):
            return _plain(self._given.coerced.get(node.name.value), node)
        if isinstance(node, graphql.ListValueNode):
            return tuple(one for item in node.values if (one := self._value(item)) is not None)
        if isinstance(node, graphql.NullValueNode):
            return None
        if isinstance(node, graphql.ObjectValueNode):
            raise graphql.GraphQLError("No argument here takes an object.", node)
        found: Value = node.value  # type: ignore[attr-defined]  # all others have one
        return found


def _plain(value: Any, node: graphql.ValueNode) -> Value | None:
    if isinstance(value, list):
        return tuple(one for item in value if (one := _plain(item, node)) is not None)
    if isinstance(value, dict):
        raise graphql.GraphQLError("No argument here takes an object.", node)
    return value if value is None or isinstance(value, bool) else str(value)
