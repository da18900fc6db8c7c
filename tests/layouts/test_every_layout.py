"""Each tool's folder: recognised, deployed, rolled back by the team's own way down, and the tool's history right throughout."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from safemig.backups.manifest import read_manifest
from safemig.migrations.layouts import LAYOUTS
from safemig.records.certificate import _backed_up
from safemig.records.outcome import RecordedResult
from safemig.results import BOOKKEEPING_TABLES
from safemig.settings import Settings, load_settings
from tests.layouts.conftest import Team
from tests.layouts.folders import EXAMPLES
from tests.operations.conftest import approval_of

thorough = pytest.mark.thorough
DEFAULT = ("flyway", "goose", "sqitch")


def test_every_layout_can_be_set() -> None:
    assert set(get_args(Settings.model_fields["layout"].annotation)) - {""} == set(LAYOUTS)


@pytest.mark.parametrize(
    "layout", [each if each in DEFAULT else pytest.param(each, marks=thorough) for each in EXAMPLES]
)
def test_a_team_deploys_and_rolls_back_beside_its_own_tool(layout: str, team: Callable[[str], Team]) -> None:
    ours = team(layout)
    example = ours.example
    settings = load_settings(ours.folder)
    assert (settings.layout, settings.migrations.as_posix()) == (layout, example.folder)
    assert ours.on(example.ask) == example.before
    plan = ours.project.plan()
    assert [each.name.replace(" ", "_").removeprefix("unit_") for each in plan.migrations] == ["prices"]
    deployment = ours.project.migrate_prod(approve=plan.id)
    assert deployment.verdict == "DEPLOYED"
    assert ours.on(example.ask) == example.after
    assert {row.table for row in deployment.rows} <= {"public.users", "public.prices"}, (
        "the tool's history is none of the project's tables"
    )
    assert ours.project.plan().migrations == ()
    status = ours.project.db_status("production")
    assert {each.states["production"] for each in status.migrations} == {"applied"}
    assert status.environments[0].drift == "none"
    script = (deployment.rollback or ours.folder).read_text()
    assert ("DROP COLUMN cents" in script) == example.has_down  # the team's own words
    approved = approval_of(lambda: ours.project.rollback_prod())
    assert ours.project.rollback_prod(approve=approved).verdict == "ROLLED BACK"
    assert ours.on(example.ask) == example.before
    assert len(ours.project.plan().migrations) == 1


@pytest.mark.parametrize(
    "layout", ["flyway", *(pytest.param(each, marks=thorough) for each in EXAMPLES if each != "flyway")]
)
def test_a_tools_history_is_backed_up_and_not_counted_as_the_projects(layout: str, team: Callable[[str], Team]) -> None:
    backup = team(layout).project.backup_prod(verify=False)
    assert [table.name for table in backup.own_tables] == ["public.users"]
    assert "100 rows in 1 table" in backup.render("text").splitlines()[0]
    history = {table.name for table in backup.tables} - {"public.users"}
    assert history, "it is in the backup"
    assert history == {name for name in history if name in backup.history or name.startswith(BOOKKEEPING_TABLES)}
    assert read_manifest(backup.manifest).history == backup.history
    recorded = RecordedResult("backup", "", "", backup.to_dict())
    assert "100 rows in 1 table" in _backed_up(recorded, None).words
