"""A folder is a registry: every file in it exports one constant of the same name.

https://docs.python.org/3/library/pkgutil.html
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any


def entries(package: ModuleType, name: str) -> tuple[Any, ...]:
    """The constant `name` of every module in the package, by file name; AttributeError if a file lacks it.

    Files whose name starts with "_" are helpers of the folder, not entries.
    """
    stems = sorted(module.name for module in iter_modules(package.__path__) if not module.name.startswith("_"))
    return tuple(getattr(import_module(f"{package.__name__}.{stem}"), name) for stem in stems)
