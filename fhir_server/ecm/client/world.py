"""The synthetic world as files: written by the generator in seed/, which is part of a checkout, not of the package."""

import json
import subprocess
import sys
from pathlib import Path

from fhir_server.smart.backend import ClientError

_CHECKOUT = Path(__file__).resolve().parents[3]


def generate(world: Path, members: int) -> Path:
    """The folder with the world's files, written unless they are there; ClientError outside a checkout."""
    manifest = world / "manifest.json"
    if manifest.exists() and json.loads(manifest.read_text(encoding="utf-8"))["members"] == members:
        return world
    if not (_CHECKOUT / "seed" / "generate.py").exists():
        raise ClientError("The synthetic world is made by the folder seed/, which is not part of the installed package."
                          " Run this command in a checkout of the project.")  # fmt: skip
    command = [sys.executable, "-m", "seed.generate", str(world.absolute()), "--members", str(members)]
    subprocess.run(command, cwd=_CHECKOUT, check=True)  # noqa: S603 - our own generator
    return world
