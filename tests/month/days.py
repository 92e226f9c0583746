"""The month, day by day: files in the morning, then referrals; three in a hundred things go wrong."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fhir_server.ecm import vocabulary as words
from fhir_server.fhir.values import instant
from fhir_server.jobs.worker import Worker
from tests.ecm import referral
from tests.ecm.scene import Killed, Scene, cin
from tests.month import world as files
from tests.month.model import BY_TELEPHONE, NOBODY, PANTRIES, PLANS, PROVIDERS, Member, Model, Referral

DAYS = 30
DAY_MS, LEASE_MS = 86_400_000, 31_000
CHAOS, TURNS = 0.03, 0.4
PATIENCE = 8  # days without an answer
NATURES = ("telephone", "taken", "taken", "taken", "taken", "taken", "taken", "declined", "silent", "withdrawn")
MOVES = ("accepted", "in-progress", "completed")


class Month:
    """The world, what should be in it, and chance."""

    def __init__(self, world: Scene, chance: random.Random, members: int, referrals: int) -> None:
        self.world, self.chance, self.model = world, chance, Model()
        self.referrals_a_day = max(1, referrals // DAYS)
        self._numbers = iter(range(1_000_000, 9_999_999))
        self._today = datetime.now(UTC).date()
        self._first = members // len(PLANS)
        self._silent: list[Referral] = []

    def play(self) -> None:
        """All days."""
        for day in range(DAYS):
            for plan in PLANS:
                self._files(plan, day)
            for _ in range(self.referrals_a_day):
                self._refer(day)
            self._work(day)
            self.world.move_clock(DAY_MS)

    def _date(self, day: int) -> str:
        return str(date.fromordinal(self._today.toordinal()) + timedelta(days=day))

    # ------------------------------------------------------------------------------------------------------- files

    def _files(self, plan: str, day: int) -> None:
        if day == 0:
            self._send(plan, [self._new(plan) for _ in range(self._first)], day, "full")
        elif day == DAYS - 1:
            self._truncated(plan, day)
            self._drop(plan)
            self._send(plan, self.model.of(plan), day, "full")
        else:
            self._delta(plan, day)

    def _new(self, plan: str) -> Member:
        return Member(cin(next(self._numbers)), plan, self.chance.choice(PROVIDERS))

    def _delta(self, plan: str, day: int) -> None:
        known = self.model.of(plan)
        changed = self.chance.sample(known, max(1, len(known) // 100))
        for one in changed:
            one.changes += 1
            if self.chance.random() < 0.1:
                one.provider = self.chance.choice(PROVIDERS)
                self.model.happened["moved"] += 1
        self._send(plan, [*changed, self._new(plan)], day, "delta", spoiled=self.chance.random() < CHAOS * 3)

    def _send(self, plan: str, members: Sequence[Member], day: int, mode: str, *, spoiled: bool = False) -> None:
        rows = [files.row(one) for one in members]
        if spoiled:
            rows += [files.row(self._new(plan), npi=NOBODY), {**files.row(self._new(plan)), "CIN": "nonsense"}]
            self.model.happened["spoiled file"] += 1
        body = files.file(rows, self._date(day))
        self._take_in(plan, body, mode)
        if self.chance.random() < CHAOS:
            self._take_in(plan, body, mode)
            self.model.happened["same file again"] += 1
        self.model.members |= {one.cin: one for one in members}

    def _take_in(self, plan: str, body: bytes, mode: str) -> dict[str, Any]:
        """The manifest of a file; the worker may die in the middle."""
        client = self.world.clients[plan]
        asked = self.world.kick_off(client, body, mode)
        assert asked.status_code == 202, asked.text
        if self.chance.random() < CHAOS:
            self._die()
        self.world.work(1000)
        done = client.get(asked.headers["Content-Location"])
        assert done.status_code == 200, (done.status_code, done.text)
        return dict(done.json())

    def _die(self) -> None:
        """A worker takes the file up and dies after its first transaction; then its lease runs out."""
        engine = self.world.server.engine

        def stop(_context: Any, changes: Sequence[Any]) -> None:
            if changes:
                raise Killed

        engine.hooks.after_commit.append(stop)
        try:
            Worker(engine).work_once()
        except Killed:
            self.model.happened["worker died"] += 1
        engine.hooks.after_commit.remove(stop)
        self.world.move_clock(LEASE_MS)

    def _truncated(self, plan: str, day: int) -> None:
        """Half of a full file arrives: it is held, and nobody loses anything."""
        known = self.model.of(plan)
        manifest = self._take_in(
            plan, files.file([files.row(one) for one in known[: len(known) // 2]], self._date(day)), "full"
        )
        assert manifest.get("state") == "held", manifest
        self.model.happened["held"] += 1

    def _drop(self, plan: str) -> None:
        for one in self.chance.sample(self.model.of(plan), len(self.model.of(plan)) // 50):
            one.provider = ""
            self.model.happened["dropped"] += 1

    # --------------------------------------------------------------------------------------------------- referrals

    def _refer(self, day: int) -> None:
        plan, provider = self.chance.choice(PLANS), self.chance.choice(PROVIDERS)
        mine = self.model.of(plan, provider)
        if mine:
            nature = self.chance.choice(NATURES)
            asked = BY_TELEPHONE if nature == "telephone" else self.chance.choice(PANTRIES)
            self._ask(self.chance.choice(mine), provider, asked, day, nature)

    def _ask(
        self, person: Member, provider: str, pantry: str, day: int, nature: str, focus: str = "", **more: Any
    ) -> None:
        client = self.world.clients[provider]
        patient = self._patient(person, provider)
        focus = focus or referral.made(client, referral.request(patient, provider))["id"]
        task = referral.made(client, referral.task(patient, focus, provider, pantry, **more))
        found = Referral(task["id"], focus, person.cin, person.plan, provider, pantry, day, nature)
        self.model.referrals.append(found)

    def _patient(self, person: Member, provider: str) -> str:
        if not person.patient:
            query = f"Patient?identifier={words.CIN}|{person.cin}&_elements=id"
            found = self.world.clients[provider].get(query).json()
            person.patient = found["entry"][0]["resource"]["id"]
        return person.patient

    def _work(self, day: int) -> None:
        """Whoever has something to do with a referral today does it."""
        for one in list(self.model.referrals):
            if one.status in {"requested", *MOVES[:2]} and self.chance.random() < TURNS:
                self._turn(one, day)

    def _turn(self, one: Referral, day: int) -> None:
        step = MOVES[len(one.statuses) - 1]
        if one.nature == "taken":
            self._move(one, one.pantry, step, day)
        elif one.nature == "telephone":
            self._record(one, step, day)
        elif one.nature == "declined":
            self._move(one, one.pantry, "rejected", day)
        elif one.nature == "withdrawn":
            self._move(one, one.provider, "cancelled", day)
        elif day - one.sent > PATIENCE:
            self._reassign(one, day)

    def _record(self, one: Referral, status: str, day: int) -> None:
        """The requester writes down what it was told by telephone."""
        more = {"reason": "Boxes were picked up"} if status == "completed" else {}
        said = referral.said(status, self._now(), **more)
        answer = self.world.clients[one.provider].post(f"Task/{one.task}/$record-answer", said)
        assert answer.status_code == 200, answer.text
        one.statuses.append(status)
        one.answered = day if one.answered is None else one.answered
        self.model.happened["by telephone"] += 1

    def _now(self) -> str:
        return instant(self.world.server.engine.clock())

    def _reassign(self, one: Referral, day: int) -> None:
        """Nobody answered: another is asked in its place, if the member is still with the requester."""
        person = self.model.members[one.cin]
        if person.provider != one.provider:
            return
        others = [name for name in PANTRIES if name != one.pantry]
        why = [referral.instead(one.task), referral.parallel_reason("Others are open")]
        self._ask(person, one.provider, self.chance.choice(others), day, "taken", one.request, extension=why)
        one.statuses.append("cancelled")
        one.is_replaced = True
        self.model.happened["reassigned"] += 1

    def _move(self, one: Referral, who: str, status: str, day: int) -> None:
        client = self.world.clients[who]
        now = client.get(f"Task/{one.task}").json()
        assert now["status"] == one.status, (now["status"], one)
        if self.chance.random() < CHAOS:
            self._stale(client, now, status)
        answer = referral.moved(client, now, status)
        assert answer.status_code == 200, (answer.status_code, answer.text, one)
        one.statuses.append(status)
        if who == one.pantry and one.answered is None:
            one.answered = day

    def _stale(self, client: Any, now: dict[str, Any], status: str) -> None:
        """Somebody writes on what it read too long ago, or does what nobody may: nothing changes."""
        old = {**now, "meta": {**now["meta"], "versionId": str(int(now["meta"]["versionId"]) + 7)}}
        assert referral.moved(client, old, status).status_code == 412
        assert referral.moved(client, now, "draft").status_code == 422
        self.model.happened["refused write"] += 2
