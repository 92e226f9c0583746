"""The command line of FHIR packages: install, list, remove."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fhir_server.config import from_environment
from fhir_server.fhir import definitions, packages

packages_app = typer.Typer(no_args_is_help=True, help="FHIR packages (guides): install, list, remove.")
console = Console()


@packages_app.command("install")
def packages_install(
    path: Annotated[Path, typer.Argument(help="The package as published: a .tgz file.", exists=True, dir_okay=False)],
) -> None:
    """Install a FHIR package; its profiles are enforced by servers from their next start.

    Example: ecm-fhir packages install hl7.fhir.us.core-7.0.0.tgz
    """
    folder = from_environment().packages_folder
    made = packages.install(path, folder, definitions.load())
    told = ", ".join(f"{number} {kind}" for kind, number in made.count().items())
    console.print(f"[bold]{made.name} {made.version}[/bold]: {told}. Servers enforce it from their next start.")
    there = {one.name for one in packages.installed(folder)}
    missing = [f"{name} {version}" for name, version in made.needs if name not in there]
    if missing:
        console.print(f"It builds on packages that are not installed, and does without them: {', '.join(missing)}.")


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
