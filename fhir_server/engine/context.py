"""The two kinds of state: `Engine`, built once, and `Context`, one per request or job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection

from fhir_server.access.caller import Caller
from fhir_server.access.predicate import Visible
from fhir_server.access.scopes import parse as parse_scopes
from fhir_server.config import Settings
from fhir_server.engine.audit import ReadLog
from fhir_server.engine.compartment import PatientFinder
from fhir_server.engine.hooks import Hooks
from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import Forbidden
from fhir_server.search.extract import Extractor
from fhir_server.search.run import Searcher
from fhir_server.store.db import Database
from fhir_server.store.ids import Ids
from fhir_server.terminology.codes import Terminology
from fhir_server.validation.profile import ProfileValidator

if TYPE_CHECKING:
    from fhir_server.engine.transaction import Transaction

T = TypeVar("T")
_EVERY_TYPE = parse_scopes("system/*.r")


@dataclass
class Engine:
    """Everything that lives as long as the process."""

    settings: Settings
    database: Database
    definitions: Definitions
    terminology: Terminology
    profiles: ProfileValidator
    extractor: Extractor
    searcher: Searcher
    patients: PatientFinder
    params: dict[tuple[str, str], int]
    ids: Ids
    clock: Callable[[], int]
    hooks: Hooks
    reads: ReadLog
    secret: bytes
    memo: dict[str, dict[Any, Any]] = field(default_factory=dict)
    operations: Sequence[Any] = ()  # rows of rest.message.Operation, the guests' included
    jobs: dict[str, Any] = field(default_factory=dict)  # rows of jobs.job.Job by kind
    follow: Callable[..., None] = lambda **_how: None  # see parameters.Follower
    chores: list[Callable[[Engine], bool]] = field(default_factory=list)  # done between jobs; True: there was something
    recipe: Callable[[Settings], Engine] | None = None  # makes another such engine, in another process

    def start(self) -> None:
        """Begin background work: the audit log of reads."""
        self.reads.start()

    def close(self) -> None:
        """Stop background work and close every connection."""
        self.reads.close()
        self.database.close()

    def context(self, caller: Caller, request_id: str, address: str = "") -> Context:
        """A context for one request of `caller`; its instant is now."""
        self.follow()
        return Context(self, caller, request_id, address, self.clock())


@dataclass
class Context:
    """One caller's request: who asks, when, and the transaction it is in, if any."""

    engine: Engine
    caller: Caller
    request_id: str
    address: str
    now: int
    transaction: Transaction | None = None
    notes: dict[Any, Any] = field(default_factory=dict)  # what a guest's gates tell each other in this request
    _visible: dict[str, Visible] = field(default_factory=dict)

    @property
    def connection(self) -> Connection:
        """The open transaction's connection, or this thread's reading one."""
        return self.transaction.connection if self.transaction else self.engine.database.read()

    def visible(self, letter: str) -> Visible:
        """The caller's view for one scope letter (c r u d s)."""
        if letter not in self._visible:
            self._visible[letter] = Visible(self.caller, self.now, letter, self.engine.settings.run_out_ms)
        return self._visible[letter]

    def visible_targets(self) -> Visible:
        """What the caller may refer to: every row it may see, whether or not its scopes let it read that type.

        Not what it may still read of former members: nothing new is written about them.
        """
        if "" not in self._visible:
            self._visible[""] = Visible(replace(self.caller, scopes=_EVERY_TYPE), self.now, "r")
        return self._visible[""]

    def require(self, letter: str, type_: str) -> None:
        """Forbidden (403) unless some scope covers this interaction on this type; reads no data (R1)."""
        if not self.caller.scopes.allows(letter, type_):
            message = f"The access token has no scope for this: it needs system/{type_}.{letter} (granted ones count)."
            raise Forbidden(message)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in the open transaction, or in a new one that is durable when this returns."""
        from fhir_server.engine.transaction import run  # noqa: PLC0415 - the two modules describe one pair

        return work(self.transaction) if self.transaction else run(self, work)

    def again(self) -> Context:
        """The same request at the present instant, outside any transaction."""
        return replace(self, now=self.engine.clock(), transaction=None, notes={}, _visible={})
