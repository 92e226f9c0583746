"""What the figures were measured on."""

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import Any

_LIBRARIES = ("granian", "Flask", "SQLAlchemy", "psycopg", "orjson", "jsonschema-rs")


def describe() -> dict[str, str]:
    """Cores, memory, versions, load."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return {
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GiB; servers, databases and load generator all on it",
        "python": f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}; {libraries}",
        "load": f"{Path('/proc/loadavg').read_text().split()[0]} when the run began",
    }


def durability(database: Any) -> str:
    """The settings in force, asked from a connection of the store."""
    connection = database.read()
    if database.dialect == "sqlite":
        mode, level = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        )
        names = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
        return f"journal_mode={mode}, synchronous={names[int(level)]}"
    names_shown = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
    shown = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names_shown}
    return ", ".join(f"{name}={value}" for name, value in shown.items())
