"""The command line of what is installed beside the code: large code systems, and FHIR packages."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from fhir_server.config import from_environment
from fhir_server.engine.build import clock
from fhir_server.fhir import definitions, packages
from fhir_server.fhir.errors import FHIRError, NotSupported
from fhir_server.search.custom import judged
from fhir_server.store import concepts
from fhir_server.store.concepts import LOADING, REMOVING
from fhir_server.store.db import Database, open_database
from fhir_server.store.migrations import require_current
from fhir_server.terminology import distribution, loading
from fhir_server.terminology.distribution import Source
from fhir_server.validation import structure
from fhir_server.validation.unenforced import unenforced

terminology_app = typer.Typer(no_args_is_help=True, help="Large code systems: load, list, remove.")
packages_app = typer.Typer(no_args_is_help=True, help="FHIR packages (guides): install, list, remove.")
console = Console()


def _database() -> Database:
    database = open_database(from_environment().url)
    require_current(database)
    return database


@terminology_app.command("load")
def terminology_load(
    name: Annotated[str, typer.Argument(help="Which: see `ecm-fhir terminology list`.")],
    path: Annotated[Path, typer.Argument(help="The publisher's file, folder or zip archive.", exists=True)],
    release: Annotated[str, typer.Option(help="Its version, such as 2026 or 2.81; for SNOMED CT its version URI.")],
) -> None:
    """Load a code system from its publisher's distribution; broken off, it goes on where it was.

    Example: ecm-fhir terminology load icd-10-cm icd10cm-order-2026.txt --release 2026
    """
    known = distribution.known()
    if name not in known:
        raise ValueError(f"There is no distribution {name}. Known: {', '.join(sorted(known))}.")
    database = _database()
    try:
        with _bar() as bar:
            system = loading.load(database, known[name], Source(path), release, clock(), _Report(bar))
    finally:
        database.close()
    console.print(f"{system.name} {system.version}: {system.done} concepts. Servers use it from their next start.")


@terminology_app.command("list")
def terminology_list() -> None:
    """List the distributions that can be loaded, and the versions that are."""
    database = _database()
    offered = Table("name", "code system", "hand over", title="Can be loaded")
    for one in distribution.known().values():
        offered.add_row(one.name, one.url, one.files)
    loaded = Table(
        "code system", "version", "concepts", "state", title="Loaded; of several versions the first is in force"
    )
    for row in concepts.systems(database.read()):
        loaded.add_row(row.url, row.version, str(row.done), _STATES.get(row.state, row.state))
    database.close()
    console.print(offered)
    console.print(loaded)


@terminology_app.command("remove")
def terminology_remove(
    url: Annotated[str, typer.Argument(help="The URL of the code system.")],
    release: Annotated[str, typer.Option(help="Which version.")],
) -> None:
    """Remove one version of a code system; servers forget it with their next start."""
    database = _database()
    rows = [row for row in concepts.systems(database.read()) if (row.url, row.version) == (url, release)]
    with _bar() as bar:
        for row in rows:
            loading.remove(database, row, _Report(bar))
    database.close()
    if not rows:
        raise ValueError(f"{url} {release} is not loaded.")
    console.print(f"{url} {release} is removed.")


def _bar() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console)


_STATES = {LOADING: "broken off: load it again", REMOVING: "half removed: remove it again"}


class _Report:
    """One bar for each step of a load."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._bar.add_task(step, total=total or None)
        self._bar.update(self._tasks[step], completed=done)


@packages_app.command("install")
def packages_install(
    path: Annotated[Path, typer.Argument(help="The package as published: a .tgz file.", exists=True, dir_okay=False)],
) -> None:
    """Install a FHIR package; its profiles are enforced by servers from their next start.

    Example: ecm-fhir packages install hl7.fhir.us.core-7.0.0.tgz
    """
    folder = from_environment().packages_folder
    judge = _Judge()
    made = packages.install(path, folder, judge.known, judge)
    told = ", ".join(f"{number} {kind}" for kind, number in made.count().items()) or "no definitions that are kept"
    console.print(f"[bold]{made.name} {made.version}[/bold]: {told}. Servers enforce it from their next start.")
    for reason in judge.left_out:
        console.print(f"Left out: {reason}")
    for rule in unenforced(definitions.load([made.folder]).all("StructureDefinition")):
        console.print(f"Not enforced: rule {rule.key} of {rule.profile}: {rule.reason}.")
    there = {one.name for one in packages.installed(folder)}
    missing = [f"{name} {version}" for name, version in made.needs if name not in there]
    if missing:
        console.print(f"It builds on packages that are not installed, and does without them: {', '.join(missing)}.")


class _Judge:
    """Whether the definitions of a package can be used; remembers which search parameters cannot, and why."""

    def __init__(self) -> None:
        self.known = definitions.load()
        self.left_out: list[str] = []
        self._bases: dict[str, str] = {}

    def __call__(self, file: str, resource: dict[str, Any]) -> bool:
        try:
            structure.check(resource["resourceType"], resource)
        except FHIRError as error:
            one = error.issues[0]
            raise ValueError(f"{file} is no right FHIR R4: {one.expression}: {one.diagnostics}.") from error
        self._require_an_end(file, resource)
        if resource["resourceType"] != "SearchParameter" or resource["type"] == "composite":
            return True
        try:
            judged(self.known, resource)
        except NotSupported as error:
            self.left_out.append(f"the search parameter {resource['code']}. {error}")
            return False
        return True

    def _require_an_end(self, file: str, resource: dict[str, Any]) -> None:
        """ValueError if a profile is built on itself, by way of others of the package or directly."""
        self._bases[resource["url"]] = resource.get("baseDefinition", "")
        passed, base = {resource["url"]}, resource.get("baseDefinition", "")
        while base in self._bases and base not in passed:
            passed.add(base)
            base = self._bases[base]
        if base in passed:
            raise ValueError(f"{file}: the profile {base[:64]} is built on itself.")


@packages_app.command("list")
def packages_list() -> None:
    """List the installed packages."""
    table = Table("name", "version", "profiles", "title")
    for one in packages.installed(from_environment().packages_folder):
        table.add_row(one.name, one.version, str(one.count().get("StructureDefinition", 0)), one.title)
    console.print(table)


@packages_app.command("remove")
def packages_remove(
    name: Annotated[str, typer.Argument(help="Its name, such as hl7.fhir.us.core.")],
    release: Annotated[str, typer.Option(help="Which version.")],
) -> None:
    """Remove one version of a package; servers forget it with their next start."""
    packages.remove(from_environment().packages_folder, name, release)
    console.print(f"{name} {release} is removed.")
