"""The ledger names whatever was done to records or to itself after they were sealed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import safemig
from safemig import chain
from safemig.errors import SettingsError
from safemig.project import Project
from safemig.records import ledger, read_archive
from safemig.records.archive import Filters
from safemig.records.names import RecordName, parse_name
from safemig.records.outcome import WORDS
from safemig.records.verification import verify
from safemig.results import Deployment
from safemig.review.verdict import Verdict


def record(home: Path, i: int) -> Path:
    """Write and seal a small record."""
    home.mkdir(parents=True, exist_ok=True)
    notebook = home / f"20261122T2009{i:02}Z-production-migrate_prod-DEPLOYED.ipynb"
    notebook.write_text(json.dumps({"cells": [], "number": i}))
    page = notebook.with_suffix(".html")
    page.write_text(f"<p>{i}</p>")
    facts = {
        "act": "migrate_prod",
        "by": "dana",
        "started": f"2026-11-22T20:09:{i:02}Z",
        "finished": "2026-11-22T20:10:04Z",
    }
    ledger.seal(home, notebook, page, facts)
    return notebook


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with four sealed records."""
    folder = tmp_path / "records" / "production"
    for i in range(1, 5):
        record(folder, i)
    return folder


def notebooks(home: Path) -> list[Path]:
    return sorted(home.glob("*.ipynb"))


def overwrite(file: Path, content: bytes) -> None:
    """Write into a file that is read-only."""
    file.chmod(0o644)
    file.write_bytes(content)


def edit_a_cell(home: Path) -> None:
    overwrite(notebooks(home)[1], b'{"cells": [{"source": "nothing happened"}]}')


def edit_a_page(home: Path) -> None:
    overwrite(notebooks(home)[1].with_suffix(".html"), b"<p>nothing happened</p>")


def remove_a_record(home: Path) -> None:
    notebooks(home)[1].unlink()
    notebooks(home)[1].with_suffix(".html")


def swap_two_records(home: Path) -> None:
    one, two = notebooks(home)[1:3]
    first, second = one.read_bytes(), two.read_bytes()
    overwrite(one, second)
    overwrite(two, first)


def rewrite(home: Path, change: Callable[[list[str]], list[str]]) -> None:
    file = home / ledger.FILE
    lines = change(file.read_text().splitlines())
    file.write_text("\n".join(lines) + "\n")


def edit_a_line(home: Path) -> None:
    rewrite(home, lambda lines: [line.replace("dana", "someone") if i == 1 else line for i, line in enumerate(lines)])


def edit_a_line_and_its_hash(home: Path) -> None:
    def change(lines: list[str]) -> list[str]:
        facts = json.loads(lines[1]) | {"by": "someone"}
        facts["hash"] = chain.hash_of(facts)
        return [lines[0], json.dumps(facts), *lines[2:]]

    rewrite(home, change)


def remove_a_line(home: Path) -> None:
    rewrite(home, lambda lines: [lines[0], *lines[2:]])


def remove_the_first_line(home: Path) -> None:
    rewrite(home, lambda lines: lines[1:])


def remove_the_last_line(home: Path) -> None:
    rewrite(home, lambda lines: lines[:-1])


def move_a_line(home: Path) -> None:
    rewrite(home, lambda lines: [lines[0], lines[2], lines[1], lines[3]])


def damage_a_line(home: Path) -> None:
    rewrite(home, lambda lines: [lines[0], lines[1][:40], *lines[2:]])


def put_another_in_its_place(home: Path) -> None:
    good = notebooks(home)[1]
    forged, page = (
        good.with_name(good.name.replace("DEPLOYED.ipynb", f"CUT-OFF.{each}")) for each in ("ipynb", "html")
    )
    forged.write_text("{}")
    page.write_text("")
    ledger.seal(home, forged, page, {"replaces": good.stem})
    good.unlink()
    good.with_suffix(".html").unlink(missing_ok=True)


def add_a_record(home: Path) -> None:
    (home / "20261122T200902Z-production-rollback_prod-DEPLOYED.ipynb").write_text("{}")


@pytest.mark.parametrize(
    ("deed", "found"),
    [
        (edit_a_cell, "200902Z-production-migrate_prod-DEPLOYED.ipynb was edited since it was sealed"),
        (edit_a_page, "200902Z-production-migrate_prod-DEPLOYED.html was edited since it was sealed"),
        (remove_a_record, "200902Z-production-migrate_prod-DEPLOYED.ipynb is missing"),
        (swap_two_records, "(it holds the content of 20261122T200903Z-production-migrate_prod-DEPLOYED.ipynb)"),
        (edit_a_line, "line 2 of the ledger (20261122T200902Z-production-migrate_prod-DEPLOYED) was edited"),
        (edit_a_line_and_its_hash, "a line was removed, added or moved before line 3"),
        (remove_a_line, "a line was removed, added or moved before line 2"),
        (remove_the_first_line, "a line was removed, added or moved before line 1"),
        (remove_the_last_line, "200904Z-production-migrate_prod-DEPLOYED.ipynb is not in the ledger"),
        (move_a_line, "a line was removed, added or moved before line 2"),
        (damage_a_line, "line 2 of the ledger is damaged"),
        (put_another_in_its_place, "DEPLOYED, which was no open record of that run"),
        (add_a_record, "200902Z-production-rollback_prod-DEPLOYED.ipynb is not in the ledger"),
    ],
)
def test_a_deed_is_found_and_named(home: Path, deed: Callable[[Path], None], found: str) -> None:
    assert read_archive(home.parent, verify=True).problems == ()
    deed(home)
    problems = read_archive(home.parent, verify=True).problems
    assert any(found in problem for problem in problems), problems


def test_untouched_records_are_not_accused(home: Path) -> None:
    edit_a_cell(home)
    archive = read_archive(home.parent, verify=True)
    assert len(archive.problems) == 1
    assert [each.integrity for each in archive.records] == ["intact", "intact", "edited", "intact"]


def test_a_missing_record_is_still_listed(home: Path) -> None:
    remove_a_record(home)
    assert [each.integrity for each in read_archive(home.parent).records].count("missing") == 1


def test_a_line_torn_by_a_crash_does_not_swallow_the_next(home: Path) -> None:
    file = home / ledger.FILE
    file.write_bytes(file.read_bytes()[:-20])
    record(home, 5)
    entries, problems = ledger.read(home)
    assert [entry.record[13:15] for entry in entries] == ["01", "02", "03", "05"]
    assert problems == ["production: line 4 of the ledger is damaged"]


def test_many_processes_seal_into_one_unbroken_chain(tmp_path: Path) -> None:
    home = tmp_path / "records" / "production"
    home.mkdir(parents=True)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\nfrom test_ledger import record\n"
        "for i in range(5): record(Path(sys.argv[2]), int(sys.argv[3]) * 5 + i)\n"
    )
    here = str(Path(__file__).parent)
    processes = [subprocess.Popen([sys.executable, "-c", code, here, str(home), str(i)]) for i in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert len(ledger.read(home)[0]) == 20
    assert verify(home).problems == ()


def test_the_last_hash_tells_when_the_newest_lines_were_cut_off_with_their_records(home: Path) -> None:
    kept_elsewhere = ledger.last_hash(home)
    newest = notebooks(home)[-1]
    newest.unlink()
    newest.with_suffix(".html").unlink()
    remove_the_last_line(home)
    assert verify(home).problems == ()
    assert ledger.last_hash(home) != kept_elsewhere


def test_a_thousand_records_open_without_opening_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "records" / "production"
    home.mkdir(parents=True)
    previous, lines = chain.FIRST, []
    for i in range(1000):
        name = f"20261122T{i // 60 // 60:02}{i // 60 % 60:02}{i % 60:02}Z-production-migrate_prod-DEPLOYED"
        (home / f"{name}.ipynb").write_text("{}" * 2000)
        facts = {"record": name, "by": "dana", "ipynb_sha256": "", "html_sha256": "", "previous": previous}
        previous = facts["hash"] = chain.hash_of(facts)
        lines.append(json.dumps(facts))
    (home / ledger.FILE).write_text("\n".join(lines) + "\n")
    real = Path.open
    opened: list[str] = []

    def watched(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(path.suffix)
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", watched)
    archive = read_archive(home.parent)
    text = archive.render("html")
    assert ".ipynb" not in opened, "names and the ledger's lines are enough; benchmarks/notebook.py has the time"
    assert len(archive.records) == 1000
    assert "1,000 records" in text


@pytest.mark.parametrize(
    "stem",
    ["20261122T200904Z-production-migrate_prod-DEPLOYED", "20261122T200904Z-prod-eu-1-backup_prod-BACKED-UP"],
)
def test_a_name_is_read_back_as_it_was_made(stem: str) -> None:
    name = parse_name(stem)
    assert isinstance(name, RecordName)
    assert name.stem == stem
    assert parse_name("notes") is None
    assert parse_name("20261322T200904Z-production-migrate_prod-DEPLOYED") is None


@pytest.mark.parametrize(
    ("filters", "seconds"),
    [
        ({}, [4, 3, 2, 1]),
        ({"environment": "production", "by": "dana", "verdict": "deploy", "act": "migrate-prod"}, [4, 3, 2, 1]),
        ({"environment": "staging"}, []),
        ({"verdict": "failed"}, []),
        ({"act": "backup_prod"}, []),
        ({"by": "someone"}, []),
        ({"since": "2026-11-22T20:09:03Z"}, [4, 3]),
        ({"until": "2026-11-22T21:09:02+01:00"}, [2, 1]),
        ({"since": "2026-11-22", "until": "2026-11-22"}, [4, 3, 2, 1]),
        ({"since": "2026-11-23"}, []),
    ],
)
def test_the_archive_is_filtered(home: Path, filters: dict[str, str], seconds: list[int]) -> None:
    chosen = Filters(**filters).select(read_archive(home.parent))
    assert [each.at.second for each in chosen.records] == seconds


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"since": "yesterday"}, "'yesterday' is not a date or time"),
        ({"until": "soon"}, "'soon' is not a date or time"),
        ({"verdict": "deplyed"}, "no record has the verdict 'deplyed'"),
        ({"act": "plan"}, "no verb 'plan' leaves records"),
        ({"environment": "prodd"}, "there is no environment or fleet 'prodd'"),
    ],
)
def test_a_filter_that_no_record_can_fit_is_refused_with_what_is_known(
    home: Path, filters: dict[str, str], words: str
) -> None:
    project = Project.open(home.parent.parent)
    with pytest.raises(SettingsError, match=words) as caught:
        project.deployments(settle=True, **filters)
    assert caught.value.exit_code == 2
    assert project.deployments(environment=home.name, verdict="nothing to", act="migrate-prod").records == ()


def test_every_word_that_an_act_can_answer_can_be_asked_for() -> None:
    """Of the facts' types, and of what the code writes."""
    words = {*re.findall(r"['\"]([A-Z ]+)['\"]", Deployment.__annotations__["verdict"]), *map(str, Verdict)}
    for path in Path(safemig.__file__).parent.rglob("*.py"):
        found = re.findall(r"""(?:verdict="|return "|else ")([A-Z][A-Z ]+)\"""", path.read_text())
        words |= set(found) if path.parent.name in ("operations", "fleet") else set()
    assert len(words) > 20
    assert {word.replace(" ", "-") for word in words} - set(WORDS) - {"RESTORED-BESIDE-PRODUCTION", "SELECT"} == set()


def test_a_folder_without_records_is_an_empty_archive(tmp_path: Path) -> None:
    assert read_archive(tmp_path / "records", verify=True).records == ()
    assert list(tmp_path.iterdir()) == [], "reading writes nothing"
