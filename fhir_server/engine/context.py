"""The state of a running server: `Engine`, built once; `Context`, one per request or job; `Transaction`, one per write.

By `Hooks`, its gates, a guest (the ECM programme) adds its rules without the engine naming it. Order inside one
transaction: decide, before_write, validate, row, index, in_transaction, outbox, audit; then commit; then after_commit.
`render` changes how a stored resource is shown to one caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from fhir_server.access.caller import Caller
from fhir_server.access.labels import Membership, no_lists
from fhir_server.access.predicate import Visible
from fhir_server.access.scopes import parse as parse_scopes
from fhir_server.config import Settings
from fhir_server.engine.audit import ReadLog
from fhir_server.engine.changes import Change, Purged
from fhir_server.engine.compartment import PatientFinder
from fhir_server.engine.contacts import Contacts
from fhir_server.engine.events import Event
from fhir_server.engine.law_classes import OPERATOR, law_classes
from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import Forbidden
from fhir_server.search.extract import Extractor
from fhir_server.search.run import Searcher
from fhir_server.store.db import Database
from fhir_server.store.hashing import rh
from fhir_server.store.ids import Ids
from fhir_server.store.resources import Version
from fhir_server.store.rows import Batch
from fhir_server.terminology.codes import Terminology
from fhir_server.validation.profile import ProfileValidator

T = TypeVar("T")
_EVERY_TYPE = parse_scopes("system/*.r")

Edits = Mapping[tuple[str | int, ...], Any]
BeforeWrite = Callable[["Transaction", Change], Edits | None]
InTransaction = Callable[["Transaction", Change], None]
AfterCommit = Callable[["Context", list[Change]], None]
Render = Callable[["Context", Version], bytes]
Headers = Callable[["Context", Version], dict[str, str]]
OnPurge = Callable[["Transaction", Purged], None]
AfterPurge = Callable[["Context", Purged], None]
RequiredProfiles = Callable[[str, Mapping[str, Any]], tuple[str, ...]]


@dataclass
class Hooks:
    """What guests registered; filled once while the engine is built.

    before_write: may refuse (BusinessRule) or return edits to the body, by path.
    in_transaction: writes further rows beside the resource.
    after_commit: tells others; its failures never undo the write.
    render: by resource type; returns the body this caller is shown.
    headers: by resource type; response headers that go with what `render` shows.
    membership: the classes of sensitive information that a code stands for, by a guest's reviewed lists.
    by_assigned: types that the provider assigned to the patient may update as well; who adds one says in before_write
    what of it.
    required_profiles: the profiles that policy demands of a resource, beyond those it claims.
    on_purge: removes what is kept of a record beside it, in the transaction that removes it for good; may refuse.
    after_purge: the same for what no database holds, once the record is gone.
    """

    before_write: list[BeforeWrite] = field(default_factory=list)
    in_transaction: list[InTransaction] = field(default_factory=list)
    after_commit: list[AfterCommit] = field(default_factory=list)
    render: dict[str, Render] = field(default_factory=dict)
    headers: dict[str, Headers] = field(default_factory=dict)
    membership: Membership = no_lists
    by_assigned: set[str] = field(default_factory=set)
    required_profiles: list[RequiredProfiles] = field(default_factory=list)
    on_purge: list[OnPurge] = field(default_factory=list)
    after_purge: list[AfterPurge] = field(default_factory=list)


class Run(Protocol):
    """How work is run in a transaction of its own: see `transaction.run`."""

    def __call__(self, context: Context, work: Callable[[Transaction], T], /) -> T:
        """What `work` returns, once it is durable."""


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
    run: Run
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
        return work(self.transaction) if self.transaction else self.engine.run(self, work)

    def again(self) -> Context:
        """The same request at the present instant, outside any transaction."""
        return replace(self, now=self.engine.clock(), transaction=None, notes={}, _visible={})

    def event(self, interaction: str, status: int, entities: list[Any], query: str = "") -> Event:
        """The audit event of what this caller does now."""
        caller, at = self.caller, self.now * 1000
        return Event(
            at, self.request_id, interaction, status, caller.client, caller.org_hash, caller.purpose,
            self.address, entities, query,
        )  # fmt: skip


@dataclass
class Transaction:
    """The open transaction: rows are gathered in `batch` and reach the database with `flush`."""

    context: Context
    connection: Connection
    batch: Batch = field(default_factory=Batch)
    changes: list[Change] = field(default_factory=list)
    written: dict[int, int] = field(default_factory=dict)  # reference hash -> labels
    promised: set[int] = field(default_factory=set)  # what later entries of the same Bundle will write
    seen: dict[int, int] = field(default_factory=dict)  # targets of references, visible to the caller -> labels
    touched_patients: set[int] = field(default_factory=set)
    contacts: Contacts = field(default_factory=Contacts)
    events: list[Event] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)  # what a guest does in this transaction, for its own gates
    held_keys: dict[tuple[int, int, str], str | None] = field(default_factory=dict)  # identities looked up before
    _law_classes: dict[int, str] | None = None

    def law_class_of(self, organization: int) -> str | None:
        """The registered law class of an organization, by its hash; None if it has no client."""
        if self._law_classes is None:
            self._law_classes = law_classes(self.connection)
        return self._law_classes.get(organization)

    def speaks_for(self, owner: int, organization: str) -> bool:
        """Whether what `owner` wrote of an organization is its own word, or that of the exchange's operator."""
        return owner == rh(organization) or self.law_class_of(owner) == OPERATOR

    def flush(self) -> None:
        """Send what has been gathered, so that later statements of this transaction see it."""
        self.batch.flush(self.connection)

    def audit(self, interaction: str, status: int, changes: list[Change]) -> None:
        """Add the audit event of these changes; it is stored with them or not at all."""
        entities = [[change.reference, change.row.ver, change.row.patient, change.row.labels] for change in changes]
        self.events.append(self.context.event(interaction, status, entities))
