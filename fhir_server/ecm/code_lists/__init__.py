"""The program's code lists: each code with the spellings that files use for it. Data; layouts name them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import orjson

FOLDER: Final = Path(__file__).parent


@cache
def names(code_list: str) -> Mapping[str, str]:
    """The name of each code of a list: the first spelling."""
    entry = orjson.loads((FOLDER / f"{code_list}.json").read_bytes())
    return MappingProxyType({code: words[0] for code, words in entry["codes"].items()})
