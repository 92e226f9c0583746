"""Which failures of a database are passing conditions that a client is told about, rather than mistakes of ours.

https://www.sqlite.org/rescode.html and https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import sqlite3
from typing import NoReturn

import psycopg
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from fhir_server.fhir.errors import FHIRError, LockError, NoStore, TimedOut, TooCostly, Unavailable

_AGAIN = {"Retry-After": "1"}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_STORE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
}
_TOO_LARGE = ("parser stack overflow", "too many", "at most", "tree is too large", "too big")  # SQLite has no code
_TAKEN = {sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE}
_CANCELLED = "57014"  # by statement_timeout
_TOO_MUCH = "54"  # program limit exceeded
_FULL = ("53", "58")  # insufficient resources, system errors
_LOST = ("08", "57")  # connection exceptions, operator intervention (shutdown, crash)


def known(error: BaseException | None) -> FHIRError | None:
    """What to answer for a driver's error: lock-error, no-store, transient, too-costly; None for a mistake of ours."""
    if isinstance(error, DBAPIError):
        return known(error.orig)
    if isinstance(error, sqlite3.Error):
        if any(words in str(error) for words in _TOO_LARGE):
            return _too_costly()
        return _sqlite(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if isinstance(error, psycopg.OperationalError):
        return _postgresql(error.sqlstate or "08")
    return None


def reraise(error: Exception) -> NoReturn:
    """Raise what is to be answered for this error, or the error itself."""
    failure = known(error)
    if failure is None:
        raise error
    raise failure from error


def _timed_out() -> TimedOut:
    return TimedOut("The request took too long and was given up. Narrow it, or try again later.", headers=_AGAIN)


def _too_costly() -> TooCostly:
    return TooCostly("The search asks for more than the database takes at once. Ask for less in one request.")


def _sqlite(code: int) -> FHIRError | None:
    if code == sqlite3.SQLITE_INTERRUPT:
        return _timed_out()
    if code in _BUSY:
        return LockError("The database is busy with another writer. Send the request again.", headers=_AGAIN)
    if code in _NO_STORE:
        return NoStore("The database cannot be read or written at present. Try again later.", headers=_AGAIN)
    return None


def _postgresql(state: str) -> FHIRError | None:
    if state == _CANCELLED:
        return _timed_out()
    if state.startswith(_TOO_MUCH):
        return _too_costly()
    if state.startswith(_FULL):
        return NoStore("The database cannot store anything at present. Try again later.", headers=_AGAIN)
    if state.startswith(_LOST):
        return Unavailable("The database is out of reach at present. Send the request again.", headers=_AGAIN)
    return None


def is_taken(error: BaseException | None) -> bool:
    """Whether a row with the same key was there already."""
    if isinstance(error, sqlite3.IntegrityError):
        return error.sqlite_errorcode in _TAKEN
    return isinstance(error, psycopg.errors.UniqueViolation)


def replace_lost(context: ExceptionContext) -> FHIRError | None:
    """SQLAlchemy's hook: a connection that is lost, or cannot be had, is a passing condition."""
    if context.is_disconnect or context.connection is None:
        return known(context.original_exception)
    return None
