"""Production's event triggers: what they write is foreseen on the copy, named, and no reason to refuse."""

from __future__ import annotations

import pytest

from safemig.copies.event_triggers import EventTrigger, written_by
from safemig.errors import RehearsalError
from safemig.results import Step
from tests.operations.conftest import Shop

LOGGED = """
CREATE TABLE ddl_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT now(), tag text, object text);
CREATE FUNCTION note_ddl(tag text, object text) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO public.ddl_log (tag, object) VALUES ($1, $2) $$;
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE o record; BEGIN
  FOR o IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP PERFORM public.note_ddl(o.command_tag, o.object_identity); END LOOP;
END $$;
CREATE TABLE hits (n int); INSERT INTO hits VALUES (0);
CREATE FUNCTION hidden() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'UPDATE public.' || 'hi' || 'ts SET n = n + 1'; END $$;
"""
ON_ALL = "CREATE EVENT TRIGGER log_all ON ddl_command_end EXECUTE FUNCTION log_ddl();"
ON_TABLES = (
    "CREATE EVENT TRIGGER log_tables ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION log_ddl();"
)
MIGRATION = "ALTER TABLE users ADD COLUMN IF NOT EXISTS nickname text;\nCREATE TABLE notes (id int PRIMARY KEY);\n"


@pytest.mark.parametrize(("trigger", "written"), [(ON_ALL, 3), (ON_TABLES, 2)], ids=["all", "by tag"])
def test_a_log_of_ddl_is_foreseen_and_named_and_the_deployment_goes_on(shop: Shop, trigger: str, written: int) -> None:
    shop.on(shop.production, LOGGED + trigger)
    before = shop.on(shop.production, "SELECT count(*) FROM ddl_log")
    shop.write("20260202000000_more.sql", MIGRATION)
    rehearsal = shop.project.rehearse()
    (row,) = [row for row in rehearsal.rows if row.table == "public.ddl_log"]
    assert row.by == f"event trigger {trigger.split()[3]} (ddl_command_end)"
    assert (row.before, row.after) == (before[0][0], before[0][0] + written)  # type: ignore[operator]
    assert row.by in rehearsal.render("text")
    assert shop.deploy().verdict == "DEPLOYED"
    # A primary key is an index of its own, in the log too.
    tags = {tag for (tag,) in shop.on(shop.production, "SELECT tag FROM ddl_log WHERE object LIKE 'public.%'")}
    assert tags >= ({"ALTER TABLE", "CREATE TABLE"} if trigger == ON_ALL else {"CREATE TABLE"})


def test_what_no_event_trigger_says_it_writes_is_still_refused(shop: Shop) -> None:
    shop.on(shop.production, LOGGED + "CREATE EVENT TRIGGER h ON ddl_command_end EXECUTE FUNCTION hidden();")
    shop.write("20260202000000_more.sql", MIGRATION)
    with pytest.raises(RehearsalError, match=r"changed content that it does not name: public\.hits"):
        shop.project.rehearse()


FIRES = [
    # (event, tags, the statement, whether it may fire)
    ("ddl_command_end", (), "CREATE TABLE", True),
    ("ddl_command_end", (), "CREATE INDEX CONCURRENTLY", True),
    ("ddl_command_end", ("CREATE INDEX",), "CREATE INDEX CONCURRENTLY", True),
    ("ddl_command_end", ("CREATE TABLE",), "ALTER TABLE", False),
    ("ddl_command_start", (), "GRANT", True),
    ("ddl_command_end", (), "UPDATE", False),
    ("ddl_command_end", (), "CREATE ROLE", False),
    ("ddl_command_end", (), "ALTER DATABASE", False),
    ("ddl_command_end", (), "CREATE EVENT TRIGGER", False),
    ("sql_drop", (), "DROP TABLE", True),
    ("sql_drop", (), "ALTER TABLE", True),
    ("sql_drop", (), "CREATE TABLE", False),
    ("table_rewrite", (), "ALTER TABLE", True),
]


@pytest.mark.parametrize(("event", "tags", "kind", "fires"), FIRES)
def test_which_statements_fire_it(event: str, tags: tuple[str, ...], kind: str, fires: bool) -> None:
    trigger = EventTrigger("t", event, tags, frozenset({"ddl_log"}))
    step = Step(1, "a.sql", 1, kind, "", True)
    assert bool(written_by([trigger], [step], ["public.ddl_log", "public.users"])) is fires
