"""The demo's walk: generate, review, migrate_prod, db_status by their runbooks, and then its own look at the result."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import nbformat

from safemig.demo.proof import Content, lost_rows, read_content, schema_differences
from safemig.demo.scene import Scene, exported
from safemig.project import Project
from safemig.records import Progress, RecordRun, run_runbook

Echo = Callable[[str], None]
DESCRIPTION = "add user preferences table"
PLAY_NOTEBOOK = "play.ipynb"
LONGEST_LINE = 120
# What each verb is for, in this story.
WHY = {
    "generate": "what staging has become, as migration files; what loses data is disabled",
    "review": "what these files would do to a production in use",
    "migrate_staging": "staging has it already, so it is only recorded there, not run",
    "migrate_prod": "every check, a backup, a rehearsal on its copy, and then exactly the plan that was approved",
    "db_status": "what is applied where; staging has drifted by the column whose DROP stays disabled",
}


class Story:
    """Says what the demo does, each line with the seconds since its start."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._start = time.monotonic()

    def say(self, line: str) -> None:
        """Say one line."""
        self._echo(f"{time.monotonic() - self._start:5.1f} s  {line}")

    def add(self, line: str) -> None:
        """Say a line that belongs to the one before."""
        self._echo(f"         {line}")


def walk(start: Callable[[], Scene], echo: Echo) -> int:
    """Go the whole way in a new project, which `start` makes; return 0 where the result was proven, else what went wrong.

    A verb's refusal ends the walk with that verb's exit code; a result that is not what it should be gives 1.
    """
    story = Story(echo)
    with start() as shop, exported(shop.variables):
        story.say(f"made {shop.title}")
        (shop.folder / PLAY_NOTEBOOK).write_text(_play_notebook(shop.try_this), encoding="utf-8")
        project = Project.open(shop.folder)
        before = read_content(shop.seen[1])
        story.say(
            f"PostgreSQL {shop.server.programs.version}, production with {_amount(before)} beside its history, in {shop.folder}"
        )
        shop.change_staging_by_hand()
        story.say(shop.by_hand[0])
        for line in shop.by_hand[1:]:
            story.add(line)
        runs = []
        for verb, parameters in _verbs(project):
            runs.append(_run(story, project, verb, parameters))
            # In the end staging has drifted, by the column that it dropped: db_status says so with exit code 1.
            if runs[-1].exit_code > (1 if verb == "db_status" else 0):
                _tell_where_to_look(echo, project, runs)
                return runs[-1].exit_code
        is_proven = _prove(story, shop, before)
    _tell_where_to_look(echo, project, runs)
    return 0 if is_proven else 1


def _verbs(project: Project) -> Any:
    """Yield the verbs of the walk with their parameters, each when the one before is done."""
    yield "generate", {"description": DESCRIPTION}
    yield "review", {}
    yield "migrate_staging", {}  # staging has it already: it is recorded, not run
    # What a person does after reading the review and the plan: approve exactly this one.
    yield "migrate_prod", {"approve": project.plan().id}
    yield "db_status", {}


def _run(story: Story, project: Project, verb: str, parameters: Mapping[str, Any]) -> RecordRun:
    given = "".join(f" {name}={value!r}" for name, value in parameters.items())
    story.say(f"{verb}{given}: {WHY[verb]}")

    def listen(progress: Progress) -> None:
        if progress.result:
            story.say(f"  {_first_line(progress.result.text)}")

    run = run_runbook(verb, project.settings, parameters, listen=listen)
    story.say(f"  recorded as {run.verdict}")
    for line in run.error.lines if run.error else ():
        story.add(f"  {line}")
    return run


def _first_line(text: str) -> str:
    # Which database it is was said before; here what came of it counts.
    line = re.sub(r" \((?:shop_\w+|postgres) on [^)]*\)", "", text.partition("\n")[0])
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def _play_notebook(try_this: str) -> str:
    content = nbformat.reads((files("safemig.demo") / PLAY_NOTEBOOK).read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    (cell,) = (each for each in content.cells if each.id == "review")
    cell.source = f"{cell.source.partition(chr(10))[0]}\n{try_this}"
    text: str = nbformat.writes(content)  # type: ignore[no-untyped-call]
    return text


def _prove(story: Story, shop: Scene, before: Mapping[str, Content]) -> bool:
    lost = lost_rows(before, shop.seen[1])
    answer = "NOT EQUAL" if lost else "none lost, none changed"
    story.say(f"own check: the content of {_amount(before)}, before and after: {answer}")
    differences = schema_differences(*shop.seen, shop.server.major, shop.kept_lines)
    answer = "NOT EQUAL" if differences else f"equal, except for {shop.kept}, which production keeps"
    story.say(f"own check: pg_dump of production's schema and of staging's: {answer}")
    for line in (*lost, *differences):
        story.add(f"  {line}")
    return not lost and not differences


def _amount(content: Mapping[str, Content]) -> str:
    return f"{sum(each.rows for each in content.values()):,} rows in {len(content)} tables"


def _tell_where_to_look(echo: Echo, project: Project, runs: list[RecordRun]) -> None:
    folder = project.folder.resolve()
    migrations, backups = project.settings.path("migrations"), project.settings.path("backups")
    what = {
        "the records, executed notebooks": [run.path for run in runs],
        "the same to read in a browser": [run.html for run in runs],
        "the migrations": sorted(migrations.glob("*.sql")),
        "the backups and their manifest": sorted(
            path for path in backups.rglob("*_*") if path.is_file() and not path.name.startswith("rollback_")
        ),
        "the rollback script, proven before the deployment": sorted(backups.rglob("rollback_*.sql")),
    }
    echo("")
    echo(f"Where to look, in {folder}:")
    for title, paths in what.items():
        echo(f"  {title}")
        for path in paths:
            echo(f"    {path.resolve().relative_to(folder)}")
