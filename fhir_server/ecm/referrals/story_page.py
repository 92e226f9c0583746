"""The story of a request as one page to be printed: plain HTML, without scripts, pictures or links elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from html import escape
from typing import Final

from fhir_server.access.relations import local
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.referrals import attempts, stamps
from fhir_server.ecm.referrals.stories import Attempt, Event, Story
from fhir_server.fhir.values import local_time, parse_date

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_STYLE: Final = (
    "body{font:11pt/1.45 system-ui,sans-serif;color:#1a1a1a;margin:2em auto;padding:0 1em;max-width:46em}"
    "h1{font-size:1.5em;margin:0}h2{margin:2em 0 .2em;font-size:1.1em}p{margin:.2em 0}.aside,th{color:#555}"
    "table{border-collapse:collapse;width:100%;margin-top:.6em}th{font-weight:normal}"
    "td,th{border-bottom:1px solid #bbb;padding:.3em .8em .3em 0;text-align:left;vertical-align:top}"
    "@media(min-width:40em){td:first-child{white-space:nowrap}}section{break-inside:avoid}.late{font-weight:bold;color:#a00}"
)

Say = Callable[[str, str], str]  # (system, code) -> what people call it


def page(told: Story, zone: tzinfo, now: int, say: Say) -> str:
    """The page, in the exchange's time zone and in words; `now` (UTC milliseconds) dates it."""
    numbers = {f"Task/{one.task['id']}": number for number, one in enumerate(told.attempts, 1)}
    sections = "".join(_section(told, numbers, one, zone, say) for one in told.attempts)
    count = f"{len(numbers)} attempt" + ("" if len(numbers) == 1 else "s")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>Story of a referral</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(_service(told, say))}</h1>"
        f'<p class="aside">Requested {_written(told, zone)}. {count}. As of {_time(now, zone)}.</p>{sections}'
        f'<p class="aside" style="margin-top:2em">Request {escape(str(told.request["id"]))}</p></body></html>\n'
    )


def _service(told: Story, say: Say) -> str:
    code = told.request.get("code", {})
    first = (code.get("coding") or [{}])[0]
    named = say(str(first.get("system", "")), str(first.get("code", "")))
    return str(code.get("text") or first.get("display") or named or "Request")


def _written(told: Story, zone: tzinfo) -> str:
    written = told.request.get("authoredOn")
    if not written:
        return "at an unknown time"
    at = parse_date(written, zone)[0]
    return _time(at, zone) if "T" in written else _day(at, zone)


def _section(told: Story, numbers: dict[str, int], one: Attempt, zone: tzinfo, say: Say) -> str:
    asked = ", ".join(told.name(name) for name in one.asked) or "nobody"
    who = told.name(local(one.task["requester"]) or "")
    heading = f"{numbers['Task/' + one.task['id']]}. {who} asked {asked}"
    facts = "".join(f"<p{mark}>{escape(text)}</p>" for text, mark in _facts(numbers, one, zone, say))
    rows = "".join(_row(event, zone, say) for event in one.events)
    head = "<tr><th>When</th><th>State</th><th>Referral status</th><th>Remarks</th></tr>"
    return f"<section><h2>{escape(heading)}</h2>{facts}<table>{head}{rows}</table></section>"


def _facts(numbers: dict[str, int], one: Attempt, zone: tzinfo, say: Say) -> list[tuple[str, str]]:
    found = []
    if replaced := attempts.reassignment(one.task):
        reason = replaced["reason"]
        why = reason.get("display") or say(words.REASSIGNMENT_REASONS, reason.get("code", ""))
        place = numbers.get(replaced["replaces"].get("reference", ""))
        found.append((f"In place of {f'attempt {place}' if place else 'another attempt'}: {why}", ""))
    if stamp := stamps.stamp(one.task, words.ANSWER_BY):
        due = _time(parse_date(stamp["valueDateTime"], zone)[0], zone)
        found.append((f"To be answered by {due}" + (": late" if one.late else ""), ' class="late"' if one.late else ""))
    return found


def _row(event: Event, zone: tzinfo, say: Say) -> str:
    remarks = [event.reason, f"Reported: {event.reported}" if event.reported else ""]
    loop = ": ".join(_loop_word(code, say) for code in event.loop)
    cells = (_time(event.at, zone), event.status.replace("-", " ").capitalize(), loop, ". ".join(filter(None, remarks)))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _loop_word(code: str, say: Say) -> str:
    status = say(words.REFERRAL_STATUSES, code)
    return status if status != code else say(words.CLOSURE_REASONS, code)


def _day(ms: int, zone: tzinfo) -> str:
    return local_time(ms, zone).strftime("%b %-d, %Y")


def _time(ms: int, zone: tzinfo) -> str:
    return local_time(ms, zone).strftime("%b %-d, %Y, %-I:%M %p")
