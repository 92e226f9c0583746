"""The documentation says what is there: every setting, every command and option, and no link leads nowhere."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fhir_server.cli import app, settings_page

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)


def verbs() -> list[tuple[str, list[str]]]:
    """(command, its options) of the whole command line."""
    found = []
    root = typer.main.get_command(app)
    for name, command in sorted(root.commands.items()):
        for inner, leaf in sorted(getattr(command, "commands", {"": command}).items()):
            options = [option for one in leaf.params for option in one.opts if option.startswith("--")]
            found.append((f"ecm-fhir {name} {inner}".strip(), options))
    return found


def test_the_settings_page_is_current() -> None:
    """Run `ecm-fhir settings --markdown > docs/settings.md` after a change of fhir_server/config.py."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()


@pytest.mark.parametrize(("command", "options"), verbs(), ids=[command for command, _ in verbs()])
def test_every_command_is_in_the_docs(command: str, options: list[str]) -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert f"`{command}`" in page
    assert [option for option in options if f"`{option}`" not in page] == []


@pytest.mark.parametrize("command", [command for command, _ in verbs()])
def test_every_command_explains_itself(command: str) -> None:
    """`--help` teaches: a sentence on what it does, and one for every option."""
    result = CliRunner().invoke(app, [*command.split()[1:], "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert re.search(r"Usage: .*\n.*\n? *[A-Z][^.]+[.:]", result.output)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_no_link_leads_nowhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", text)
    targets = [target for pair in links for target in pair if target and "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for verb in ("run", "test", "demo"):
        assert f"make {verb}" in text
        assert re.search(rf"(?m)^{verb}:", makefile)
