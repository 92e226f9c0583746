"""The command line of registrations: client systems, their keys, rights and verified numbers, and tokens for curl."""

import json
import os
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fhir_server.config import Settings, from_environment
from fhir_server.engine import enrolment
from fhir_server.engine.build import build, clock
from fhir_server.engine.context import Engine
from fhir_server.engine.events import Event
from fhir_server.engine.registration import recompute_for
from fhir_server.smart import clients, keys
from fhir_server.smart.backend import ALL_SCOPES, BackendService, key_path, read_key
from fhir_server.smart.backend import new_key as make_key
from fhir_server.store.db import open_database

clients_app = typer.Typer(
    no_args_is_help=True, help="Client systems: register, list, extend, narrow, rekey, deactivate."
)
console = Console()


def _settings() -> Settings:
    settings = from_environment()
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return settings


@clients_app.command("register")
def clients_register(
    client_id: Annotated[str, typer.Argument(help="Its id, such as valley-plan-jobs.")],
    organization: Annotated[str, typer.Option(help="The Organization it acts for: Organization/[id].")],
    law_class: Annotated[str, typer.Option(help="covered, part2, non-hipaa or operator.")],
    scopes: Annotated[str, typer.Option(help="What it may do, such as 'system/*.cruds'.")],
    name: Annotated[str, typer.Option(help="Its name for people.")] = "",
    purposes: Annotated[str, typer.Option(help="Purposes of use; the first one counts.")] = "TREAT",
    rights: Annotated[str, typer.Option(help="Further rights, such as assign (a plan's assignment files).")] = "",
    identifier: Annotated[
        list[str] | None,
        typer.Option(help="A verified number of its organization, as system|value; may be given again for another."),
    ] = None,
    jwks: Annotated[str, typer.Option(help="File with its public key set (JWKS).")] = "",
    jwks_uri: Annotated[str, typer.Option(help="Or the https URL of its key set.")] = "",
    new_key: Annotated[str, typer.Option(help="Or: make a key pair and write the private key to this file.")] = "",
) -> None:
    """Register a client system (SMART Backend Services) for an organization.

    Example: a plan's nightly job, its key made here and kept in the data folder:

      ecm-fhir clients register valley-plan --organization Organization/valley-plan --law-class covered
      --scopes "system/*.cruds" --purposes HOPERAT --rights assign --new-key var/clients/valley-plan.json

    Example: a provider, whose NPI was looked up and is its own. Assignment files reach it by this number:

      ecm-fhir clients register harbor-clinic --organization Organization/harbor-clinic --law-class covered
      --scopes "system/*.cruds" --identifier "http://hl7.org/fhir/sid/us-npi|1234567893" --jwks-uri https://...
    """
    engine = build(_settings())
    key_set = _key_set(jwks, new_key)
    made = clients.register(
        engine.database, client_id=client_id, name=name or client_id, organization=organization,
        law_class=law_class, scopes=scopes, now_ms=clock(), purposes=purposes, rights=rights, jwks=key_set,
        jwks_uri=jwks_uri, identifiers=identifier or [],
    )  # fmt: skip
    recompute_for(engine, made.organization)
    _tell(engine, f"clients register {made.id} {made.organization} {made.law_class} {made.scopes} {made.rights}")
    console.print(f"Registered [bold]{made.id}[/bold] for {made.organization} ({made.law_class}): {made.scopes}")
    engine.close()


def _key_set(jwks: str, new_key: str) -> dict[str, Any] | None:
    """The public key set in a file, or of a key pair made now; None if neither is named."""
    if new_key:
        return keys.key_set(make_key(Path(new_key)))
    found: dict[str, Any] | None = json.loads(Path(jwks).read_text()) if jwks else None
    return found


def _tell(engine: Engine, what: str) -> None:
    """Put what an administrator did into the audit trail; `engine.close()` stores it."""
    who = f"user {os.getuid()} on {gethostname()}"
    engine.reads.append(Event(clock() * 1000, "", "admin", 200, "", 0, "", "", [], f"{who}: {what.rstrip()}"))


@clients_app.command("token")
def clients_token(
    client_id: Annotated[str, typer.Argument(help="The client's id.")],
    scopes: Annotated[str, typer.Option(help="Ask for these only, such as 'system/Patient.rs'.")] = ALL_SCOPES,
    key: Annotated[str, typer.Option(help="File with its private key; default clients/ID.json.")] = "",
    server: Annotated[str, typer.Option(help="FHIR base URL; default from the settings.")] = "",
) -> None:
    """Print a fresh access token of a client, for curl. The server must be running.

    Example:
      TOKEN=$(ecm-fhir clients token almond-clinic)

      curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/fhir/Patient
    """
    settings = from_environment()
    private = read_key(Path(key) if key else key_path(settings.folder, client_id))
    typer.echo(BackendService(server or settings.base_url, client_id, private, scopes).token())


@clients_app.command("list")
def clients_list() -> None:
    """List the registered clients."""
    database = open_database(_settings().url)
    known = enrolment.identifiers_of(database.read())
    table = Table()
    for name in ("id", "organization", "law class", "scopes", "rights", "verified", "active"):
        table.add_column(name, overflow="fold", no_wrap=name == "verified")
    for row in clients.list_all(database):
        active, verified = "yes" if row.active else "no", "\n".join(known.get(row.organization, []))
        table.add_row(row.id, row.organization, row.law_class, row.scopes, row.rights, verified, active)
    console.print(table)
    database.close()


@clients_app.command("extend")
def clients_extend(
    client_id: Annotated[str, typer.Argument(help="The client's id.")],
    rights: Annotated[str, typer.Option(help="Rights to add, such as assign.")] = "",
    identifier: Annotated[
        list[str] | None, typer.Option(help="A verified number of its organization to add, as system|value.")
    ] = None,
) -> None:
    """Give a client further rights, or its organization further verified numbers.

    Example:
      ecm-fhir clients extend harbor-clinic --identifier "http://hl7.org/fhir/sid/us-npi|1234567893"
    """
    engine = build(_settings())
    changed = clients.extend(engine.database, client_id, clock(), rights, identifier or [])
    known = enrolment.identifiers_of(engine.database.read()).get(changed.organization, [])
    _tell(engine, f"clients extend {client_id} {rights} {' '.join(identifier or [])}")
    console.print(f"{changed.id} has the rights: {changed.rights or 'none'}. {changed.organization}: {known}.")
    engine.close()


@clients_app.command("narrow")
def clients_narrow(
    client_id: Annotated[str, typer.Argument(help="The client's id.")],
    scopes: Annotated[str, typer.Option(help="No more than these scopes; default: those it has.")] = "",
    without: Annotated[str, typer.Option(help="Rights to take away, such as assign.")] = "",
) -> None:
    """Take scopes or rights from a client: new tokens lack them, and jobs that need them stop at their next chunk.

    Example:
      ecm-fhir clients narrow harbor-clinic --scopes "system/*.rs"
    """
    engine = build(_settings())
    changed = clients.narrow(engine.database, client_id, scopes, without)
    _tell(engine, f"clients narrow {client_id} {scopes} without {without}")
    console.print(f"{changed.id} has the scopes {changed.scopes} and the rights: {changed.rights or 'none'}.")
    engine.close()


@clients_app.command("rekey")
def clients_rekey(
    client_id: Annotated[str, typer.Argument(help="The client's id.")],
    jwks: Annotated[str, typer.Option(help="File with its public key set (JWKS).")] = "",
    jwks_uri: Annotated[str, typer.Option(help="Or the https URL of its key set.")] = "",
    new_key: Annotated[str, typer.Option(help="Or: make a key pair and write the private key to this file.")] = "",
) -> None:
    """Give a client other keys in place of those it has: they count from the next token request.

    To change keys without a pause, register a set with the old and the new one first, then the new one alone.

    Example:
      ecm-fhir clients rekey harbor-clinic --jwks harbor-clinic.jwks.json
    """
    engine = build(_settings())
    clients.replace_keys(engine.database, client_id, _key_set(jwks, new_key), jwks_uri)
    _tell(engine, f"clients rekey {client_id}")
    console.print(f"{client_id} has other keys.")
    engine.close()


@clients_app.command("deactivate")
def clients_deactivate(client_id: Annotated[str, typer.Argument(help="The client's id.")]) -> None:
    """End a client: its tokens stop at the next request."""
    engine = build(_settings())
    clients.deactivate(engine.database, client_id)
    _tell(engine, f"clients deactivate {client_id}")
    console.print(f"{client_id} is deactivated.")
    engine.close()
