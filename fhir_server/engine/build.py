"""The only wiring file: settings in, Engine out."""

import os
import secrets
import time
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from fhir_server.config import Settings
from fhir_server.engine import canonicals, subscribing
from fhir_server.engine.audit import ReadLog
from fhir_server.engine.compartment import PatientFinder
from fhir_server.engine.context import Engine, Hooks
from fhir_server.engine.parameters import Follower, interned
from fhir_server.engine.transaction import run
from fhir_server.fhir import packages
from fhir_server.fhir.definitions import load
from fhir_server.fhir.folders import data_folder
from fhir_server.search.extract import Extractor
from fhir_server.search.run import Searcher
from fhir_server.store.db import Database, open_database
from fhir_server.store.ids import Ids
from fhir_server.store.tables import setting
from fhir_server.terminology import large
from fhir_server.terminology.codes import Terminology
from fhir_server.validation.profile import ProfileValidator


def clock() -> int:
    """Now, in UTC milliseconds."""
    return time.time_ns() // 1_000_000


def build(settings: Settings, database: Database | None = None) -> Engine:
    """An engine over a migrated database, without guests; `engine.start()` begins its background work."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    database = database or open_database(settings.url)
    database.limits = settings.search_seconds, settings.transaction_seconds
    definitions = load(_packages(settings))
    terminology = Terminology(definitions, large.installed(database))
    params = interned(database, definitions)
    secret = _secret(settings.folder / "secret.key")
    engine = Engine(
        settings=settings,
        database=database,
        definitions=definitions,
        terminology=terminology,
        profiles=ProfileValidator(definitions, terminology),
        extractor=Extractor(definitions, params, settings.zone, settings.base_url),
        searcher=Searcher(definitions, params, settings.zone, secret, settings.base_url, terminology),
        patients=PatientFinder(definitions),
        params=params,
        ids=Ids(clock, _node(database)),
        clock=clock,
        hooks=Hooks(),
        run=run,
        reads=ReadLog(settings.folder / "audit", database, secret, strict=settings.audit_strict),
        secret=secret,
    )
    canonicals.use(engine)
    subscribing.use(engine)
    engine.follow = Follower(engine)
    engine.follow(now=True)
    return engine


def _packages(settings: Settings) -> list[Path]:
    """The folders of FHIR packages that are there: deleting one leaves a server without it."""
    own = [folder for name in ("profiles", "terminology") for folder in sorted(data_folder(name).iterdir())]
    further = [Path(text) for text in settings.packages.split(":") if text]
    added = [package.folder for package in packages.installed(settings.packages_folder)]
    return [folder for folder in (*own, *added, *further) if folder.is_dir() and folder.name != "r4-core"]


def _node(database: Database) -> int:
    """A number for this process that no other of the last thousand had."""

    def work(connection: Connection) -> int:
        row = connection.execute(select(setting.c.value).where(setting.c.name == "node").with_for_update()).first()
        number = int(row[0]) + 1 if row else 1
        if row:
            connection.execute(update(setting).where(setting.c.name == "node").values(value=str(number)))
        else:
            connection.execute(insert(setting).values(name="node", value=str(number)))
        return number

    return database.write(work)


def _secret(path: Path) -> bytes:
    """The server's key for audit chains and page tokens, made at first run and readable by its user only."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_secret(path)
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(32))
    return _read_secret(path)


def _read_secret(path: Path) -> bytes:
    for _ in range(50):  # another process may be writing it at this moment
        found = path.read_bytes()
        if len(found) == 32:  # noqa: PLR2004 - the length of the key
            return found
        time.sleep(0.02)
    message = f"{path} must hold exactly 32 bytes."
    raise ValueError(message)
