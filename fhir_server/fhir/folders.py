"""Where the published data lies: profiles/ and terminology/, in a checkout and in an installed package.

https://packaging.python.org/en/latest/discussions/src-layout-vs-flat-layout/
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """The folder `profiles` or `terminology`; FileNotFoundError, saying where it was looked for, if it is in neither.

    A checkout is known by its pyproject.toml: an installed package may by chance have a folder of that name beside it.
    """
    checkout, installed = _PACKAGE.parent / name, _PACKAGE / "_data" / name
    if (_PACKAGE.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    if installed.is_dir():
        return installed
    message = f"the data folder {name!r} is neither beside the package ({checkout}) nor inside it ({installed})"
    raise FileNotFoundError(message)
