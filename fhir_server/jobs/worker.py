"""The worker: takes the oldest job that nobody holds, renews its lease while it runs, and tries again what failed.

There is no second queue: the job table is looked at twice a second, and a lease that ran out frees its job.
"""

import secrets
import threading
from collections.abc import Callable

import orjson
import structlog
from sqlalchemy import Connection, bindparam, select, update

from fhir_server.engine.context import Engine
from fhir_server.fhir.errors import FHIRError, Issue
from fhir_server.fhir.outcome import outcome
from fhir_server.jobs.expiry import purge
from fhir_server.jobs.job import Later, LeaseLost, Run, load_caller
from fhir_server.store.tables import job

log = structlog.get_logger()

_POLL_SECONDS = 0.5
_PURGE_EVERY = 7200  # looks at an empty queue: about an hour
_MOST_ATTEMPTS = 5
_OURS = 500  # from this status on it is the server's own trouble, which may pass


class Worker:
    """Runs jobs one after another, in a thread of its own or until told to stop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._name = f"worker-{secrets.token_hex(6)}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.loop, name="worker", daemon=True)

    def start(self) -> None:
        """Work in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the chunk at hand and end; the rest of a job is taken up by the next worker."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def loop(self) -> None:
        """Work until `stop`; while there is nothing to do, remove old jobs now and then."""
        idle = 0
        while not self._stop.is_set():
            try:
                worked = self.work_once()
                if not worked and idle % _PURGE_EVERY == 0:
                    purge(self._engine)
            except Exception:
                log.exception("worker")
                worked = False
            if not worked:
                idle += 1
                self._stop.wait(_POLL_SECONDS)

    def work_once(self) -> bool:
        """Run one due job, or else the chores; False if there is nothing to do."""
        run = self._claim()
        if run is None:
            done = [chore(self._engine) for chore in self._engine.chores]  # each of them, whatever the others did
            return any(done)
        ended = threading.Event()
        beat = threading.Thread(target=self._renew, args=(run, ended), daemon=True)
        beat.start()
        try:
            self._run(run)
        finally:
            ended.set()
            beat.join()
        return True

    def _claim(self) -> Run | None:
        now = self._engine.clock()
        due = self._engine.database.read().execute(_DUE, {"now": now}).first()
        if due is None:
            return None
        until = now + self._engine.settings.lease_seconds * 1000
        values = {"id_": due.id, "was": due.lease_until, "by": self._name, "until": until, "at": now}
        claimed = self._engine.database.write(lambda connection: connection.execute(_CLAIM, values).rowcount)
        if claimed != 1:
            return None
        caller, arguments = load_caller(bytes(due.caller)), orjson.loads(bytes(due.arguments))
        return Run(self._engine, due.id, self._name, caller, arguments, orjson.loads(bytes(due.cursor)))

    def _run(self, run: Run) -> None:
        kind = self._engine.database.read().execute(_KIND, {"id": run.id}).scalar_one()
        try:
            run.require_rights(self._engine.database.read())
            self._engine.jobs[kind].run(run)
        except LeaseLost:
            log.info("lease lost", job=run.id)
        except Later:
            self._wait(run)
        except Exception as error:
            if isinstance(error, FHIRError) and error.status < _OURS:
                self._fail(run, error)  # what was asked for cannot be done, now or later
            else:
                log.exception("job failed", job=run.id)
                self._retry(run)

    def _fail(self, run: Run, error: FHIRError) -> None:
        context = run.context()
        self._engine.reads.append(context.event("job-failed", error.status, [], run.id))
        result = {"status": error.status, "outcome": outcome(error.issues)}
        self._end(run, {"state": "failed", "result": orjson.dumps(result), "progress": "failed"})

    def _retry(self, run: Run) -> None:
        attempts = int(self._engine.database.read().execute(_ATTEMPTS, {"id": run.id}).scalar_one())
        if attempts >= _MOST_ATTEMPTS:
            message = f"The job failed {attempts} times and was given up. Tell the operator its number: {run.id}."
            self._fail(run, FHIRError(issues=[Issue("exception", message)]))
        else:
            wait = self._engine.clock() + 1000 * 2**attempts
            self._end(run, {"state": "queued", "lease_until": wait, "lease_by": ""})

    def _wait(self, run: Run) -> None:
        soon = self._engine.clock() + int(1000 * _POLL_SECONDS)
        self._end(run, {"state": "queued", "lease_until": soon, "lease_by": "", "attempts": job.c.attempts - 1})

    def _end(self, run: Run, values: dict[str, object]) -> None:
        mine = (job.c.id == run.id, job.c.lease_by == self._name)
        statement = update(job).where(*mine).values(**values)
        self._engine.database.write(lambda connection: connection.execute(statement).rowcount)

    def _renew(self, run: Run, done: threading.Event) -> None:
        seconds = self._engine.settings.lease_seconds
        while not done.wait(seconds / 3):
            until = self._engine.clock() + seconds * 1000
            values = {"id_": run.id, "by": self._name, "until": until}
            self._engine.database.write(_renewal(values))


def _renewal(values: dict[str, object]) -> Callable[[Connection], int]:
    return lambda connection: connection.execute(_RENEW, values).rowcount


_DUE = (
    select(job)
    .where(job.c.state.in_(["queued", "running"]), job.c.lease_until < bindparam("now"))
    .order_by(job.c.created)
    .limit(1)
)
_CLAIM = (
    update(job)
    .where(job.c.id == bindparam("id_"), job.c.lease_until == bindparam("was"), job.c.state.in_(["queued", "running"]))
    .values(
        state="running",
        lease_by=bindparam("by"),
        lease_until=bindparam("until"),
        updated=bindparam("at"),
        attempts=job.c.attempts + 1,
    )
)
_RENEW = (
    update(job)
    .where(job.c.id == bindparam("id_"), job.c.lease_by == bindparam("by"), job.c.state == "running")
    .values(lease_until=bindparam("until"))
)
_KIND = select(job.c.kind).where(job.c.id == bindparam("id"))
_ATTEMPTS = select(job.c.attempts).where(job.c.id == bindparam("id"))
