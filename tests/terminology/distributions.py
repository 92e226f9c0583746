"""Small files in the true form of each publisher's distribution."""

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path


def icd_10_cm(folder: Path, rows: Iterable[tuple[str, bool, str]]) -> Path:
    """An order file of (code without point, whether billable, description)."""
    path = folder / "icd10cm-order-2026.txt"
    lines = [
        f"{number:05d} {code:<7} {int(billable)} {text[:60]:<60} {text}"
        for number, (code, billable, text) in enumerate(rows, 1)
    ]
    path.write_text("\r\n".join(lines) + "\r\n")
    return path


def hcpcs(folder: Path, rows: Iterable[tuple[str, str, str, str]]) -> Path:
    """A contractor file of (code, kind of line, long description, ended)."""
    lines = []
    for number, (code, kind, text, ended) in enumerate(rows):
        line = f"{code:<5}{number:05d}{kind}{text:<80}{text[:28]:<28}"
        lines.append(f"{line:<284}{ended:<8}".ljust(320))
    path = folder / "HCPC2026_APR_ANWEB.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]], encoding: str = "utf-8") -> Path:
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def loinc(folder: Path) -> Path:
    """A release as a zip archive: table and hierarchy."""
    base = folder / "Loinc_2.81"
    header = ["LOINC_NUM", "COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS",
              "STATUS", "CLASSTYPE", "SHORTNAME", "RELATEDNAMES2", "LONG_COMMON_NAME"]  # fmt: skip
    rows = [
        ["4548-4", "Hemoglobin A1c", "MFr", "Pt", "Bld", "Qn", "", "HEM/BC", "ACTIVE", "1", "HbA1c", "A1C; Glycated",
         "Hemoglobin A1c/Hemoglobin.total in Blood"],
        ["1-8", "Old one", "Find", "Pt", "Plas", "Ord", "", "CHEM", "DEPRECATED", "1", "Old", "", "An old one"],
    ]  # fmt: skip
    table(base / "LoincTable" / "Loinc.csv", header, rows)
    paths = [["", "1", "", "LP432695-7", "{component}"], ["LP432695-7", "1", "LP432695-7", "LP16413-4", "Hemoglobin"],
             ["LP432695-7.LP16413-4", "1", "LP16413-4", "4548-4", "HbA1c"]]  # fmt: skip
    table(base / "AccessoryFiles" / "ComponentHierarchyBySystem" / "ComponentHierarchyBySystem.csv",
          ["PATH_TO_ROOT", "SEQUENCE", "IMMEDIATE_PARENT", "CODE", "CODE_TEXT"], paths)  # fmt: skip
    return zipped(base, folder / "Loinc_2.81.zip")


def snomed(folder: Path) -> Path:
    """A snapshot as a zip archive: diabetes with its kinds and its two parents, and a concept out of use."""
    base = folder / "SnomedCT_ManagedServiceUS_PRODUCTION_US1000124_20250901T120000Z" / "Snapshot"
    core, day, primitive = "900000000000207008", "20250901", "900000000000074008"
    names = {
        "138875005": "SNOMED CT Concept", "64572001": "Disease", "73211009": "Diabetes mellitus",
        "44054006": "Diabetes mellitus type 2", "126877002": "Disorder of glucose metabolism",
        "46635009": "Diabetes mellitus type 1", "190330002": "Retired diabetes",
    }  # fmt: skip
    inactive = {"190330002"}
    concepts = [[code, day, "0" if code in inactive else "1", core, primitive] for code in names]
    descriptions, languages, number = [], [], 1000
    for code, name in names.items():
        for kind, term, preferred in (
            ("900000000000003001", f"{name} (thing)", True), ("900000000000013009", name, True),
            ("900000000000013009", f"{name} síndrome", False),
        ):  # fmt: skip
            number += 1
            row = [f"{number}", day, "1", core, code, "en", kind, term, "900000000000448009"]
            descriptions.append(row)
            accepted = "900000000000548007" if preferred else "900000000000549004"
            languages.append([f"l{number}", day, "1", core, "900000000000509007", f"{number}", accepted])
    is_a = [("64572001", "138875005"), ("126877002", "64572001"), ("73211009", "64572001"), ("73211009", "126877002"),
            ("44054006", "73211009"), ("46635009", "73211009")]  # fmt: skip
    relationships = [[f"r{i}", day, "1", core, child, parent, "0", "116680003", "900000000000011006", "x"]
                     for i, (child, parent) in enumerate(is_a)]  # fmt: skip
    relationships.append(["r9", day, "0", core, "64572001", "44054006", "0", "116680003", "900000000000011006", "x"])
    relationships.append(["r8", day, "1", core, "64572001", "44054006", "0", "363698007", "900000000000011006", "x"])
    _rf2(base / "Terminology" / f"sct2_Concept_Snapshot_US1000124_{day}.txt", 5, concepts)
    _rf2(base / "Terminology" / f"sct2_Description_Snapshot-en_US1000124_{day}.txt", 9, descriptions)
    _rf2(base / "Terminology" / f"sct2_Relationship_Snapshot_US1000124_{day}.txt", 10, relationships)
    _rf2(base / "Refset" / "Language" / f"der2_cRefset_LanguageSnapshot-en_US1000124_{day}.txt", 7, languages)
    return zipped(base.parent, folder / "SnomedCT_US.zip")


def _rf2(path: Path, columns: int, rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(["h"] * columns), *("\t".join(row) for row in rows)]
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")


def rxnorm(folder: Path) -> Path:
    """A release's folder: ingredient, clinical drug, a suppressed one, names of another source, one is-a."""
    rrf = folder / "RxNorm_full" / "rrf"
    rrf.mkdir(parents=True)

    def row(rxcui: str, sab: str, tty: str, text: str, suppress: str = "N") -> str:
        return f"{rxcui}|ENG||||||1|||{rxcui}|{sab}|{tty}|{rxcui}|{text}||{suppress}|4096|"

    names = [
        row("6809", "RXNORM", "IN", "metformin"), row("6809", "MMSL", "IN", "Metformin hydrochloride other"),
        row("860975", "RXNORM", "SCD", "24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet"),
        row("860975", "RXNORM", "SY", "metformin HCl 500 MG 24HR ER Tab"),
        row("1", "RXNORM", "SCD", "gone", "O"),
        row("372803", "RXNORM", "SCDF", "metformin Extended Release Oral Tablet"),
    ]  # fmt: skip
    (rrf / "RXNCONSO.RRF").write_text("\n".join(names) + "\n")
    (rrf / "RXNREL.RRF").write_text(
        "372803||CUI|RB|860975||CUI|isa|1||RXNORM|RXNORM||||N||\n"
        "6809||CUI|RO|860975||CUI|has_ingredient|1||RXNORM|RXNORM||||N||\n"
    )
    return folder / "RxNorm_full"


def ucum(folder: Path) -> Path:
    """An essence file of a base unit, a unit and a prefix."""
    path = folder / "ucum-essence.xml"
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<root xmlns="http://unitsofmeasure.org/ucum-essence" version="2.1">'
        '<prefix Code="k" CODE="K"><name>kilo</name><printSymbol>k</printSymbol></prefix>'
        '<base-unit Code="g" CODE="G" dim="M"><name>gram</name><printSymbol>g</printSymbol><property>mass</property>'
        '</base-unit><unit Code="[lb_av]" CODE="[LB_AV]" isMetric="no" class="avoirdupois"><name>pound</name>'
        "<printSymbol>lb</printSymbol><property>mass</property></unit></root>"
    )
    return path


def zipped(folder: Path, path: Path) -> Path:
    """A folder as a zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path
