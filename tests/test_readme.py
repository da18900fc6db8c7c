"""The examples of README and the documentation run, their commands exist, their settings are read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from safemig.demo.shop import Shop, Sizes
from safemig.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = "\n".join([README, *(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").rglob("*.md")))])


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A small shop whose staging was changed, in the environment and as the working folder."""
    with Shop.start(tmp_path / "shop", production=Sizes(users=200, products=60, orders=400)) as started:
        started.change_staging_by_hand()
        for name, value in started.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(started.folder)
        yield started


def test_readme_is_short_and_shows_a_record() -> None:
    assert len(README.splitlines()) <= 120
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 1
    assert (ROOT / pictures[0]).is_file()
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_first_screen_has_the_two_commands() -> None:
    first_screen = "\n".join(README.splitlines()[:30])
    assert '\npip install -e ".[embedded]" && safemig demo\n' in first_screen
    assert '\npip install -e ".[dev]" && pytest\n' in first_screen


def test_the_python_example_runs(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks("python")
    found: dict[str, object] = {}
    exec(compile(example, "notebooks-and-python.md", "exec"), found)  # the example is ours
    printed = capsys.readouterr().out
    assert "drop-column" in printed
    assert "SAFE TO DEPLOY" in printed
    assert "DEPLOYED" in printed


def test_the_jupyter_examples_run(shop: Shop) -> None:
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    examples = blocks("ipython")
    assert len(examples) == 3
    notebook = new_notebook(cells=[new_code_cell(example) for example in examples])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(shop.folder)}}).execute()
    assert "SAFE TO DEPLOY" in notebook.cells[1].outputs[-1].data["text/plain"]
    assert len(list((shop.folder / "supabase/migrations").glob("*_add_user_preferences_table*.sql"))) >= 1


def commands() -> list[str]:
    """Return every `safemig ...` line of the examples, and those in the text."""
    lines = [line.removeprefix("$ ") for block in (*blocks("bash"), *blocks("console")) for line in block.splitlines()]
    lines += re.findall(r"`(safemig [a-z][^`]*)`", PAGES)
    parts = {part.partition("#")[0].strip() for line in lines for part in re.split(r"&&|\|", line)}
    return sorted(part for part in parts if part.startswith("safemig "))


@pytest.mark.parametrize("line", commands())
def test_the_command_exists_with_these_options(line: str) -> None:
    from safemig.cli import safemig as group

    _, verb, *arguments = shlex.split(line.replace("[FILE...]", "").replace("...", "x"))
    assert isinstance(group, click.Group)
    command = group.get_command(click.Context(group), verb)
    assert command is not None
    for argument in arguments:
        if argument.startswith("--"):
            assert argument in [name for parameter in command.params for name in parameter.opts], argument


def test_the_papermill_line_names_parameters_that_the_runbook_has() -> None:
    import papermill

    (line,) = re.findall(r"^\$ papermill (.*)$", PAGES, re.MULTILINE)
    runbook, _, *options = shlex.split(line)
    given = {options[number + 1] for number, option in enumerate(options) if option == "-p"}
    assert given
    assert given <= set(papermill.inspect_notebook(runbook))


def test_the_settings_example_is_read(tmp_path: Path) -> None:
    for example in blocks("toml"):
        (tmp_path / "safemig.toml").write_text(example, encoding="utf-8")
        load_settings(tmp_path)
    (example,) = [each for each in blocks("toml") if "rehearsal" in each]
    (tmp_path / "safemig.toml").write_text(example, encoding="utf-8")
    settings = load_settings(tmp_path)
    assert settings.rehearsal == "data"
    assert settings.environment("production").url == "env:PRODUCTION_DATABASE_URL"
    assert settings.accept[0].startswith("drop-column:")
