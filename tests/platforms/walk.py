"""The workflow step by step on every platform in a box, as a table of step and platform.

    python -m tests.platforms.walk [PLATFORM ...]       (all by default: one to two minutes each; "supabase 15" names a version)

Each step ends in the word of its result, and is checked; what fails is NO, with its reason below the table. The test
test_walk.py walks the same way.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click
import psycopg

from safemig.errors import RefusedError, SafemigError
from safemig.postgres.catalog import read_schema
from safemig.postgres.dump.plain import content_of
from safemig.postgres.server.programs import client_programs
from safemig.project import Project
from safemig.records import run_runbook
from safemig.results import Backup, Generated, Restored, RestoredTables
from safemig.views.of_backup import by_hand
from tests.platforms.boxes import BOXES, FIRST_FILE, Boxes, Platform

# What a developer makes on staging by hand. Supabase: the README's table, a policy of storage, a trigger on auth.users.
BY_HAND = {
    "supabase": """
CREATE TABLE public.user_preferences (id uuid PRIMARY KEY DEFAULT extensions.uuid_generate_v4(),
  user_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE, theme text NOT NULL DEFAULT 'light');
ALTER TABLE public.user_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.user_preferences FOR ALL TO authenticated USING ((SELECT auth.uid()) = user_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.user_preferences TO authenticated;
CREATE INDEX user_preferences_user_id_idx ON public.user_preferences (user_id);
CREATE POLICY "Members upload" ON storage.objects FOR INSERT TO authenticated WITH CHECK (bucket_id = 'avatars');
CREATE FUNCTION public.note_change() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER on_auth_user_changed AFTER UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION public.note_change();
""",
    "rds": """
CREATE TABLE app.user_preferences (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer uuid NOT NULL REFERENCES app.customers);
CREATE INDEX user_preferences_customer_idx ON app.user_preferences (customer);
""",
    "neon": "ALTER TABLE notes ADD COLUMN tag text",
    "heroku": "ALTER TABLE posts ADD COLUMN tag text",
    "boss": "ALTER TABLE users ADD COLUMN tag text",
    "upgraded": "ALTER TABLE users ADD COLUMN tag text",
}
OWNERS = {"rds": "ALTER TABLE app.user_preferences OWNER TO app_owner;"}
# Tables whose rows are deleted by accident, children first.
LOST = {
    "supabase": ("public.documents",),
    "rds": ("billing.invoices",),
    "neon": ("public.notes",),
    "heroku": ("public.comments",),
    "boss": ("public.orders",),
    "upgraded": ("public.users",),
}


@dataclass
class Walk:
    """One platform's walk, and what its steps found."""

    boxes: Boxes
    box: Platform
    folder: Path
    project: Project
    generated: Generated | None = None
    backup: Backup | None = None
    good: object = None
    said: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def go(self, names: Iterable[str] = ()) -> None:
        """Take every step, or those named; one that fails does not stop the next."""
        for name in names or STEPS:
            began = time.monotonic()
            try:
                self.said[name] = STEPS[name](self)
            except (
                SafemigError,
                psycopg.Error,
                AssertionError,
                subprocess.CalledProcessError,
                AttributeError,
                TypeError,
            ) as error:
                self.said[name] = "NO"
                self.reasons[name] = " ".join(str(error).split())[:400] or repr(error)
            self.said[name] += f" {time.monotonic() - began:.1f}s"

    def state(self) -> object:
        """Production's schema, and every table's rows."""
        with psycopg.connect(self.box.production) as connection:
            schema = read_schema(connection).fingerprint
        rows = content_of(self.box.production_admin, client_programs(self.box.major * 10000))
        return schema, [table for table in rows if not table.name.startswith(("safemig.", "supabase_migrations."))]

    def drift(self) -> list[str]:
        """How each environment differs from its migrations."""
        return [each.drift for each in self.project.db_status().environments]


def approved(act: Callable[..., object]) -> object:
    """Run what asks for an approval, with the id that its refusal names."""
    try:
        act()
    except RefusedError as error:
        if "--approve " not in str(error.next):
            raise
        return act(approve=str(error.next).split("--approve ")[1].split()[0])
    raise AssertionError("it went on without an approval")


def doctor(walk: Walk) -> str:
    """Which verbs will work, before anything is done."""
    return f"{len(walk.project.doctor().verbs)} verbs"


def base(walk: Walk) -> str:
    """The platform's part, as a file."""
    written = walk.project.base()
    written.path.unlink()
    return f"{written.statements} statements"


def untouched(walk: Walk) -> str:
    """An untouched staging has no drift, and there is nothing to generate."""
    assert walk.drift() == ["none", "none"], walk.drift()
    found = walk.project.generate("nothing")
    assert found.path is None, found.text
    return "nothing to do"


def generate(walk: Walk) -> str:
    """What staging became by hand, as a file."""
    walk.box.run(walk.box.staging, f"{BY_HAND[walk.box.name]}; {OWNERS.get(walk.box.name, '')}")
    walk.generated = walk.project.generate("by hand")
    assert walk.generated.proof.startswith("proven equal"), walk.generated.remaining
    if owner := OWNERS.get(walk.box.name):  # owners are not compared; the rehearsal would refuse, and name this
        assert walk.generated.path is not None
        walk.generated.path.write_text(f"{walk.generated.text}\n{owner}\n")
    return "proven equal"


def review(walk: Walk) -> str:
    """The verdict; what stands is accepted by rule and object, with a reason."""
    found = walk.project.review()
    accept = [f"{each.rule}:{each.object}: seen in the walk" for each in found.standing]
    settings = walk.folder / "safemig.toml"  # as a person writes it there
    settings.write_text(f"accept = {json.dumps(accept)}\n{settings.read_text()}")
    walk.project = Project.open(walk.folder)
    assert str(walk.project.review().verdict) == "SAFE TO DEPLOY"
    return "SAFE" + (f" ({len(accept)} accepted)" if accept else "")


def migrate_staging(walk: Walk) -> str:
    """Staging has it already: it is recorded."""
    assert walk.generated is not None
    done = walk.project.migrate_staging()
    assert walk.generated.path is not None
    assert walk.generated.path.name in done.recorded_only
    return "recorded"


def rehearse(walk: Walk) -> str:
    """On a copy, as the deploying role, and back."""
    found = walk.project.rehearse()
    assert found.rollback is not None
    assert found.rollback.is_proven
    return "REHEARSED" + (f", except {len(found.exceptions)}" if found.exceptions else "")


def backup_prod(walk: Walk) -> str:
    """Taken, restored on a copy, compared."""
    walk.good = walk.state()
    walk.backup = walk.project.backup_prod()
    assert walk.backup.verified == "restored"
    return "BACKED UP"


def by_the_page(walk: Walk) -> str:
    """What the backup's page says for the day on which safemig cannot run, over the damaged database."""
    assert walk.backup is not None
    walk.box.run(walk.box.production_admin, f"TRUNCATE {LOST[walk.box.name][0]} CASCADE")
    psql = client_programs(walk.box.major * 10000).path("psql")
    command = by_hand(walk.backup).replace("psql ", f"{psql} -q -o /dev/null ", 1)
    environment = {"PRODUCTION_DATABASE_URL": walk.box.production}
    subprocess.run(["/bin/sh", "-c", command], check=True, env=environment, stderr=subprocess.DEVNULL)
    assert walk.state() == walk.good, "not what was backed up"
    return "equal"


def migrate_prod(walk: Walk) -> str:
    """The deployment."""
    done = walk.project.migrate_prod(approve=walk.project.plan().id)
    assert walk.drift() == ["none", "none"], walk.drift()
    assert walk.project.schema_diff("staging", "production").is_empty
    return done.verdict


def put_back(walk: Walk) -> str:
    """Rows were deleted: they come back into the same database."""
    (table,) = LOST[walk.box.name]
    before = walk.state()
    rows = walk.box.run(walk.box.production, f"SELECT count(*) FROM {table}")
    walk.box.run(walk.box.production_admin, f"DELETE FROM {table}")
    done = approved(partial(walk.project.restore_prod, tables=table, put_back=True))
    assert isinstance(done, RestoredTables)
    left = walk.box.run(walk.box.production, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^restored_'")
    for (schema,) in left:
        walk.box.run(walk.box.production, f"DROP SCHEMA {schema} CASCADE")
    assert walk.state() == before
    return f"{rows[0][0]} rows"


def rollback_prod(walk: Walk) -> str:
    """The schema taken back, by the script that ran on the copy."""
    done = approved(walk.project.rollback_prod)
    assert getattr(done, "verdict", "") == "ROLLED BACK"
    assert walk.drift()[1] == "none", walk.drift()
    return "ROLLED BACK"


def restore_prod(walk: Walk) -> str:
    """The whole backup beside, and swapped in; where no second database can be made, within production's own, and put back."""
    found = walk.project.restore_prod()
    if isinstance(found, RestoredTables):
        (table,) = LOST[walk.box.name]
        walk.box.run(walk.box.production_admin, f"DELETE FROM {table}")
        done = approved(partial(walk.project.restore_prod, tables="all", put_back=True))
        assert isinstance(done, RestoredTables)
        approved(partial(walk.project.restore_prod, drop=done.schema))
        assert walk.state() == walk.good, "not what was backed up"
        return f"within, {sum(each.inserted or 0 for each in done.tables)} put back"
    swapped = approved(partial(walk.project.restore_prod, swap=True))
    assert isinstance(swapped, Restored)
    assert swapped.kept_as
    approved(partial(walk.project.restore_prod, drop=swapped.kept_as))
    assert walk.state() == walk.good, "not what was backed up"
    return "swapped in"


def baseline_prod(walk: Walk) -> str:
    """A production whose migrations were applied by hand."""
    walk.box.run(
        walk.box.production, "DELETE FROM supabase_migrations.schema_migrations; DELETE FROM safemig.migrations"
    )
    done = approved(partial(walk.project.baseline_prod, to=FIRST_FILE[:14]))
    assert getattr(done, "verdict", "") == "BASELINED"
    return "BASELINED"


def runbooks(walk: Walk) -> str:
    """What only looks, as recorded runbooks; the archive of records is whole."""
    given = {"schema_diff": {"source": "staging", "target": "production"}}
    for verb in ("db_status", "schema_diff", "doctor", "deployments"):
        run = run_runbook(verb, walk.project.settings, given.get(verb, {}))
        assert run.exit_code in (0, 1), (verb, run.error)
    archive = walk.project.deployments(verify=True)
    return f"{len(archive.records)} records"


def sync_prod(walk: Walk) -> str:
    """An empty production gets staging's schema."""
    box = walk.boxes.get(walk.box.name, walk.box.major, team=False)
    box.run(box.staging, walk.box.first)
    done = approved(walk.project.sync_prod)
    assert getattr(done, "verdict", "") == "SYNCED"
    assert walk.project.schema_diff("staging", "production").is_empty
    return "SYNCED"


STEPS: dict[str, Callable[[Walk], str]] = {
    "doctor": doctor,
    "base": base,
    "status and generate, untouched": untouched,
    "generate, by hand": generate,
    "review": review,
    "migrate_staging": migrate_staging,
    "rehearse": rehearse,
    "backup_prod": backup_prod,
    "restore by the page": by_the_page,
    "restore_prod": restore_prod,
    "migrate_prod, no drift": migrate_prod,
    "rows deleted, put back": put_back,
    "rollback_prod, no drift": rollback_prod,
    "baseline_prod": baseline_prod,
    "runbooks, records": runbooks,
    "sync_prod": sync_prod,
}


# Steps that run runbooks, each in a kernel of its own.
RECORDED = ("runbooks, records",)


def walk_on(boxes: Boxes, name: str, major: int, folder: Path) -> Walk:
    """Walk on one platform, from its databases as they are built."""
    box = boxes.get(name, major)
    walk = Walk(boxes, box, folder, box.project(folder))
    walk.go()
    return walk


def main() -> int:
    """Walk on every platform named and print the table; 1 where a step failed."""
    named = sys.argv[1:]
    wanted = [(name, major) for name, major in BOXES if not named or name in named or f"{name} {major}" in named]
    boxes, walks = Boxes(), {}
    try:
        for name, major in wanted:
            with tempfile.TemporaryDirectory() as folder:
                click.echo(f"{name} {major} ...", err=True)
                walks[f"{name} {major}"] = walk_on(boxes, name, major, Path(folder))
    finally:
        boxes.close()
    width = max(map(len, STEPS))
    columns = {each: max(len(each), *map(len, walk.said.values())) for each, walk in walks.items()}
    click.echo("  ".join([" " * width, *(each.ljust(columns[each]) for each in walks)]))
    for step in STEPS:
        click.echo(
            "  ".join([step.ljust(width), *(walk.said[step].ljust(columns[each]) for each, walk in walks.items())])
        )
    reasons = [f"{each}, {step}: {why}" for each, walk in walks.items() for step, why in walk.reasons.items()]
    click.echo("\n".join(["", *reasons]))
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
