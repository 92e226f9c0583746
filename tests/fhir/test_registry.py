"""A folder is a registry."""

import importlib
import sys

import pytest

from fhir_server.fhir.registry import entries


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "some_registry"
    folder.mkdir()
    for name, text in {
        "__init__": "",
        "b": "ENTRY = 'b'",
        "a": "ENTRY = 'a'",
        "_helper": "",
        "notes": "ENTRY = 3",
    }.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("some_registry")
    for name in [name for name in sys.modules if name.startswith("some_registry")]:
        del sys.modules[name]


def test_every_file_gives_its_constant_in_order(package):
    assert entries(package, "ENTRY") == ("a", "b", 3)


def test_a_file_without_the_constant_is_an_error(package):
    with pytest.raises(AttributeError):
        entries(package, "OTHER")
