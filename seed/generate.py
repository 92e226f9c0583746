"""Generate the synthetic world: `python -m seed.generate OUT`."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from seed import cast, clients, files, story, world
from seed.members import Member, member, plan_of

SEED = 7
MEMBERS = 300
SAMPLE_ROWS = 500
PAUSE = 2_000  # rows between two movements of the progress bar

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

HELP = """
Generate a believable, invented world for the exchange: two plans in two counties, six ECM providers (one with a
Part 2 unit), eight community organizations, and their members. The same seed and day always give the same bytes.

What is written to OUT:

* `manifest.json`: every file in the order of loading, with the client that submits it and its kind
  (`bundle` = a transaction, `mif` = a Member Information File for `$import-assignments`, `moves` = steps of Tasks);
* `clients.json`: the system clients with organization, law class, scopes and purposes; no keys;
* `directory/`, `claims/`, `care-plans/`, `referrals/`, ...: transactions of at most 100 entries;
* `members/`: the two plans' seed files, which assign the members;
* `samples/`: a file of 500 rows per plan as CSV, pipe-delimited text and XLSX, 3 % of the rows bad, and
  `expected.json`, which says for every row what must become of it;
* `cast/`: members by the part they play (turned 21, deceased but listed, ...), their files and what must come of them.

Examples:

* `python -m seed.generate var/seed`
* `python -m seed.generate var/seed --seed 11 --members 600 --as-of 2026-09-01`
* `python -m seed.generate var/bench --members 100000 --files-only csv` (streams; memory stays flat)
"""


def members(seed: int, as_of: date, number: int) -> list[Member]:
    """The first `number` members of the world."""
    return [member(seed, index, as_of) for index in range(number)]


def of_plan(seed: int, as_of: date, plan: str, start: int = 0) -> Iterator[Member]:
    """One plan's members without end, from the number `start` on."""
    return (member(seed, index, as_of) for index in count(start) if plan_of(index).key == plan)


def _dump(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _step(entries: list[dict[str, Any]], step: story.Step, out: Path) -> None:
    name = f"{step.folder}/{len(entries) + 1:03d}-{step.name}.json"
    _dump(out / name, step.content)
    size = len(step.content) if step.kind == "moves" else len(step.content["entry"])
    entries.append({"file": name, "as": step.client, "kind": step.kind, "entries": size, "note": step.note})


def _member_files(out: Path, found: list[Member], as_of: date) -> Iterator[dict[str, Any]]:
    for plan in world.those("plan"):
        own = [one for one in found if one.plan == plan.key]
        name = f"members/{plan.key}.csv"
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        files.write(out / name, (files.row(one, as_of) for one in own), "csv")
        note = f"{plan.name} assigns its members"
        yield {"file": name, "as": plan.key, "kind": "mif", "mode": "full", "entries": len(own), "note": note}


def _samples() -> list[dict[str, Any]]:
    return [
        {"file": f"samples/{plan.key}.{files.SUFFIX[kind]}", "as": plan.key, "kind": "mif", "mode": "delta"}
        for plan in world.those("plan")
        for kind in files.FORMATS
    ]


def write_world(out: Path, seed: int, number: int, as_of: date, progress: Progress) -> dict[str, Any]:
    """Write everything but the samples; the manifest."""
    found = members(seed, as_of, number)
    entries: list[dict[str, Any]] = []
    bar = progress.add_task("Directory", total=None)
    for step in story.directory_steps():
        _step(entries, step, out)
    entries += _member_files(out, found, as_of)
    for title, steps in (
        ("Records", story.record_steps(found, as_of)),
        ("Referrals", story.referral_steps(found, as_of)),
        ("Consents", story.consent_steps(found, as_of)),
    ):
        progress.update(bar, description=title)
        for step in steps:
            _step(entries, step, out)
            progress.advance(bar)
    progress.update(bar, description="World written", total=1, completed=1)
    manifest = {"seed": seed, "as_of": as_of.isoformat(), "members": number, "steps": entries, "samples": _samples()}
    _dump(out / "manifest.json", manifest)
    _dump(out / "clients.json", clients.clients())
    return manifest


def write_samples(out: Path, seed: int, number: int, as_of: date, progress: Progress) -> None:
    """Write the sample files of each plan in every format, and what is expected of their rows."""
    folder = out / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    bar = progress.add_task("Sample files", total=len(world.those("plan")) * len(files.FORMATS))
    expected = {}
    for plan in world.those("plan"):
        sample = files.sample(seed, of_plan(seed, as_of, plan.key, number), as_of, SAMPLE_ROWS)
        expected[plan.key] = sample.expected
        for kind in files.FORMATS:
            files.write(folder / f"{plan.key}.{files.SUFFIX[kind]}", sample.rows, kind)
            progress.advance(bar)
    _dump(folder / "expected.json", expected)


def write_cast(out: Path) -> None:
    """Write the files of the cast, and its table: what happens in each role and what must come of it."""
    folder = out / "cast"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in cast.files():
        (folder / name).write_bytes(content)
    _dump(folder / "cast.json", [{"role": one.name, "tells": one.tells, "steps": one.steps} for one in cast.roles()])


def write_large(out: Path, seed: int, number: int, as_of: date, *, kind: str, progress: Progress) -> None:
    """Stream one Member Information File of `number` rows for the first plan; nothing else is written."""
    out.mkdir(parents=True, exist_ok=True)
    plan = world.those("plan")[0]
    bar = progress.add_task(f"{number:,} members", total=number)

    def rows() -> Iterator[files.Row]:
        for place, one in enumerate(islice(of_plan(seed, as_of, plan.key), number), 1):
            if place % PAUSE == 0 or place == number:
                progress.update(bar, completed=place)
            yield files.row(one, as_of)

    files.write(out / f"{plan.key}-{number}.{files.SUFFIX[kind]}", rows(), kind)


def _this_month() -> datetime:
    return datetime.now(tz=UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=None)


@app.command(help=HELP)
def generate(
    out: Annotated[Path, typer.Argument(help="Folder to write into; made if absent, files of the same name replaced.")],
    as_of: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d"], default_factory=_this_month, help="Day of the files; all facts lie before it."
        ),
    ],
    seed: Annotated[int, typer.Option(help="Another number, another world.")] = SEED,
    number: Annotated[int, typer.Option("--members", min=1, help="How many members.")] = MEMBERS,
    files_only: Annotated[
        str, typer.Option(help="csv, pipe or xlsx: write nothing but one Member Information File of that many rows.")
    ] = "",
) -> None:
    """Write the world into a folder."""
    if files_only and files_only not in files.FORMATS:
        raise typer.BadParameter(f"one of {', '.join(files.FORMATS)}", param_hint="--files-only")
    console, began = Console(stderr=True), time.monotonic()
    with Progress(console=console, transient=True) as progress:
        if files_only:
            write_large(out, seed, number, as_of.date(), kind=files_only, progress=progress)
        else:
            write_world(out, seed, number, as_of.date(), progress)
            write_samples(out, seed, number, as_of.date(), progress)
            write_cast(out)
    console.print(
        f"{number:,} members, seed {seed}, as of {as_of.date()}: written to {out} in {time.monotonic() - began:.1f} s"
    )


if __name__ == "__main__":
    app()
