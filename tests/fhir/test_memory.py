"""What is remembered by the texts that clients write, and what is not."""

import pytest

from fhir_server.fhir.memory import LONGEST, remembered


@pytest.mark.parametrize("more", [(), ("b",)])
def test_short_texts_are_remembered_and_long_ones_are_not(more: tuple[str, ...]) -> None:
    """T29: each answer is right; a long one is reckoned each time, wherever the long text stands."""
    asked: list[tuple[object, ...]] = []

    @remembered(8)
    def size(*texts: object) -> int:
        asked.append(texts)
        return sum(len(str(text)) for text in texts)

    short, long = "a" * LONGEST, "a" * (LONGEST + 1)
    for given in ((short, *more), (long, *more), (*more, None, long), (*more, None, short)):
        assert [size(*given) for _ in range(3)] == [sum(len(str(text)) for text in given)] * 3
    assert len(asked) == 1 + 3 + 3 + 1
