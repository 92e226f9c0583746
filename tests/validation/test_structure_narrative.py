"""Narrative as hostile input.  https://hl7.org/fhir/R4/narrative.html"""

import time

import pytest

from fhir_server.validation.narrative import narrative_issue

NS = 'xmlns="http://www.w3.org/1999/xhtml"'


def div(inner, attributes=NS):
    return f"<div {attributes}>{inner}</div>"


@pytest.mark.parametrize(
    "inner",
    [
        "<script>alert(1)</script>",
        '<p onclick="x()">a</p>',
        '<a href="javascript:x()">a</a>',
        '<a href=" java&#9;script:x()">a</a>',
        '<a href="vbscript:x">a</a>',
        '<a href="data:text/html,x">a</a>',
        "<iframe>a</iframe>",
        '<link rel="stylesheet" href="http://a.example/x.css"/>a',
        "<style>p {}</style>a",
        '<p style="background: url(http://a.example/x)">a</p>',
        '<p style="width: expression(x())">a</p>',
        "<p style=\"background: URL( '//a.example/x')\">a</p>",
        '<p style="background: url(a.png) url(http://a.example/x)">a</p>',
        '<p style="background: u/**/rl(x)">a</p>',
        '<p style="background: u\\72l(x)">a</p>',
        '<form action="/x"><input/></form>a',
        "<object>a</object>",
        '<img src="http://a.example/x.png"/>',
        '<img src="//a.example/x.png"/>',
        '<img src="\\\\a.example/x.png"/>',
        '<img src="/\\a.example/x.png"/>',
        "<p style='background: image-set(\"http://a.example/x\" 1x)'>a</p>",
        '<img src="data:image/svg+xml;base64,AAAA"/>',
        '<svg xmlns="http://www.w3.org/2000/svg"/>a',
        "<?php x ?>a",
        '<p xmlns:x="urn:x" x:onclick="y">a</p>',
        "",
        " \n ",
        "<p/><!-- comment -->",
    ],
)
def test_what_is_not_allowed_breaks_the_invariant(inner):
    """Catalogue row 68; B-22, B-23: txt-1 and txt-2."""
    issue = narrative_issue(div(inner), "Patient.text.div")
    assert issue is not None
    assert (issue.code, issue.expression) == ("invariant", "Patient.text.div")


@pytest.mark.parametrize(
    "text",
    [
        div("a", ""),
        div("a", 'xmlns="http://a.example"'),
        f"<p {NS}>a</p>",
        div("<p>a"),
        div("&nbsp;"),
        div("a") + "b",
        "plain",
        f'<!DOCTYPE div [<!ENTITY x "y">]>{div("&x;")}',
        f'<!DOCTYPE div [<!ENTITY x SYSTEM "file:///etc/hostname">]>{div("&x;")}',
    ],
)
def test_what_is_no_xhtml_div_is_structure(text):
    """Catalogue row 69."""
    issue = narrative_issue(text, "Patient.text.div")
    assert issue is not None
    assert issue.code == "structure"


@pytest.mark.parametrize(
    "inner",
    [
        "a <b>b</b> <br/> &lt;script&gt; é",
        '<table class="grid"><tbody><tr><td colspan="2" style="color: red">x</td></tr></tbody></table>',
        '<a href="https://a.example/x">a</a><a href="#b">a</a><a href="Patient/1">a</a><a name="b"/>',
        '<img src="#picture" alt="x"/>',
        '<img src="data:image/png;base64,AAAA"/>',
        '<p xml:lang="en">a</p>',
        '<p style="background: url(data:image/png;base64,AAAA) url(row.png)">a</p>',
    ],
)
def test_plain_narrative_passes(inner):
    assert narrative_issue(div(inner), "x") is None


def test_entity_bombs_and_deep_nesting_cost_little():
    bomb = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "x"}">' for i in range(12))
    texts = [f"<!DOCTYPE div [{bomb}]>{div('&a11;')}", div("<b>" * 50_000 + "a" + "</b>" * 50_000)]
    for text in texts:
        spent = []
        for _ in range(3):
            start = time.process_time()
            assert narrative_issue(text, "x") is not None
            spent.append(time.process_time() - start)
        assert min(spent) < 0.2
