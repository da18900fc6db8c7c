"""More changes: quoted names in another schema, and the kinds of objects that a shop has less often."""

from __future__ import annotations

from .change import StagingChange

DEALS = '"Sales Dept"."Big Deals"'
GRANTED = "GRANT SELECT, INSERT, UPDATE ON {} TO staging_changes_app"

OTHER_KINDS = (
    StagingChange(
        "an enum value in an array's default",
        f"ALTER TYPE state ADD VALUE 'won'; ALTER TABLE {DEALS} ALTER states SET DEFAULT '{{new,won}}'",
    ),
    StagingChange(
        "a generated column with another expression",
        f"ALTER TABLE {DEALS} DROP COLUMN gross; ALTER TABLE {DEALS} ADD COLUMN gross numeric GENERATED ALWAYS AS (net * 1.25) STORED",
    ),
    StagingChange(
        "a generated column under a view",
        f"ALTER TABLE {DEALS} ADD COLUMN tax numeric GENERATED ALWAYS AS (net * 0.2) STORED;"
        f'CREATE VIEW "Sales Dept"."Taxes" AS SELECT "Who?", sum(tax) AS "Tax!" FROM {DEALS} GROUP BY 1',
    ),
    StagingChange(
        "a quoted column renamed, said",
        f'ALTER TABLE {DEALS} RENAME COLUMN "select" TO "Choose Me"',
        renames={"Sales Dept.Big Deals.select": "Choose Me"},
    ),
    StagingChange(
        "another type under a quoted view",
        f'DROP VIEW "Sales Dept"."Deal Totals"; ALTER TABLE {DEALS} DROP COLUMN gross; ALTER TABLE {DEALS} ALTER net TYPE numeric(14,2); ALTER TABLE {DEALS} ADD COLUMN gross numeric GENERATED ALWAYS AS (net * 1.2) STORED;'
        f'CREATE VIEW "Sales Dept"."Deal Totals" AS SELECT "Who?", sum(net) AS net FROM {DEALS} GROUP BY 1;'
        + GRANTED.format('"Sales Dept"."Deal Totals"'),
    ),
    StagingChange(
        "another step of an identity",
        f'ALTER TABLE {DEALS} ALTER "Deal Id" SET INCREMENT 10 SET CACHE 5 SET MAXVALUE 900000000 SET GENERATED ALWAYS',
    ),
    StagingChange(
        "a column and a check for a parent and its children",
        "ALTER TABLE vehicles ADD COLUMN colour text NOT NULL DEFAULT 'red'; ALTER TABLE vehicles ADD CONSTRAINT few CHECK (wheels < 20)",
    ),
    StagingChange("a child that inherits no more", "ALTER TABLE trucks NO INHERIT vehicles"),
    StagingChange(
        "another child",
        "CREATE TABLE vans (seats int) INHERITS (vehicles); CREATE INDEX ON vans (seats);" + GRANTED.format("vans"),
    ),
    StagingChange(
        "a unique constraint on partitions, and an index of one",
        "ALTER TABLE measures ADD CONSTRAINT measures_once UNIQUE (at, sensor, value); CREATE INDEX measures_2026_sensor ON measures_2026 (sensor)",
    ),
    StagingChange(
        "a table attached as a partition",
        "CREATE TABLE measures_2028 (LIKE measures INCLUDING ALL); ALTER TABLE measures ATTACH PARTITION measures_2028 FOR VALUES FROM ('2028-01-01') TO ('2029-01-01')",
    ),
    StagingChange(
        "a domain with a default and one more check",
        "ALTER DOMAIN mail SET DEFAULT 'none@example.com'; ALTER DOMAIN mail ADD CONSTRAINT short CHECK (length(VALUE) < 200); CREATE DOMAIN rate AS numeric(5,2) NOT NULL CHECK (VALUE >= 0)",
    ),
    StagingChange(
        "a trigger for other events",
        f'DROP TRIGGER "Audit It" ON {DEALS}; CREATE TRIGGER "Audit It" AFTER UPDATE OF net ON {DEALS} FOR EACH ROW WHEN (OLD.net IS DISTINCT FROM NEW.net) EXECUTE FUNCTION audit();'
        f"CREATE TRIGGER no_truncate BEFORE TRUNCATE ON {DEALS} EXECUTE FUNCTION audit(); ALTER TABLE {DEALS} DISABLE TRIGGER no_truncate",
    ),
    StagingChange(
        "another publication",
        "ALTER PUBLICATION feed DROP TABLE users; ALTER PUBLICATION feed ADD TABLE ONLY vehicles (id, wheels); ALTER PUBLICATION feed SET (publish = 'insert, update')",
    ),
    StagingChange(
        "a published table with its new key",
        "ALTER TABLE tags ADD PRIMARY KEY (id); ALTER PUBLICATION feed ADD TABLE tags",
    ),
    StagingChange(
        "other statistics",
        "DROP STATISTICS order_stats; CREATE STATISTICS order_stats (ndistinct) ON user_id, total FROM orders; ALTER STATISTICS order_stats SET STATISTICS 300; COMMENT ON STATISTICS order_stats IS 'for totals'",
    ),
    StagingChange(
        "foreign tables",
        "ALTER SERVER elsewhere OPTIONS (ADD host 'example.com'); ALTER FOREIGN TABLE far ADD COLUMN size bigint; ALTER FOREIGN TABLE far ALTER name TYPE varchar(20); ALTER FOREIGN TABLE far OPTIONS (ADD place 'x');"
        "CREATE FOREIGN TABLE farther (id int) SERVER elsewhere",
    ),
    StagingChange(
        "an owner, grants and default privileges elsewhere",
        f'ALTER TABLE {DEALS} OWNER TO staging_changes_app; GRANT SELECT ("Deal Id", net) ON {DEALS} TO pg_monitor; GRANT USAGE ON SCHEMA "Sales Dept" TO pg_monitor;'
        'ALTER DEFAULT PRIVILEGES IN SCHEMA "Sales Dept" GRANT SELECT ON TABLES TO staging_changes_app',
    ),
    StagingChange(
        "a table moved to another schema",
        'ALTER TABLE archive SET SCHEMA "Sales Dept"',
        renames={"public.archive": "Sales Dept.archive"},
    ),
    StagingChange(
        "a primary key of other columns",
        "ALTER TABLE documents DROP CONSTRAINT documents_pkey; ALTER TABLE documents ADD PRIMARY KEY (id, tenant)",
    ),
    StagingChange(
        "a unique constraint of other columns",
        "ALTER TABLE vehicles DROP CONSTRAINT vehicles_plate_key; ALTER TABLE vehicles ADD CONSTRAINT vehicles_plate_key UNIQUE (plate, wheels)",
    ),
    StagingChange(
        "a published table with another key",
        "ALTER PUBLICATION feed ADD TABLE ONLY vehicles; ALTER TABLE vehicles DROP CONSTRAINT vehicles_pkey; ALTER TABLE vehicles ADD CONSTRAINT vehicles_key PRIMARY KEY (id, wheels)",
    ),
    StagingChange(
        "an upsert with another index",
        "DROP INDEX counters_key; CREATE UNIQUE INDEX counters_both ON counters (key, tenant); CREATE OR REPLACE FUNCTION bump(k text) RETURNS int LANGUAGE sql AS "
        "'INSERT INTO counters (key) VALUES (k) ON CONFLICT (key, tenant) DO UPDATE SET n = counters.n + 1 RETURNING n'",
    ),
    StagingChange(
        "a view that runs as who reads it",
        "ALTER VIEW big_orders SET (security_invoker = true, check_option = 'local'); GRANT SELECT (id) ON order_totals TO pg_monitor; ALTER VIEW order_totals ALTER name SET DEFAULT 'x'",
    ),
    StagingChange(
        "a policy for each command",
        "DROP POLICY own ON documents; CREATE POLICY own_select ON documents FOR SELECT USING (sees(tenant)); CREATE POLICY own_insert ON documents FOR INSERT WITH CHECK (sees(tenant)); CREATE POLICY own_update ON documents AS PERMISSIVE FOR UPDATE USING (sees(tenant))",
    ),
    StagingChange(
        "a procedure, an aggregate and a collation",
        "CREATE PROCEDURE tidy() LANGUAGE sql AS 'DELETE FROM log WHERE id < 0'; CREATE AGGREGATE total_all (numeric) (sfunc = numeric_add, stype = numeric, initcond = '0');"
        "CREATE COLLATION plain (provider = libc, locale = 'C'); ALTER TABLE tags ALTER name TYPE text COLLATE plain",
    ),
    StagingChange(
        "storage and a deferred foreign key",
        "ALTER TABLE documents ALTER body SET STORAGE EXTERNAL; ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey DEFERRABLE INITIALLY DEFERRED; ALTER TABLE log SET (autovacuum_enabled = false); ALTER TABLE documents FORCE ROW LEVEL SECURITY",
    ),
    StagingChange(
        "two tables of a family dropped",
        "DROP TABLE trucks; DROP TABLE vehicles",
        ("vehicles",),
    ),
)
