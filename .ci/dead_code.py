"""Functions, methods, classes and imports that nothing uses; settings in pyproject.toml, [tool.vulture].

Fields and constants are left out: a field of a dataclass is often read by its name alone (file columns, settings).
https://github.com/jendrikseipp/vulture
"""

import sys
import tomllib
from pathlib import Path

from vulture import Vulture

KINDS = {"class", "function", "import", "method", "property", "unreachable_code"}


def main(root: Path) -> int:
    """Print what is unused; the exit code."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["vulture"]
    vulture = Vulture(ignore_names=settings["ignore_names"], ignore_decorators=settings["ignore_decorators"])
    paths = [root / name for name in settings["paths"] if (root / name).exists()]
    vulture.scavenge(paths, exclude=settings["exclude"])
    unused = [item for item in vulture.get_unused_code(settings["min_confidence"]) if item.typ in KINDS]
    for item in unused:
        print(f"{item.filename.relative_to(root)}:{item.first_lineno}: unused {item.typ} {item.name!r}")
    print(f"dead code: {len(unused)} found")
    return 1 if unused else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
