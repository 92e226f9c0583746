"""The settings: one row each with name, default and help, read from the environment (ECM_FHIR_<NAME>) once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

PREFIX = "ECM_FHIR_"


def _row(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True)
class Settings:
    """What differs from one deployment to the next; every field can be set as ECM_FHIR_<FIELD IN CAPITALS>."""

    data_folder: str = _row("var", "Folder for the SQLite file, the audit log of reads and the server's keys")
    database_url: str = _row("", "SQLAlchemy URL; empty: exchange.db (SQLite) in the data folder")
    base_url: str = _row("http://127.0.0.1:8000/fhir", "FHIR base URL as clients see it")
    host: str = _row("127.0.0.1", "Address to listen on")
    port: int = _row(8000, "Port to listen on")
    proxies: str = _row("", "Addresses of reverse proxies, separated by spaces, whose X-Forwarded-For is believed")
    workers: int = _row(0, "Server processes; 0: one on SQLite, two on PostgreSQL")
    threads: int = _row(0, "Requests worked on at once by a process; 0: 32 on SQLite, 16 on PostgreSQL")
    requests_per_minute: int = _row(
        0, "Requests, entries of Bundles too, of one client to a process in a minute; then 429; 0: any"
    )
    search_seconds: int = _row(10, "Longest statement of a read or search; then 503 timeout")
    transaction_seconds: int = _row(30, "Longest transaction; then 503 timeout and nothing is stored")
    time_zone: str = _row("America/Los_Angeles", "Zone of dates and times that name none")
    audit_strict: bool = _row(default=False, help_text="Flush the audit of a read before answering, not within 50 ms")
    share_grace_days: int = _row(30, "Days for which a finished referral stays readable to its organization")
    run_out_days: int = _row(0, "Days for which a provider may still read what was recorded of a member in its time")
    max_resource_bytes: int = _row(5 * 1024 * 1024, "Longest resource body taken")
    max_bundle_bytes: int = _row(50 * 1024 * 1024, "Longest Bundle body taken")
    max_file_bytes: int = _row(2 * 1024**3 - 1, "Longest assignment file taken")
    cors_origins: str = _row("*", "Origins whose pages may call the server, separated by spaces; *: any (no cookies)")
    delete_referenced: str = _row("allow", "Delete of what others refer to: allow, or refuse (409 naming a referrer)")
    conditional_delete: str = _row("single", "Conditional delete: single (several matches are refused) or multiple")
    hold_drop_percent: int = _row(10, "Share of a roster (percent) above which a full file that drops it is held")
    parked_days: int = _row(10, "Days within which a parked row of an assignment file should be decided on")
    layouts_folder: str = _row("", "Folder with file layouts of your own (JSON), beside the built-in ones")
    packages: str = _row("", "Folders of further FHIR packages whose profiles are enforced, separated by ':'")
    submissions_per_minute: int = _row(20, "Requests for ECM that one client may submit blindly in a minute; then 429")
    submissions_per_day: int = _row(1000, "Requests for ECM that one client may submit blindly in a day; then 429")
    embedded_worker: bool = _row(default=True, help_text="Run jobs in the server's own process")
    max_open_jobs: int = _row(20, "Unfinished jobs that one client may have")
    max_stored_bytes: int = _row(16 * 1024**3, "Bytes that the files of one organization's jobs may take")
    job_days: int = _row(30, "Days for which a finished job and its files are kept")
    lease_seconds: int = _row(30, "Seconds after which a silent worker's job is taken over")
    smtp_host: str = _row("", "Mail server for notices; empty: no notice goes out by e-mail")
    smtp_port: int = _row(587, "Port of the mail server")
    smtp_starttls: bool = _row(default=True, help_text="Encrypt the way to the mail server, or do not send")
    smtp_login_file: str = _row("", "File that holds user:password for the mail server; empty: no login")
    notice_sender: str = _row("", "Address that notices come from")
    notice_folder: str = _row("", "Folder into which notices are put that go out by mail")
    allow_private_jwks: bool = _row(default=False, help_text="Let a jwks_uri point to a private address (tests)")

    @property
    def on_sqlite(self) -> bool:
        """Whether the database is a file of this machine."""
        return self.url.startswith("sqlite")

    @property
    def most_running(self) -> int:
        """The number of requests that one process works on at once."""
        return self.threads or (32 if self.on_sqlite else 16)

    @property
    def run_out_ms(self) -> int:
        """The run-out of an assignment in milliseconds."""
        return self.run_out_days * 86_400_000

    @property
    def zone(self) -> ZoneInfo:
        """The zone of dates that name none."""
        return ZoneInfo(self.time_zone)

    @property
    def folder(self) -> Path:
        """The data folder, as a path."""
        return Path(self.data_folder)

    @property
    def packages_folder(self) -> Path:
        """Where installed FHIR packages are kept."""
        return self.folder / "packages"

    @property
    def url(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{self.folder.absolute() / 'exchange.db'}"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from ECM_FHIR_* variables; ValueError names a variable that is unknown or of the wrong form."""
    known = {PREFIX + row.name.upper(): row for row in fields(Settings)}
    given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        message = f"{unknown[0]} is not a setting. Settings: {', '.join(sorted(known))}."
        raise ValueError(message)
    rows = [(name, known[name], text) for name, text in given.items()]
    values: dict[str, Any] = {row.name: _convert(name, text, row.default) for name, row, text in rows}
    return Settings(**values)


def _convert(name: str, text: str, default: object) -> str | int | bool:
    if isinstance(default, bool):
        if text.lower() not in {"true", "false", "1", "0"}:
            message = f"{name} must be true or false, not {text!r}."
            raise ValueError(message)
        return text.lower() in {"true", "1"}
    if isinstance(default, int):
        if not text.isdigit():
            message = f"{name} must be a whole number, not {text!r}."
            raise ValueError(message)
        return int(text)
    return text
