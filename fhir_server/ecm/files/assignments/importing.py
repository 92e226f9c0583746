"""The job that takes in an assignment file: rows to members, chunk by chunk, each chunk durable with its cursor.

Before the first chunk the file is looked over: one older than what its rosters stand on is refused, and a full file
that would drop much of a roster is held. The last steps drop who is absent from a full file, publish the rosters' next
version and write the response file. At every try the file is read from its start; rows before the cursor are only
remembered. Files of one plan are taken in one after another.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.assignments import answering, holding, parking
from fhir_server.ecm.files.assignments.ahead import Drafts, ahead
from fhir_server.ecm.files.assignments.attempt import Attempt, opened
from fhir_server.ecm.files.assignments.judging import Chunk, Reading, settled
from fhir_server.ecm.files.assignments.tally import Tally
from fhir_server.ecm.files.formats import FORMATS
from fhir_server.ecm.member import number_of
from fhir_server.ecm.rosters import identity, publishing
from fhir_server.ecm.rosters.drafting import Source
from fhir_server.ecm.rosters.enrolling import enrol
from fhir_server.ecm.rosters.identity import Refusal
from fhir_server.ecm.rosters.known import Enrolment
from fhir_server.engine.context import Context, Transaction
from fhir_server.fhir.errors import Issue, Unprocessable
from fhir_server.jobs import files
from fhir_server.jobs.job import Run
from fhir_server.store import loads
from fhir_server.store.hashing import rh
from fhir_server.store.loads import Load, Named, Stand
from fhir_server.store.resources import TENANT

_AFTER_ALL = 2**31 - 1  # the cursor's row once every row has been taken in


def take_in(run: Run) -> None:
    """Take in the file that the job's arguments name; see the module's docstring."""
    with files.local_copy(run.engine, run.arguments["file"]) as copy:
        reading, _ = opened(run, copy)
        this = Attempt(run, copy, reading, run.cursor.get("row", 0), Tally(**run.cursor.get("tally", {})))
        if not run.cursor:
            _require_newest(run, reading)
            if held := _to_be_held(this):
                _hold(this, held)
                return
            this.transact(partial(_begin, this), 0, "looked over")
        source = Source(run.arguments["sha256"], run.arguments["recorded"])
        with ahead(run, source, reading.scan.rows) as helped:
            for chunk, drafts in helped.drafted(_to_do(this)):
                _take_in(this, source, chunk, drafts)
        if reading.declared.mode == "full":
            _drop_absent(this)
        if this.findings.are_all:
            found = this.findings.results(this.rows())
        else:
            found = (one for chunk in this.chunks() for one in chunk.results)
        name, outcomes = answering.write(run, this.reading.bound, found, this.tally.refusals)
    run.context().transact(partial(_finish, this, name, outcomes))


def _require_newest(run: Run, reading: Reading) -> None:
    """Unprocessable if a roster of the file stands on a later one: an older file never overwrites a newer one."""
    context = run.context()
    known = loads.newest(context.connection, context.caller.org_hash)
    declared = reading.declared
    named = {found.id: found for npi in reading.scan.npis if (found := reading.providers.get(npi))}
    later = [one for one in named.values() if one.id in known and declared.is_before(known[one.id])]
    if later:
        own = declared.production_date or declared.period
        newest = max(known[one.id][0] or known[one.id][1] for one in later)
        message = (
            f"This file ({own}) is older than one taken in before ({newest}) for {later[0].name[:64]}. "
            "Nothing was changed. Recall the later file first, or send the present state with a later production date."
        )
        _give_up(context, run.id)
        raise Unprocessable(issues=[Issue("business-rule", message)])


def _give_up(context: Context, load_id: str) -> None:
    """A file that was confirmed too late is held no more."""

    def work(transaction: Transaction) -> None:
        loads.move(transaction.connection, load_id, loads.CONFIRMED, loads.WITHDRAWN, transaction.context.now)

    context.transact(work)


def _to_be_held(this: Attempt) -> holding.Preview | None:
    """The preview of a full file that would drop too much of a roster; None for every other file."""
    context, reading = this.run.context(), this.reading
    if reading.declared.mode != "full":
        return None
    percent = context.engine.settings.hold_drop_percent
    present = holding.rosters_of(context, [found.id for found in reading.providers.values() if found])
    if this.run.arguments.get("confirmed") == {hit.fid: hit.ver for hit in present.values()}:
        return None
    if not holding.may_drop_much(context, reading, present, percent):
        return None
    found = holding.preview(context, reading, this.chunks(), present)
    return found if found.is_too_much(percent) else None


def _hold(this: Attempt, found: holding.Preview) -> None:
    """End the job for now: nothing but the preview is stored."""
    run = this.run
    form = FORMATS[run.arguments["format"]]
    name = f"preview.{form.suffix}"
    pieces = form.write([holding.HEADER, *found.rows])
    files.keep(run.engine, run.caller.org_hash, run.id, name, form.media_types[0], pieces)
    output = [{"type": "preview", "name": name, "count": len(found.rows)}]
    result = {**_result(this), "state": loads.HELD, "held": found.told, "versions": found.versions, "output": output}

    def work(transaction: Transaction) -> None:
        _note(transaction, this, loads.HELD)
        transaction.audit("import-held", 200, [])
        run.finish(transaction, result)

    run.context().transact(work)


def _begin(this: Attempt, transaction: Transaction, tally: Tally) -> None:
    """From here on the file is in force; a provider it is for as a whole has its roster in it, rows or not."""
    _note(transaction, this, loads.IN_FORCE)
    declared, context = this.reading.declared, transaction.context
    whole = this.reading.providers.get(declared.provider)
    if whole and whole.id:
        found = holding.rosters_of(context, [whole.id]).get(whole.id)
        tally.rosters |= {whole.id: found.fid} if found else {}


def _note(transaction: Transaction, this: Attempt, state: str) -> None:
    run, declared, context = this.run, this.reading.declared, transaction.context
    row = Load(
        TENANT, run.id, context.caller.org_hash, state, declared.mode, declared.production_date, declared.period,
        context.now, orjson.dumps(dict(run.arguments)),
    )  # fmt: skip
    loads.put(transaction.connection, transaction.batch, row)


def _to_do(this: Attempt) -> Iterator[Chunk]:
    """The chunks that no earlier try has stored."""
    for chunk in this.chunks():
        this.findings.add(chunk)
        if chunk.last > this.row:
            yield chunk


def _take_in(this: Attempt, source: Source, chunk: Chunk, drafts: Drafts) -> None:
    """Store a chunk."""
    together = this.reading.together

    def store(transaction: Transaction, tally: Tally) -> None:
        done = enrol(transaction, source, chunk.entries, tally.rosters, drafts) if chunk.entries else Enrolment()
        refused = tally.add(done, together)
        tally.count(settled(this.reading.bound, chunk.results, refused))
        parking.park(transaction, this.run.id, chunk, refused)
        _remember(transaction, this, chunk, refused, tally)

    this.transact(store, chunk.last, "{rows} rows taken in")


def _remember(
    transaction: Transaction, this: Attempt, chunk: Chunk, refused: Mapping[int, Refusal], tally: Tally
) -> None:
    """Whom the file names and the rosters that it is about: what a recall goes by."""
    stored = array("Q", (number_of(one.facts.cin) for one in chunk.entries if one.number not in refused))
    others = array("Q", chunk.mentioned)
    others.extend(number_of(one.facts.cin) for one in chunk.entries if one.number in refused)
    found = Named(TENANT, this.run.id, chunk.last, stored.tobytes(), others.tobytes())
    loads.note(transaction.connection, transaction.batch, found)
    fresh = tally.rosters.keys() - this.tally.rosters.keys()
    rows = [
        Stand(
            TENANT,
            this.run.id,
            rh(f"Group/{tally.rosters[one]}"),
            0,
            published=False,
            grp_fid=tally.rosters[one],
            provider_fid=one,
        )
        for one in sorted(fresh)
    ]
    loads.stand(transaction.connection, transaction.batch, rows)


def _drop_absent(this: Attempt) -> None:
    """Drop every member whom a full file does not name, from the rosters of the providers in the file."""
    for fid in sorted(this.tally.rosters.values()):
        after = ""
        while page := publishing.page(this.run.context(), fid, after):
            after = page[-1].key
            absent = identity.absent(this.run.context(), this.reading.scan.names, page)
            if absent:
                this.transact(partial(_drop, fid, absent), _AFTER_ALL, "{dropped} members dropped")


def _drop(fid: str, absent: Sequence[Any], transaction: Transaction, tally: Tally) -> None:
    publishing.drop(transaction, fid, absent)
    tally.dropped += len(absent)
    tally.touch({fid})


def _finish(this: Attempt, name: str, outcomes: Mapping[str, int], transaction: Transaction) -> None:
    """Publish what changed and end the job, all at once."""
    tally, run = this.tally, this.run
    if this.reading.declared.mode == "full":
        parking.close_absent(transaction, this.reading, set(tally.rosters))
    pending = {fid for fid in tally.rosters.values() if publishing.is_pending(transaction, fid)}
    published = {fid: publishing.publish(transaction, fid) for fid in sorted({*tally.touched, *pending})}
    stand(transaction, run.id, tally.rosters, published)
    found = [
        {"provider": f"Organization/{provider}", "group": f"Group/{fid}", "published": published.get(fid)}
        for provider, fid in sorted(tally.rosters.items())
    ]
    names = {"accepted": words.ACCEPTED, "warnings": words.ACCEPTED_WITH_WARNINGS, "parked": words.PARKED}
    final = {key: outcomes.get(outcome, 0) for key, outcome in {**names, "rejected": words.REJECTED}.items()}
    output = [{"type": "response", "name": name, "count": tally.rows}]
    summary = {**tally.summary, **final}
    result = {"state": loads.IN_FORCE, "summary": summary, "rosters": found, "output": output}
    run.finish(transaction, {**_result(this), **result})


def stand(transaction: Transaction, load_id: str, known: Mapping[str, str], published: Mapping[str, int]) -> None:
    """Note the rosters and versions that a file stands in, rosters that members left for another one among them."""
    providers = {fid: provider for provider, fid in known.items()}
    rows = []
    for fid in sorted({*known.values(), *published}):
        version = published.get(fid) or publishing.version(transaction, fid)
        rows.append(Stand(TENANT, load_id, rh(f"Group/{fid}"), version, fid in published, fid, providers.get(fid, "")))
    loads.stand(transaction.connection, transaction.batch, rows)


def _result(this: Attempt) -> dict[str, Any]:
    """What the job's result says of every file: what it declares and what was mended in it."""
    declared = {name.replace("_", "-"): value for name, value in asdict(this.reading.declared).items() if value}
    return {"declared": declared, "mended": this.findings.told(this.reading.bound)}
