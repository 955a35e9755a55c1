"""What the documentation names is there: links, files, modules, and the floors of the house."""

import re
from pathlib import Path

import pytest

from tests.test_floors import FLOORS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("weights/*/*.md")])
PRESENT = [page for page in PAGES if page.name not in ("experiments.md", "CHANGELOG.md")]
"""The pages that tell what is, not what was."""

WRITTEN = {"mt3x/gin", "examples/das_wandern.mid"}
"""Paths that an installation and a command make."""

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def relative_links(text: str) -> list[str]:
    """Targets of Markdown links and images that are no addresses; those inside code do not count."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "`", text, flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def headings(text: str) -> set[str]:
    """What a link can name behind `#`, as GitHub makes it of the headings."""
    lines = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def missing_links(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    missing = []
    for target in relative_links(page.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (heading and heading not in headings(file.read_text(encoding="utf-8"))):
            missing.append(target)
    return missing


def names_a_module(name: str) -> bool:
    """Whether a dotted name begins with a module of this project, or with a public name, as `mt3x.load`."""
    path = ROOT
    for part in name.replace("mt3x.tasks", "tasks").split("."):
        if (path / f"{part}.py").exists():
            return True
        if not (path / part).is_dir():
            return path == ROOT / "mt3x" and part in (path / "__init__.py").read_text(encoding="utf-8")
        path /= part
    return True


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    assert not missing_links(page)


def test_links_that_lead_nowhere_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n[a](b.md) [c](#a-page) [d](#no) [e](https://e.org) `[f](f.md)` ![g](g.png)\n")
    assert missing_links(page) == ["b.md", "#no", "g.png"]


@pytest.mark.parametrize("page", PRESENT, ids=name_of)
def test_every_module_that_is_named_exists(page):
    names = set(re.findall(r"(?<![\w./])mt3x\.[A-Za-z][\w.]*\w", page.read_text(encoding="utf-8")))
    assert not {name for name in names if not names_a_module(name)}


def named_files(text: str) -> set[str]:
    """Paths in backticks that begin with a folder of this repository; NAME stands for any name."""
    folders = "mt3x|tasks|gin|tests|benchmarks|docs|weights|examples|colab"
    return {name for name in re.findall(rf"`((?:{folders})/[^`\s]*)`", text) if "NAME" not in name}


@pytest.mark.parametrize("page", PRESENT, ids=name_of)
def test_every_file_that_is_named_exists(page):
    names = named_files(page.read_text(encoding="utf-8")) - WRITTEN
    assert not {name for name in names if not (ROOT / name).exists()}


def test_the_architecture_names_its_files():
    assert len(named_files(ARCHITECTURE)) > 80


def test_the_architecture_gives_each_room_its_floor():
    rows = re.findall(r"^\| (\d) \| `(?:mt3x/)?(\w+)` \|", ARCHITECTURE, re.MULTILINE)
    assert {room: int(floor) for floor, room in rows} == FLOORS
