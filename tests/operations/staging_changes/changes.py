"""The changes: 1 to 15 statements each, as someone types them into a console."""

from __future__ import annotations

from .change import StagingChange

SWAP_STATE = """
ALTER TABLE orders ALTER state DROP DEFAULT; ALTER TABLE "Sales Dept"."Big Deals" ALTER states DROP DEFAULT; DROP INDEX orders_new; DROP STATISTICS order_stats;
ALTER TYPE state RENAME TO state_old; CREATE TYPE state AS ENUM ('new', 'paid');
ALTER TABLE orders ALTER state TYPE state USING state::text::state; ALTER TABLE "Sales Dept"."Big Deals" ALTER states TYPE state[] USING states::text::state[];
DROP TYPE state_old; ALTER TABLE orders ALTER state SET DEFAULT 'new'; ALTER TABLE "Sales Dept"."Big Deals" ALTER states SET DEFAULT '{new}';
CREATE INDEX orders_new ON orders (id) WHERE state = 'new'; CREATE STATISTICS order_stats ON user_id, state FROM orders
"""

CHANGES = (
    StagingChange("a nullable column", "ALTER TABLE users ADD COLUMN phone text"),
    StagingChange(
        "a column with a constant default", "ALTER TABLE orders ADD COLUMN currency text NOT NULL DEFAULT 'EUR'"
    ),
    StagingChange(
        "a column with a volatile default", "ALTER TABLE tags ADD COLUMN uid uuid NOT NULL DEFAULT gen_random_uuid()"
    ),
    StagingChange(
        "a NOT NULL column without a default", "ALTER TABLE users ADD COLUMN country text NOT NULL", ("users.country",)
    ),
    StagingChange("a dropped column", "ALTER TABLE users DROP COLUMN legacy", ("users.legacy: dropped",)),
    StagingChange("a dropped table", "DROP TABLE archive", ("archive: dropped",)),
    StagingChange("a dropped table that may be renamed", "ALTER TABLE archive RENAME TO attic", ("attic",)),
    StagingChange(
        "a renamed table, said", "ALTER TABLE archive RENAME TO attic", (), {"public.archive": "public.attic"}
    ),
    StagingChange(
        "a renamed column, said",
        "ALTER TABLE users RENAME COLUMN legacy TO old_name",
        (),
        {"public.users.legacy": "old_name"},
    ),
    StagingChange(
        "NOT NULL",
        "UPDATE orders SET quantity = 1 WHERE quantity IS NULL; ALTER TABLE orders ALTER quantity SET NOT NULL",
    ),
    StagingChange("no longer NOT NULL", "ALTER TABLE orders ALTER total DROP NOT NULL"),
    StagingChange("a check", "ALTER TABLE orders ADD CONSTRAINT sane CHECK (total < 1000000)"),
    StagingChange("a check that is dropped", "ALTER TABLE orders DROP CONSTRAINT not_negative"),
    StagingChange(
        "a check that changes",
        "ALTER TABLE orders DROP CONSTRAINT not_negative, ADD CONSTRAINT not_negative CHECK (total >= -5)",
    ),
    StagingChange("a unique constraint", "ALTER TABLE tags ADD CONSTRAINT tags_once UNIQUE (id, name)"),
    StagingChange("a primary key", "ALTER TABLE tags ADD PRIMARY KEY (id)"),
    StagingChange(
        "a unique index becomes a constraint",
        "ALTER TABLE users ADD CONSTRAINT users_mail UNIQUE USING INDEX users_mail",
    ),
    StagingChange(
        "a unique index gets a successor",
        "CREATE UNIQUE INDEX users_mail_name ON users (mail) INCLUDE (name); DROP INDEX users_mail",
    ),
    StagingChange("an index", "CREATE INDEX orders_user ON orders (user_id, placed DESC)"),
    StagingChange("an index that changes", "DROP INDEX users_name; CREATE INDEX users_name ON users (lower(name))"),
    StagingChange("an index that goes", "DROP INDEX users_name"),
    StagingChange("a foreign key", "ALTER TABLE documents ADD COLUMN owner bigint REFERENCES users ON DELETE SET NULL"),
    StagingChange(
        "a foreign key on a filled column", "ALTER TABLE events ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID"
    ),
    StagingChange(
        "another action of a foreign key",
        "ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey, ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE",
    ),
    StagingChange("a wider text", "ALTER TABLE users ALTER note TYPE varchar(200)"),
    StagingChange("varchar becomes text", "ALTER TABLE users ALTER note TYPE text"),
    StagingChange("a narrower text", "ALTER TABLE users ALTER note TYPE varchar(20)", ()),
    StagingChange("int becomes bigint", "ALTER TABLE users ALTER visits TYPE bigint"),
    StagingChange(
        "a type under views",
        "DROP VIEW big_orders, order_totals; ALTER TABLE orders ALTER total TYPE numeric(14,2);"
        "CREATE VIEW big_orders AS SELECT id, user_id, total FROM orders WHERE total > 10;"
        "CREATE VIEW order_totals AS SELECT u.id, u.name, sum(o.total) AS total FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.id;"
        "GRANT SELECT, INSERT, UPDATE ON big_orders, order_totals TO staging_changes_app",
    ),
    StagingChange(
        "a lossy type under a view",
        "DROP VIEW big_orders, order_totals; ALTER TABLE orders ALTER total TYPE int;"
        "CREATE VIEW big_orders AS SELECT id, user_id, total FROM orders WHERE total > 10;"
        "CREATE VIEW order_totals AS SELECT u.id, u.name, sum(o.total) AS total FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.id;"
        "GRANT SELECT, INSERT, UPDATE ON big_orders, order_totals TO staging_changes_app",
        ("orders.total",),
    ),
    StagingChange("an enum value at the end", "ALTER TYPE state ADD VALUE 'returned'"),
    StagingChange(
        "an enum value as the default",
        "ALTER TYPE state ADD VALUE 'draft' BEFORE 'new'; ALTER TABLE orders ALTER state SET DEFAULT 'draft'",
    ),
    StagingChange(
        "an enum value in an index, a view and a policy",
        "ALTER TYPE state ADD VALUE 'held' AFTER 'new'; DROP INDEX orders_new;"
        "CREATE INDEX orders_new ON orders (id) WHERE state IN ('new', 'held'); CREATE VIEW held AS SELECT * FROM orders WHERE state = 'held'",
    ),
    StagingChange(
        "an enum value that goes", SWAP_STATE, ("state",), first="UPDATE orders SET state = 'paid' WHERE state = 'sent'"
    ),
    StagingChange(
        "serial becomes identity",
        "ALTER TABLE users ALTER id DROP DEFAULT; DROP SEQUENCE users_id_seq; ALTER TABLE users ALTER id ADD GENERATED BY DEFAULT AS IDENTITY; SELECT setval('users_id_seq', 1000); GRANT USAGE ON SEQUENCE users_id_seq TO staging_changes_app",
        ("users",),
    ),
    StagingChange("an identity on a filled column", "ALTER TABLE tags ALTER id ADD GENERATED BY DEFAULT AS IDENTITY"),
    StagingChange("a sequence with another range", "ALTER SEQUENCE tickets MINVALUE 500 START 500 RESTART 500"),
    StagingChange(
        "a function with another body",
        "CREATE OR REPLACE FUNCTION total_of(u bigint) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(total) + 0 FROM orders WHERE user_id = u'",
    ),
    StagingChange(
        "a function with another result",
        "DROP FUNCTION total_of; CREATE FUNCTION total_of(u bigint) RETURNS double precision LANGUAGE sql STABLE AS 'SELECT sum(total)::float8 FROM orders WHERE user_id = u'",
    ),
    StagingChange(
        "a function under a policy and a new enum value",
        "ALTER TYPE state ADD VALUE 'held'; ALTER TABLE orders ADD COLUMN was state DEFAULT 'held'; DROP POLICY own ON documents; DROP FUNCTION sees(int);"
        "CREATE FUNCTION sees(t int, strict boolean DEFAULT true) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT t = 1'; CREATE POLICY own ON documents USING (sees(tenant))",
    ),
    StagingChange("a policy that changes", "ALTER POLICY own ON documents USING (sees(tenant) OR tenant = 2)"),
    StagingChange(
        "a policy for a role",
        "DROP POLICY own ON documents; CREATE POLICY own ON documents TO staging_changes_app USING (sees(tenant))",
    ),
    StagingChange(
        "row security on another table",
        "ALTER TABLE tags ENABLE ROW LEVEL SECURITY; CREATE POLICY everything ON tags USING (true)",
    ),
    StagingChange(
        "a view with another column",
        "CREATE OR REPLACE VIEW big_orders AS SELECT id, user_id, total, placed FROM orders WHERE total > 10",
    ),
    StagingChange(
        "a view with another type",
        "DROP VIEW big_orders; CREATE VIEW big_orders AS SELECT id, user_id, total::float8 AS total FROM orders WHERE total > 10; GRANT SELECT, INSERT, UPDATE ON big_orders TO staging_changes_app",
    ),
    StagingChange(
        "views on views",
        "CREATE VIEW huge AS SELECT * FROM big_orders WHERE total > 50; CREATE VIEW huger AS SELECT * FROM huge WHERE total > 70",
    ),
    StagingChange(
        "a materialized view that changes",
        "DROP MATERIALIZED VIEW daily; CREATE MATERIALIZED VIEW daily AS SELECT placed::date AS day, count(*) AS orders, sum(total) AS total FROM orders GROUP BY 1;"
        "CREATE UNIQUE INDEX daily_day ON daily (day); GRANT SELECT, INSERT, UPDATE ON daily TO staging_changes_app",
    ),
    StagingChange(
        "a trigger with another function",
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.code := coalesce(NEW.code, 'stamped'); RETURN NEW; END$$; DROP TRIGGER with_code ON orders; CREATE TRIGGER with_code BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp(); DROP FUNCTION with_code",
    ),
    StagingChange(
        "a partition more",
        "CREATE TABLE events_2027 PARTITION OF events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
    ),
    StagingChange(
        "a default partition and an index on all",
        "CREATE TABLE events_rest PARTITION OF events DEFAULT; CREATE INDEX events_kind ON events (kind)",
    ),
    StagingChange(
        "a partition detached",
        "ALTER TABLE events DETACH PARTITION events_2025; ALTER TABLE events ATTACH PARTITION events_2025 FOR VALUES FROM ('2024-01-01') TO ('2026-01-01')",
    ),
    StagingChange(
        "a generated column", "ALTER TABLE users ADD COLUMN handle text GENERATED ALWAYS AS (lower(name)) STORED"
    ),
    StagingChange(
        "a domain with another check",
        "ALTER DOMAIN mail DROP CONSTRAINT mail_check; ALTER DOMAIN mail ADD CONSTRAINT mail_check CHECK (VALUE LIKE '%@%.%')",
    ),
    StagingChange("a composite type with another attribute", "ALTER TYPE address ADD ATTRIBUTE zip text"),
    StagingChange(
        "grants",
        "REVOKE UPDATE ON log FROM staging_changes_app; GRANT DELETE ON log TO staging_changes_app; GRANT SELECT (id) ON archive TO pg_monitor",
    ),
    StagingChange(
        "comments and options",
        "COMMENT ON TABLE users IS 'people'; COMMENT ON COLUMN users.mail IS 'once'; ALTER TABLE orders SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05); ALTER TABLE users ALTER name SET STATISTICS 500",
    ),
    StagingChange(
        "a default in place of another",
        "ALTER TABLE tags ALTER colour SET DEFAULT 'blue'; ALTER TABLE log ALTER at DROP DEFAULT; ALTER TABLE users ALTER visits SET DEFAULT 5",
    ),
    StagingChange(
        "a feature",
        "CREATE TYPE level AS ENUM ('low', 'high'); CREATE TABLE tickets_table (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, level level NOT NULL DEFAULT 'low', body text NOT NULL, opened timestamptz NOT NULL DEFAULT now());"
        "CREATE INDEX ON tickets_table (user_id); ALTER TABLE tickets_table ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON tickets_table USING (sees(1)); CREATE VIEW open_tickets AS SELECT * FROM tickets_table WHERE level = 'high';"
        "GRANT SELECT, INSERT ON tickets_table TO staging_changes_app; ALTER TABLE users ADD COLUMN support level; CREATE FUNCTION tickets_of(u bigint) RETURNS SETOF tickets_table LANGUAGE sql STABLE AS 'SELECT * FROM tickets_table WHERE user_id = u'; COMMENT ON TABLE tickets_table IS 'help'",
    ),
    StagingChange(
        "a busy afternoon",
        "ALTER TABLE users ADD COLUMN phone text, DROP COLUMN legacy; CREATE INDEX ON users (phone); ALTER TYPE state ADD VALUE 'held'; ALTER TABLE orders ALTER quantity SET DEFAULT 2, ADD CONSTRAINT few CHECK (quantity < 1000);"
        "DROP VIEW big_orders; CREATE VIEW big_orders AS SELECT id, user_id, total, 1 AS one FROM orders WHERE total > 10; GRANT SELECT, INSERT, UPDATE ON big_orders TO staging_changes_app; ALTER TABLE tags ADD PRIMARY KEY (id); ALTER TABLE documents ADD COLUMN owner bigint REFERENCES users;"
        "CREATE TABLE parts (id int PRIMARY KEY, of bigint REFERENCES orders); GRANT SELECT ON parts TO staging_changes_app; DROP TABLE archive; COMMENT ON VIEW big_orders IS 'big'",
        ("users.legacy", "archive"),
    ),
    StagingChange(
        "ten columns and ten indexes",
        "; ".join(f"ALTER TABLE log ADD COLUMN c{n} int; CREATE INDEX ON log (c{n})" for n in range(7)),
    ),
    StagingChange(
        "statistics and a publication",
        "CREATE STATISTICS users_stats ON name, tenant FROM users; CREATE PUBLICATION out FOR TABLE users (id, name), orders WHERE (id > 0)",
    ),
    StagingChange(
        "an owner",
        "ALTER TABLE archive OWNER TO staging_changes_app; ALTER VIEW big_orders OWNER TO staging_changes_app; GRANT SELECT, INSERT, UPDATE ON big_orders TO staging_changes_app",
    ),
    StagingChange(
        "an exclusion constraint",
        "ALTER TABLE archive ADD COLUMN during int4range; ALTER TABLE archive ADD CONSTRAINT apart EXCLUDE USING gist (during WITH &&)",
    ),
    StagingChange(
        "an inherited table", "CREATE TABLE log_old () INHERITS (log); ALTER TABLE log ADD COLUMN level int DEFAULT 0"
    ),
    StagingChange("a rule", "CREATE RULE quiet AS ON INSERT TO archive WHERE NEW.what IS NULL DO INSTEAD NOTHING"),
)
