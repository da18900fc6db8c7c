"""The guides for who works on safemig name what is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUIDES = ("CONTRIBUTING.md", "docs/architecture.md")
SPANS = [(guide, span) for guide in GUIDES for span in re.findall(r"`([^`\n]+)`", (ROOT / guide).read_text())]
PATHS = [span for _, span in SPANS if "/" in span and " " not in span]
NAMES = [span for _, span in SPANS if re.fullmatch(r"[A-Z][A-Za-z]+|[a-z]+_[a-z_]+", span)]
COMMANDS = [span for _, span in SPANS if re.match(r"(\w+=1 )?(pytest|python scripts|scripts/check|\.ci/run)\b", span)]


@pytest.mark.parametrize("path", sorted(set(PATHS)))
def test_a_path_that_a_guide_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_a_name_that_a_guide_names_is_in_the_code(name: str) -> None:
    texts = (path.read_text() for folder in ("safemig", "tests") for path in (ROOT / folder).rglob("*.py"))
    assert any(re.search(rf"\b{name}\b", text) for text in texts)


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_a_command_that_a_guide_names_can_be_run(command: str) -> None:
    words = [word for word in shlex.split(command) if "=" not in word]
    assert words[0] in ("pytest", "python") or (ROOT / words[0]).stat().st_mode & 0o111
    for word in words[1:]:
        assert not word.startswith(("tests/", "scripts/")) or (ROOT / word).exists()


def test_links_of_the_guides_lead_somewhere() -> None:
    for guide in GUIDES:
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / guide).read_text()):
            assert ((ROOT / guide).parent / target).exists(), target


def test_the_picture_shows_every_room() -> None:
    picture = (ROOT / "docs" / "architecture.md").read_text().partition("```mermaid")[2].partition("```")[0]
    rooms = {path.parent.name for path in (ROOT / "safemig").glob("*/__init__.py")}
    shown = set(re.findall(r"\w+", " ".join(re.findall(r"<b>(.*?)</b>", picture))))
    assert shown == rooms | {"cli", "project"}  # two modules that stand for floors of their own
