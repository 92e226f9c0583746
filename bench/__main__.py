"""`python -m bench`: figures of this server beside their baselines, on SQLite and PostgreSQL."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import machine, world
from bench.figures import FIGURES, Bench, Figure, Plan, audited, find_patients, member_file
from bench.memory import measure_memory
from bench.scaling import measure_scaling
from bench.validation import measure_validation
from tests.postgres import running_postgres

QUICK = Plan(rounds=1, seconds=1.0, warm_up=0.3, import_rows=2000)
FULL = Plan(rounds=3, seconds=3.0, warm_up=0.7, import_rows=10_000)
RESULTS = Path(__file__).parent / "results.json"
_ENGINES = ("sqlite", "postgresql")

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
console = Console(width=120)

HELP = """
Measure the server over real HTTP with access rules and audit on, each figure beside its baseline in the same run.

The server is the real command in a process of its own, the load generator another one. Ratios are what counts: the
rates depend on the machine and on who else uses it. Nothing here passes or fails.

* reads and searches: against an empty Flask view on the same server settings
* creates and transactions: against the same rows written by bare SQL with the same threads and group commit
* file import: against extraction plus bulk insert of the same rows
* roster: against reading its rows from the database
* validation: against the models of `fhir.resources`, which check the structure alone

Examples: `python -m bench --quick` · `python -m bench --engine sqlite --only create` · `python -m bench --long` \
· `python -m bench --scale 64000` · `python -m bench --validation`
"""


@app.command(help=HELP)
def main(  # an option each
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One short round each; for a first look.")] = False,
    engine: Annotated[str, typer.Option(help="sqlite or postgresql; both if not given.")] = "",
    only: Annotated[str, typer.Option(help="Figures whose name contains this.")] = "",
    long: Annotated[bool, typer.Option("--long", help="Also memory while importing 1,000 and 100,000 rows.")] = False,
    scale: Annotated[int, typer.Option(help="Instead: searches at 1,000 and at this many members, say 64000.")] = 0,
    validation: Annotated[bool, typer.Option("--validation", help="Only: one resource under each profile.")] = False,
    postgres: Annotated[str, typer.Option(help="URL of an empty PostgreSQL database to use.")] = "",
    out: Annotated[Path, typer.Option(help="Where the results go.")] = RESULTS,
) -> None:
    """Measure, print a table, write the results."""
    if engine and engine not in _ENGINES:
        raise typer.BadParameter(f"one of {', '.join(_ENGINES)}", param_hint="--engine")
    for name, text in machine.describe().items():
        console.print(f"[bold]{name}[/bold]: {text}")
    found: list[Figure] = measure_validation() if validation or not (only or scale) else []
    for one in () if validation else [engine] if engine else _ENGINES:
        plan = QUICK if quick else FULL
        plan = replace(plan, import_rows=0) if scale else plan
        for figure in _measure(one, plan, only, postgres, long=long, scale=scale):
            found.append(figure)
            _keep(found, out)
    _keep(found, out)
    console.print(_table(found))
    console.print(f"Written to {out}.")


def _keep(found: list[Figure], out: Path) -> None:
    """What is known so far outlives a run that is broken off."""
    out.write_text(json.dumps([figure._asdict() for figure in found], indent=1) + "\n")


def _measure(engine: str, plan: Plan, only: str, postgres: str, *, long: bool, scale: int) -> Iterator[Figure]:
    chosen = [] if scale else [figure for figure in FIGURES if only in figure.__name__]
    bars = Progress(TextColumn("{task.description:<44}"), BarColumn(), TimeElapsedColumn(), console=console)
    with bars, ready(engine, plan, postgres, bars) as bench:
        console.print(f"[bold]{engine}[/bold]: {machine.durability(bench.server.database)}")
        bar = bars.add_task(engine, total=len(chosen) + long)
        for measure in chosen:
            bars.update(bar, description=f"{engine}: {measure.__name__}")
            yield measure(bench)
            bars.advance(bar)
        if long:
            bars.update(bar, description=f"{engine}: memory")
            yield from measure_memory(bench)
            bars.advance(bar)
        if scale:
            bars.update(bar, description=f"{engine}: searches while it grows")
            yield from measure_scaling(bench, scale)
        bars.update(bar, description=f"{engine}: done")
        console.print(
            f"{engine}: {audited(bench):,} audit rows; the generator used at most "
            f"{bench.busiest_generator:.0%} of one processor."
        )


@contextmanager
def ready(engine: str, plan: Plan, postgres: str, bars: Progress) -> Iterator[Bench]:
    """A server with as many members as the plan says, and the empty one beside it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecm-bench-")))
        bar = bars.add_task(f"{engine}: world", total=4)
        place = world.generate(folder / "world")
        url = _url(engine, folder, postgres, stack)
        known = world.prepare(url, place)
        bars.advance(bar)
        server = stack.enter_context(world.our_server(url, folder))
        empty = stack.enter_context(world.empty_server(server))
        clients = {name: world.Client(server.root, name, **row) for name, row in known.items()}
        world.load_directory(place, clients)
        bars.advance(bar)
        if plan.import_rows:
            world.import_file(clients["plan-valley"], member_file(folder, plan.import_rows))
        bars.advance(bar)
        bench = Bench(server, empty, clients, plan, place)
        find_patients(bench)
        bars.advance(bar)
        yield bench


def _url(engine: str, folder: Path, postgres: str, stack: ExitStack) -> str:
    if engine == "sqlite":
        return f"sqlite:///{folder / 'bench.db'}"
    return postgres or stack.enter_context(running_postgres())


def _table(figures: list[Figure]) -> Table:
    table = Table(title="Measured")
    for name in ("figure", "engine", "rate", "unit", "baseline", "ratio", "p50 ms", "p99 ms"):
        table.add_column(name, no_wrap=True, justify="left" if name in {"figure", "engine", "unit"} else "right")
    for one in figures:
        table.add_row(
            one.name, one.engine, f"{one.rate:,.0f}", one.unit, f"{one.baseline_rate:,.0f}", f"{one.ratio:.2f}",
            f"{one.p50_ms:.3g}", f"{one.p99_ms:.3g}",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    app()
