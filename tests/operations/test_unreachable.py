"""A database that cannot be reached before anything is changed: exit code 2 from every verb, by every road."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.cli import main
from safemig.cli import safemig as group
from safemig.copies.rollback_script import TakenBack, compose
from safemig.errors import SafemigError, UnreachableError
from safemig.project import Project
from tests.operations.conftest import FIRST_FILE, Shop
from tests.operations.test_every_road import NICKNAME, fleet_of_one, write_nickname
from tests.tables import part_of

DOWN = "postgresql://app:hunter2@127.0.0.1:1/shop"

# Each verb that reads a database, as Python has it; what it is given is there before the database goes away.
VERBS: dict[str, Callable[[Project], object]] = {
    "generate": lambda of: of.generate("a note"),
    "review": lambda of: of.review(),
    "rehearse": lambda of: of.rehearse(),
    "backup-prod": lambda of: of.backup_prod(),
    "migrate-staging": lambda of: of.migrate_staging(),
    "migrate-prod": lambda of: of.migrate_prod(approve="0a1b2c3d4e5f"),
    "migrate-prod --resume": lambda of: of.migrate_prod(resume="0a1b2c3d4e5f"),
    "migrate-prod --run": lambda of: of.migrate_prod(run="true", run_down="true"),
    "rollback-prod": lambda of: of.rollback_prod(approve="0a1b2c3d4e5f"),
    "restore-prod": lambda of: of.restore_prod(),
    "restore-prod --swap": lambda of: of.restore_prod(swap=True, approve="0a1b2c3d4e5f"),
    "restore-prod --tables": lambda of: of.restore_prod(tables="public.users"),
    "restore-prod --drop": lambda of: of.restore_prod(drop="production_restored_20260101000000"),
    "sync-prod": lambda of: of.sync_prod(approve="0a1b2c3d4e5f"),
    "baseline-prod": lambda of: of.baseline_prod(to=FIRST_FILE[:14]),
    "plan": lambda of: of.plan(),
    "plan rollback-prod": lambda of: of.plan("rollback-prod"),
    "plan restore-prod": lambda of: of.plan("restore-prod"),
    "plan sync-prod": lambda of: of.plan("sync-prod"),
    "plan baseline-prod": lambda of: of.plan("baseline-prod", to=FIRST_FILE[:14]),
    "base": lambda of: of.base(source="production"),
    "workload": lambda of: of.workload(),
    "diff": lambda of: of.schema_diff("staging", "production"),
}
# What these answer is a state, and the state is that the database could not be asked.
STATES = {"status", "doctor", "fleet"}
NO_DATABASE = {"init", "demo", "records", "help", "config"}
RECORDED = [
    "backup-prod", "rehearse", "migrate-prod", "migrate-staging", "rollback-prod", "restore-prod", "sync-prod", "baseline-prod",
    "generate note", "review --record", "workload --record",
]  # fmt: skip


@pytest.fixture
def away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Take both databases away from a shop that has a backup, a rollback script and a pending migration."""
    monkeypatch.chdir(shop.folder)
    fleet_of_one(shop)
    backup = shop.project.backup_prod(verify=False)
    taken_back = TakenBack("a", "b", [("20260102000000", NICKNAME)], "0a1b2c3d4e5f", "shop", "", backup.timestamp, [])
    (shop.backups / f"rollback_{backup.timestamp}.sql").write_text(compose("SELECT 1;", taken_back))
    write_nickname(shop)

    def take(value: str) -> None:
        name = shop.production.split("/")[3].split("?")[0]
        for variable in ("PRODUCTION_DATABASE_URL", "STAGING_DATABASE_URL"):
            monkeypatch.setenv(variable, shop.production.replace(name, "nowhere") if value == "no database" else value)

    return take


def test_every_verb_is_in_the_table() -> None:
    assert {each.split()[0] for each in VERBS} | STATES | NO_DATABASE == set(group.commands)


def test_every_verb_says_that_it_could_not_reach_the_database(away: Callable[[str], None], shop: Shop) -> None:
    for value in (DOWN, "no database"):
        away(value)
        said: dict[str, str] = {}
        for verb, run in VERBS.items():
            with pytest.raises(SafemigError) as caught:
                run(Project.open(shop.folder))
            error = caught.value
            said[verb] = "" if isinstance(error, UnreachableError) and error.exit_code == 2 else str(error)
            assert "hunter2" not in str(error), verb
        assert said == dict.fromkeys(VERBS, "")


@pytest.mark.parametrize(("words", "code"), [("status", 5), ("doctor", 5), ("fleet status", 5), ("fleet plan", 1)])
def test_a_verb_that_answers_with_a_state_says_it_in_that(
    away: Callable[[str], None], words: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    away(DOWN)
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == code
    assert "hunter2" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("words", part_of(RECORDED, RECORDED[:1], str))
def test_a_recorded_verb_leaves_a_record_that_says_refused(
    away: Callable[[str], None], shop: Shop, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    away(DOWN)
    with pytest.raises(SystemExit) as left:
        main(words.split())
    out, err = capfd.readouterr()
    assert left.value.code == 2, err
    assert "reached" in err or "connection" in err
    assert "hunter2" not in out + err
    (record,) = Path(shop.folder / "records").rglob("*.ipynb")
    assert record.stem.endswith("-REFUSED")
