"""The story of a request as one page to be printed: plain HTML, without scripts, pictures or links elsewhere."""

from __future__ import annotations

from datetime import datetime, tzinfo
from html import escape
from typing import Final

from fhir_server.access.relations import local
from fhir_server.ecm import attempts, stamps
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.stories import Attempt, Event, Story
from fhir_server.fhir.values import parse_date

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_STYLE: Final = (
    "body{font:11pt/1.4 sans-serif;margin:2em;max-width:50em}h2{margin:1.5em 0 .3em;font-size:1.1em}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #999;padding:.2em .6em .2em 0;"
    "text-align:left;vertical-align:top}section{break-inside:avoid}.late{font-weight:bold}"
)


def page(told: Story, zone: tzinfo, now: int) -> str:
    """The page, in the exchange's time zone; `now` (UTC milliseconds) dates it."""
    sections = "".join(_section(told, number, one, zone) for number, one in enumerate(told.attempts, 1))
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Story of a referral</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(_service(told))}</h1>"
        f"<p>Request {escape(str(told.request['id']))}, written {_day(told, zone)}. "
        f"Attempts: {len(told.attempts)}. As of {_time(now, zone)}.</p>{sections}</body></html>\n"
    )


def _service(told: Story) -> str:
    code = told.request.get("code", {})
    codings = code.get("coding", [{}])
    return str(code.get("text") or codings[0].get("display") or codings[0].get("code") or "Request")


def _day(told: Story, zone: tzinfo) -> str:
    written = told.request.get("authoredOn")
    return _time(parse_date(written, zone)[0], zone) if written else "at an unknown time"


def _section(told: Story, number: int, one: Attempt, zone: tzinfo) -> str:
    asked = ", ".join(told.name(name) for name in one.asked) or "nobody"
    heading = f"{number}. {told.name(local(one.task['requester']) or '')} asked {asked}"
    facts = "".join(f"<p{mark}>{escape(text)}</p>" for text, mark in _facts(one, zone))
    rows = "".join(_row(event, zone) for event in one.events)
    head = "<tr><th>When</th><th>State</th><th>Referral status</th><th>Remarks</th></tr>"
    return f"<section><h2>{escape(heading)}</h2>{facts}<table>{head}{rows}</table></section>"


def _facts(one: Attempt, zone: tzinfo) -> list[tuple[str, str]]:
    found = []
    if replaced := attempts.reassignment(one.task):
        reason = replaced["reason"].get("display") or replaced["reason"].get("code")
        found.append((f"In place of {replaced['replaces'].get('reference')}: {reason}", ""))
    if stamp := stamps.stamp(one.task, words.ANSWER_BY):
        due = _time(parse_date(stamp["valueDateTime"], zone)[0], zone)
        found.append((f"To be answered by {due}" + (": late" if one.late else ""), ' class="late"' if one.late else ""))
    return found


def _row(event: Event, zone: tzinfo) -> str:
    remarks = [event.reason, f"Reported: {event.reported}" if event.reported else ""]
    cells = (_time(event.at, zone), event.status, ", ".join(event.loop), ". ".join(filter(None, remarks)))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _time(ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(ms / 1000, zone).strftime("%Y-%m-%d %H:%M")
