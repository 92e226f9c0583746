"""FHIR packages are taken apart safely, kept side by side, and enforced."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fhir_server.cli import app
from fhir_server.fhir import packages
from fhir_server.fhir.definitions import Definitions, load
from tests.live import running

pytestmark = pytest.mark.heavy

MANIFEST = {
    "name": "example.guide",
    "version": "1.0.0",
    "fhirVersions": ["4.0.1"],
    "dependencies": {"other.guide": "2"},
}
VALUE_SET = {"resourceType": "ValueSet", "url": "https://example.org/vs", "text": {"div": "long"}, "status": "active"}


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load()


def packed(path: Path, files: dict[str, Any], *members: tarfile.TarInfo) -> Path:
    """A .tgz with these files (JSON unless bytes) and members without content."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
        for member in members:
            archive.addfile(member)
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_definitions_are_kept(tmp_path: Path, definitions: Definitions) -> None:
    param = {"resourceType": "SearchParameter", "url": "urn:p", "base": ["Patient"], "type": "token", "expression": "a"}
    archive = packed(tmp_path / "a.tgz", {
        "package/package.json": MANIFEST,
        "package/ValueSet-x.json": VALUE_SET,
        "package/SearchParameter-old.json": {**param, "code": "birthdate"},
        "package/SearchParameter-new.json": {**param, "code": "shoe-size"},
        "package/ValueSet-wrong.json": {"resourceType": "Patient", "url": "urn:x"},
        "package/ImplementationGuide-x.json": {"resourceType": "ImplementationGuide", "url": "urn:x"},
        "package/example/Patient-x.json": {"resourceType": "Patient"},
        "package/.index.json": {"files": []},
    })  # fmt: skip
    made = packages.install(archive, tmp_path / "p", definitions)
    assert files_of(tmp_path / "p") == {
        f"example.guide#1.0.0/{name}" for name in ("package.json", "ValueSet-x.json", "SearchParameter-new.json")
    }
    assert made.needs == (("other.guide", "2"),)
    assert made.count() == {"SearchParameter": 1, "ValueSet": 1}
    assert load([made.folder]).resource("https://example.org/vs") == {k: v for k, v in VALUE_SET.items() if k != "text"}


@pytest.mark.parametrize(
    "name",
    ["package/../../ValueSet-x.json", "/tmp/ValueSet-x.json", "../ValueSet-x.json", "package/ValueSet-../x.json",
     "package/./../ValueSet-x.json", "package\\..\\ValueSet-x.json", "package/sub/ValueSet-x.json"],
)  # fmt: skip
def test_no_path_leads_out(tmp_path: Path, definitions: Definitions, name: str) -> None:
    """Nothing is written but under the name of the package, whatever a member is called."""
    archive = packed(tmp_path / "a.tgz", {"package/package.json": MANIFEST, name: VALUE_SET})
    packages.install(archive, tmp_path / "in" / "p", definitions)
    assert files_of(tmp_path) == {"a.tgz", "in/p/example.guide#1.0.0/package.json"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_passed_over(tmp_path: Path, definitions: Definitions, kind: bytes) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(VALUE_SET))
    member = link("package/ValueSet-x.json", str(secret), kind)
    archive = packed(tmp_path / "a.tgz", {"package/package.json": MANIFEST}, member)
    made = packages.install(archive, tmp_path / "p", definitions)
    assert made.count() == {}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "name and version"),
        ({"package/package.json": {**MANIFEST, "name": "../evil"}}, "name and version"),
        ({"package/package.json": {**MANIFEST, "version": "1/../../x"}}, "name and version"),
        ({"package/package.json": {**MANIFEST, "fhirVersions": ["5.0.0"]}}, "not for FHIR R4"),
        ({"package/package.json": MANIFEST, "package/ValueSet-x.json": b"{"}, "no JSON"),
        ({"package/package.json": MANIFEST, "package/ValueSet-x.json": b"[]"}, "no JSON object"),
    ],
)
def test_what_is_no_package_leaves_nothing(tmp_path: Path, definitions: Definitions, files: Any, message: str) -> None:
    archive = packed(tmp_path / "a.tgz", files)
    with pytest.raises(ValueError, match=message):
        packages.install(archive, tmp_path / "p", definitions)
    assert files_of(tmp_path / "p") == set()
    archive.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="cannot be read"):
        packages.install(archive, tmp_path / "p", definitions)


def test_a_bomb_is_refused(tmp_path: Path, definitions: Definitions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_MOST_BYTES", 1000)
    archive = packed(tmp_path / "a.tgz", {"package/package.json": MANIFEST, "package/ValueSet-x.json": b" " * 2000})
    with pytest.raises(ValueError, match="more than is taken"):
        packages.install(archive, tmp_path / "p", definitions)


def test_versions_stand_side_by_side(tmp_path: Path, definitions: Definitions) -> None:
    for version in ("1.0.0", "1.1.0", "1.0.0"):
        files = {"package/package.json": {**MANIFEST, "version": version}, "package/ValueSet-x.json": VALUE_SET}
        packages.install(packed(tmp_path / "a.tgz", files), tmp_path / "p", definitions)
    assert [one.version for one in packages.installed(tmp_path / "p")] == ["1.0.0", "1.1.0"]
    packages.remove(tmp_path / "p", "example.guide", "1.0.0")
    assert [one.version for one in packages.installed(tmp_path / "p")] == ["1.1.0"]
    with pytest.raises(ValueError, match="not installed"):
        packages.remove(tmp_path / "p", "example.guide", "1.0.0")


def test_the_newest_version_stands_last(tmp_path: Path, definitions: Definitions) -> None:
    """By numbers, a draft before what it became: without a version the newest is meant."""
    for version in ("10.0.0", "7.0.0", "6.1.0", "7.0.0-ballot"):
        files = {"package/package.json": {**MANIFEST, "version": version}}
        packages.install(packed(tmp_path / "a.tgz", files), tmp_path / "p", definitions)
    found = [one.version for one in packages.installed(tmp_path / "p")]
    assert found == ["6.1.0", "7.0.0-ballot", "7.0.0", "10.0.0"]


def test_a_package_that_is_cut_off_is_refused(tmp_path: Path, definitions: Definitions) -> None:
    """Wherever it ends: in the middle, before the end of the archive, before the sum that proves it whole."""
    archive = packed(tmp_path / "a.tgz", {"package/package.json": MANIFEST, "package/ValueSet-x.json": VALUE_SET})
    whole = archive.read_bytes()
    for end in (len(whole) // 2, len(whole) - 9, len(whole) - 1):
        archive.write_bytes(whole[:end])
        with pytest.raises(ValueError, match="cannot be read"):
            packages.install(archive, tmp_path / "p", definitions)
    deep = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    with pytest.raises(ValueError, match="no JSON"):
        packages.install(packed(archive, {"package/ValueSet-x.json": deep}), tmp_path / "p", definitions)
    assert files_of(tmp_path / "p") == set()


NAMED = {"name": "X", "status": "active"}
PARAMETER = {**NAMED, "resourceType": "SearchParameter", "url": "https://example.org/p", "description": "x",
             "base": ["Patient"], "type": "token", "code": "shoe", "expression": "Patient.shoe("}  # fmt: skip
PROFILE = {
    **NAMED, "resourceType": "StructureDefinition", "url": "https://example.org/profile", "kind": "resource",
    "abstract": False, "type": "Patient", "derivation": "constraint",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
}  # fmt: skip


def test_what_cannot_be_used_is_refused_or_told_by_command(tmp_path: Path) -> None:
    """A server must start with what was installed: what is no right FHIR is refused, with file and element."""
    environment = {"ECM_FHIR_DATA_FOLDER": str(tmp_path), "COLUMNS": "200"}

    def command(*files: tuple[str, Any]) -> tuple[int, str]:
        content = {f"package/{name}.json": one for name, one in files} | {"package/package.json": MANIFEST}
        archive = packed(tmp_path / "a.tgz", content)
        result = CliRunner().invoke(app, ["packages", "install", str(archive)], env=environment)
        return result.exit_code, result.output + str(result.exception or "")

    other = {**PROFILE, "url": "https://example.org/other", "baseDefinition": PROFILE["url"]}
    system = {
        **NAMED,
        "resourceType": "CodeSystem",
        "url": "urn:s",
        "content": "complete",
        "concept": [{"display": "x"}],
    }
    for files, word in (
        ([("CodeSystem-x", system)], "CodeSystem-x.json is no right FHIR R4: CodeSystem.concept[0].code"),
        ([("StructureDefinition-x", {**PROFILE, "kind": "hat"})], "StructureDefinition.kind"),
        ([("StructureDefinition-x", {**PROFILE, "baseDefinition": PROFILE["url"]})], "built on itself"),
        ([("StructureDefinition-x", {**PROFILE, "baseDefinition": other["url"]}), ("StructureDefinition-y", other)],
         "built on itself"),
    ):  # fmt: skip
        code, told = command(*files)
        assert (code, word in told) == (1, True), told
        assert files_of(tmp_path / "packages") == set()
    code, told = command(("SearchParameter-x", PARAMETER))
    assert (code, "Left out: the search parameter shoe" in told, "no definitions" in told) == (0, True, True), told


def test_conflicting_versions_are_held_to_each(database_url: str, tmp_path: Path) -> None:
    """A claim with |version is held to that version, one without to the newest; the statement names a profile once."""

    def needs(path: str) -> dict[str, Any]:
        rows = [{"id": "Patient", "path": "Patient"}, {"id": f"Patient.{path}", "path": f"Patient.{path}", "min": 1}]
        return {**PROFILE, "differential": {"element": rows}}

    definitions = load()
    for version, path in (("9.0.0", "name"), ("10.0.0", "birthDate")):
        files = {"package/package.json": {**MANIFEST, "version": version},
                 "package/StructureDefinition-x.json": {**needs(path), "version": version}}  # fmt: skip
        packages.install(packed(tmp_path / "a.tgz", files), tmp_path / "packages", definitions)
    named, born = {"name": [{"family": "A"}]}, {"birthDate": "2000-01-01"}
    with running(database_url, tmp_path) as server:
        client = server.client("one")
        for version, right, wrong in (("|9.0.0", named, born), ("|10.0.0", born, named), ("", born, named)):
            claim = {"resourceType": "Patient", "meta": {"profile": [PROFILE["url"] + version]}}
            assert client.post("Patient", {**claim, **right}).status_code == 201
            assert client.post("Patient", {**claim, **wrong}).status_code == 422
        unknown = {"resourceType": "Patient", "meta": {"profile": [PROFILE["url"] + "|11.0.0"]}, **named, **born}
        assert client.post("Patient", unknown).status_code == 422
        stated = client.get("metadata").json()["rest"][0]["resource"]
        supported = next(row["supportedProfile"] for row in stated if row["type"] == "Patient")
        assert supported.count(PROFILE["url"]) == 1


def test_us_core_is_installed_by_command_and_enforced(database_url: str, tmp_path: Path, shared_data: Path) -> None:
    """A claim of a profile that is not installed is refused as unknown; installed, it is held to."""
    environment = {"ECM_FHIR_DATA_FOLDER": str(tmp_path), "ECM_FHIR_DATABASE_URL": database_url, "COLUMNS": "200"}

    def command(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["packages", *arguments], env=environment)
        assert result.exit_code == 0, result.output
        return result.output

    profile = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
    right = {"resourceType": "Patient", "meta": {"profile": [profile]}, "gender": "female", "name": [{"family": "A"}],
             "identifier": [{"system": "urn:x", "value": "1"}]}  # fmt: skip
    wrong = {name: value for name, value in right.items() if name not in {"gender", "identifier"}}
    wrong["identifier"] = [{"system": "urn:x", "value": "2"}]
    with running(database_url, tmp_path) as server:
        refused = server.client("one").post("Patient", right)
        assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "not-supported")
    told = command("install", str(shared_data / "us_core_700.tgz"))
    assert "hl7.fhir.us.core 7.0.0" in told
    assert "hl7.terminology.r4" in told
    assert "US Core" in command("list")
    with running(database_url, tmp_path) as server:
        client = server.client("two")
        assert client.post("Patient", right).status_code == 201
        broken = client.post("Patient", wrong)
        assert broken.status_code == 422
        assert "gender" in broken.text
        stated = client.get("metadata").json()["rest"][0]["resource"]
        assert profile in next(row["supportedProfile"] for row in stated if row["type"] == "Patient")
        assert client.get("Patient?race=2106-3").status_code == 200
    command("remove", "hl7.fhir.us.core", "--release", "7.0.0")
    assert "US Core" not in command("list")
