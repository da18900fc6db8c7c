"""Who belongs to a fleet: every source, and every source that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from safemig import secrets
from safemig.errors import SettingsError, UnreachableError
from safemig.fleet.members import members_of
from safemig.settings import load_settings
from tests.fleet.conftest import Fleet
from tests.test_secret_shapes import MALFORMED, READABLE, require_hidden

URL = "postgresql://app@db1.example.com:5433/acme"


def members(folder: Path, text: str) -> tuple[object, ...]:
    (folder / "safemig.toml").write_text(text)
    return members_of(load_settings(folder), "")


def test_a_query_gives_members_labels_and_servers(
    make_fleet: Callable[..., Fleet], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet(1)
    control = fleet.members["a"]
    monkeypatch.setenv("CONTROL_URL", control)
    fleet.on("a", "CREATE SCHEMA control; CREATE TABLE control.tenants (url text, region text, canary boolean);")
    fleet.on(
        "a", f"INSERT INTO control.tenants VALUES ('{URL}', 'eu', true), ('{URL.replace('acme', 'bolt')}', 'us', NULL)"
    )
    fleet.settings(
        '[environments.control]\nurl = "env:CONTROL_URL"\n[fleets.tenants]\nwaves = ["label:canary", "rest"]\n'
        'members = "sql: select url, region, canary from control.tenants order by 1 on control"\n'
    )
    found = members_of(fleet.project.settings, "tenants")
    assert [(each.name, each.server, each.labels["region"], each.has("canary")) for each in found] == [
        ("acme", "db1.example.com:5433", "eu", True), ("bolt", "db1.example.com:5433", "us", False),
    ]  # fmt: skip
    assert found[0].has("region=eu")
    assert not found[1].has("region=eu")


def test_a_file_a_variable_and_services_give_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text(f"name,url,tier\nacme,{URL},free\nbolt,env:BOLT_URL,paid\n")
    monkeypatch.setenv("BOLT_URL", "postgresql://app:s3cret-word@db2/bolt")
    found = members(tmp_path, '[fleets.t]\nmembers = "file: t.csv"')
    assert [(each.name, each.labels) for each in found] == [("acme", {"tier": "free"}), ("bolt", {"tier": "paid"})]
    assert "s3cret-word" not in repr(found)
    monkeypatch.setenv("ALL", f"acme={URL}\npostgresql://app:s3cret-word@db2/bolt?sslmode=require")
    found = members(tmp_path, '[fleets.t]\nmembers = "env:ALL"')
    assert [(each.name, each.database) for each in found] == [("acme", "acme"), ("bolt", "bolt")]
    (tmp_path / "services").write_text("[tenant_a]\nhost=x\ndbname=a\n[other]\nhost=x\n[tenant_b]\nhost=y\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    found = members(tmp_path, '[fleets.t]\nmembers = "service: tenant_*"')
    assert [(each.name, each.server) for each in found] == [("tenant_a", "x:5432"), ("tenant_b", "y:5432")]


@pytest.mark.parametrize(
    ("source", "content", "says"),
    [
        ('members = "file: t.csv"', "name,url\n", "no member"),
        ('members = "file: t.csv"', f"name,url\nacme,{URL}\nACME,{URL}2\n", "two members are called"),
        ('members = "file: t.csv"', f"name,url\nacme,{URL}\nbolt,{URL}\n", "are the same database"),
        ('members = "file: t.csv"', "name,url\nacme,postgresql://a:hush-hush@h/d\n", "holds a password"),
        ('members = "file: t.csv"', f"name,url\nacme,{URL},more\n", "as many values"),
        ('members = "file: t.csv"', "name,url\nacme,postgresql://[::1/x\n", "not valid"),
        ('members = "file: t.csv"', "name,url\nacme,postgresql://h\n", "names no database"),
        ('members = "file: t.csv"', "name,url\nacme,\n", "no url and no service"),
        ('members = "file: t.csv"', f"name,url\n../acme,{URL}\n", "cannot be a folder's"),
        ('members = "file: gone.csv"', "", "cannot be read"),
        ('members = "file: t.csv"\nwaves = ["label:canary"]', f"name,url\nacme,{URL}\n", "have no label 'canary'"),
        (
            'members = "file: t.csv"\nwaves = ["label:canary"]',
            f"name,url,canary\nacme,{URL},no\n",
            "no member has the label",
        ),
        ('members = "file: t.csv"\nwaves = ["half"]', f"name,url\nacme,{URL}\n", "is none of"),
        ('members = "sql: select 1"', "", "which database it goes to"),
        ('members = "sql: select 1 on nowhere"', "", "no environment"),
        ('members = "env:NOT_SET"', "", "missing or empty"),
        ('members = "env:NO_URLS"', "", "is not a URL"),
        ('members = "service: nobody_*"', "", "no service is called"),
        ('members = "tenants.csv"', "", "does not say where"),
        ('members = "postgresql://a:hush-hush@h/d"', "", "holds a password"),
        ('members = "env:X"\nschemas = "sql: x on y"', "", "either members or schemas"),
        ("max_failures = 1", "", "either members or schemas"),
        ('members = "env:X"\nbackup = "yes"', "", "backup is"),
        ('members = "env:X"\nmax_failure = 1', "", "unknown setting"),
    ],
)
def test_a_source_that_is_wrong_says_what_where_and_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, content: str, says: str
) -> None:
    monkeypatch.setenv("NO_URLS", "not-a-url")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "none"))
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(SettingsError, match=says) as caught:
        members(tmp_path, f"[fleets.t]\n{source}\n")
    assert caught.value.next
    assert caught.value.where
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("url", [*MALFORMED, *READABLE])
def test_no_password_of_a_member_is_ever_said(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setenv("ALL", url)
    (tmp_path / "t.csv").write_text("name,url\nacme,env:ALL\n")
    for source in ("env:ALL", "file: t.csv"):
        try:
            said = repr(members(tmp_path, f'[fleets.t]\nmembers = "{source}"'))
        except SettingsError as error:
            said = str(error)
        require_hidden(said, source)


def test_a_fleet_is_named_and_is_no_environment(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a name of its own"):
        members(tmp_path, '[fleets.production]\nmembers = "env:X"')
    (tmp_path / "safemig.toml").write_text('[fleets.a]\nmembers = "env:X"\n[fleets.b]\nmembers = "env:X"\n')
    with pytest.raises(SettingsError, match="no fleet is named") as caught:
        load_settings(tmp_path).fleet("")
    assert "a, b" in str(caught.value)


def test_an_unreachable_control_database_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROL_URL", "postgresql://app@127.0.0.1:1/control")
    with pytest.raises(UnreachableError):
        members(
            tmp_path,
            '[environments.control]\nurl = "env:CONTROL_URL"\n[fleets.t]\nmembers = "sql: select 1 on control"\n',
        )
