"""The job behind $reindex: added search parameters become searchable, rows of an older generation are made anew.

First it says which parameters are added, so that every process indexes what it writes by them; then it walks over all
resources until none is left; then the parameters are ready. A worker that dies is continued from the last chunk.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from fhir_server.engine import parameters, reindexing, repository
from fhir_server.engine.context import Transaction
from fhir_server.engine.parameters import FOLLOWED_MS, Added
from fhir_server.engine.walking import Place
from fhir_server.fhir.definitions import SearchParam, type_names
from fhir_server.fhir.errors import BusinessRule, NotSupported
from fhir_server.jobs.job import Job, Run
from fhir_server.jobs.turns import await_turn
from fhir_server.search.custom import judged

KIND = "reindex"
MOST = 200  # search parameters that can be added

_PAUSE_SECONDS = 0.1


def work(run: Run) -> None:
    """Index until nothing is left to index; BusinessRule (422) if there was nothing to do from the beginning."""
    await_turn(run)
    cursor = run.cursor or _begin(run)
    run.engine.follow(now=True)
    while not _is_done(run, cursor):
        cursor = _walk(run, cursor)
    if not (cursor["indexed"] or cursor["added"] or cursor["removed"]):
        refused = "".join(f" {row['url']}: {row['reason']}" for row in cursor["refused"])
        raise BusinessRule(f"Nothing was done: every resource is indexed as it would be now.{refused}"[:1000])
    run.context().transact(lambda open_: _finish(open_, run, cursor))
    run.engine.follow(now=True)


def _begin(run: Run) -> dict[str, Any]:
    """Say which parameters are added; what was ready before stays so, if it is still the same."""
    params, refused = _wanted(run)

    def start(open_: Transaction) -> dict[str, Any]:
        before = parameters.stored(open_.connection)
        same = {one.url for one in before.searchable} & {one.url for one in params if one in before.params}
        parameters.store(open_.connection, Added(params, frozenset(same)))
        cursor = {
            "since": run.engine.clock(), "indexed": 0, "renewed": -1, "place": list(Place()), "refused": refused,
            "added": sorted(one.url for one in params if one.url not in same),
            "removed": sorted({one.url for one in before.params} - {one.url for one in params}),
        }  # fmt: skip
        run.save(open_, cursor, "parameters are being added")
        return cursor

    return run.context().transact(start)


def _wanted(run: Run) -> tuple[tuple[SearchParam, ...], list[Mapping[str, str]]]:
    """The active SearchParameters that can be searched by, and why the others cannot."""
    context = run.context()
    known = run.engine.definitions.extended(())
    params: list[SearchParam] = []
    refused: list[Mapping[str, str]] = []
    for hit in repository.lookup(context, "SearchParameter", [("_sort", "_id")], limit=MOST):  # by no index of its own
        resource = orjson.loads(hit.body)
        if resource["status"] != "active":
            continue
        try:
            params.append(judged(known.extended(params), resource))
        except NotSupported as error:
            refused.append({"url": str(resource.get("url", hit.fid))[:200], "reason": error.issues[0].diagnostics})
    return tuple(params), refused


def _is_done(run: Run, cursor: Mapping[str, Any]) -> bool:
    """Whether a whole walk has found nothing, when every process knew of the parameters and none was still writing."""
    if cursor["renewed"] != 0:
        return False
    if repository.settled(run.context(), run.engine.clock()) > cursor["since"] + FOLLOWED_MS:
        return True
    time.sleep(_PAUSE_SECONDS)
    return False


def _walk(run: Run, cursor: dict[str, Any]) -> dict[str, Any]:
    """From the place of the cursor to the end; then the next walk can begin."""
    if cursor["place"] == list(Place()):
        cursor = {**cursor, "renewed": 0}
    place: Place | None = Place(*cursor["place"])
    while place is not None:
        rows, after = reindexing.stale(run.context(), place)
        cursor = _chunk(run, cursor, rows, after or Place()) if rows else {**cursor, "place": list(after or Place())}
        place = after
    return cursor


def _chunk(run: Run, cursor: dict[str, Any], rows: list[Any], after: Place) -> dict[str, Any]:
    def store(open_: Transaction) -> dict[str, Any]:
        number = reindexing.renew(open_, rows)
        moved = {
            **cursor, "place": list(after), "indexed": cursor["indexed"] + number,
            "renewed": cursor["renewed"] + number,
        }  # fmt: skip
        run.save(open_, moved, f"{moved['indexed']} resources indexed, now {type_names()[rows[0].type]}")
        return moved

    return run.context().transact(store)


def _finish(open_: Transaction, run: Run, cursor: Mapping[str, Any]) -> None:
    added = parameters.stored(open_.connection)
    parameters.store(open_.connection, replace(added, ready=frozenset(one.url for one in added.params)))
    told = {name: cursor[name] for name in ("indexed", "added", "removed", "refused")}
    open_.audit("reindex", 200, [])
    run.finish(open_, told)


JOB = Job(KIND, work)
