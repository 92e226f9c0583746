"""The unit atoms of UCUM, from its essence file.  https://ucum.org/ucum

Units are made of atoms by a grammar, so a code that is not in the file can still be right.
"""

from collections.abc import Iterator

from lxml import etree

from fhir_server.terminology.distribution import Distribution, Entry, Source

_KINDS = ("base-unit", "unit", "prefix")


def _read(source: Source) -> Iterator[Entry]:
    with source.open(r"ucum-essence\.xml") as file:
        root = etree.parse(file, etree.XMLParser(resolve_entities=False, no_network=True)).getroot()
    for node in root:
        kind = etree.QName(node).localname if isinstance(node.tag, str) else ""
        if kind in _KINDS:
            yield _entry(node, kind)


def _entry(node: etree._Element, kind: str) -> Entry:
    names = _texts(node, "name")
    properties = {"kind": (kind,), "property": tuple(_texts(node, "property")), "isMetric": (_is_metric(node, kind),)}
    symbols = _texts(node, "printSymbol")
    kept = {name: values for name, values in properties.items() if values}
    code = node.get("Code", "")
    return Entry(code if kind != "prefix" else f"{code}-", names[0] if names else code, more=[*names, *symbols],
                 properties=kept)  # fmt: skip


def _is_metric(node: etree._Element, kind: str) -> bool:
    return kind == "base-unit" or node.get("isMetric") == "yes"


def _texts(node: etree._Element, name: str) -> list[str]:
    return ["".join(map(str, child.itertext())).strip() for child in node if etree.QName(child).localname == name]


DISTRIBUTION = Distribution("ucum", "http://unitsofmeasure.org", "UCUM", "ucum-essence.xml", _read)
