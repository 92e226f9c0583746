"""One playing of the story on a terminal: a fresh server in a folder that is gone afterwards."""

import tempfile
import time
from datetime import datetime
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from fhir_server.ecm.client import enlisting, local_server, world
from fhir_server.ecm.demo import ending
from fhir_server.ecm.demo.outreach import CALIFORNIA
from fhir_server.ecm.demo.stage import Json, Stage
from fhir_server.ecm.demo.story import ACTS
from fhir_server.engine.build import clock
from fhir_server.store.db import open_database
from fhir_server.store.migrations import migrate

_MEMBERS = 20  # the world around the sample files can be small


def perform(console: Console) -> None:
    """Play every act; ClientError or NotAsTold at the first thing that is not as told."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ecm-fhir-demo-") as name:
        folder, base = Path(name), f"http://127.0.0.1:{local_server.free_port()}/fhir"
        scene = _set(folder)
        console.print(f"A fresh server at {base}, with an empty database.", highlight=False)
        settings = {
            "data_folder": name, "database_url": _url(folder), "base_url": base,
            "port": base.rpartition(":")[2].removesuffix("/fhir"),
        }  # fmt: skip
        with local_server.running(base, folder / "server.log", settings):
            stage = Stage(
                base=base,
                world=scene,
                clients=enlisting.services(scene, folder, base),
                tell=lambda text: console.print(f"   {text}", markup=False, highlight=False, soft_wrap=True),
                show=lambda title, rows: _show(console, title, rows),
                today=datetime.fromtimestamp(clock() / 1000, CALIFORNIA).date(),
            )
            _play(stage, console)
    console.print(f"\n[green]Everything is as told[/green] ({time.monotonic() - began:.0f} s).", highlight=False)


def _set(folder: Path) -> Path:
    """The synthetic world's files, and its clients registered in a new database."""
    scene = world.generate(folder / "seed", _MEMBERS)
    database = open_database(_url(folder))
    migrate(database)
    enlisting.enlist(database, scene, folder, clock())
    database.close()
    return scene


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'exchange.db'}"


def _play(stage: Stage, console: Console) -> None:
    for number, (title, steps) in enumerate(ACTS, 1):
        console.print(f"\n[bold]{number}. {title}[/bold]", highlight=False)
        for step in steps:
            step(stage)
    loops = ending.loops(stage)
    closed = [loop for loop in loops if loop.status == "loop-closed"]
    stage.show(f"Loops closed: {len(closed)}/{len(loops)}", [vars(loop) for loop in loops])


def _show(console: Console, title: str, rows: list[Json]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
