"""Publishers' distributions into the tables, on both databases: what is read, resumed, found, and by which indexes."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhir.definitions import load as load_definitions
from fhir_server.store import concepts
from fhir_server.store.concepts import Wish
from fhir_server.store.db import Database, open_database
from fhir_server.store.statements import Statement
from fhir_server.terminology import distribution, expansion, large, loading
from fhir_server.terminology.codes import Terminology
from fhir_server.terminology.distribution import Source
from fhir_server.terminology.words import words as split
from tests.live import running
from tests.rest.scene import stored
from tests.terminology import distributions as files

pytestmark = pytest.mark.heavy

ICD, SCT, LOINC = "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct", "http://loinc.org"
V = "https://example.org/ValueSet/"
ICD_ROWS = [
    ("E11", False, "Type 2 diabetes mellitus"),
    ("E116", False, "Type 2 diabetes mellitus with other specified complications"),
    ("E1165", True, "Type 2 diabetes mellitus with hyperglycemia"),
    ("E119", True, "Type 2 diabetes mellitus without complications"),
    ("Z59", False, "Problems related to housing and economic circumstances"),
    ("Z590", False, "Homelessness"),
    ("Z5900", True, "Homelessness unspecified"),
    *[(f"S{number:03d}", True, f"Injury number {number} of a long list") for number in range(300)],
]
MADE: dict[str, Callable[[Path], Path]] = {
    "icd-10-cm": lambda folder: files.icd_10_cm(folder, ICD_ROWS),
    "hcpcs": lambda folder: files.hcpcs(folder, [
        ("G9012", "3", "Other specified case management service not elsewhere", ""), ("G9012", "4", "classified", ""),
        ("G0506", "3", "Comprehensive assessment of and care planning", "20261231"),
        ("   U1", "7", "Medicaid level 1", ""),
    ]),
    "nucc": lambda folder: files.table(
        folder / "nucc_taxonomy_251.csv",
        ["Code", "Grouping", "Classification", "Specialization", "Definition", "Notes", "Display Name", "Section"],
        [["251B00000X", "Agencies", "Case Management", "", "An organization…", "", "Case Management Agency", "N"]],
        "cp1252",
    ),
    "cvx": lambda folder: _written(
        folder / "cvx.txt",
        "08 |Hep B, adolescent or pediatric|hepatitis B vaccine, pediatric||Active|0|2010/05/28|\n"
        "31|Hep A, pediatric, NOS|hepatitis A vaccine, unspecified|do not use|Inactive|0|2010|\n",
    ),
    "loinc": files.loinc,
    "snomed": files.snomed,
    "rxnorm": files.rxnorm,
    "ucum": files.ucum,
}  # fmt: skip


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def quiet(step: str, done: int, total: int) -> None:
    """No bar."""


def taken(database: Database, folder: Path, name: str, version: str = "1", report: Any = quiet) -> Any:
    folder.mkdir(exist_ok=True)
    return loading.load(database, distribution.known()[name], Source(MADE[name](folder)), version, 1000, report)


@pytest.fixture(scope="module")
def loaded(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Every distribution in one database."""
    with closing(open_database(module_database_url)) as database:
        for name in MADE:
            taken(database, tmp_path_factory.mktemp(name), name)
        yield database


def value_set(folder: Path, *include: Any, exclude: Any = ()) -> str:
    compose = {"include": list(include), **({"exclude": list(exclude)} if exclude else {})}
    made = {"resourceType": "ValueSet", "url": V + "x", "compose": compose}
    (folder / "ValueSet-x.json").write_text(json.dumps(made))
    return V + "x"


def terms(database: Database, *folders: Path) -> Terminology:
    return Terminology(load_definitions(folders), large.installed(database))


def test_every_distribution_has_a_file_here(loaded: Database) -> None:
    assert set(MADE) == set(distribution.known())
    assert {row.state for row in concepts.systems(loaded.read())} == {"ready"}


@pytest.mark.parametrize(
    ("system", "code", "display", "parents", "active"),
    [
        (ICD, "E11.65", "Type 2 diabetes mellitus with hyperglycemia", ("E11.6",), True),
        (ICD, "E11", "Type 2 diabetes mellitus", (), True),
        ("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "G9012",
         "Other specified case management service not elsewhere classified", (), True),
        ("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "G0506",
         "Comprehensive assessment of and care planning", (), False),
        ("http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "U1", "Medicaid level 1", (), True),
        ("http://nucc.org/provider-taxonomy", "251B00000X", "Case Management Agency", (), True),
        ("http://hl7.org/fhir/sid/cvx", "08", "Hep B, adolescent or pediatric", (), True),
        ("http://hl7.org/fhir/sid/cvx", "31", "Hep A, pediatric, NOS", (), False),
        (LOINC, "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", ("LP16413-4",), True),
        (LOINC, "1-8", "An old one", (), False),
        (LOINC, "LP16413-4", "Hemoglobin", ("LP432695-7",), True),
        (SCT, "73211009", "Diabetes mellitus", ("64572001", "126877002"), True),
        (SCT, "190330002", "Retired diabetes", (), False),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "6809", "metformin", (), True),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "860975",
         "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet", ("372803",), True),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "1", "gone", (), False),
        ("http://unitsofmeasure.org", "[lb_av]", "pound", (), True),
    ],
)  # fmt: skip
def test_concepts_are_read(loaded: Database, system: str, code: str, display: str, parents: Any, active: bool) -> None:
    found = terms(loaded).system(system)
    assert found is not None
    concept = found.find(code)
    assert concept is not None
    assert (concept.display, concept.parents, concept.active) == (display, parents, active)
    assert found.find("no such code") is None


def test_what_stands_under_what(loaded: Database) -> None:
    """:below and :above through several parents; an inactive is-a or another relationship counts for nothing."""
    terminology = terms(loaded)
    assert terminology.below(SCT, "126877002") == ["126877002", "73211009", "44054006", "46635009"]
    assert set(terminology.above(SCT, "44054006") or ()) == {
        "44054006",
        "73211009",
        "126877002",
        "64572001",
        "138875005",
    }
    assert terminology.above(SCT, "138875005") == ["138875005"]
    assert terminology.below(ICD, "E11") == ["E11", "E11.6", "E11.65", "E11.9"]
    assert terminology.below("urn:none", "x") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("diabetes", {"E11", "E11.6", "E11.65", "E11.9"}),
        ("DIAB hyper", {"E11.65"}),
        ("mellitus without", {"E11.9"}),
        ("e11 65", {"E11.65"}),
        ("homeless", {"Z59.0", "Z59.00"}),
        ("abetes", set()),
        ("diabetes homelessness", set()),
    ],
)
def test_filters_find_by_words(loaded: Database, tmp_path: Path, text: str, found: set[str]) -> None:
    """Every word begins a word of the code, the display or a synonym."""
    value_set(tmp_path, {"system": ICD})
    terminology = terms(loaded, tmp_path)
    members = terminology.members(V + "x") or {}
    wish = expansion.Wish(tuple(split(text)))
    rows = expansion.page(terminology, members, wish, 0, 100)
    assert {row.code for row in rows} == found
    assert expansion.total(terminology, members, wish) == len(found)


def is_a(system: str, code: str, op: str = "is-a") -> dict[str, Any]:
    return {"system": system, "filter": [{"property": "concept", "op": op, "value": code}]}


@pytest.mark.parametrize(
    ("include", "exclude", "inside", "outside"),
    [
        ([is_a(SCT, "73211009")], [], {"73211009", "44054006", "46635009"}, {"64572001", "x"}),
        ([is_a(SCT, "73211009", "descendent-of")], [], {"44054006", "46635009"}, {"73211009"}),
        ([is_a(SCT, "64572001")], [is_a(SCT, "73211009")], {"64572001", "126877002"}, {"44054006"}),
        ([is_a(SCT, "44054006"), is_a(SCT, "46635009")], [], {"44054006", "46635009"}, {"73211009"}),
        ([is_a(SCT, "73211009"), is_a(SCT, "126877002"), {"system": SCT, "concept": [{"code": "44054006"}]}], [],
         {"126877002", "73211009", "44054006", "46635009"}, {"64572001"}),
        ([{"system": SCT, "filter": [is_a(SCT, "64572001")["filter"][0], is_a(SCT, "126877002")["filter"][0]]}], [],
         {"126877002", "73211009", "44054006", "46635009"}, {"64572001"}),
        ([{"system": LOINC, "filter": [{"property": "STATUS", "op": "=", "value": "ACTIVE"}]}], [],
         {"4548-4"}, {"1-8"}),
        ([is_a(ICD, "E11")], [], {"E11", "E11.6", "E11.65", "E11.9"}, {"Z59"}),
        ([is_a(ICD, "E11")], [{"system": ICD, "concept": [{"code": "E11.9"}]}], {"E11", "E11.6", "E11.65"}, {"E11.9"}),
        ([{"system": SCT}], [], {"190330002", "138875005"}, {"x"}),
    ],
)  # fmt: skip
def test_value_sets_over_large_systems(
    loaded: Database, tmp_path: Path, include: Any, exclude: Any, inside: set[str], outside: set[str]
) -> None:
    """Membership (bindings), listing ($expand) and enumeration (:in) agree."""
    url = value_set(tmp_path, *include, exclude=exclude)
    terminology = terms(loaded, tmp_path)
    system = include[0]["system"]
    members = terminology.members(url)
    assert members is not None
    listed = [row.code for row in expansion.page(terminology, members, expansion.Wish(), 0, 1000)]
    assert len(set(listed)) == len(listed)
    assert inside <= set(listed)
    assert not outside & set(listed)
    for code in inside:
        assert terminology.contains(url, system, code) is True
    for code in outside:
        assert not terminology.contains(url, system, code)
    enumerated = terminology.enumerated(url)
    if enumerated is not None and all(one.kind == "code" for one in enumerated):
        assert {one.code for one in enumerated} == set(listed)
    for one in enumerated or ():
        if one.kind == "below":
            rows = loaded.read().execute(concepts.below(*one.place)).scalars()
            assert set(rows) <= set(listed)


def test_what_is_out_of_use_can_be_left_out(loaded: Database, tmp_path: Path) -> None:
    """activeOnly, with words and without; counted alike."""
    value_set(tmp_path, {"system": SCT})
    terminology = terms(loaded, tmp_path)
    members = terminology.members(V + "x") or {}
    for text in ("", "diabetes", "retired diabetes"):
        all_of, active = (expansion.Wish(tuple(split(text)), active=active) for active in (False, True))
        there, in_use = (
            {row.code for row in expansion.page(terminology, members, wish, 0, 99)} for wish in (all_of, active)
        )
        assert there - in_use == {"190330002"}
        assert expansion.total(terminology, members, active) == len(in_use)


def test_units_are_a_grammar(loaded: Database, tmp_path: Path) -> None:
    """A unit that is not an atom may be right: it cannot be told."""
    url = value_set(tmp_path, {"system": "http://unitsofmeasure.org"})
    terminology = terms(loaded, tmp_path)
    assert terminology.contains(url, "http://unitsofmeasure.org", "g") is True
    assert terminology.contains(url, "http://unitsofmeasure.org", "mg/dL") is None


def test_pages_add_up(loaded: Database, tmp_path: Path) -> None:
    value_set(tmp_path, {"system": ICD})
    terminology = terms(loaded, tmp_path)
    members = terminology.members(V + "x") or {}
    wish = expansion.Wish(("injury",))
    whole = [row.code for row in expansion.page(terminology, members, wish, 0, 1000)]
    pages = [row.code for start in range(0, 300, 37) for row in expansion.page(terminology, members, wish, start, 37)]
    assert pages == whole
    assert len(whole) == 300
    everything = [row.code for row in expansion.page(terminology, members, expansion.Wish(), 0, 1000)]
    for start in (0, 1, 150, 306, 307, 400):
        rows = expansion.page(terminology, members, expansion.Wish(), start, 20)
        assert [row.code for row in rows] == everything[start : start + 20]


def test_words_that_stand_everywhere_are_not_counted(
    loaded: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A total that would be found by looking at every concept is left out; under a concept with few it is told."""
    monkeypatch.setattr(concepts, "_PROBED", 100)
    monkeypatch.setattr(concepts, "MOST_COUNTED", 310)
    for include, total in (({"system": ICD}, None), (is_a(ICD, "E11"), 0)):
        value_set(tmp_path, include)
        terminology = terms(loaded, tmp_path)
        members = terminology.members(V + "x") or {}
        wish = expansion.Wish(("injury", "number"))
        assert expansion.total(terminology, members, wish) == total
        assert len(expansion.page(terminology, members, wish, 280, 50)) == (20 if total is None else 0)


def test_a_load_that_breaks_off_goes_on(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each chunk it may end; the next one goes on from there, and nobody uses what is half there."""
    monkeypatch.setattr(loading, "CHUNK", 50)
    steps: list[tuple[str, int]] = []

    def broken(step: str, done: int, _total: int) -> None:
        if step != "reading":
            steps.append((step, done))
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            taken(database, tmp_path / "a", "icd-10-cm", report=broken)
        assert large.installed(database) == {}
    assert steps == [("concepts", 50), ("concepts", 100), ("concepts", 150)]
    made = taken(database, tmp_path / "a", "icd-10-cm")
    assert (made.state, made.done) == ("ready", len(ICD_ROWS))
    system = large.installed(database)[ICD]
    assert [code for code, _ in system.walk(Wish(), 1000)] == [row[0][:3] + ("." + row[0][3:] if row[0][3:] else "")
                                                                for row in ICD_ROWS]  # fmt: skip
    assert system.is_under("E11.65", "E11")
    again = taken(database, tmp_path / "a", "icd-10-cm")
    assert again == made._replace(loaded=again.loaded)


def test_a_removal_that_breaks_off_goes_on(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody uses what is half there, and nothing is loaded over it; the next removal takes the rest."""
    monkeypatch.setattr(loading, "CHUNK", 50)
    taken(database, tmp_path / "a", "icd-10-cm")

    def broken(_step: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        (row,) = concepts.systems(database.read())
        with pytest.raises(KeyboardInterrupt):
            loading.remove(database, row, broken)
        assert large.installed(database) == {}
    with pytest.raises(ValueError, match="half removed"):
        taken(database, tmp_path / "a", "icd-10-cm")
    loading.remove(database, concepts.systems(database.read())[0], quiet)
    assert concepts.systems(database.read()) == []
    made = taken(database, tmp_path / "a", "icd-10-cm")
    assert large.installed(database)[ICD].size == made.done == len(ICD_ROWS)


def test_versions_stand_side_by_side(database: Database, tmp_path: Path) -> None:
    """The one loaded last is in force; each can be named, removed, and not be loaded over."""
    taken(database, tmp_path / "a", "icd-10-cm", "2025")
    later = tmp_path / "b"
    later.mkdir()
    newer = files.icd_10_cm(later, [("E11", False, "Newer words")])
    known = distribution.known()["icd-10-cm"]
    loading.load(database, known, Source(newer), "2026", 2000, quiet)
    terminology = terms(database)
    assert terminology.display(ICD, "E11") == "Newer words"
    older = terminology.system(ICD, "2025")
    assert older is not None
    assert older.find("E11.9") is not None
    assert terminology.system(ICD, "2024") is None
    with pytest.raises(ValueError, match="another file"):
        loading.load(database, known, Source(newer), "2025", 3000, quiet)
    row = next(row for row in concepts.systems(database.read()) if row.version == "2026")
    database.write(lambda connection: concepts.remove(connection, row.id))
    assert terms(database).display(ICD, "E11") == "Type 2 diabetes mellitus"


@pytest.mark.parametrize(
    "name",
    ["icd10cm_order_2024.txt", "icd10cm-order-2026.txt", "icd10cm-order-April-1-2026.txt", "ICD10CM-Order-2025.TXT"],
)
def test_the_order_file_is_found_under_each_of_its_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "Code Descriptions"
    folder.mkdir()
    files.icd_10_cm(folder, ICD_ROWS[:3]).rename(folder / name)
    for other in ("icd10cm-order-addenda-2026.txt", "icd10cm_order_addenda_2026.txt", "icd10cm-codes-2026.txt"):
        _written(folder / other, "Add:        A000   Cholera\n")
    source = Source(files.zipped(folder, tmp_path / "codes.zip"))
    read = list(distribution.known()["icd-10-cm"].read(source))
    assert [one.code for one in read] == ["E11", "E11.6", "E11.65"]


def test_terms_of_others_in_the_full_file_are_left_out(tmp_path: Path) -> None:
    """CPT is the American Medical Association's, category II codes and its modifiers included."""
    rows = [("99490", "3", "a CPT code", ""), ("99490", "4", "and more", ""), ("0001F", "3", "another", ""),
            ("   25", "7", "a CPT modifier", ""), ("G9012", "3", "Case management", "")]  # fmt: skip
    read = list(distribution.known()["hcpcs"].read(Source(files.hcpcs(tmp_path, rows))))
    assert [(one.code, one.display) for one in read] == [("G9012", "Case management")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_vaccines_are_read_in_any_encoding_that_the_file_came_in(tmp_path: Path, encoding: str) -> None:
    """The text file of CDC has been UTF-16 with a mark at its start; its codes are filled up with blanks."""
    text = "54        |adenovirus, type 4|Français|a note|Never Active|False|2010/09/30\r\n"
    text += "998|none|none||Inactive|True|x\r\n"
    (tmp_path / "cvx.txt").write_bytes(text.encode(encoding))
    one, two = distribution.known()["cvx"].read(Source(tmp_path / "cvx.txt"))
    assert (one.code, one.display, one.definition, one.active) == ("54", "adenovirus, type 4", "Français", False)
    assert one.properties == {"vaccine-status": ("never-active",), "non-vaccine": (False,), "notes": ("a note",)}
    assert two.properties["non-vaccine"] == (True,)


def test_a_file_that_is_none_of_it_is_refused(database: Database, tmp_path: Path) -> None:
    """Whatever is handed over instead: a sentence that says what should be, nothing begun, the right one is taken."""
    folder = tmp_path / "folder"
    folder.mkdir()
    _written(folder / "a.txt", "x")
    wrong = [
        folder,
        files.zipped(folder, tmp_path / "x.zip"),
        _written(tmp_path / "empty.txt", ""),
        _written(tmp_path / "table.csv", "a,b\n1,2\n"),
        _written(tmp_path / "some.xml", "<a><b/></a>"),
        _written(tmp_path / "words.txt", "These are words in a line that is long enough to be anything.\n" * 3),
        tmp_path / "binary.zip",
    ]
    wrong[-1].write_bytes(b"PK\x03\x04\x8d\x9d\xff" * 100)
    for one in distribution.known().values():
        for path in wrong:
            with pytest.raises(ValueError, match=re.escape(f"Hand over {one.files}.")) as raised:
                loading.load(database, one, Source(path), "1", 1, quiet)
            assert str(raised.value).startswith(path.name)
    assert concepts.systems(database.read()) == []
    assert taken(database, tmp_path / "right", "cvx").state == "ready"


def plan(database: Database, statement: Statement, values: Any) -> str:
    """How the database runs a statement."""
    sql, bound = statement._prepare(database.read(), values)
    if database.dialect == "sqlite":
        driver: Any = database.read().connection.driver_connection
        return "\n".join(row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", bound).fetchall())
    connection: Any = database.read().connection.driver_connection
    import psycopg  # noqa: PLC0415 - the PostgreSQL half alone

    with psycopg.RawCursor(connection) as cursor:
        return "\n".join(row[0] for row in cursor.execute(f"EXPLAIN {sql}", bound).fetchall())


@pytest.mark.parametrize(
    "wish",
    [Wish(("inj",)), Wish(("injury", "12")), Wish(under=("E11",)), Wish(("diab",), ("E11",)),
     Wish(("type", "hyper"), ("E11", "E11.6"), active=True)],
    ids=["word", "words", "under", "word-under", "all"],
)  # fmt: skip
def test_every_filter_goes_by_an_index(loaded: Database, wish: Wish) -> None:
    """No list is read whole: what a filter costs depends on what it finds, not on the size of the system."""
    system = next(row.id for row in concepts.systems(loaded.read()) if row.url == ICD)
    assert list(concepts.page(loaded.read(), system, wish, -1, 10)) or wish.words
    concepts.count(loaded.read(), system, wish)
    values = {**concepts._values(system, wish), "after": -1, "most": 10, "skip": 0}
    for key, statement in concepts._statements.items():
        if key[1:4] == concepts._shape(wish):
            told = plan(loaded, statement, values)
            assert "Seq Scan" not in told, told
            scans = [line for line in told.splitlines() if line.startswith("SCAN") and "concept" in line]
            assert scans == [], told
            if key[4].startswith("word") and loaded.dialect == "sqlite":
                assert "driver USING PRIMARY KEY (system=? AND word>? AND word<?)" in told
            elif key[4].startswith("word"):
                assert re.search(r"concept_word_pkey on concept_word driver", told), told


@pytest.mark.long
def test_a_hundred_thousand_codes_answer_at_once(database: Database, tmp_path: Path) -> None:
    """Expansion of a 100,000-code system by filter: what each finds, and (printed) how long it took."""
    import time  # noqa: PLC0415 - this test alone reads a clock

    letters = "ABCDEFGHIJ"
    rows = [(f"{letters[n // 10_000]}{n % 10_000:04d}", True, f"Finding {n} of the {letters[n % 10]} kind side {n % 7}")
            for n in range(100_000)]  # fmt: skip
    path = files.icd_10_cm(tmp_path, rows)
    start = time.monotonic()
    loading.load(database, distribution.known()["icd-10-cm"], Source(path), "big", 1, quiet)
    spent = {"load": time.monotonic() - start}
    value_set(tmp_path, {"system": ICD})
    terminology = terms(database, tmp_path)
    members = terminology.members(V + "x") or {}
    found = {}
    for text in ("finding", "99999", "find kind side", "finding 4321", "kind 17", "nothing"):
        start = time.monotonic()
        found[text] = len(expansion.page(terminology, members, expansion.Wish(tuple(text.split())), 0, 50))
        spent[text] = time.monotonic() - start
    print({name: round(seconds * 1000, 1) for name, seconds in spent.items()}, "ms")
    assert found == {"finding": 50, "99999": 1, "find kind side": 50, "finding 4321": 11, "kind 17": 50, "nothing": 0}


def test_searches_ask_the_tables(database_url: str, tmp_path: Path) -> None:
    """:below, :above, :in and :not-in over a large system: one statement, however many codes stand there."""
    with closing(open_database(database_url)) as opened:
        taken(opened, tmp_path / "a", "snomed")
        taken(opened, tmp_path / "b", "icd-10-cm")
    with running(database_url, tmp_path / "server") as server:
        client = server.client("clinic")
        subject = {"reference": f"Patient/{stored(client, {'resourceType': 'Patient'})['id']}"}
        for system, code in ((SCT, "44054006"), (SCT, "64572001"), (SCT, "x"), (ICD, "E11.65"), ("urn:o", "44054006")):
            coding = {"system": system, "code": code}
            stored(client, {"resourceType": "Condition", "subject": subject, "code": {"coding": [coding]}})

        def found(query: str) -> list[str]:
            answer = client.get(f"Condition?{query}")
            assert answer.status_code == 200, answer.text
            codings = [one["resource"]["code"]["coding"][0] for one in answer.json().get("entry", [])]
            return sorted(f"{one['system'].rpartition('/')[2]}|{one['code']}" for one in codings)

        assert found(f"code:below={SCT}|73211009") == ["sct|44054006"]
        assert found(f"code:below={SCT}|138875005") == ["sct|44054006", "sct|64572001"]
        assert found(f"code:below={SCT}|no-such") == []
        assert found(f"code:above={SCT}|46635009") == ["sct|64572001"]
        assert found(f"code:below={ICD}|E11") == ["icd-10-cm|E11.65"]
        assert found(f"code:in={SCT}?fhir_vs=isa/73211009") == ["sct|44054006"]
        both = {"include": [is_a(SCT, "73211009"), {"system": ICD, "concept": [{"code": "E11.65"}]}]}
        made = {"resourceType": "ValueSet", "status": "active", "url": V + "stored", "compose": both}
        stored(client, made)
        assert found(f"code:in={V}stored") == ["icd-10-cm|E11.65", "sct|44054006"]
        assert found(f"code:not-in={V}stored") == ["sct|64572001", "sct|x", "urn:o|44054006"]
        assert found(f"code:in={V}stored&_sort=_lastUpdated&_total=accurate&_count=1")
