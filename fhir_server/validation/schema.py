"""A JSON Schema per resource type, made from the R4 element table: the fast gate.

It accepts only what is right; the few right things it cannot judge (null-padded arrays, `_value` beside a choice) it
turns down, and the element walk decides.  https://hl7.org/fhir/R4/json.html
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs

from fhir_server.fhir.elements import Element, ElementTable
from fhir_server.validation import primitives
from fhir_server.validation.base_invariants import KEYWORDS, invariants

Schema = dict[str, Any]

# Their exclusiveness is settled by counting members: url and one more.
_EXTENSION = {"required": ["url"], "minProperties": 2, "maxProperties": 2}


def compile_schema(
    table: ElementTable, types: Sequence[str], kind: str, *, local: bool = False
) -> jsonschema_rs.Draft4Validator:
    """A validator whose `is_valid` says that a resource of this type is certainly right, its narrative apart.

    With `local` it lets contained resources and #references pass, which the caller then checks for itself.
    Draft 4 is the last in which 1.0 is no integer, as in FHIR; the plain regular expressions run in linear time.
    """
    return jsonschema_rs.Draft4Validator(
        _Builder(table, types, local=local).root(kind),
        keywords=dict(KEYWORDS),
        pattern_options=jsonschema_rs.RegexOptions(),
    )


class _Builder:
    """Collects the definitions that one resource type reaches."""

    def __init__(self, table: ElementTable, types: Sequence[str], *, local: bool) -> None:
        self._table = table
        self._local = local
        self._types = types
        self._definitions: dict[str, Schema] = {"Narrative": {"not": {}}}  # only the walk reads inner narratives

    def root(self, kind: str) -> Schema:
        self._refer(kind)
        schema = self._definitions[kind]
        schema["properties"]["resourceType"] = {"enum": [kind]}
        if not self._local:
            schema["properties"].pop("contained", None)
        schema["required"] = ["resourceType", *schema.get("required", ())]
        if "text" in schema["properties"]:
            schema["properties"]["text"] = self._structure("Narrative")
        return {"definitions": self._definitions, "$ref": f"#/definitions/{kind}"}

    def _refer(self, structure: str) -> Schema:
        if structure not in self._definitions:
            self._definitions[structure] = {}
            self._definitions[structure] |= self._structure(structure)
        return {"$ref": f"#/definitions/{structure}"}

    def _structure(self, structure: str) -> Schema:
        elements = self._table.of(structure)
        properties = {name: value for element in elements for name, value in self._properties(element)}
        schema: Schema = {"type": "object", "minProperties": 1, "additionalProperties": False, "properties": properties}
        if structure == "Extension":
            return schema | _EXTENSION | {"properties": {k: v for k, v in properties.items() if k != "id"}}
        if required := [element.name for element in elements if element.min and not element.choice]:
            schema["required"] = required
        rules = [_one_of(element) for element in elements if element.choice]
        if structure == "Period":
            rules.append({"anyOf": [{"not": {"required": ["start", "end"]}}, {"periodInOrder": True}]})
        rules += [one.schema for one in invariants().get(structure, ())]
        return schema | {"allOf": rules} if rules else schema

    def _properties(self, element: Element) -> Iterator[tuple[str, Schema]]:
        for name, kind in element.json_names.items():
            value = self._value(element, kind)
            yield name, {"type": "array", "minItems": 1, "items": value} if element.repeats else value
            if kind in primitives.PRIMITIVES and not element.repeats and not element.choice and element.extensible:
                yield f"_{name}", self._refer("Element")

    def _value(self, element: Element, kind: str) -> Schema:
        codes = self._table.codes(element.binding)
        if kind == "code" and codes:
            return {"enum": [code for group in codes.values() for code in group]}
        if kind in primitives.PRIMITIVES:
            return _primitive(kind)
        if kind == "Resource":
            return {"type": "object", "required": ["resourceType"]}  # checked by the schema of its own type
        if kind == "Reference":
            return self._reference(element.targets)
        if kind == "CodeableConcept" and codes:
            return {"allOf": [self._refer(kind), _has_coding(codes)]}
        return self._refer(kind)

    def _reference(self, targets: Sequence[str]) -> Schema:
        name = f"Reference({','.join(targets)})"
        if name not in self._definitions:
            self._definitions[name] = {}
            schema = self._structure("Reference")
            pattern = primitives.reference_pattern(targets or self._types)
            pattern = primitives.anchored(f"{pattern}|#.*" if self._local else pattern)
            schema["properties"]["reference"] = {"type": "string", "pattern": pattern}
            self._definitions[name] |= schema
        return {"$ref": f"#/definitions/{name}"}


def _one_of(element: Element) -> Schema:
    present = [{"required": [name]} for name in element.json_names]
    return {"oneOf": present if element.min else [{"not": {"anyOf": present}}, *present]}


def _primitive(kind: str) -> Schema:
    if kind in primitives.PATTERNS:
        return {"type": "string", "minLength": 1, "pattern": primitives.anchored(primitives.PATTERNS[kind])}
    if kind in primitives.RANGES:
        least, most = primitives.RANGES[kind]
        return {"type": "integer", "minimum": least, "maximum": most}
    return {"boolean": {"type": "boolean"}, "decimal": {"type": "number"}}.get(kind, {"type": "string", "minLength": 1})


def _has_coding(codes: Mapping[str, Sequence[str]]) -> Schema:
    right = [
        {"required": ["system", "code"], "properties": {"system": {"enum": [system]}, "code": {"enum": list(group)}}}
        for system, group in codes.items()
    ]
    return {"required": ["coding"], "properties": {"coding": {"not": {"items": {"not": {"anyOf": right}}}}}}
