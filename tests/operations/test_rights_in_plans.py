"""A plan names and binds what roles gain and lose, as the last rehearsal found it; a deployment holds itself to that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from safemig.errors import FileError, RefusedError, RehearsalError
from tests.operations.conftest import Shop

FILE = "20260102000000_rights.sql"
GIVES = "GRANT SELECT, INSERT ON users TO PUBLIC; REVOKE SELECT ON orders FROM PUBLIC;\n"
CHANGES_NONE = "ALTER TABLE users ADD COLUMN IF NOT EXISTS note text;\n"


@pytest.fixture
def readable(shop: Shop) -> Shop:
    """The shop, where everyone may read the orders."""
    for url in (shop.staging, shop.production):
        shop.on(url, "GRANT SELECT ON orders TO PUBLIC")
    shop.write("20260101000001_read.sql", "GRANT SELECT ON orders TO PUBLIC;")
    for url in (shop.staging, shop.production):
        shop.on(
            url, "INSERT INTO supabase_migrations.schema_migrations (version, name) VALUES ('20260101000001', 'read')"
        )
    shop.write(FILE, GIVES)
    accepted = '"grant-to-public:users: asked for", "revoke:orders: asked for"'
    (shop.folder / "safemig.toml").write_text(f"accept = [{accepted}]\n")
    return shop


def kept(shop: Shop) -> Path:
    return shop.project.settings.path("backups") / "production" / "rehearsed_rights.json"


def said(shop: Shop) -> str:
    return " ".join(shop.project.plan().render("text").split())


def test_a_plan_names_and_binds_what_roles_gain_and_lose(readable: Shop) -> None:
    without = readable.project.plan()
    assert without.rights is None
    assert "What roles gain and lose is not in this plan: safemig rehearse finds it out." in said(readable)
    rehearsal = readable.project.rehearse()
    plan = readable.project.plan()
    assert plan.id == rehearsal.plan_id != without.id
    assert plan.id.startswith(f"{without.id}-")
    assert plan.rights
    assert {(each.role, each.object, each.verb, each.is_new) for each in plan.rights.access} == {
        ("PUBLIC", "public.users", "SELECT", True),
        ("PUBLIC", "public.users", "INSERT", True),
        ("PUBLIC", "public.orders", "SELECT", False),
    }
    text = said(readable)
    assert "Access, before and after (rehearsed 20" in text
    assert "older rehearsal" not in text
    assert readable.project.rehearse().plan_id == plan.id, "the same rights make the same plan"
    with pytest.raises(
        RefusedError, match=f"approved was plan {without.id}; what is pending now is plan {plan.id}"
    ) as no:
        readable.project.migrate_prod(approve=without.id)
    assert "what roles gain and lose" in str(no.value.where)
    deployed = readable.project.migrate_prod(approve=plan.id)
    assert (deployed.verdict, deployed.plan_id) == ("DEPLOYED", plan.id)


def test_where_no_right_changes_the_plan_keeps_its_id(shop: Shop) -> None:
    shop.write(FILE, CHANGES_NONE)
    before = shop.project.plan().id
    shop.project.rehearse()
    assert shop.project.plan().id == before
    assert "No role gains or loses a right (rehearsed 20" in said(shop)


def test_a_plan_on_an_older_rehearsal_says_so_and_is_held_to_it(readable: Shop) -> None:
    first = readable.project.rehearse().plan_id
    readable.on(readable.production, "CREATE TABLE found_later (id bigint PRIMARY KEY)")
    plan = readable.project.plan()
    assert plan.rights
    assert not plan.rights.is_current
    assert plan.id.partition("-")[2] == first.partition("-")[2]
    assert plan.id.partition("-")[0] != first.partition("-")[0]
    text = said(readable)
    assert f"UTC for plan {first.partition('-')[0]}; the schema, a setting or the collected statements" in text
    assert readable.project.migrate_prod(approve=plan.id).verdict == "DEPLOYED"


def test_a_rehearsal_of_other_migrations_is_not_of_this_plan(readable: Shop) -> None:
    readable.project.rehearse()
    readable.write(FILE, CHANGES_NONE)
    assert readable.project.plan().rights is None


def test_an_approved_mark_is_held_against_the_deployments_own_rehearsal(readable: Shop) -> None:
    plan = readable.project.rehearse().plan_id
    shutil.rmtree(kept(readable).parent)  # as on the machine of a deploying job
    basis = readable.project.plan().id
    with pytest.raises(RehearsalError, match="roles gain or lose something other than plan") as no:
        readable.project.migrate_prod(approve=f"{basis}-000000")
    assert "PUBLIC gains SELECT on public.users" in no.value.what
    assert readable.on(readable.production, "SELECT has_table_privilege('public', 'users', 'INSERT')") == [(False,)]
    with pytest.raises(RefusedError, match="what is pending now is plan"):
        readable.project.migrate_prod(approve="000000000000-" + plan.partition("-")[2])
    deployed = readable.project.migrate_prod(approve=plan)
    assert (deployed.verdict, deployed.plan_id) == ("DEPLOYED", plan)


def test_a_damaged_file_is_named_with_what_to_do(readable: Shop) -> None:
    readable.project.rehearse()
    for content in (
        "{",
        "[]",
        '{"plan": 1}',
        "",
        '{"rehearsed_at": "now", "plan": "x", "access": [], "migrations": []}',
    ):
        kept(readable).write_text(content)
        with pytest.raises(
            FileError, match="what roles gain and lose, as the last rehearsal found it, cannot be read"
        ) as no:
            readable.project.plan()
        assert no.value.next == "remove the file, and rehearse again: safemig rehearse"
