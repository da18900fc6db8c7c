"""Approvals by setting: by several people, and by none who wrote what is approved."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from safemig.errors import RefusedError
from tests.operations.conftest import Shop

SECOND_FILE = "20260102000000_second.sql"
SECOND = "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);"


def _deploy_as(shop: Shop, monkeypatch: pytest.MonkeyPatch, person: str, plan: str) -> str:
    monkeypatch.setenv("SAFEMIG_BY", person)
    return shop.project.migrate_prod(approve=plan).verdict


def test_two_people_must_approve(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop.folder / "safemig.toml").write_text("required_approvals = 2\n")
    shop.write(SECOND_FILE, SECOND)
    (schema, _, history), plan = shop.state(), shop.project.plan().id
    for _ in range(2):  # the same person twice is one approval
        with pytest.raises(RefusedError, match="1 of 2 approvals: ann") as caught:
            _deploy_as(shop, monkeypatch, "ann", plan)
        assert f"another person approves with: safemig migrate-prod --approve {plan}" in str(caught.value)
    assert (schema, history) == shop.state()[::2]
    assert shop.project.plan().id == plan
    assert _deploy_as(shop, monkeypatch, "bob", plan) == "DEPLOYED"
    rows = shop.on(shop.production, "SELECT by, how FROM safemig.approvals WHERE approved_at IS NOT NULL ORDER BY by")
    assert rows == [("ann", "parameter"), ("bob", "parameter")]


def test_approvals_of_another_plan_do_not_count(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop.folder / "safemig.toml").write_text("required_approvals = 2\n")
    shop.write(SECOND_FILE, SECOND)
    with pytest.raises(RefusedError, match="1 of 2"):
        _deploy_as(shop, monkeypatch, "ann", shop.project.plan().id)
    shop.write(SECOND_FILE, SECOND + "-- a byte more")
    with pytest.raises(RefusedError, match="1 of 2 approvals: bob"):
        _deploy_as(shop, monkeypatch, "bob", shop.project.plan().id)


def _git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Ann Author", "-c", "user.email=ann@example.com")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_an_author_may_not_approve_his_own(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop.folder / "safemig.toml").write_text("authors_may_approve = false\nrehearsal = 'schema'\n")
    path = shop.write(SECOND_FILE, SECOND)
    plan = shop.project.plan().id
    with pytest.raises(RefusedError, match="the author of this migration is unknown"):
        _deploy_as(shop, monkeypatch, "bob", plan)
    _git(shop.folder, "init")
    _git(shop.folder, "add", str(path))
    _git(shop.folder, "commit", "-m", "add")
    before = shop.state()
    for person in ("Ann Author", "ann"):
        with pytest.raises(RefusedError, match=f"{person} has written {SECOND_FILE}"):
            _deploy_as(shop, monkeypatch, person, plan)
    assert shop.state() == before
    path.write_text(SECOND + "-- and changed since")
    with pytest.raises(RefusedError, match="is unknown"):
        _deploy_as(shop, monkeypatch, "bob", shop.project.plan().id)
    path.write_text(SECOND)
    assert _deploy_as(shop, monkeypatch, "bob", plan) == "DEPLOYED"


def test_looser_settings_make_another_plan(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    (shop.folder / "safemig.toml").write_text("required_approvals = 2\n")
    strict = shop.project.plan().id
    (shop.folder / "safemig.toml").write_text("")
    assert shop.project.plan().id != strict
