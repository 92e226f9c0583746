"""What was not found is answered on a beat: how long it took to look tells nothing of what is hidden (F10).

A row that the caller may not see costs some tens of microseconds more than one that is not there. Rounding up to a beat
longer than either hides the difference, which noise of the same size would not.
"""

import time

from fhir_server.rest.message import Response

BEAT_SECONDS = 0.005
_NOT_FOUND = 404


def began() -> float:
    """The instant from which the beats of a request are counted."""
    return time.perf_counter()


def keep(response: Response, since: float) -> Response:
    """The response, at once if it tells of something, else at the next beat."""
    if response.status == _NOT_FOUND or response.is_empty:
        wait(since, BEAT_SECONDS)
    return response


def wait(since: float, seconds: float) -> None:
    """Until the next multiple of `seconds` after `since`."""
    time.sleep(seconds - (time.perf_counter() - since) % seconds)
