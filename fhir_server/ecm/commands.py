"""The programme's part of the command line: load the synthetic world, send an assignment file, play the story."""

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fhir_server.config import Settings, from_environment
from fhir_server.ecm.client import enlisting, loading, local_server, world
from fhir_server.ecm.client.sending import Imported, decide, parked, rows_of, send
from fhir_server.ecm.demo import performance
from fhir_server.ecm.files.assignments.declaring import MODES
from fhir_server.engine.build import build, clock
from fhir_server.engine.registration import recompute_for
from fhir_server.smart import clients
from fhir_server.smart.backend import BackendService, ClientError, key_path, read_key
from fhir_server.store.db import open_database
from fhir_server.store.migrations import migrate

_SHOWN_FINDINGS = 5

console = Console()
seed_app = typer.Typer(no_args_is_help=True, help="The synthetic world: plans, providers, members, referrals.")
assignments_app = typer.Typer(no_args_is_help=True, help="Assignment files of health plans.")


def mount(app: typer.Typer) -> None:
    """Add the programme's commands to the command line."""
    app.add_typer(seed_app, name="seed")
    app.add_typer(assignments_app, name="assignments")
    app.command("demo")(demo)


@seed_app.command("load")
def seed_load(
    *,
    members: Annotated[int, typer.Option(min=1, help="How many members the world has.")] = 300,
    if_empty: Annotated[bool, typer.Option("--if-empty", help="Do nothing if clients are registered already.")] = False,
) -> None:
    """Generate the synthetic world into the data folder and load it, each file as the organization that would send it.

    It goes in over HTTP: through the running server, or one started for the purpose. Every organization gets a client
    with a key of its own in clients/ of the data folder. Loading again changes nothing.

    Examples:
      ecm-fhir seed load

      ecm-fhir seed load --members 1000

      ECM_FHIR_DATA_FOLDER=/tmp/try ecm-fhir seed load
    """
    settings = from_environment()
    unfinished = settings.folder / "seed" / "unfinished"
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if if_empty and not unfinished.exists() and _has_clients(settings):
        console.print("Clients are registered already: the synthetic world is not loaded.")
        return
    folder = world.generate(settings.folder / "seed", members)
    unfinished.touch()
    _enlist(settings, folder)
    running = local_server.answers(settings.base_url)
    log = settings.folder / "seed" / "server.log"
    with nullcontext() if running else local_server.running(settings.base_url, log, {}):
        _load(settings, folder)
    unfinished.unlink()


def _has_clients(settings: Settings) -> bool:
    database = open_database(settings.url)
    migrate(database)
    found = bool(clients.list_all(database))
    database.close()
    return found


def _enlist(settings: Settings, folder: Path) -> None:
    database = open_database(settings.url)
    migrate(database)
    fresh = enlisting.enlist(database, folder, settings.folder, clock())
    database.close()
    if fresh:
        engine = build(settings)
        for organization in fresh:
            recompute_for(engine, organization)
        engine.close()
    console.print(f"{len(fresh)} clients registered; their keys are in {settings.folder / 'clients'}.")


def _load(settings: Settings, folder: Path) -> None:
    steps = loading.steps_of(folder)
    services = enlisting.services(folder, settings.folder, settings.base_url)
    began, total = time.monotonic(), sum(step["entries"] for step in steps)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=total)
        for step in steps:
            progress.update(bar, description=step["note"][:60])
            loading.load(step, folder, services, lambda count: progress.advance(bar, count))
    console.print(f"The synthetic world is loaded: {total:,} entries in {time.monotonic() - began:.0f} s.")


@assignments_app.command("import")
def assignments_import(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Member Information File: CSV, TXT, XLSX.")],
    *,
    client: Annotated[str, typer.Option(help="Id of the plan's client.")],
    mode: Annotated[
        str, typer.Option(help="full: members absent from the file are dropped; delta, correction: they stay.")
    ] = "delta",
    server: Annotated[str, typer.Option(help="FHIR base URL; default from the settings.")] = "",
    key: Annotated[Path | None, typer.Option(help="Its key; default clients/ID.json in the data folder.")] = None,
    response: Annotated[Path | None, typer.Option(help="Where to save the response; default beside the file.")] = None,
) -> None:
    """Send a plan's assignment file to the exchange, wait until it is taken in, and save the response file.

    The response file says for every row whether it was accepted, and if not, which column is wrong and what to do.

    Examples:
      ecm-fhir assignments import members.csv --client valley-plan --mode full

      ecm-fhir assignments import var/seed/samples/plan-valley.xlsx --client plan-valley
    """
    if mode not in MODES:
        raise typer.BadParameter(", ".join(MODES), param_hint="--mode")
    settings = from_environment()
    private = read_key(key or key_path(settings.folder, client))
    imported = _send_watched(BackendService(server or settings.base_url, client, private), file, mode)
    kind = "preview" if imported.state == "held" else "response"
    saved = response or file.with_name(f"{file.stem}.{kind}{Path(imported.name).suffix}")
    saved.write_bytes(imported.response)
    if imported.state == "held":
        _report_held(imported, saved)
    else:
        _report(imported, saved)


_Job = Annotated[str, typer.Argument(help="Id of the import job, as the import told it.")]
_Client = Annotated[str, typer.Option(help="Id of the plan's client.")]
_Server = Annotated[str, typer.Option(help="FHIR base URL; default from the settings.")]
_Key = Annotated[Path | None, typer.Option(help="Its key; default clients/ID.json in the data folder.")]


def _service(client: str, server: str, key: Path | None) -> BackendService:
    settings = from_environment()
    return BackendService(server or settings.base_url, client, read_key(key or key_path(settings.folder, client)))


@assignments_app.command("confirm")
def assignments_confirm(job: _Job, *, client: _Client, server: _Server = "", key: _Key = None) -> None:
    """Let a held file be taken in as its preview says.

    Examples:
      ecm-fhir assignments confirm 01a20494-61ae-7227-9cd3-1f6d6abb16da --client valley-plan
    """
    done = decide(_service(client, server, key), "confirm-file", job)
    console.print(f"{done.state}: {done.summary}" if done else "nothing was done", markup=False)


@assignments_app.command("withdraw")
def assignments_withdraw(job: _Job, *, client: _Client, server: _Server = "", key: _Key = None) -> None:
    """Give up a held file: nothing of it is taken in.

    Examples:
      ecm-fhir assignments withdraw 01a20494-61ae-7227-9cd3-1f6d6abb16da --client valley-plan
    """
    decide(_service(client, server, key), "withdraw-file", job)
    console.print("The file was withdrawn. Nothing of it was taken in.")


@assignments_app.command("recall")
def assignments_recall(
    job: _Job,
    *,
    client: _Client,
    readers: Annotated[Path | None, typer.Option(help="Where to save who read which members meanwhile.")] = None,
    server: _Server = "",
    key: _Key = None,
) -> None:
    """Undo a file: the access that it alone had opened is closed, what other files say stays.

    Examples:
      ecm-fhir assignments recall 01a20494-61ae-7227-9cd3-1f6d6abb16da --client valley-plan --readers readers.csv
    """
    done = decide(_service(client, server, key), "recall-file", job)
    if done is None:
        return
    console.print(f"{done.state}: {done.summary}", markup=False)
    if readers:
        readers.write_bytes(done.response)


@assignments_app.command("parked")
def assignments_parked(
    *,
    client: _Client,
    resolve: Annotated[bool, typer.Option("--resolve", help="Take in what can be decided by now, first.")] = False,
    server: _Server = "",
    key: _Key = None,
) -> None:
    """List the rows that wait for a decision, with their clock, as CSV.

    Examples:
      ecm-fhir assignments parked --client valley-plan --resolve
    """
    service = _service(client, server, key)
    if resolve and (done := decide(service, "resolve-parked")):
        console.print(str(done.summary), markup=False)
    sys.stdout.write(parked(service))


def _report_held(imported: Imported, saved: Path) -> None:
    console.print(f"The file is HELD and nothing was changed. It would do this: {imported.summary}", markup=False)
    for one in imported.rosters:
        told = f"{one['provider']}: {one['dropped']} of {one['members']} members dropped ({one['droppedPercent']} %)"
        console.print(told, markup=False)
    console.print(f"Every member who would come, go or change: {saved}", soft_wrap=True)
    console.print(f"Then: ecm-fhir assignments confirm {imported.job} (or withdraw).", soft_wrap=True)


def _send_watched(service: BackendService, file: Path, mode: str) -> Imported:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(f"sending {file.name}", total=_rows(file))

        def watch(text: str) -> None:
            taken = text.split(" ", 1)[0]
            progress.update(bar, description=text, completed=int(taken) if taken.isdigit() else None)

        return send(service, file, mode, watch)


def _rows(file: Path) -> int | None:
    """About how many rows the file has; None where that cannot be seen from outside."""
    if file.suffix.lower() == ".xlsx":
        return None
    with file.open("rb") as lines:
        return max(sum(1 for _ in lines) - 1, 1)


def _report(imported: Imported, saved: Path) -> None:
    names = ("rows", "accepted", "warnings", "parked", "rejected", "new", "changed", "unchanged", "dropped")
    table = Table(*names, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_row(*(f"{imported.summary[name]:,}" for name in names))
    console.print(table)
    if saved.suffix == ".csv":
        findings = [row for row in rows_of(imported) if row["Outcome"] != "accepted"]
        for row in findings[:_SHOWN_FINDINGS]:
            told = f"{row['Outcome']}: {row['Message']}. {row['Advice']}"
            console.print(told, markup=False, highlight=False, soft_wrap=True)
        if len(findings) > _SHOWN_FINDINGS:
            console.print(f"... and {len(findings) - _SHOWN_FINDINGS} more rows with findings.")
    console.print(f"{len(imported.rosters)} rosters. The response file: {saved}", soft_wrap=True)


def demo() -> None:
    """Play the whole exchange over HTTP against a fresh server, and say at each step what happens.

    A plan loads 500 rows, a provider writes a care plan, referrals find their way and their loops close, strangers
    see nothing. It needs nothing, leaves nothing behind, takes half a minute, and fails if anything is not as told.
    """
    try:
        performance.perform(console)
    except ClientError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
