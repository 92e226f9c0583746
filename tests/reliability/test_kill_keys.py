"""kill -9 of the server while it works under an `Idempotency-Key`: asked again until it answers, done once (P13)."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import pytest
import requests

from tests.reliability.site import chance, cycles, site

pytestmark = pytest.mark.long


def test_a_key_survives_kills(database_kind: str, fresh_url: Callable[[str], str], tmp_path: Path) -> None:
    """P13: whether the kill came before, during or after the commit, the second try finds it out."""
    random, kills = chance(), cycles("KEYS", 8)
    replayed = 0
    with site(fresh_url(database_kind), tmp_path / "var") as server:
        client = server.client("writer")
        server.start()
        for number in range(kills):
            body = {"resourceType": "Patient", "identifier": [{"system": "urn:n", "value": f"a{number}"}]}
            headers = {"Idempotency-Key": f"key-{number}"}
            client.authorize_once()
            Timer(random.uniform(0.0, 0.06), server.kill).start()
            while True:
                try:
                    answer = client.post("Patient", body, headers=headers)
                    if answer.status_code == 201:
                        break
                except requests.RequestException:
                    server.kill()
                    server.start()
            replayed += "Idempotency-Replayed" in answer.headers
            time.sleep(0.1)  # the kill may still be coming
            server.kill()
            server.start()
            assert client.post("Patient", body, headers=headers).headers["Idempotency-Replayed"] == "true"
            found = client.get(f"Patient?identifier=urn:n|a{number}&_summary=count").json()
            assert found["total"] == 1
        assert server.unexpected() == []
    print(f"{kills} kills, {replayed} answers found again")
