"""restore_prod of single tables: beside production's own, compared by key, put back when approved, and proven."""

from __future__ import annotations

import re

import psycopg
import pytest

from safemig.errors import BackupError, DeploymentFailedError, RefusedError, SettingsError, UnsupportedError
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.records import run_runbook
from safemig.results import RestoredTables
from tests.operations.conftest import Shop, approval_of
from tests.tables import part_of

# A table of each kind that a deletion meets: a parent, a child by cascade with a composite key, triggers, an identity.
STORE = """
CREATE TYPE status AS ENUM ('new', 'paid', 'sent');
CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE NOT NULL, boss int REFERENCES customers);
CREATE TABLE baskets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customers ON DELETE CASCADE,
    state status NOT NULL, total numeric(10,2), tax numeric GENERATED ALWAYS AS (total * 0.19) STORED,
    place point, extra json, at timestamptz DEFAULT now(), touched timestamptz);
CREATE TABLE items (
    basket bigint REFERENCES baskets ON DELETE CASCADE, line smallint, what text, raw bytea, PRIMARY KEY (basket, line));
CREATE TABLE journal (what text, at timestamptz);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO journal VALUES (tg_op || ' ' || tg_table_name, now()); RETURN NULL; END $$;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON baskets FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER note_insert AFTER INSERT ON baskets FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note_always AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE items ENABLE ALWAYS TRIGGER note_always;
CREATE TRIGGER asleep AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE items DISABLE TRIGGER asleep;
INSERT INTO customers SELECT n, 'c' || n || '@example.com', nullif(n - 1, 0) FROM generate_series(1, 100) n;
INSERT INTO baskets (customer, state, total, place, extra)
  SELECT 1 + n % 100, 'paid', n / 3.0, point(n, -n), json_build_object('n', n, 'text', E'tab\\there\\nand \\\\ there')
  FROM generate_series(1, 2000) n;
INSERT INTO items SELECT b, l, 'thing ' || b, decode(md5(b::text), 'hex') FROM generate_series(1, 2000) b, generate_series(1, 2) l;
"""
EVERYTHING = """
SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM (
  SELECT 'c', c::text FROM customers c UNION ALL SELECT 'b', b::text FROM baskets b
  UNION ALL SELECT 'i', i::text FROM items i UNION ALL SELECT 'j', j::text FROM journal j) t
"""
STATES = "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
FORMATS = {
    "plain": {},
    "zstd": {"SAFEMIG_COMPRESSION": "zstd"},
    "directory": {"SAFEMIG_BACKUP_FORMAT": "directory"},
}


@pytest.fixture
def store(shop: Shop) -> Shop:
    """A shop with customers, baskets and their items beside its own tables."""
    shop.on(shop.production, STORE)
    return shop


def put_back(shop: Shop, tables: str, **options: object) -> RestoredTables:
    """Put rows back with the plan approved."""

    def run(**more: object) -> RestoredTables:
        return shop.project.restore_prod(tables=tables, put_back=True, **options, **more)  # type: ignore[arg-type, return-value]

    return run(approve=approval_of(run))


def schema_of(shop: Shop) -> str:
    """Return the schema of restored tables."""
    ((name,),) = shop.on(shop.production, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^restored_[0-9]{14}$'")
    return str(name)


@pytest.mark.parametrize("form", part_of(FORMATS, ["plain", "directory"], str))
def test_a_thousand_deleted_rows_come_back_with_what_hung_on_them(
    store: Shop, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for name, value in FORMATS[form].items():
        monkeypatch.setenv(name, value)
    backup = store.project.backup_prod(verify=False)
    good, states = store.on(store.production, EVERYTHING), store.on(store.production, STATES)
    store.on(store.production, "DELETE FROM baskets WHERE id <= 1000")
    damaged = store.on(store.production, EVERYTHING)
    assert store.on(store.production, "SELECT count(*) FROM items") == [(2000,)]

    beside = store.project.restore_prod(tables="public.baskets, items")
    assert isinstance(beside, RestoredTables)
    assert (beside.verdict, beside.schema) == ("RESTORED BESIDE PRODUCTION", f"restored_{backup.timestamp}")
    assert store.on(store.production, EVERYTHING) == damaged
    assert store.on(store.production, f"SELECT count(*) FROM {beside.schema}.baskets") == [(2000,)]
    assert store.project.db_status().environments[1].drift == store.project.db_status().environments[1].drift
    with pytest.raises(RefusedError, match="is not approved") as caught:
        store.project.restore_prod(tables="baskets,items", put_back=True)
    compared = caught.value.result
    assert isinstance(compared, RestoredTables)
    assert [(each.name, each.missing, each.differing, each.only_in_production) for each in compared.tables] == [
        ("public.baskets", 1000, 0, 0), ("public.items", 2000, 0, 0),
    ]  # fmt: skip
    assert store.on(store.production, EVERYTHING) == damaged

    done = put_back(store, "public.items,public.baskets")
    assert done.verdict == "PUT BACK"
    assert {each.name: each.inserted for each in done.tables} == {"public.baskets": 1000, "public.items": 2000}
    assert {each.name: each.triggers_off for each in done.tables} == {
        "public.baskets": ("note_insert", "touch"), "public.items": ("note_always",),
    }  # fmt: skip
    # Exactly as they were: no trigger touched a row or wrote into the journal, each has its former state.
    assert store.on(store.production, EVERYTHING) == good
    assert store.on(store.production, STATES) == states
    assert store.on(store.production, "SELECT act, migrations FROM safemig.deployments") == [("restore_prod", [])]
    assert store.on(store.production, "SELECT kind, rows FROM safemig.steps ORDER BY number") == [
        ("INSERT", 1000), ("INSERT", 2000),
    ]  # fmt: skip
    again = store.project.restore_prod(tables="public.items,public.baskets", put_back=True)
    assert isinstance(again, RestoredTables)
    assert again.verdict == "NOTHING TO PUT BACK"
    dropped = store.project.restore_prod(
        drop=done.schema, approve=approval_of(lambda: store.project.restore_prod(drop=done.schema))
    )
    assert dropped.dropped
    assert store.on(store.production, EVERYTHING) == good


def test_the_restored_tables_are_no_drift_and_the_status_names_them(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    before = store.project.db_status().environments[1].drift
    store.project.restore_prod(tables="items")
    status = store.project.db_status()
    assert status.environments[1].drift == before
    assert any(f"safemig restore-prod --drop {schema_of(store)}" in problem for problem in status.problems)


def test_nobody_else_may_read_what_stands_beside(store: Shop) -> None:
    store.on(store.production, "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
    store.on(store.production, "ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO PUBLIC")
    store.project.backup_prod(verify=False)
    store.project.restore_prod(tables="items")
    schema = schema_of(store)
    assert store.on(store.production, f"SELECT has_schema_privilege('public', '{schema}', 'USAGE')") == [(False,)]
    assert store.on(store.production, f"SELECT has_table_privilege('public', '{schema}.items', 'SELECT')") == [(False,)]


def test_what_refers_to_rows_that_are_not_there_is_refused_with_the_table_to_add(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM baskets WHERE id <= 1000")
    with pytest.raises(RefusedError, match=r"2,000 rows of public.items refer to rows of public.baskets") as caught:
        store.project.restore_prod(tables="public.items", put_back=True)
    assert "--tables public.baskets,public.items" in str(caught.value.next)


def test_a_table_that_may_have_lost_rows_too_is_named(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM baskets WHERE id = 1")
    with pytest.raises(RefusedError, match="is not approved") as caught:
        store.project.restore_prod(tables="public.baskets", put_back=True)
    assert isinstance(caught.value.result, RestoredTables)
    assert "public.items refers to public.baskets ON DELETE CASCADE" in " ".join(caught.value.result.notes)


def test_rows_that_differ_are_left_unless_an_update_is_asked_for(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    good = store.on(store.production, "SELECT id, total, touched FROM baskets WHERE id < 5 ORDER BY 1")
    store.on(store.production, "UPDATE baskets SET total = 0 WHERE id < 5; DELETE FROM baskets WHERE id = 10")
    done = put_back(store, "baskets,items")
    assert (done.tables[0].inserted, done.tables[0].updated, done.tables[0].differing) == (1, 0, 4)
    assert done.tables[0].differing_columns == ("total (4)", "touched (4)")
    assert store.on(store.production, "SELECT sum(total) FROM baskets WHERE id < 5") == [(0,)]
    done = put_back(store, "baskets", update=True)
    assert (done.tables[0].inserted, done.tables[0].updated) == (0, 4)
    assert store.on(store.production, "SELECT id, total, touched FROM baskets WHERE id < 5 ORDER BY 1") == good
    (note,) = [note for note in done.tables[0].notes if "as they were before" in note]
    assert store.on(store.production, f"SELECT sum(total), count(*) FROM {note.split('stand in ')[1]}") == [(0, 4)]


def test_a_condition_brings_back_only_its_rows(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM baskets WHERE id <= 1000")
    done = put_back(store, "baskets", where="customer = 42 AND baskets.total > 10")
    assert done.tables[0].meant == done.tables[0].inserted == 0 or done.tables[0].inserted
    ((count,),) = store.on(store.production, "SELECT count(*) FROM baskets WHERE id <= 1000 AND customer = 42")
    assert count == done.tables[0].inserted
    assert store.on(store.production, "SELECT count(*) FROM baskets WHERE id <= 1000 AND customer <> 42") == [(0,)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tables": "baskets", "put_back": True, "where": "1 = 1) OR (2 = 2; DELETE FROM items"}, "not valid SQL"),
        ({"tables": "baskets", "put_back": True, "where": "true) UNION SELECT (1"}, "not valid SQL"),
        ({"tables": "baskets,items", "put_back": True, "where": "true"}, "for one table"),
        ({"tables": "baskets", "update": True}, "--update is for what is put back"),
        ({"put_back": True}, "--put-back is for tables"),
        ({"tables": "baskets", "swap": True}, "swap is for a whole backup"),
        ({"tables": "ba skets"}, "is not the name of a table"),
    ],
)
def test_options_that_do_not_go_together(store: Shop, options: dict[str, object], says: str) -> None:
    store.project.backup_prod(verify=False)
    with pytest.raises(SettingsError, match=says):
        store.project.restore_prod(**options)  # type: ignore[arg-type]


def test_a_condition_that_cannot_be_evaluated_is_explained(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    with pytest.raises(RefusedError, match="no_such") as caught:
        store.project.restore_prod(tables="baskets", put_back=True, where="no_such = 1")
    assert caught.value.where == "--where no_such = 1"


def test_a_table_that_the_backup_lacks_is_named_with_similar_ones(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    with pytest.raises(BackupError, match=r"no table public.basket") as caught:
        store.project.restore_prod(tables="public.basket")
    assert "public.baskets" in str(caught.value.where)


def test_without_a_key_it_is_refused_and_says_what_is_possible(store: Shop) -> None:
    store.on(store.production, "INSERT INTO journal SELECT 'x', now() FROM generate_series(1, 3)")
    store.project.backup_prod(verify=False)
    good = store.on(store.production, "SELECT count(*) FROM journal")
    store.on(store.production, "DELETE FROM journal WHERE what = 'x'")
    with pytest.raises(RefusedError, match="no primary key") as caught:
        store.project.restore_prod(tables="journal", put_back=True)
    query = str(caught.value.next).split("by hand: ")[1]
    assert len(store.on(store.production, query)) == 3
    # An emptied one needs no key: every row is missing.
    store.on(store.production, "TRUNCATE journal")
    assert put_back(store, "journal").verdict == "PUT BACK"
    assert store.on(store.production, "SELECT count(*) FROM journal") == good


def test_a_unique_key_does_where_there_is_no_primary_one(store: Shop) -> None:
    store.on(
        store.production,
        "CREATE TABLE codes (code text NOT NULL UNIQUE, n int); INSERT INTO codes VALUES ('a', 1), ('b', 2)",
    )
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM codes WHERE code = 'a'")
    done = put_back(store, "codes")
    assert (done.tables[0].key, done.tables[0].inserted) == (("code",), 1)


CHANGES: dict[str, tuple[str, str, str]] = {
    # what was changed since the backup: (SQL, what the result says, a query that must be true at the end)
    "a column added": (
        "ALTER TABLE baskets ADD channel text NOT NULL DEFAULT 'web'",
        "column channel was added since",
        "SELECT bool_and(channel = 'web') FROM baskets WHERE id <= 1000",
    ),
    "a column dropped": (
        "ALTER TABLE baskets DROP place",
        "column place is no longer in production",
        "SELECT count(*) = 1000 FROM baskets WHERE id <= 1000",
    ),
    "another type": (
        "ALTER TABLE baskets ALTER at TYPE date",
        "column at has another type now: timestamp with time zone became date",
        "SELECT count(at) = 1000 FROM baskets WHERE id <= 1000",
    ),
    "an enum replaced by text": (
        "ALTER TABLE baskets ALTER state TYPE text; DROP TYPE status",
        "column state is kept as text: public.status, production no longer has that type",
        "SELECT bool_and(state = 'paid') FROM baskets WHERE id <= 1000",
    ),
    "an enum made anew without a value": (
        "ALTER TYPE status RENAME TO old; CREATE TYPE status AS ENUM ('new', 'sent'); "
        "ALTER TABLE baskets ALTER state TYPE text; DROP TYPE old",
        "column state is kept as text: public.status, rows of the backup no longer fit this type",
        "SELECT bool_and(state = 'paid') FROM baskets WHERE id <= 1000",
    ),
    "a column renamed": (
        "ALTER TABLE baskets RENAME extra TO more",
        "column extra is no longer in production",
        "SELECT bool_and(more IS NULL) FROM baskets WHERE id <= 1000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_schema_that_was_changed_since_the_backup(store: Shop, change: str) -> None:
    statement, says, holds = CHANGES[change]
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM baskets WHERE id <= 1000")
    store.on(store.production, statement)
    done = put_back(store, "baskets,items")
    assert done.tables[0].inserted == 1000
    assert any(note.startswith(says) for note in done.tables[0].notes), done.tables[0].notes
    assert store.on(store.production, holds) == [(True,)]


def test_a_new_column_that_takes_no_null_is_refused_with_the_way_out(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM items WHERE line = 1")
    store.on(
        store.production,
        "ALTER TABLE items ADD unit text DEFAULT 'kg' NOT NULL; ALTER TABLE items ALTER unit DROP DEFAULT",
    )
    with pytest.raises(RefusedError, match="takes no NULL: unit") as caught:
        store.project.restore_prod(tables="items", put_back=True)
    assert "SET DEFAULT" in str(caught.value.next)


def test_a_dropped_table_stands_beside_and_the_refusal_says_so(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "DROP TABLE items")
    with pytest.raises(RefusedError, match=r"no longer has table public.items") as caught:
        store.project.restore_prod(tables="items", put_back=True)
    assert f"4,000 rows stand in {schema_of(store)}.items" in str(caught.value.where)


def test_a_unique_value_that_was_taken_since_is_counted(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "UPDATE customers SET boss = NULL WHERE boss = 7; DELETE FROM customers WHERE id = 7")
    store.on(store.production, "INSERT INTO customers VALUES (1007, 'c7@example.com', NULL)")
    with pytest.raises(RefusedError, match=r"1 rows of public.customers cannot go back: .*\(email\)") as caught:
        store.project.restore_prod(tables="customers", put_back=True)
    assert "customers_email_key" in str(caught.value.where)
    store.on(store.production, "DELETE FROM customers WHERE id = 1007")
    assert put_back(store, "customers").tables[0].inserted == 1


def test_production_that_changed_after_the_approval_is_not_touched(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM items WHERE basket = 1")
    approval = approval_of(lambda: store.project.restore_prod(tables="items", put_back=True))
    store.on(store.production, "DELETE FROM items WHERE basket = 2")
    with pytest.raises(RefusedError, match=f"approved was {approval}") as caught:
        store.project.restore_prod(tables="items", put_back=True, approve=approval)
    assert "--approve" in str(caught.value.next)
    assert store.on(store.production, "SELECT count(*) FROM items WHERE basket < 3") == [(0,)]
    # But rows that only production has are nobody's business.
    approval = approval_of(lambda: store.project.restore_prod(tables="items", put_back=True))
    store.on(store.production, "INSERT INTO items VALUES (3, 99, 'new')")
    done = store.project.restore_prod(tables="items", put_back=True, approve=approval)
    assert isinstance(done, RestoredTables)
    assert (done.tables[0].inserted, done.tables[0].only_in_production) == (4, 1)


def test_triggers_fire_when_that_is_asked_for(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM baskets WHERE id <= 10; TRUNCATE journal")
    done = put_back(store, "baskets", fire_triggers=True)
    assert done.tables[0].triggers_off == ()
    assert store.on(store.production, "SELECT what, count(*) FROM journal GROUP BY 1") == [("INSERT baskets", 10)]
    assert any("triggers that fired have changed rows" in check.fix for check in done.checks)


def test_a_trigger_that_swallows_rows_is_found_and_all_is_rolled_back(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM customers WHERE id = 100")
    damaged = store.on(store.production, EVERYTHING)
    store.on(
        store.production,
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
        "CREATE TRIGGER swallow BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION swallow()",
    )
    with pytest.raises(DeploymentFailedError, match="1 rows were missing, 0 were inserted"):
        put_back(store, "customers", fire_triggers=True)
    assert store.on(store.production, EVERYTHING) == damaged
    assert put_back(store, "customers").tables[0].inserted == 1


def test_sequences_are_raised_above_what_comes_back(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "TRUNCATE baskets RESTART IDENTITY CASCADE")
    done = put_back(store, "baskets,items")
    assert done.tables[0].inserted == 2000
    assert any("baskets_id_seq set to 2,000" in note for note in done.tables[0].notes)
    store.on(store.production, "INSERT INTO baskets (customer, state) VALUES (1, 'new')")
    assert store.on(store.production, "SELECT max(id) FROM baskets") == [(2001,)]


def test_tables_that_refer_to_each_other_go_back_together(store: Shop) -> None:
    store.on(
        store.production,
        "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL); CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a); "
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE; BEGIN; SET CONSTRAINTS ALL DEFERRED; "
        "INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1, 2), (2, 1); COMMIT; "
        "ALTER TABLE a ALTER CONSTRAINT a_b_fkey NOT DEFERRABLE",
    )
    store.project.backup_prod(verify=False)
    store.on(store.production, "TRUNCATE a, b")
    done = put_back(store, "a,b")
    assert [each.inserted for each in done.tables] == [2, 2]


def test_a_partitioned_table_goes_back_through_its_name(store: Shop) -> None:
    store.on(
        store.production,
        "CREATE TABLE events (id int, day date, what text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); "
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); "
        "CREATE TABLE events_2 (what text, day date NOT NULL, id int NOT NULL); "
        "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01'); "
        "CREATE TRIGGER note AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION note(); "
        "INSERT INTO events SELECT n, '2026-01-01'::date + n % 50, 'e' || n FROM generate_series(1, 500) n",
    )
    store.project.backup_prod(verify=False)
    good = store.on(store.production, "SELECT * FROM events ORDER BY id")
    states = store.on(store.production, STATES)
    store.on(store.production, "DELETE FROM events WHERE id % 2 = 0; TRUNCATE journal")
    done = put_back(store, "events")
    assert done.tables[0].inserted == 250
    assert store.on(store.production, "SELECT * FROM events ORDER BY id") == good
    assert store.on(store.production, STATES) == states
    assert store.on(store.production, "SELECT count(*) FROM journal") == [(0,)]


def test_an_inheriting_table_has_its_parents_columns(store: Shop) -> None:
    store.on(
        store.production,
        "CREATE TABLE base (id int PRIMARY KEY, name text DEFAULT E'a;\\nb'); CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (base); "
        "INSERT INTO base VALUES (1, 'x'); INSERT INTO child VALUES (1, 'y', 2), (2, 'z', 3)",
    )
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM base")
    done = put_back(store, "base,child")
    assert [each.inserted for each in done.tables] == [1, 2]
    assert store.on(store.production, "SELECT id, name FROM base ORDER BY name") == [(1, "x"), (1, "y"), (2, "z")]


def test_names_that_need_quotes_and_two_schemas_with_one_name(store: Shop) -> None:
    store.on(
        store.production,
        'CREATE SCHEMA "My, App"; CREATE TABLE "My, App".items ("Id 1" int PRIMARY KEY, "a""b" text); '
        "INSERT INTO \"My, App\".items VALUES (1, 'x')",
    )
    store.project.backup_prod(verify=False)
    store.on(store.production, 'DELETE FROM "My, App".items; DELETE FROM public.items WHERE basket = 1')
    with pytest.raises(BackupError, match="several tables items"):
        store.project.restore_prod(tables="items")
    done = put_back(store, '"My, App".items,public.items')
    assert [each.inserted for each in done.tables] == [1, 2]
    assert {each.beside for each in done.tables} == {f"{done.schema}.items", f'{done.schema}."public.items"'}


def test_rows_that_row_security_hides_are_not_taken_for_missing(store: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    store.project.backup_prod(verify=False)
    store.on(
        store.production,
        "DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN; ALTER TABLE items ENABLE ROW LEVEL SECURITY; "
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk; CREATE POLICY few ON items USING (basket < 5)",
    )
    name = store.production.split("/")[3].split("?")[0]
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", store.production.replace("postgres@", "clerk@"))
    with pytest.raises(RefusedError, match="may not make a schema") as caught:
        store.project.restore_prod(tables="items", put_back=True)
    assert "GRANT CREATE ON DATABASE" in str(caught.value.next)
    store.on(store.production, f'GRANT CREATE ON DATABASE "{name}" TO clerk')
    try:
        with pytest.raises(RefusedError, match=r"row security hides rows of public.items") as caught:
            store.project.restore_prod(tables="items", put_back=True)
        assert "BYPASSRLS" in str(caught.value.next)
        with pytest.raises(
            RefusedError, match=r"only its owner may keep the triggers of public.baskets from firing"
        ) as caught:
            store.project.restore_prod(tables="baskets", put_back=True)
        assert "--fire-triggers" in str(caught.value.next)
    finally:
        store.on(store.production, "DROP OWNED BY clerk; DROP ROLE clerk")


def test_a_damaged_backup_is_told_before_anything_stands_there(store: Shop) -> None:
    backup = store.project.backup_prod(verify=False)
    content = backup.full.path.read_bytes()
    backup.full.path.write_bytes(content.replace(b"thing 1000", b"thing 1O00"))
    with pytest.raises(BackupError, match=r"does not match its manifest for public.items"):
        store.project.restore_prod(tables="items")
    assert store.on(store.production, "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^restored_'") == [(0,)]


def test_a_restored_table_that_was_changed_since_is_not_put_back(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.project.restore_prod(tables="items")
    store.on(store.production, f"UPDATE {schema_of(store)}.items SET what = 'forged'")
    with pytest.raises(RefusedError, match="differs from the backup; it was changed since"):
        store.project.restore_prod(tables="items", put_back=True)


def test_somebody_else_s_schema_is_left_alone(store: Shop) -> None:
    backup = store.project.backup_prod(verify=False)
    store.on(store.production, f"CREATE SCHEMA restored_{backup.timestamp}")
    with pytest.raises(RefusedError, match="this restore did not create it"):
        store.project.restore_prod(tables="items")


def test_a_time_zone_of_the_role_does_not_matter(store: Shop) -> None:
    store.on(
        store.production,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Kolkata''', current_database()); END $$",
    )
    store.on(
        store.production,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database()); END $$",
    )
    good = store.on(store.production, EVERYTHING)
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM baskets WHERE id <= 10")
    assert put_back(store, "baskets,items").verdict == "PUT BACK"
    assert store.on(store.production, EVERYTHING) == good


def test_a_writer_is_not_kept_waiting_for_longer_than_the_lock_timeout(store: Shop) -> None:
    (store.folder / "safemig.toml").write_text("lock_attempts = 3\n")
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM items WHERE basket = 1")
    approval = approval_of(lambda: store.project.restore_prod(tables="items", put_back=True))
    with psycopg.connect(store.production) as writer:
        writer.execute("UPDATE items SET what = 'later' WHERE basket = 5")
        with pytest.raises(DeploymentFailedError, match="lock"):
            store.project.restore_prod(tables="items", put_back=True, approve=approval)
    assert put_back(store, "items").tables[0].inserted == 2


def test_an_extension_s_or_typed_table_is_refused_with_the_other_road(store: Shop) -> None:
    store.on(
        store.production,
        "CREATE TYPE pair AS (x int, y int); CREATE TABLE pairs OF pair (PRIMARY KEY (x)); INSERT INTO pairs VALUES (1, 2)",
    )
    store.project.backup_prod(verify=False)
    with pytest.raises(UnsupportedError, match=r"does not say which columns public.pairs had") as caught:
        store.project.restore_prod(tables="pairs")
    assert "restore the whole backup beside production" in str(caught.value.next)


def test_every_version_puts_rows_back(
    every_server: ThrowawayServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = every_server.create_database("put_back")
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", url)
    shop.production = url
    shop.on(url, STORE)
    shop.project.backup_prod()
    good = shop.on(url, EVERYTHING)
    shop.on(url, "DELETE FROM baskets WHERE id <= 1000")
    assert put_back(shop, "baskets,items").verdict == "PUT BACK"
    assert shop.on(url, EVERYTHING) == good
    every_server.drop_database("put_back")


def test_the_runbook_leaves_a_record_of_the_refusal_and_of_what_was_put_back(store: Shop) -> None:
    store.project.backup_prod(verify=False)
    store.on(store.production, "DELETE FROM items WHERE basket = 1")
    given = {"tables": "items", "put_back": True}
    refused = run_runbook("restore_prod", store.project.settings, given)
    assert (refused.verdict, refused.exit_code) == ("REFUSED", 1)
    assert refused.error is not None
    assert refused.error.result is not None
    assert refused.error.result.text.startswith("COMPARED")
    (approval,) = re.findall(r"--approve (\w+) \(or", refused.error.lines[-1])
    done = run_runbook("restore_prod", store.project.settings, {**given, "approve": approval})
    assert (done.verdict, done.exit_code) == ("PUT-BACK", 0)
    assert done.answer is not None
    assert done.answer.data["tables"][0]["inserted"] == 2


def test_a_deployment_goes_on_while_restored_tables_stand_there(store: Shop) -> None:
    store.write("20260102000000_second.sql", STORE)
    store.on(store.production, "INSERT INTO supabase_migrations.schema_migrations (version) VALUES ('20260102000000')")
    store.project.backup_prod(verify=False)
    store.project.restore_prod(tables="items")
    store.write("20260103000000_third.sql", "ALTER TABLE users ADD nick text;")
    assert store.deploy().verdict == "DEPLOYED"
    assert store.project.db_status().environments[1].drift == "none"
    assert store.project.rollback_prod(approve=approval_of(store.project.rollback_prod)).verdict == "ROLLED BACK"
    assert store.on(store.production, f"SELECT count(*) FROM {schema_of(store)}.items") == [(4000,)]
