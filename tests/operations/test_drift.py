"""Drift is measured by a replay of the applied files, or known from the one at the last deployment; it is never hidden."""

from __future__ import annotations

import pytest

from safemig.copies import drift
from safemig.results import Check
from tests.operations.conftest import FIRST, FIRST_FILE, Shop
from tests.tables import part_of

pytestmark = pytest.mark.measures_drift

SECOND_FILE = "20260102000000_second.sql"
SECOND = "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);"


def _drift(shop: Shop) -> Check:
    (check,) = [check for check in shop.project.preflight().checks if check.name == "drift"]
    return check


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was measured on a throwaway server."""
    found: list[str] = []
    measure = drift.Drift.of

    def measuring(self: drift.Drift, *asked: object) -> str:
        found.append(measure(self, *asked))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(drift.Drift, "of", measuring)
    return found


@pytest.fixture
def deployed(shop: Shop, measured: list[str]) -> Shop:
    """A shop after a deployment, whose first pre-flight had nothing to go by."""
    shop.write(SECOND_FILE, SECOND)
    shop.deploy()
    assert measured == ["none"]
    measured.clear()
    return shop


def test_after_a_deployment_no_server_is_started_to_know(deployed: Shop, measured: list[str]) -> None:
    assert (_drift(deployed).state, measured) == ("ok", [])
    deployed.write("20260103000000_third.sql", "CREATE TABLE IF NOT EXISTS more (id bigint PRIMARY KEY);")
    deployed.deploy()
    assert (_drift(deployed).state, measured) == ("ok", [])
    deployed.project.rollback_prod(approve=_approved(deployed))
    # The files are pending again, and what those before it make is known from the deployment before.
    assert (_drift(deployed).state, measured) == ("ok", [])


def _approved(shop: Shop) -> str:
    with pytest.raises(Exception, match="is not approved") as caught:
        shop.project.rollback_prod()
    return str(caught.value.next).split("--approve ")[1].split()[0]  # type: ignore[attr-defined]


BY_HAND = [
    ("ALTER TABLE notes ADD COLUMN by_hand text", "add column public.notes.by_hand"),
    ("DROP TABLE notes", "remove table public.notes"),
    ("ALTER TABLE users ALTER COLUMN email DROP NOT NULL", "public.users.email"),
    ("GRANT SELECT ON users TO PUBLIC", "public.users"),
    ("CREATE OR REPLACE VIEW big_orders AS SELECT * FROM orders WHERE total > 101", "public.big_orders"),
]


@pytest.mark.parametrize(("statement", "told"), part_of(BY_HAND, BY_HAND[::2], lambda case: case[0]))
def test_what_is_done_by_hand_after_it_is_found(deployed: Shop, measured: list[str], statement: str, told: str) -> None:
    deployed.on(deployed.production, statement)
    check = _drift(deployed)
    assert check.state == "warning"
    assert told in check.found
    assert len(measured) == 1


def test_an_applied_file_that_changed_is_found(deployed: Shop, measured: list[str]) -> None:
    deployed.write(FIRST_FILE, FIRST + "CREATE TABLE IF NOT EXISTS smuggled (id int);")
    assert (_drift(deployed).state, "contradict each other" in _drift(deployed).found) == ("warning", True)
    # Without our checksum and the statements' text, nothing but the replay can tell.
    deployed.on(
        deployed.production,
        "DELETE FROM safemig.migrations; UPDATE supabase_migrations.schema_migrations SET statements = NULL",
    )
    assert "remove table public.smuggled" in _drift(deployed).found
    assert measured


def test_another_safemig_or_another_server_s_words_are_no_drift(
    deployed: Shop, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as upgraded:
        upgraded.setattr(drift, "__version__", "999.0")
        assert _drift(deployed).state == "ok"
    assert measured == ["none"]
    deployed.on(
        deployed.production,
        """UPDATE safemig.deployments SET facts = jsonb_set(facts, '{files_make,schema}', '"as 17 writes it"')""",
    )
    assert _drift(deployed).state == "ok"
    assert measured == ["none", "none"]


def test_a_deployment_does_not_make_earlier_drift_its_own(shop: Shop, measured: list[str]) -> None:
    shop.on(shop.production, "ALTER TABLE users ADD COLUMN by_hand text")
    shop.write(SECOND_FILE, SECOND)
    shop.deploy()
    assert "public.users.by_hand" in _drift(shop).found
    assert len(measured) == 2


def test_what_a_migration_does_only_where_there_are_rows_is_told(shop: Shop, measured: list[str]) -> None:
    """The replay has none: production is then not what the files make from nothing."""
    shop.write(
        SECOND_FILE,
        "DO $$ BEGIN IF EXISTS (SELECT FROM users) THEN ALTER TABLE users ADD COLUMN seen text; END IF; END $$;",
    )
    accepted = [f"{each.rule}:{each.object}: tried" for each in shop.project.review().standing]
    shop.project.migrate_prod(approve=_plan_of(shop, accepted), accept=accepted)
    assert "public.users.seen" in _drift(shop).found
    assert "public.users.seen" in measured[-1]


def _plan_of(shop: Shop, accepted: list[str]) -> str:
    with pytest.raises(Exception, match="is not approved") as caught:
        shop.project.migrate_prod(accept=accepted)
    return str(caught.value.next).split("--approve ")[1].split()[0]  # type: ignore[attr-defined]
