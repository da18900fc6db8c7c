"""Reading each tool's files: recognised by themselves, in the tool's order, with its checksum; what cannot be run says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from safemig.errors import MigrationError, SafemigError, SettingsError
from safemig.execution.layout import at_home, files_of, layout_for, require_sql
from safemig.migrations.layouts import find, layout_of
from safemig.migrations.layouts.flyway import checksum_of
from safemig.migrations.layouts.sqitch import read_plan
from safemig.project import Project
from safemig.settings import load_settings
from tests.layouts.folders import EXAMPLES, PLAN

CODE = {
    "alembic": {"alembic/env.py": "", "alembic/versions/1_a.py": "", "alembic.ini": ""},
    "django": {"manage.py": "", "shop/migrations/0001_initial.py": ""},
    "rails-structure": {"db/migrate/20260101000000_users.rb": "", "db/structure.sql": ""},
    "knex": {"knexfile.ts": "", "src/migrations/20260101000000_users.ts": ""},
    "typeorm": {"migrations/1700000000000-users.js": ""},
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


@pytest.mark.parametrize("layout", [*EXAMPLES, *CODE])
def test_init_and_a_project_without_settings_recognise_the_tool(layout: str, tmp_path: Path) -> None:
    home = write(tmp_path, EXAMPLES[layout].first if layout in EXAMPLES else CODE[layout])
    found = at_home(load_settings(home))
    assert found.layout == layout
    initialised = Project.init(home)
    assert layout_for(load_settings(home)).layout.tool in " ".join(initialised.migrations)
    assert (load_settings(home).layout, load_settings(home).migrations) == (layout, found.migrations)
    assert layout_for(load_settings(home)).folder == home / found.migrations


def test_two_tools_in_one_project_are_a_question_not_a_guess(tmp_path: Path) -> None:
    home = write(tmp_path, {**EXAMPLES["prisma"].first, **EXAMPLES["flyway"].first})
    assert at_home(load_settings(home)).layout == ""
    Project.init(home)
    text = (home / "safemig.toml").read_text()
    assert '# layout = "prisma"' in text
    assert '# layout = "flyway"' in text


def test_a_supabase_project_stays_one(tmp_path: Path) -> None:
    home = write(tmp_path, {"supabase/migrations/20260101000000_a.sql": "-- +goose Up\nSELECT 1;\n"})
    assert layout_for(load_settings(home)).layout.name == "supabase"
    assert find(home)[0].layout.name == "supabase"
    assert layout_of(tmp_path / "nowhere").name == "timestamped"


@pytest.mark.parametrize("layout", CODE)
def test_programs_are_not_read_and_the_command_that_works_is_named(layout: str, tmp_path: Path) -> None:
    settings = at_home(load_settings(write(tmp_path, CODE[layout])))
    assert files_of(settings) == ()
    with pytest.raises(MigrationError, match="programs, not SQL") as caught:
        require_sql(settings)
    assert f'--run "{layout_for(settings).layout.command}"' in str(caught.value.next)


@pytest.mark.parametrize(
    ("layout", "names", "order"),
    [
        ("flyway", ["V1.10__c.sql", "V1.9__b.sql", "V1__a.sql", "R__view.sql", "U1__a.sql", "beforeMigrate.sql"],
         ["1", "1.9", "1.10", "R__view"]),
        ("flyway", ["sub/V2_1__b.sql", "V2__a.sql"], ["2", "2.1"]),
        ("golang-migrate", ["10_c.up.sql", "9_b.up.sql", "9_b.down.sql", "001_a.up.sql"], ["1", "9", "10"]),
        ("goose", ["10_c.sql", "9_b.sql", "00001_a.sql"], ["1", "9", "10"]),
        ("sql-migrate", ["10_c.sql", "2_b.sql", "b.sql", "a.sql"], ["2_b.sql", "10_c.sql", "a.sql", "b.sql"]),
        ("dbmate", ["20260102_b.sql", "20260101_a.sql"], ["20260101", "20260102"]),
    ],
)  # fmt: skip
def test_files_come_in_the_tools_own_order(layout: str, names: list[str], order: list[str], tmp_path: Path) -> None:
    text = {"goose": "-- +goose Up\n", "dbmate": "-- migrate:up\n", "sql-migrate": "-- +migrate Up\n"}.get(layout, "")
    write(tmp_path / "m", dict.fromkeys(names, f"{text}SELECT 1;\n"))
    settings = load_settings(tmp_path, migrations=Path("m"), layout=layout)
    assert [each.version for each in files_of(settings)] == order


@pytest.mark.parametrize(
    ("text", "checksum"),
    [  # as java.util.zip.CRC32 over the lines of a BufferedReader, which is what Flyway does
        ("CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);\n", 996368910),
        ("a\r\n\r\nb é\rc", 155052308),
        ("\ufeffa\n\nb é\nc\n", 155052308),
        ("x\n\n", -1931733373),
        ("", 0),
    ],
)
def test_flyways_checksum_is_computed_as_flyway_does(text: str, checksum: int) -> None:
    assert checksum_of(text) == checksum


def test_a_plan_of_sqitch_has_the_identities_that_sqitch_computes(tmp_path: Path) -> None:
    orders = "orders [users@v1 !later] 2026-01-03T00:00:00Z Ada L <a@e.com> # multi\\nline\n@v2 2026-01-03T00:00:05Z Ada L <a@e.com> # second\n"
    prices = "prices [users] 2026-01-02T00:00:00Z Ada Lovelace <ada@example.com> # Prices.\n"
    write(tmp_path, {"sqitch.plan": PLAN + prices + orders})
    changes = read_plan(tmp_path / "sqitch.plan")
    assert [each.id for each in changes] == [  # as sqitch 1.3.1 wrote them
        "26a725959a2e1d998e80129ecaf6aa3d70e1e3a7",
        "3e3606cc6bc9b95627a9bf4e099b213629bb71c5",
        "0f4d1c2aef2ed8a438e134c12febcd9d35b0dce9",
    ]
    assert [tag.id for each in changes for tag in each.tags] == [
        "6a16ded3696be03b8989427b93ef0936e9ec9ec2",
        "1b6b2a48751d4f94c54e826f1b0d5f1bc4cde2bf",
    ]
    assert (changes[2].requires, changes[2].conflicts) == ((("users@v1", changes[0].id),), ("later",))


@pytest.mark.parametrize(
    ("layout", "files", "says"),
    [
        ("flyway", {"V1_users.sql": "", "V2__b.sql": "", "V3__": ""}, None),
        ("flyway", {"V__users.sql": ""}, "not a name of Flyway's"),
        ("flyway", {"V1__users.sql": "CREATE TABLE ${prefix}_users (id int);"}, r"the placeholder \${prefix}"),
        ("flyway", {"V1__a.sql": "", "V1.0__b.sql": ""}, "are the same to Flyway"),
        ("golang-migrate", {"1_a.up.sql": "", "1_b.up.sql": ""}, "two migrations have the version 1"),
        ("golang-migrate", {"a.sql": ""}, "not a migration of the layout golang-migrate"),
        ("goose", {"00001_a.sql": "CREATE TABLE a (i int);"}, r'no line "-- \+goose Up"'),
        ("goose", {"00001_a.go": "package m", "00002_b.sql": "-- +goose Up\n"}, "in Go is a program"),
        ("goose", {"00001_a.sql": "-- +goose ENVSUB ON\n-- +goose Up\n"}, "ENVSUB"),
        ("dbmate", {"1_a.sql": "-- migrate:up\nSELECT 1;\n-- migrate:up\nSELECT 2;\n"}, "is in it 2 times"),
        ("drizzle", {"meta/_journal.json": "{}"}, "not a journal of Drizzle"),
        ("drizzle", {"meta/_journal.json": '{"entries": [{"tag": "0000_a", "when": 1}]}'}, "cannot be read"),
        ("sqitch", {"sqitch.plan": "%project=x\nusers today Ada\n"}, "not a line of a plan"),
        ("sqitch", {"sqitch.plan": "%project=x\na [b] 2026-01-01T00:00:00Z A <a@b>\n"}, "requires b, which"),
        ("prisma", {"20260101_a/other.sql": ""}, "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_not_as_the_tool_writes_it_is_named(
    layout: str, files: dict[str, str], says: str | None, tmp_path: Path
) -> None:
    write(tmp_path / "m", files)
    settings = load_settings(tmp_path, migrations=Path("m"), layout=layout)
    if says is None:
        files_of(settings)
        return
    with pytest.raises(MigrationError, match=says):
        files_of(settings)


def test_the_history_tables_name_can_be_another(tmp_path: Path) -> None:
    assert layout_for(load_settings(tmp_path, layout="goose", history_table="app.Versions")).table == 'app."Versions"'
    assert layout_for(load_settings(tmp_path, layout="goose", history_table="versions")).table == "public.versions"
    with pytest.raises(SettingsError, match="not a name such as"):
        layout_for(load_settings(tmp_path, layout="goose", history_table="a.b.c"))
    with pytest.raises(SafemigError, match="layout"):
        load_settings(tmp_path, layout="liquibase")
