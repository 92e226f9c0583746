"""The synthetic world's client systems: registered with keys of their own, made at first run.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fhir_server.smart import clients, keys
from fhir_server.smart.backend import BackendService, key_path, new_key, read_key
from fhir_server.store.db import Database


def enlist(database: Database, world: Path, data: Path, now_ms: int) -> list[str]:
    """Register every client of the world that is not registered yet; the organizations of those that are new."""
    found = [_enlist(database, facts, data, now_ms) for facts in _listed(world)]
    return [organization for organization in found if organization]


def services(world: Path, data: Path, base: str) -> dict[str, BackendService]:
    """Every client of the world by id, ready to use; ClientError if a key is missing."""
    ids = [str(facts["id"]) for facts in _listed(world)]
    return {name: BackendService(base, name, read_key(key_path(data, name))) for name in ids}


def _listed(world: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((world / "clients.json").read_text(encoding="utf-8"))
    return found


def _enlist(database: Database, facts: Mapping[str, Any], data: Path, now_ms: int) -> str:
    """The organization of a client just registered, else ""; a client whose key file is lost gets a new key."""
    path, known = key_path(data, facts["id"]), clients.get(database, facts["id"])
    rights = " ".join(facts["rights"])
    if known is not None:
        clients.extend(database, facts["id"], now_ms, rights, facts["identifiers"])
        if not path.exists():
            clients.replace_keys(database, facts["id"], keys.key_set(new_key(path)))
        return ""
    clients.register(
        database, client_id=facts["id"], name=facts["name"], organization=facts["organization"],
        law_class=facts["law_class"], scopes=facts["scopes"], now_ms=now_ms, purposes=" ".join(facts["purposes"]),
        rights=rights, jwks=keys.key_set(read_key(path) if path.exists() else new_key(path)),
        identifiers=facts["identifiers"],
    )  # fmt: skip
    return str(facts["organization"])
