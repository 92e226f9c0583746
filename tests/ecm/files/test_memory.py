"""A file of any length takes the memory of a row; a bomb takes none."""

import subprocess
import sys
from pathlib import Path

import pytest

from fhir_server.ecm.files.formats import FORMATS
from tests.ecm.files import samples
from tests.ecm.files.test_formats import package

ROOT = Path(__file__).resolve().parents[3]
READ = """
import resource, sys
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.files.layouts import load
from fhir_server.ecm.files.layouts.binding import bind
from fhir_server.ecm.files.reading import parse_assignment
from fhir_server.fhir.errors import Unprocessable
form, rows = FORMATS[sys.argv[1]], 0
try:
    with open(sys.argv[2], "rb") as stream:
        lines = form.open(stream)
        bound = bind(load()["member-information"], lines, form)
        rows = sum(1 for number, cells in lines if parse_assignment(bound, cells, number))
except Unprocessable:
    rows = -1
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def rows_and_mebibytes(form: str, path: Path) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", READ, form, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rows, peak = done.stdout.split()
    return int(rows), int(peak)


def write(path: Path, form: str, rows: int) -> Path:
    with path.open("wb") as stream:
        stream.writelines(FORMATS[form].write(samples.mif_rows(rows)))
    return path


@pytest.mark.long
@pytest.mark.parametrize("form", list(FORMATS))
def test_memory_is_flat_over_the_length_of_a_file(form, tmp_path):
    """From 1,000 to 30,000 rows the peak may grow by what caches hold, not by rows; XLSX included."""
    few, peak_of_few = rows_and_mebibytes(form, write(tmp_path / "few", form, 1_000))
    many, peak_of_many = rows_and_mebibytes(form, write(tmp_path / "many", form, 30_000))
    assert (few, many) == (1_000, 30_000)
    assert peak_of_many - peak_of_few < 8


@pytest.mark.long
@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/media/picture.bin"])
def test_a_bomb_costs_less_than_64_mebibytes(part, tmp_path):
    """T21: 256 MiB of zeros in a quarter of a MiB."""
    (tmp_path / "small").write_bytes(package({}))
    (tmp_path / "bomb").write_bytes(package({part: b"\x00" * (256 << 20)}))
    _, peak_of_small = rows_and_mebibytes("xlsx", tmp_path / "small")
    refused, peak = rows_and_mebibytes("xlsx", tmp_path / "bomb")
    assert refused == -1
    assert peak - peak_of_small < 64
