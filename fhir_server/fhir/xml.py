"""Resources as XML: a table of R4's elements leads from the one form to the other.  https://hl7.org/fhir/R4/xml.html

Both ways keep the digits of every decimal. What arrives is hostile until read: no DOCTYPE, no entities, nothing loaded
from elsewhere, and no more depth than JSON may have. What an element of no known name becomes in JSON is refused there,
so that both formats hear the same answer.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from lxml import etree

from fhir_server.fhir import literal
from fhir_server.fhir.definitions import core_elements
from fhir_server.fhir.elements import Element
from fhir_server.fhir.errors import Structure, UnsupportedMedia

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
_HINT = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
_MAX_DEPTH = 64
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBERS = {"decimal", "integer", "positiveInt", "unsignedInt"}
_DECLARED = re.compile(r"""<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)["']""")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UNKNOWN = Element("", "", 0, 1, ("string",))

Node = Any  # lxml's elements
_NAMES: Any = {None: FHIR}


# ---- from XML ------------------------------------------------------------------------------------------------------


def to_json(body: bytes) -> bytes:
    """The JSON of a resource in XML; Structure (400) for what is no FHIR XML, UnsupportedMedia (415) for no UTF-8."""
    root = _parsed(body)
    return orjson.dumps(_resource(root))


def _parsed(body: bytes) -> Node:
    text = _text(body)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Structure("The XML has a DOCTYPE. Leave it out: entities are not taken.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True,
                             remove_pis=True, remove_blank_text=False)  # fmt: skip
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise Structure(f"The body is not well-formed XML (line {error.lineno}).") from None
    if not str(root.tag).startswith(f"{{{FHIR}}}"):
        raise Structure(f"The root element must be a resource in the namespace {FHIR}.")
    root.attrib.pop(_HINT, "")
    _check_depth(root)
    return root


def _text(body: bytes) -> str:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in body[:4]:
        raise UnsupportedMedia("The body is not UTF-8.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Structure(f"The body is not UTF-8: bad byte at offset {error.start}.") from None
    declared = _DECLARED.match(text)
    if declared and declared[1].lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise UnsupportedMedia("The XML declares another encoding than UTF-8.")
    return text if not declared else text[text.index("?>") + 2 :]


def _check_depth(root: Node) -> None:
    level = [root]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in node]
        if not level:
            return
    raise Structure(f"Elements are nested more than {_MAX_DEPTH} levels deep.")


def _name(node: Node) -> str:
    return str(node.tag).partition("}")[2] or str(node.tag)


def _resource(node: Node) -> dict[str, Any]:
    kind = _name(node)
    return {"resourceType": kind, **_structure(node, kind if kind in core_elements() else "Resource")}


def _structure(node: Node, kind: str) -> dict[str, Any]:
    """The members of a structure: attributes, then its children by name, in the order of their first."""
    _require_no_text(node)
    members = core_elements().members(kind)
    found: dict[str, Any] = {}
    for name, value in node.attrib.items():
        if name not in members or members[name][0].extensible:
            raise Structure(f"{_name(node)[:64]} has no attribute {str(name)[:64]}.")
        found[str(name)] = value
    groups: dict[str, list[Node]] = {}
    for child in node:
        groups.setdefault(_name(child), []).append(child)
    for name, children in groups.items():
        element, inner = members.get(name, (_UNKNOWN, "string"))
        found.update(_member(name, element, inner, children))
    return found


def _require_no_text(node: Node) -> None:
    for text in (node.text, *(child.tail for child in node)):
        if text and text.strip():
            raise Structure(f"{_name(node)[:64]} holds text. Values stand in attributes named value.")


def _member(name: str, element: Element, kind: str, children: list[Node]) -> dict[str, Any]:
    """The JSON members of one element: its value or values, and the `_` companion of a primitive."""
    read = [_value(child, kind) for child in children]
    values, companions = [value for value, _ in read], [companion for _, companion in read]
    if not element.repeats and len(children) == 1:
        values, companions = values[0], companions[0]
    found = {name: values} if _is_there(values) else {}
    return found | ({f"_{name}": companions} if _is_there(companions) else {})


def _is_there(value: Any) -> bool:
    return any(one is not None for one in value) if isinstance(value, list) else value is not None


def _value(node: Node, kind: str) -> tuple[Any, Any]:
    """(what stands in JSON under the name, what stands under the name with `_`)."""
    if node.tag == f"{{{XHTML}}}div" and kind == "xhtml":
        return etree.tostring(node, encoding="unicode", with_tail=False), None
    if not str(node.tag).startswith(f"{{{FHIR}}}"):
        raise Structure(f"{_name(node)[:64]} is not in the namespace {FHIR}.")
    if kind == "Resource":
        _require_no_text(node)
        if len(node) != 1 or node.attrib:
            raise Structure(f"{_name(node)[:64]} must hold one resource.")
        return _resource(node[0]), None
    if kind in core_elements():
        return _structure(node, kind), None
    return _primitive(node, kind)


def _primitive(node: Node, kind: str) -> tuple[Any, Any]:
    text = node.attrib.pop("value", None)
    value = None if text is None else _scalar(text, kind)
    companion = _structure(node, "Element")
    if value is None and not companion:
        raise Structure(f"{_name(node)[:64]} has neither a value nor an extension.")
    return value, companion or None


def _scalar(text: str, kind: str) -> Any:
    """The JSON value; what has not the form of its kind stays a string, and is refused as one."""
    if kind == "boolean" and text in {"true", "false"}:
        return text == "true"
    if kind in _NUMBERS and _NUMBER.fullmatch(text):
        return orjson.Fragment(text)
    return text


# ---- to XML --------------------------------------------------------------------------------------------------------


def from_json(body: bytes) -> bytes:
    """The XML of a resource that this server has stored or made, as UTF-8 with a declaration."""
    resource = literal.loads(body)
    root: Node = etree.Element(f"{{{FHIR}}}{resource['resourceType']}", nsmap=_NAMES)
    _fill(root, resource, resource["resourceType"])
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _fill(node: Node, members: Mapping[str, Any], kind: str) -> None:
    """The children of a structure in the order of its definition, as XML demands it."""
    for element in core_elements().of(kind):
        for name, code in element.json_names.items():
            if name in members or f"_{name}" in members:
                _add(node, name, element, element.structure or code, members)


def _add(node: Node, name: str, element: Element, kind: str, members: Mapping[str, Any]) -> None:
    if not element.extensible:
        node.set(name, _clean(members[name]))
        return
    for value, companion in _pairs(members.get(name), members.get(f"_{name}")):
        if kind == "xhtml":
            node.append(etree.fromstring(value, etree.XMLParser(resolve_entities=False, no_network=True)))
            continue
        child = etree.SubElement(node, f"{{{FHIR}}}{name}")
        if kind == "Resource":
            inner = etree.SubElement(child, f"{{{FHIR}}}{value['resourceType']}")
            _fill(inner, value, value["resourceType"])
        elif isinstance(value, Mapping):
            _fill(child, value, kind)
        else:
            _write(child, value, companion)


def _write(child: Node, value: Any, companion: Any) -> None:
    if value is not None:
        child.set("value", ("false", "true")[value] if isinstance(value, bool) else _clean(value))
    if companion:
        _fill(child, companion, "Element")


def _pairs(values: Any, companions: Any) -> Iterator[tuple[Any, Any]]:
    listed = [value if isinstance(value, list) else [value] for value in (values, companions)]
    for place in range(max(map(len, listed))):
        yield tuple(one[place] if place < len(one) else None for one in listed)  # type: ignore[misc]


def _clean(text: str) -> str:
    """The text without the few characters that XML cannot carry."""
    return _NOT_XML.sub("\ufffd", str(text))
