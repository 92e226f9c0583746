"""The baseline of reads: an empty Flask view, served as our server is."""

import sys
from pathlib import Path

from flask import Flask

app = Flask("empty")


@app.get("/fhir/")
def ok() -> str:
    """Nothing is done here."""
    return "ok"


def serve(port: int, workers: int, threads: int) -> None:
    """Serve until ended, with the settings that `ecm-fhir serve` takes."""
    from granian import Granian  # noqa: PLC0415 - only the parent of the workers needs it
    from granian.constants import Interfaces  # noqa: PLC0415

    Granian(
        "bench.empty:app", address="127.0.0.1", port=port, interface=Interfaces.WSGI, workers=workers,
        blocking_threads=threads, log_level="warning", working_dir=Path(__file__).parent.parent,  # type: ignore[arg-type]
    ).serve()  # fmt: skip


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
