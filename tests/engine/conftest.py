"""An engine of its own for every test, and callers of any organization."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.config import Settings
from fhir_server.engine import repository, writing
from fhir_server.engine.build import build
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Context, Engine
from fhir_server.fhir import definitions as definitions_module
from fhir_server.store.hashing import rh


def caller(org: str = "plan", law_class: str = "covered", scopes: str = "system/*.cruds", **more: Any) -> Caller:
    name = f"Organization/{org}"
    return Caller(f"{org}-client", name, rh(name), law_class, parse(scopes), more.pop("purpose", "TREAT"), **more)


class Org:
    """One organization's hands: each call is a request of its own."""

    def __init__(self, engine: Engine, who: Caller) -> None:
        self.engine, self.who = engine, who

    def context(self) -> Context:
        return self.engine.context(self.who, "request-1", "127.0.0.1")

    def create(self, resource: dict[str, Any], fid: str | None = None) -> Change:
        context = self.context()
        body = json.dumps(resource).encode()
        return repository.create(context, writing.draft(context, resource["resourceType"], body), fid)

    def update(self, made: Change, resource: dict[str, Any], tag: int | None = None) -> Change:
        context = self.context()
        body = json.dumps({**resource, "id": made.row.fid}).encode()
        return repository.update(context, writing.draft(context, made.type, body), made.row.fid, tag, required=False)

    def delete(self, made: Change) -> Change | None:
        return repository.delete(self.context(), made.type, made.row.fid)

    def read(self, made: Change) -> Any:
        return repository.read(self.context(), made.type, made.row.fid)

    def sees(self, made: Change) -> bool:
        from fhir_server.fhir.errors import NotFound  # noqa: PLC0415 - beside its use

        try:
            self.read(made)
        except NotFound:
            return False
        return True


@pytest.fixture(scope="session", autouse=True)
def definitions_once() -> Iterator[None]:
    """The definitions never change during a run: loading them once keeps a hundred engines cheap."""
    original, known = definitions_module.load, {}
    from fhir_server.engine import build as build_module  # noqa: PLC0415 - patched here alone

    def load(folders: Any = ()) -> Any:
        key = tuple(map(str, folders))
        if key not in known:
            known[key] = original(folders)
        return known[key]

    patch = pytest.MonkeyPatch()
    patch.setattr(build_module, "load", load)
    yield
    patch.undo()


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    """A started engine without guests."""
    made = build(Settings(data_folder=str(tmp_path / "var"), database_url=database_url))
    made.start()
    yield made
    made.close()


@pytest.fixture
def org(engine: Engine) -> Callable[..., Org]:
    """A function from an organization's name to its hands."""
    return lambda name="plan", **more: Org(engine, caller(name, **more))
