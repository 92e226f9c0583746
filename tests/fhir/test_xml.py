"""XML and JSON are two forms of one resource: both ways over the official examples, and what hostile XML meets."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from lxml import etree

from fhir_server.fhir import literal, xml
from fhir_server.fhir.errors import FHIRError, Structure, UnsupportedMedia

PATIENT = b'<Patient xmlns="http://hl7.org/fhir">%s</Patient>'


def tree(body: bytes) -> Any:
    """The JSON with numbers as written and every narrative in one canonical form."""
    return canonical(literal.loads(body))


def canonical(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _div(child) if name == "div" and isinstance(child, str) else canonical(child)
                for name, child in node.items()}  # fmt: skip
    return [canonical(child) for child in node] if isinstance(node, list) else node


def _div(text: str) -> bytes:
    return etree.tostring(etree.fromstring(text), method="c14n")


@pytest.mark.parametrize("folder", ["r4-examples", "r4-test-cases/examples"])
def test_examples_come_back_as_they_were(shared_data: Path, folder: str) -> None:
    """JSON to XML to JSON: equal, every decimal with its digits, every companion of a primitive in its place."""
    done = 0
    for path in sorted((shared_data / folder).glob("*.json")):
        body = path.read_bytes()
        assert tree(xml.to_json(xml.from_json(body))) == tree(body), path.name
        done += 1
    assert done > 60


def test_published_xml_comes_back_as_it_was(shared_data: Path) -> None:
    """XML to JSON to XML: the same document, but for comments and the space between elements."""
    done = 0
    for path in sorted((shared_data / "r4-test-cases" / "examples").glob("*.xml")):
        assert _bare(xml.from_json(xml.to_json(path.read_bytes()))) == _bare(path.read_bytes()), path.name
        done += 1
    assert done > 5


def _bare(document: bytes) -> bytes:
    root = etree.fromstring(document, etree.XMLParser(remove_comments=True, remove_blank_text=True))
    root.attrib.pop("{http://www.w3.org/2001/XMLSchema-instance}schemaLocation", None)
    for node in root.iter():
        node.text, node.tail = (node.text or "").strip(), (node.tail or "").strip()
    etree.cleanup_namespaces(root)
    return etree.tostring(root, method="c14n")


def test_decimals_of_the_published_example(shared_data: Path) -> None:
    """B-20: 1.0, 1.00, 1e-24 and the like."""
    text = (shared_data / "r4-test-cases" / "examples" / "observation-decimal.json").read_bytes()
    written = [str(one["valueQuantity"]["value"]) for one in literal.loads(text)["component"]]
    back = literal.loads(xml.to_json(xml.from_json(text)))
    assert [str(one["valueQuantity"]["value"]) for one in back["component"]] == written


HOSTILE = [
    b'<?xml version="1.0"?><!DOCTYPE Patient SYSTEM "http://x.example/a.dtd">' + PATIENT % b"",
    b'<!DOCTYPE Patient [<!ENTITY a "b">]>' + PATIENT % b'<gender value="&a;"/>',
    b'<!DOCTYPE Patient [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + PATIENT % b"",
    PATIENT % b'<gender value="&a;"/>', b"<Patient/>", b'<Patient xmlns="urn:x"/>', b"<", b"", b"{}", b"text",
    PATIENT % b"text", PATIENT % b'<name><family value="a"/>text</name>', PATIENT % b"<active/>",
    PATIENT % b'<active value="true" other="a"/>', PATIENT % b'<name value="a"/>', PATIENT % b"<contained/>",
    PATIENT % b'<x:name xmlns:x="urn:x"><x:family value="a"/></x:name>', PATIENT % b"\xff", PATIENT % b"" + b"<a/>",
    *[PATIENT % (b"<extension>" * depth + b"</extension>" * depth) for depth in (100, 5000)],
    PATIENT % b'<contained><Patient xmlns="http://hl7.org/fhir"/><Patient xmlns="http://hl7.org/fhir"/></contained>',
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE)
def test_what_is_no_fhir_xml_is_refused(body: bytes) -> None:
    """Row 25's other side: DOCTYPE, entities, depth, text, other namespaces."""
    with pytest.raises(Structure) as caught:
        xml.to_json(body)
    assert "passwd" not in str(caught.value)
    assert len(caught.value.issues[0].diagnostics) < 200


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp037", "iso-8859-1"])
def test_other_encodings_are_refused(encoding: str) -> None:
    """Row 7: a DOCTYPE cannot hide behind an encoding either."""
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a>' + (PATIENT % b"").decode()
    with pytest.raises((UnsupportedMedia, Structure)):
        xml.to_json(text.encode(encoding))


def test_a_billion_laughs_are_not_heard() -> None:
    entities = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    with pytest.raises(FHIRError):
        xml.to_json(b'<!DOCTYPE P [<!ENTITY a0 "x">' + entities + b"]>" + PATIENT % b'<gender value="&a9;"/>')


def test_companions_of_repeated_primitives() -> None:
    """B-19: values and what stands beside them keep their places."""
    patient = {"resourceType": "Patient", "name": [{
        "given": ["a", None, "c"], "_given": [None, {"extension": [{"url": "urn:x", "valueDecimal": 1}]}, {"id": "i"}],
    }]}  # fmt: skip
    assert orjson.loads(xml.to_json(xml.from_json(orjson.dumps(patient)))) == patient


def test_characters_xml_cannot_carry() -> None:
    """They are replaced, and nothing fails."""
    body = orjson.dumps({"resourceType": "Patient", "name": [{"text": "a\uffffb<&>\"'\n\tc"}]})
    assert orjson.loads(xml.to_json(xml.from_json(body)))["name"][0]["text"] == "a\ufffdb<&>\"'\n\tc"
