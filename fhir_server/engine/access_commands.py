"""The command that explains who could see a resource."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fhir_server.config import from_environment
from fhir_server.engine.explaining import who_could_see
from fhir_server.fhir.values import parse_date
from fhir_server.store.db import open_database

access_app = typer.Typer(no_args_is_help=True, help="Access: who could see what, and why.")
console = Console()


@access_app.callback()
def _access() -> None:
    """Commands on access."""


@access_app.command("who-could-see")
def access_who_could_see(
    reference: Annotated[str, typer.Argument(help="The resource: Type/id.")],
    at: Annotated[str, typer.Option(help="The instant (or day, its end counts) that is asked about.")],
) -> None:
    """Say which organizations could see a resource at an instant, and why, as it was recorded by then.

    Example:
      ecm-fhir access who-could-see Patient/0190f7 --at 2026-10-31T12:00:00-07:00
    """
    settings = from_environment()
    database = open_database(settings.url)
    try:
        found = who_could_see(database.read(), settings, reference, parse_date(at, settings.zone)[1] - 1)
    finally:
        database.close()
    table = Table("organization", "sees", "rule", "because of", "for")
    for one in found:
        table.add_row(one.organization, one.shown, one.rule, ", ".join(one.because), ", ".join(one.purposes))
    console.print(table)
