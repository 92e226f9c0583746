"""The literal-preserving editor.  https://hl7.org/fhir/R4/json.html#decimal"""

import copy
import json

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhir import wire
from fhir_server.fhir.wire import DELETE
from tests.laws import examples

NOW = 1_795_341_600_123  # 2026-11-22T10:00:00.123Z


def test_a_stamp_keeps_every_other_byte():
    """B-20, design 2: decimals, order and spaces stay; other members of meta stay."""
    body = b'{ "resourceType" : "Observation",\n "meta":{"profile" : ["x"], "versionId":"9"},\n "value": 1.10 }\n'
    assert wire.stamp(body, "abc", 3, NOW) == (
        b'{ "resourceType" : "Observation","id":"abc",\n "meta":{"lastUpdated":"2026-11-22T10:00:00.123Z",'
        b'"profile" : ["x"], "versionId":"3"},\n "value": 1.10 }\n'
    )


META = b'"meta":{"versionId":"1","lastUpdated":"2026-11-22T10:00:00.123Z"%s}'
STAMPS = [
    (b'{"resourceType":"Patient"}', b'{"resourceType":"Patient","id":"a",%s}' % (META % b"")),
    (
        b'{"id":"old","active":true,"resourceType":"Patient"}',
        b'{"id":"a","active":true,"resourceType":"Patient",%s}' % (META % b""),
    ),
    (
        b'{"\\u0069d":"old","meta":{ },"resourceType":"Patient"}',
        b'{"\\u0069d":"a",%s,"resourceType":"Patient"}' % (META % b""),
    ),
    (
        b'{"resourceType":"Patient","contained":[{"id":"in"}],"meta":{"lastUpdated":"x","tag":[{"code":"t"}]}}',
        b'{"resourceType":"Patient","id":"a","contained":[{"id":"in"}],%s}' % (META % b',"tag":[{"code":"t"}]'),
    ),
]


@pytest.mark.parametrize(("body", "stamped"), STAMPS)
def test_id_and_meta_are_put_or_overridden(body, stamped):
    """B-02: the client's id, versionId and lastUpdated do not count."""
    assert wire.stamp(body, "a", 1, NOW) == stamped


def test_spans_are_replaced_removed_and_added():
    body = b'{ "a" : 1.10 , "b":[1, 2.0 ] , "c" : {"x" : 1 }  }'
    changed = wire.edit(body, {("a",): DELETE, ("b", 0): 5, ("b", 2): 6, ("c", "y"): True, ("d", "e", 0, "f"): "é"})
    assert changed == '{ "b":[5, 2.0,6 ] , "c" : {"x" : 1,"y":true },"d":{"e":[{"f":"é"}]}  }'.encode()


def test_raw_json_is_taken_literally():
    """B-20: a decimal of a patch keeps its form."""
    assert wire.edit(b'{"value":1.0}', {("value",): msgspec.Raw(b"2.50")}) == b'{"value":2.50}'


@pytest.mark.parametrize(
    "changes",
    [
        {("a", "x"): 1},
        {("b", 3): 1},
        {("b", "x"): 1},
        {("c", 0): 1},
        {("a",): 1, ("a", "x"): 1},
        {("a", "x"): 1, ("a",): 1},
    ],
)
def test_impossible_paths_raise(changes):
    with pytest.raises(LookupError):
        wire.edit(b'{"a":1,"b":[1],"c":{}}', changes)


def test_displays_of_people_go_and_others_stay():
    """Design 2: a display on a reference to a compartment type would disclose a name."""
    body = (
        b'{"resourceType":"Task","code":{"coding":[{"code":"x","display":"kept"}]},'
        b'"for":{"reference":"Patient/1","display":"Amy"},"owner":{"reference":"Organization/1","display":"kept"},'
        b'"focus":{"display":"Amy","reference":"https://a.example/fhir/Patient/2/_history/1"},'
        b'"input":[{"valueReference":{"type":"Patient","identifier":{"value":"1"},"display":"Amy"}}]}'
    )
    stripped = wire.strip_displays(body, orjson.loads(body), ("Patient",))
    assert b"Amy" not in stripped
    assert stripped.count(b"kept") == 2
    assert stripped == body.replace(b',"display":"Amy"', b"").replace(b'"display":"Amy",', b"")


def test_nothing_to_strip_gives_the_same_bytes():
    body = b'{"resourceType":"Task", "for":{"reference":"Patient/1"}}'
    assert wire.strip_displays(body, orjson.loads(body), ("Patient",)) == body


def test_meta_values_are_appended_once():
    body = b'{"resourceType":"Patient","meta":{"security":[ {"code":"R"} ]}}'
    changed = wire.append_meta(body, orjson.loads(body), "security", [{"code": "R"}, {"code": "N"}])
    assert changed == b'{"resourceType":"Patient","meta":{"security":[ {"code":"R"},{"code":"N"} ]}}'


names = st.sampled_from(["a", "b", 'q"', "é", "x\\"])
leaves = st.none() | st.booleans() | st.integers(-99, 99) | st.sampled_from(['"', "\\", "}", "a,b:", "é"])
trees = st.recursive(leaves, lambda c: st.lists(c, max_size=4) | st.dictionaries(names, c, max_size=4), max_leaves=25)
styles = st.sampled_from([(None, (",", ":")), (2, (",", ": ")), (1, (" , ", "\n:\t"))])


def _paths(node, path=()):
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        yield (*path, name)
        yield from _paths(child, (*path, name))
    if isinstance(node, list):
        yield (*path, len(node))
    if isinstance(node, dict):
        yield (*path, "new")


@st.composite
def edits(draw):
    tree = draw(st.dictionaries(names, trees, max_size=4))
    indent, separators = draw(styles)
    body = json.dumps(tree, indent=indent, separators=separators, ensure_ascii=draw(st.booleans())).encode()
    chosen = draw(st.lists(st.sampled_from(list(_paths(tree))), max_size=5, unique=True))
    apart = [p for p in chosen if not any(q != p and p[: len(q)] == q for q in chosen)]
    return tree, body, {path: draw(st.just(DELETE) | leaves) for path in apart}


def _applied(tree, changes):
    """The same changes on the parsed tree, deletions last and from behind, so that indexes count the original."""
    tree = copy.deepcopy(tree)
    gone = [p for p, v in changes.items() if v is DELETE]
    for path, value in changes.items():
        if value is not DELETE:
            parent = _parent(tree, path)
            if isinstance(parent, list) and path[-1] == len(parent):
                parent.append(value)
            else:
                parent[path[-1]] = value
    for path in sorted(gone, key=lambda p: [str(s).zfill(4) for s in p], reverse=True):
        parent = _parent(tree, path)
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
        elif path[-1] < len(parent):
            del parent[path[-1]]
    return tree


def _parent(tree, path):
    for step in path[:-1]:
        tree = tree[step]
    return tree


@settings(max_examples=examples(150), deadline=None)
@given(edits())
def test_an_edit_and_a_parse_are_the_same_change_on_the_tree(case):
    tree, body, changes = case

    expected = _applied(tree, changes)
    assert json.loads(wire.edit(body, changes)) == expected


@settings(max_examples=examples(80), deadline=None)
@given(edits())
def test_bytes_outside_the_changed_spans_stay(case):
    """Replacing values by marks and the marks by the old text gives the body back."""
    tree, body, changes = case
    present = {p: v for p, v in changes.items() if _present(tree, p)}
    marked = wire.edit(body, dict.fromkeys(present, "\x7fmark"))
    restored = wire.edit(marked, {p: msgspec.Raw(_raw(body, p)) for p in present})
    assert restored == body


def _present(tree, path):
    try:
        _parent(tree, path)[path[-1]]
    except LookupError:
        return False
    return True


def _raw(body, path):
    for step in path:
        kind = dict[str, msgspec.Raw] if isinstance(step, str) else list[msgspec.Raw]
        body = bytes(msgspec.json.decode(body, type=kind)[step])
    return body


@settings(max_examples=examples(80), deadline=None)
@given(
    st.dictionaries(names, trees, max_size=3),
    st.dictionaries(st.sampled_from(["profile", "lastUpdated"]), leaves),
    styles,
)
def test_a_stamp_and_a_parse_are_the_same_change_on_the_tree(tree, meta, style):
    tree = {**tree, "resourceType": "Basic", "meta": meta}
    body = json.dumps(tree, indent=style[0], separators=style[1]).encode()
    expected = {**tree, "id": "x", "meta": {**meta, "versionId": "7", "lastUpdated": "2026-11-22T10:00:00.123Z"}}
    assert json.loads(wire.stamp(body, "x", 7, NOW)) == expected
