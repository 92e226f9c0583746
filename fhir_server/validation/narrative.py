"""Narrative is hostile input until checked: restricted XHTML, no scripts, no forms, nothing loaded from elsewhere.

https://hl7.org/fhir/R4/narrative.html#rules (txt-1, txt-2)
"""

import re
from typing import Any

from lxml import etree

from fhir_server.fhir.errors import Issue

XHTML = "{http://www.w3.org/1999/xhtml}"

# The lists of txt-1, with the other plain text elements of HTML 4 chapters 7 to 11.
_ELEMENT_NAMES = """
    a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6
    hr i img kbd li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
"""
_ATTRIBUTE_NAMES = """
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset cite
    class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nowrap rel rev
    rowspan rules scope shape span src start style summary tabindex title type valign value vspace width
"""
ELEMENTS, ATTRIBUTES = frozenset(_ELEMENT_NAMES.split()), frozenset(_ATTRIBUTE_NAMES.split())
_XML_ATTRIBUTES = ("{http://www.w3.org/XML/1998/namespace}lang", "{http://www.w3.org/XML/1998/namespace}space")
_LINKS = ("href", "cite", "longdesc")
_SAFE_LINK = re.compile(r"(?:https?:|mailto:|tel:|urn:|ftp:|[^:]*(?:[/?#].*)?$)", re.IGNORECASE | re.DOTALL)
_SAFE_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|bmp|webp);|/?[^:/\\][^:\\]*$", re.IGNORECASE)
_UNSAFE_STYLE = re.compile(
    r"(?:expression|image-set|image|src)\s*\(|@import|behavior\s*:|-moz-binding|javascript:|\\|/\*", re.IGNORECASE
)
_STYLE_URL = re.compile(r"url\s*\(\s*[\"']?([^\"')]*)", re.IGNORECASE)
_STRIPPED = dict.fromkeys(range(33)) | {127: None}


def narrative_issue(div: str, path: str) -> Issue | None:
    """What is wrong with Narrative.div: `structure` if it is no XHTML div, `invariant` if it holds what is not allowed.

    None if it may be stored and shown.
    """
    try:
        root = etree.fromstring(div.encode(), _parser())
    except etree.XMLSyntaxError as error:
        line = f" (line {error.lineno})" if error.lineno else ""
        return Issue(
            "structure", f"div is not well-formed XHTML{line}; named entities such as &nbsp; do not exist", path
        )
    if "<!DOCTYPE" in div:
        return Issue("structure", "div must not carry a DOCTYPE", path)
    if root.tag != f"{XHTML}div":
        return Issue("structure", 'div must be a <div xmlns="http://www.w3.org/1999/xhtml"> element', path)
    for node in root.iter():
        if complaint := _complaint(node):
            return Issue("invariant", f"txt-1: {complaint} is not allowed in a narrative", path)
    if not etree.tostring(root, method="text", encoding="unicode").strip() and root.find(f".//{XHTML}img") is None:
        return Issue("invariant", "txt-2: the narrative has neither text nor an image", path)
    return None


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def _complaint(node: Any) -> str | None:
    if node.tag is etree.Comment:
        return None
    if not isinstance(node.tag, str):
        return "a processing instruction or entity"
    name = node.tag.removeprefix(XHTML)
    if name not in ELEMENTS:
        return f"the element <{name[:32]}>"
    return next((wrong for key, value in node.attrib.items() if (wrong := _wrong_attribute(key, value))), None)


def _wrong_attribute(name: str, value: str) -> str | None:
    if name in _XML_ATTRIBUTES:
        return None
    if name not in ATTRIBUTES:
        return f"the attribute {name[:32]!r}"
    bare = value.translate(_STRIPPED)
    if name in _LINKS and not _SAFE_LINK.match(bare):
        return f"the address scheme in {name!r}"
    if name == "src" and not _SAFE_IMAGE.match(bare):
        return "an image from elsewhere"
    if name == "style" and (
        _UNSAFE_STYLE.search(value) or not all(map(_SAFE_IMAGE.match, _STYLE_URL.findall(value.translate(_STRIPPED))))
    ):
        return "a style that loads or runs something"
    return None
