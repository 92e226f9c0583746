"""Published data is found in a checkout and in an installed package."""

import subprocess
import sys
from pathlib import Path

import pytest

from fhir_server.fhir import folders

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["profiles", "terminology"])
def test_a_checkout_uses_the_folders_beside_the_package(name: str) -> None:
    assert folders.data_folder(name) == ROOT / name


def test_an_unknown_folder_is_named_with_the_places_looked_at() -> None:
    words = r"'nothing' is neither beside the package \(.*\) nor inside it \(.*_data"
    with pytest.raises(FileNotFoundError, match=words):
        folders.data_folder("nothing")


@pytest.mark.long
def test_an_installed_package_brings_its_data(tmp_path: Path) -> None:
    """A wheel installed elsewhere finds both folders inside itself, with every file of the checkout."""
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(tmp_path / "lib"), str(wheel)], check=True)
    # -P and -S keep the checkout, which an editable install puts on the path, out of sight.
    ask = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'lib')!r});"
        "from fhir_server.fhir.folders import data_folder;"
        "[print(data_folder(name)) for name in ('profiles', 'terminology')]"
    )
    command = [sys.executable, "-P", "-S", "-c", ask]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = [Path(line) for line in done.stdout.splitlines()]
    assert found == [tmp_path / "lib" / "fhir_server" / "_data" / name for name in ("profiles", "terminology")]
    for folder in found:
        shipped = {path.relative_to(folder) for path in folder.rglob("*.json")}
        beside = {path.relative_to(ROOT / folder.name) for path in (ROOT / folder.name).rglob("*.json")}
        assert shipped == beside
        assert shipped
