"""What README and the architecture page name is there."""

import importlib
import re
from pathlib import Path

import pytest

from scaling.console import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]


def words(pattern: str, *pages: str) -> set[str]:
    return {found for page in pages for found in re.findall(pattern, (ROOT / page).read_text(encoding="utf-8"))}


def test_subcommands_that_pages_name_exist() -> None:
    named = words(r"(?<![/\w])vit-scaling ([a-z][a-z-]*)", *PAGES)
    assert {"pilot", "train", "report"} <= named
    assert named <= {*COMMANDS, "completion"}


@pytest.mark.parametrize("module", sorted(words(r"python -m ((?:scaling|analysis)[\w.]*)", *PAGES)))
def test_modules_that_pages_name_answer_help(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    package = ROOT / module.replace(".", "/") / "command.py"
    command = importlib.import_module(f"{module}.command" if package.is_file() else module)
    assert command.main(["--help"]) == 0
    assert module in capsys.readouterr().out


def test_paths_of_the_architecture_page_exist() -> None:
    named = words(r"`((?:scaling|analysis|conf|sweeps|tests)/[\w/.]+\.\w+)`", "docs/architecture.md")
    assert len(named) > 25
    assert [path for path in sorted(named) if "NAME" not in path and not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    links = words(r"\]\(([^)#\s]+)", page) | words(r"(?m)^\[\w+\]: (\S+)", page)
    assert [link for link in sorted(links) if "://" not in link and not (folder / link).exists()] == []


def test_prose_of_the_readme_fits_a_line() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []
