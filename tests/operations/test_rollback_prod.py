"""rollback_prod: the proven script, run with the care of a deployment."""

from __future__ import annotations

import pytest

from safemig.copies.rollback_script import read_script
from safemig.errors import BackupError, DeploymentFailedError, DeploymentStoppedError, RefusedError, RehearsalError
from safemig.execution import validation
from safemig.postgres.connection import Connection
from safemig.postgres.dump.tools import run_psql
from safemig.postgres.server.programs import server_programs
from safemig.results import Deployment
from tests.operations.conftest import Shop

SECOND_FILE = "20260102000000_second.sql"
SECOND = """
CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);
ALTER TABLE users ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true;
"""


def roll_back(shop: Shop, script: str = "") -> Deployment:
    """Roll back with the id that the refusal names."""
    with pytest.raises(RefusedError) as caught:
        shop.project.rollback_prod(script)
    return shop.project.rollback_prod(script, approve=str(caught.value.next).split("--approve ")[1].split()[0])


@pytest.fixture
def deployed(shop: Shop) -> Deployment:
    """The second migration, deployed."""
    shop.write(SECOND_FILE, SECOND)
    return shop.deploy()


def test_a_deployment_is_taken_back_exactly(shop: Shop) -> None:
    before = shop.state()
    shop.write(SECOND_FILE, SECOND)
    shop.deploy()
    done = roll_back(shop)
    assert done.verdict == "ROLLED BACK"
    assert {check.state for check in done.validation} == {"ok"}
    assert done.notes == (
        "not brought back: data written after the deployment: the values of public.users.active are lost",
        "not brought back: data written after the deployment: all rows of public.notes are lost",
    )
    assert shop.state()[0] == before[0]
    assert shop.state()[2] == before[2]
    assert [each.file for each in shop.project.plan().migrations] == [SECOND_FILE]
    assert shop.on(shop.production, "SELECT act FROM safemig.deployments ORDER BY committed_at DESC LIMIT 1") == [
        ("rollback_prod",)
    ]


def test_a_backup_is_taken_before_it(shop: Shop, deployed: Deployment) -> None:
    shop.on(shop.production, "INSERT INTO notes VALUES (1, 'written since')")
    done = roll_back(shop)
    assert done.backup is not None
    assert done.backup != deployed.backup
    assert (
        "written since"
        in done.backup.with_name(
            done.backup.name.replace("manifest", "backup_full").replace(".json", ".sql")
        ).read_text()
    )


def test_psql_alone_takes_a_deployment_back(shop: Shop) -> None:
    before = shop.state()
    shop.write(SECOND_FILE, SECOND)
    done = shop.deploy()
    assert done.rollback is not None
    run_psql(server_programs(), shop.production, done.rollback)
    after = shop.state()
    assert (after[0], after[2]) == (before[0], before[2])


def test_without_approval_nothing_is_changed(shop: Shop, deployed: Deployment) -> None:
    before = shop.state()
    with pytest.raises(RefusedError, match="is not approved"):
        shop.project.rollback_prod()
    with pytest.raises(RefusedError, match="approved was 0123456789ab"):
        shop.project.rollback_prod(approve="0123456789ab")
    assert shop.state() == before


def test_without_a_script_it_says_so(shop: Shop) -> None:
    with pytest.raises(BackupError, match="no rollback script"):
        shop.project.rollback_prod()
    (shop.folder / "other.sql").write_text("SELECT 1;")
    with pytest.raises(BackupError, match="not a rollback script"):
        shop.project.rollback_prod("other.sql")


def test_twice_is_refused(shop: Shop, deployed: Deployment) -> None:
    roll_back(shop)
    with pytest.raises(RefusedError, match="nothing to roll back"):
        shop.project.rollback_prod()


def test_an_earlier_deployment_waits_for_the_later(shop: Shop, deployed: Deployment) -> None:
    shop.write("20260103000000_third.sql", "CREATE TABLE IF NOT EXISTS third (id int PRIMARY KEY);")
    shop.deploy()
    with pytest.raises(RefusedError, match="migrations were applied after those: 20260103000000"):
        shop.project.rollback_prod(str(deployed.rollback))
    assert roll_back(shop).migrations == ("20260103000000_third.sql",)
    assert roll_back(shop, str(deployed.rollback)).migrations == (SECOND_FILE,)


def test_a_schema_that_changed_since_is_refused(shop: Shop, deployed: Deployment) -> None:
    shop.on(shop.production, "CREATE VIEW since AS SELECT * FROM notes")
    before = shop.state()
    with pytest.raises(RefusedError, match="has changed since this script"):
        shop.project.rollback_prod()
    assert shop.state() == before


def test_data_that_stands_against_it_is_found_on_the_copy(shop: Shop) -> None:
    """The deployment loosened a column; rows written since do not fit the old one."""
    shop.write(SECOND_FILE, "ALTER TABLE users ALTER COLUMN email DROP NOT NULL;")
    project = shop.project
    plan = project.plan()
    findings = [f"{each.rule}:{each.object}: the test needs it" for each in project.review().standing]
    plan = project.plan(accept=findings)
    project.migrate_prod(approve=plan.id, accept=findings)
    shop.on(shop.production, "INSERT INTO users VALUES (1000, NULL, NULL)")
    before = shop.state()
    with pytest.raises(RehearsalError, match="contains null values"):
        shop.project.rollback_prod()
    assert shop.state() == before


def test_a_script_that_was_edited_to_do_more_is_stopped(shop: Shop, deployed: Deployment) -> None:
    assert deployed.rollback is not None
    script = read_script(deployed.rollback)
    deployed.rollback.write_text(script.sql + "\nDROP VIEW big_orders;\n")
    before = shop.state()
    with pytest.raises((RehearsalError, DeploymentFailedError), match="does not produce the expected schema"):
        shop.project.rollback_prod()
    assert shop.state() == before


def test_what_the_validation_finds_is_an_error_that_says_it_is_done(
    shop: Shop, deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = validation.count_rows

    def emptied(connection: Connection) -> dict[str, int]:
        shop.on(shop.production, "TRUNCATE orders")  # the application does, just then
        return real(connection)

    monkeypatch.setattr("safemig.operations.rollback_prod.count_rows", emptied)
    words = "rolled back, but 1 check after it said no: rows: public.orders had 1,000 rows, has none"
    with pytest.raises(DeploymentStoppedError, match=words) as caught:
        roll_back(shop)
    assert caught.value.exit_code == 4
    assert [check.name for check in caught.value.result.validation if check.state == "failed"] == ["rows"]
