"""The command line: `ecm-fhir --help` teaches it."""

import os
import signal
import socket
import sys
from dataclasses import fields, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fhir_server.config import PREFIX, Settings, from_environment
from fhir_server.engine import audit, heads, segments
from fhir_server.engine.access_commands import access_app
from fhir_server.engine.build import build
from fhir_server.engine.commands import packages_app, terminology_app
from fhir_server.engine.context import Engine
from fhir_server.fhir.errors import FHIRError
from fhir_server.jobs.worker import Worker
from fhir_server.rest.commands import stored_app
from fhir_server.smart.commands import clients_app
from fhir_server.store import audits
from fhir_server.store.db import open_database
from fhir_server.store.migrations import migrate, require_current, version

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The FHIR exchange for Enhanced Care Management.")
db_app = typer.Typer(no_args_is_help=True, help="The database: migrate it, see its version.")
audit_app = typer.Typer(no_args_is_help=True, help="The audit trail: verify that nothing was changed.")
app.add_typer(db_app, name="db")
app.add_typer(clients_app, name="clients")
app.add_typer(audit_app, name="audit")
app.add_typer(access_app, name="access")
app.add_typer(terminology_app, name="terminology")
app.add_typer(packages_app, name="packages")
app.add_typer(stored_app, name="stored")
if find_spec("fhir_server.ecm") is not None:
    import_module("fhir_server.ecm.commands").mount(app)
console = Console()


def main() -> None:
    """The console script."""
    try:
        app()
    except (FHIRError, ValueError) as error:
        Console(stderr=True).print(f"[red]{error}[/red]")
        raise SystemExit(1) from error


def settings_in_force() -> Settings:
    """The settings of the environment, with the data folder made."""
    settings = from_environment()
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return settings


@db_app.command("migrate")
def db_migrate() -> None:
    """Bring the database to the newest schema; safe to repeat."""
    settings = settings_in_force()
    database = open_database(settings.url)
    migrate(database)
    console.print(f"The database is at schema version {version(database)[0]}.")
    database.close()


@db_app.command("version")
def db_version() -> None:
    """Show the schema version of the database and the newest one."""
    database = open_database(settings_in_force().url)
    present, newest = version(database)
    console.print(f"Database: {present or 'empty'}. Newest: {newest}.")
    database.close()


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; default from the settings.")] = "",
    port: Annotated[int, typer.Option(help="Port to listen on; default from the settings.")] = 0,
) -> None:
    """Start the server (and, on SQLite, the worker inside it). Stop it with Ctrl-C."""
    from fhir_server.rest import serving  # noqa: PLC0415 - only the server needs its engine

    settings = settings_in_force()
    _require_schema(settings)
    _require_port(host or settings.host, port or settings.port)
    console.print(f"FHIR base: [bold]{settings.base_url}[/bold]  (CapabilityStatement: /metadata, no token needed)")
    _invite(settings)
    serving.serve("fhir_server.app:create_app", settings, host or settings.host, port or settings.port)


def _require_schema(settings: Settings) -> None:
    database = open_database(settings.url)
    try:
        require_current(database)
    finally:
        database.close()


def _require_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            other = port + 1
            raise ValueError(
                f"Port {port} of {host} cannot be had: {error.strerror}. Another one: ECM_FHIR_PORT={other} "
                f"ECM_FHIR_BASE_URL=http://{host}:{other}/fhir in front of the command."
            ) from error


def _invite(settings: Settings) -> None:
    """Say how to call the server, where keys of clients are at hand."""
    names = sorted(path.stem for path in settings.folder.glob("clients/*.json"))
    if not names:
        console.print(f"No client has a key here yet. See: {_program()} clients register --help")
        return
    queries = ("Group?_summary=count", "Patient?_count=2", "Task?status=requested&_include=Task:focus")
    lines = [f"TOKEN=$({_program()} clients token {names[0]})"]
    lines += [f'curl -H "Authorization: Bearer $TOKEN" "{settings.base_url}/{query}"' for query in queries]
    told = "\n  ".join(lines)
    console.print(f"In a second terminal (a token lives five minutes; clients: {', '.join(names)}):\n  {told}",
                  markup=False, highlight=False, soft_wrap=True)  # fmt: skip


def _program() -> str:
    """This command as it was called."""
    return os.path.relpath(sys.argv[0]) if Path(sys.argv[0]).name == "ecm-fhir" else "ecm-fhir"


@app.command()
def worker() -> None:
    """Run jobs (such as imports) in this process, beside servers with ECM_FHIR_EMBEDDED_WORKER=false.

    Any number of workers may run; a job whose worker dies is taken over. Stop it with Ctrl-C: the chunk at hand is
    finished, the rest of the job is taken up by the next worker.
    """
    settings = settings_in_force()
    _require_schema(settings)
    engine: Engine = import_module("fhir_server.app").create_engine(settings)
    engine.start()
    hand = Worker(engine)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: hand.stop())
    console.print(f"Working on the jobs of {engine.database.dialect}. Stop with Ctrl-C.")
    hand.loop()
    engine.close()


@app.command("settings")
def show_settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/settings.md instead.")] = False,
) -> None:
    """List every setting with its value and meaning."""
    if markdown:
        print(settings_page(), end="")
        return
    table = Table("variable", "value", "meaning")
    now = from_environment()
    for row in fields(Settings):
        table.add_row(PREFIX + row.name.upper(), str(getattr(now, row.name)), row.metadata["help"])
    console.print(table)


def settings_page() -> str:
    """The page of the documentation that lists the settings."""
    rows = "".join(_settings_line(row.name, row.default, row.metadata["help"]) for row in fields(Settings))
    return f"""# Settings

Environment variables, read once at the start. A variable that begins with `{PREFIX}` and is not listed here stops the
program, so that a mistyped one is noticed. `ecm-fhir settings` shows the values in force; this page is what
`ecm-fhir settings --markdown` prints.

| variable | default | meaning |
|---|---|---|
{rows}"""


def _settings_line(name: str, default: object, help_text: str) -> str:
    shown = f"`{default}`" if str(default) else ""
    return f"| `{PREFIX}{name.upper()}` | {shown} | {help_text} |\n"


@audit_app.command("verify")
def audit_verify() -> None:
    """Walk every audit chain and say whether a row was changed or removed, from its end too.

    The ends of the chains are compared with audit/heads.log in the data folder, or with a copy of it that you kept.
    """
    engine = build(replace(settings_in_force()))
    known = heads.read(engine.settings.folder / "audit", engine.database, engine.secret)
    count, broken = audit.verify(engine.database, engine.secret, known.heads)
    missing = audits.guards_missing(engine.database.read())
    engine.database.close()
    if known.wrong:
        console.print(f"[red]{known.wrong}[/red]")
    spoiled = sorted(path.name for path in (engine.settings.folder / "audit").glob(f"{segments.SET_ASIDE}*"))
    if spoiled:
        console.print(f"[red]Reads were lost to the trail with lines of these files: {', '.join(spoiled)}.[/red]")
    if missing:
        console.print(f"[red]Triggers that refuse changes of the trail are gone or off: {', '.join(missing)}.[/red]")
    if broken is not None:
        console.print(f"[red]After {count} sound rows, chain {broken} is broken: a row was changed or removed.[/red]")
    if broken is not None or known.wrong or missing or spoiled:
        raise typer.Exit(1)
    console.print(f"{count} audit rows, every chain is sound.")


if __name__ == "__main__":
    main()
