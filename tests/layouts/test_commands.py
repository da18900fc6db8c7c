"""Tools whose migrations are programs, here the real Alembic and Django: rehearsed on a copy, approved, run on production."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from safemig.backups.manifest import read_manifest
from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    RefusedError,
    RehearsalError,
    ReviewRefusedError,
)
from safemig.execution.command import environment_for, run_command
from safemig.project import Project
from tests.operations.conftest import approval_of
from tests.tables import part_of

ENV = """\
import os
from alembic import context
from sqlalchemy import create_engine, pool

url = os.environ.get("DATABASE_URL", "postgresql://").replace("postgresql://", "postgresql+psycopg://")
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
"""
REVISION = """\
from alembic import op
import sqlalchemy as sa

revision = "{revision}"
down_revision = {down}


def upgrade():
    {up}


def downgrade():
    {back}
"""
ALEMBIC = f"{sys.executable} -m alembic"
UP, DOWN = f"{ALEMBIC} upgrade head", f"{ALEMBIC} downgrade -1"
NOTES = 'op.create_table("notes", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("body", sa.Text))'


@dataclass(frozen=True)
class Shop:
    """An Alembic project whose production has its first revision."""

    folder: Path
    production: str

    @property
    def project(self) -> Project:
        return Project.open(self.folder)

    def write(self, name: str, up: str, back: str = "pass", *, after: str | None = "one") -> None:
        path = self.folder / "alembic" / "versions" / f"{name}.py"
        path.write_text(REVISION.format(revision=name, down=repr(after), up=up, back=back))

    def on(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.production, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @property
    def revision(self) -> object:
        return self.on("SELECT version_num FROM alembic_version")[0][0]


@pytest.fixture
def shop(tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path, new_database())
    (tmp_path / "alembic" / "versions").mkdir(parents=True)
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = alembic\n")
    (tmp_path / "alembic" / "env.py").write_text(ENV)
    made.write("one", 'op.create_table("users", sa.Column("id", sa.BigInteger, primary_key=True))', after=None)
    made.on("CREATE TABLE users (id bigserial PRIMARY KEY, email text); INSERT INTO users VALUES (1), (2), (3);")
    made.on(
        "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY)"
    )
    made.on("INSERT INTO alembic_version VALUES ('one')")
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", made.production)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return made


def test_alembic_is_rehearsed_deployed_and_rolled_back(shop: Shop) -> None:
    # An update of all rows, as Knex makes of its lock: no finding, since the table is the tool's.
    shop.write(
        "two", f'{NOTES}; op.execute("UPDATE alembic_version SET version_num = version_num")', 'op.drop_table("notes")'
    )
    assert "NOT COMPARED" in shop.project.db_status("production").render("text").splitlines()[0]
    rehearsal = shop.project.rehearse(run=UP, run_down=DOWN)
    text = " ".join(rehearsal.render("text").split())
    assert [step.kind for step in rehearsal.steps] == ["CREATE TABLE", "UPDATE", "UPDATE"]
    assert "3 writing statements in one transaction" in text
    assert "it commits by itself, not in safemig's transaction" in text
    assert "proven, the way back" in text
    assert shop.revision == "one"  # production was only read
    plan = shop.project.plan(run=UP)
    with pytest.raises(RefusedError, match="is not approved"):
        shop.project.migrate_prod(run=UP)
    deployment = shop.project.migrate_prod(run=UP, approve=plan.id)
    assert deployment.verdict == "DEPLOYED"
    assert deployment.rollback_is_proven
    for result in (rehearsal, deployment):
        assert "public.alembic_version" not in {row.table for row in result.rows}, "it is no table of the project"
    backup, *_ = (shop.folder / "backups" / "production").glob("manifest_*.json")
    assert read_manifest(backup).history == ("public.alembic_version",)
    assert [table.name for table in read_manifest(backup).own_tables] == ["public.users"]
    assert {check.name: check.state for check in deployment.validation}["schema"] == "ok"
    assert shop.revision == "two"
    assert shop.on("SELECT act, migrations FROM safemig.deployments") == [("migrate_prod", [UP])]
    status = shop.project.db_status("production")
    assert (status.exit_code, status.environments[0].drift) == (0, "none")
    assert "UNCHANGED SINCE THE LAST RUN" in status.render("text")
    shop.on("CREATE TABLE by_hand (id int)")
    status = shop.project.db_status("production")
    assert (status.exit_code, "DRIFTED" in status.render("text")) == (1, True)
    shop.on("DROP TABLE by_hand")
    approved = approval_of(shop.project.rollback_prod)
    assert shop.project.rollback_prod(approve=approved).verdict == "ROLLED BACK"
    assert shop.revision == "one"  # so that alembic itself goes on from there
    assert shop.on("SELECT to_regclass('notes') IS NULL") == [(True,)]


WRONG = [
    ('op.execute("ALTER TABLE nowhere ADD COLUMN a int")', RehearsalError, 'relation "nowhere" does not exist'),
    ('op.drop_column("users", "email")', ReviewRefusedError, "drop-column users.email"),
]


@pytest.mark.parametrize(("up", "error", "says"), part_of(WRONG, WRONG[1:], lambda case: case[2]))
def test_what_the_copy_shows_stops_it_before_production(up: str, error: type[Exception], says: str, shop: Shop) -> None:
    shop.write("two", up)
    approved = shop.project.plan(run=UP).id
    with pytest.raises(error, match=says):
        shop.project.migrate_prod(run=UP, approve=approved)
    assert shop.revision == "one"


@pytest.mark.thorough
def test_a_command_that_does_not_come_to_the_copy_is_refused(shop: Shop) -> None:
    with pytest.raises(RehearsalError, match="did not connect to the copy"):
        shop.project.rehearse(run="true")
    with pytest.raises(RehearsalError, match="changed nothing"):
        shop.project.rehearse(run=UP)


@pytest.mark.thorough
def test_an_edited_revision_makes_another_plan(shop: Shop) -> None:
    shop.write("two", NOTES)
    plan = shop.project.plan(run=UP).id
    shop.write("two", NOTES + "  # later")
    assert shop.project.plan(run=UP).id != plan
    with pytest.raises(RefusedError, match="approved was plan"):
        shop.project.migrate_prod(run=UP, approve=plan)


def test_a_command_that_fails_half_way_says_what_is_there(shop: Shop) -> None:
    shop.write("two", NOTES)
    # Only production refuses it: rows that the copy's backup did not have yet.
    shop.write("three", 'op.execute("SELECT pg_sleep(0.01); SELECT 1 / (3 - count(*)) FROM users")', after="two")
    shop.on("DELETE FROM users WHERE id = 3")
    deployment = shop.project.deployment(run=UP, approve=shop.project.plan(run=UP).id)
    for step in (
        deployment.preflight,
        deployment.review,
        deployment.plan,
        deployment.backup,
        deployment.rehearse,
        deployment.approve,
    ):
        step()
    shop.on("INSERT INTO users VALUES (3)")
    with pytest.raises(DeploymentStoppedError, match="stopped part-way: exit code 1") as caught:
        deployment.deploy()
    assert "add table public.notes" in str(caught.value.where)
    assert shop.revision == "two"


@pytest.mark.thorough
def test_a_command_that_changes_nothing_on_production_has_failed_with_nothing_changed(shop: Shop) -> None:
    shop.write("two", 'op.execute("SELECT 1 / (3 - count(*)) FROM users; CREATE TABLE notes (id bigint PRIMARY KEY)")')
    shop.on("DELETE FROM users WHERE id = 3")
    deployment = shop.project.deployment(run=UP, approve=shop.project.plan(run=UP).id)
    for step in (
        deployment.preflight,
        deployment.review,
        deployment.plan,
        deployment.backup,
        deployment.rehearse,
        deployment.approve,
    ):
        step()
    shop.on("INSERT INTO users VALUES (3)")
    with pytest.raises(DeploymentFailedError, match="division by zero"):
        deployment.deploy()
    assert shop.revision == "one"


DJANGO = {
    "manage.py": "import os, sys\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings')\n"
    "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n",
    "settings.py": "import os\nSECRET_KEY = 'test'\nINSTALLED_APPS = ['shop']\nUSE_TZ = True\n"
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': os.environ.get('PGDATABASE', 'x'),"
    " 'HOST': os.environ.get('PGHOST', ''), 'PORT': os.environ.get('PGPORT', ''), 'USER': os.environ.get('PGUSER', '')}}\n",
    "shop/__init__.py": "",
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_initial.py": "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n"
    "    operations = [migrations.CreateModel('User', [('id', models.BigAutoField(primary_key=True)),"
    " ('email', models.TextField())], options={'db_table': 'users'})]\n",
    "shop/migrations/0002_slug.py": "from django.db import migrations, models\n\n\ndef fill(apps, editor):\n"
    "    apps.get_model('shop', 'User').objects.update(slug='x')\n\n\nclass Migration(migrations.Migration):\n"
    "    dependencies = [('shop', '0001_initial')]\n"
    "    operations = [migrations.AddField('User', 'slug', models.CharField(max_length=20, null=True)),"
    " migrations.RunPython(fill, migrations.RunPython.noop)]\n",
}
MANAGE = f"{sys.executable} manage.py"


@pytest.fixture
def django(tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A Django project whose production has its first migration and rows."""
    for name, text in DJANGO.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    made = Shop(tmp_path, new_database())
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", made.production)
    environment = environment_for(Project.open(tmp_path).settings, made.production, lock_timeout=False)
    assert run_command(f"{MANAGE} migrate shop 0001", tmp_path, environment).exit_code == 0
    made.on("INSERT INTO users (email) VALUES ('a'), ('b')")
    return made


def test_django_is_rehearsed_with_its_way_back_and_rows_that_its_code_writes_are_shown(django: Shop) -> None:
    rehearsal = django.project.rehearse(run=f"{MANAGE} migrate", run_down=f"{MANAGE} migrate shop 0001")
    text = " ".join(rehearsal.render("text").split())
    assert [step.kind for step in rehearsal.steps] == ["ALTER TABLE … ADD COLUMN", "UPDATE", "INSERT"]
    assert "proven, the way back" in text
    assert rehearsal.rollback is not None
    assert rehearsal.rollback.is_proven
    assert [row.table for row in rehearsal.rows] == [
        "public.users"
    ]  # the history that Django keeps is not the project's rows
    assert django.on("SELECT count(*) FROM django_migrations WHERE app = 'shop'") == [(1,)]
    status = django.project.db_status("production")
    assert (status.problems, status.environments[0].drift) == (
        (),
        "not compared: the migrations are programs, and no run of safemig is recorded",
    )


def test_what_django_cannot_write_as_sql_is_not_called_safe(django: Shop) -> None:
    environment = environment_for(django.project.settings, django.production, lock_timeout=False)
    printed = subprocess.run(
        [*MANAGE.split(), "sqlmigrate", "shop", "0002"], cwd=django.folder, env=environment, capture_output=True, check=True
    )  # fmt: skip
    review = django.project.review_text(printed.stdout.decode(), name="<stdin>")
    assert str(review.verdict) == "NEEDS ATTENTION"
    assert [each.rule for each in review.standing] == ["not-written-as-sql"]


def test_the_sql_that_alembic_prints_is_reviewed_from_standard_input(shop: Shop) -> None:
    shop.write("two", 'op.drop_column("users", "email")')
    printed = subprocess.run(
        [*ALEMBIC.split(), "upgrade", "--sql", "one:head"], cwd=shop.folder, capture_output=True, check=True
    )
    answer = subprocess.run(
        [sys.executable, "-m", "safemig", "review", "-"], cwd=shop.folder, input=printed.stdout, capture_output=True, check=False
    )  # fmt: skip
    assert answer.returncode == 1
    assert "drop-column" in answer.stdout.decode()
    assert "missing-table" not in answer.stdout.decode()  # alembic_version is there: production was read
