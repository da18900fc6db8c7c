"""A shop with what shops have: keys, views, row security, partitions, a trigger; and what its application does all day."""

from __future__ import annotations

ROLE = "staging_changes_app"

SCHEMA = """
CREATE TYPE state AS ENUM ('new', 'paid', 'sent');
CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%');
CREATE TYPE address AS (street text, city text);
CREATE TABLE users (id bigserial PRIMARY KEY, mail mail NOT NULL, name text NOT NULL, tenant int NOT NULL DEFAULT 1,
    legacy text, born date, balance numeric(12,2) NOT NULL DEFAULT 0, note varchar(50), visits int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX users_mail ON users (mail);
CREATE INDEX users_name ON users (name);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL REFERENCES users,
    state state NOT NULL DEFAULT 'new', total numeric(10,2) NOT NULL DEFAULT 0 CONSTRAINT not_negative CHECK (total >= 0),
    placed timestamptz NOT NULL DEFAULT now(), code text, sent_to address, quantity int DEFAULT 1, paid boolean);
CREATE INDEX orders_new ON orders (id) WHERE state = 'new';
CREATE TABLE tags (id int NOT NULL, name text, colour text DEFAULT 'red');
CREATE TABLE events (at date NOT NULL, user_id bigint, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE FUNCTION sees(t int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT t = 1';
CREATE TABLE documents (id serial PRIMARY KEY, tenant int NOT NULL, body text);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON documents USING (sees(tenant));
CREATE VIEW big_orders AS SELECT id, user_id, total FROM orders WHERE total > 10;
CREATE VIEW order_totals AS SELECT u.id, u.name, sum(o.total) AS total FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.id;
CREATE MATERIALIZED VIEW daily AS SELECT placed::date AS day, count(*) AS orders FROM orders GROUP BY 1;
CREATE UNIQUE INDEX daily_day ON daily (day);
CREATE FUNCTION with_code() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.code := coalesce(NEW.code, 'none'); RETURN NEW; END$$;
CREATE TRIGGER with_code BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION with_code();
CREATE FUNCTION total_of(u bigint) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT sum(total) FROM orders WHERE user_id = u';
CREATE TABLE log (id int, at timestamptz DEFAULT now(), what text);
CREATE TABLE archive (id int PRIMARY KEY, what text);
CREATE SEQUENCE tickets;
GRANT USAGE ON SCHEMA public TO staging_changes_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO staging_changes_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO staging_changes_app;
"""

ROWS = """
INSERT INTO users (mail, name, legacy, born, note) SELECT n || '@example.com', 'n' || n % 50, 'old', '1990-01-01', 'x' FROM generate_series(1, 200) n;
INSERT INTO orders (user_id, total, state) SELECT 1 + n % 200, n % 90, (ARRAY['new', 'paid', 'sent'])[1 + n % 3]::state FROM generate_series(1, 1000) n;
INSERT INTO tags (id, name) SELECT n, 't' || n FROM generate_series(1, 50) n;
INSERT INTO events SELECT '2025-06-01'::date + n, n, 'click' FROM generate_series(1, 300) n;
INSERT INTO documents (tenant, body) SELECT n % 2, 'b' FROM generate_series(1, 40) n;
INSERT INTO log SELECT n, now(), 'w' FROM generate_series(1, 50) n;
INSERT INTO archive SELECT n, 'w' FROM generate_series(1, 50) n;
REFRESH MATERIALIZED VIEW daily;
"""

# {n} is another number each time. The first column of a row must be true where a statement returns rows.
APPLICATION = (
    "INSERT INTO users (mail, name) VALUES ('a{n}@example.com', 'x')",
    "INSERT INTO orders (user_id, total) VALUES (1, 20)",
    "INSERT INTO orders (user_id, state, code) VALUES (2, 'paid', 'c')",
    "UPDATE orders SET total = total + 1 WHERE id = 5",
    "UPDATE users SET balance = balance + 1, note = 'seen', visits = visits + 1 WHERE id = 7",
    "INSERT INTO tags (id, name) VALUES (100000 + {n}, 'x')",
    "INSERT INTO events (at, user_id, kind) VALUES ('2026-03-01', 1, 'click')",
    "INSERT INTO documents (tenant, body) VALUES (1, 'x')",
    "INSERT INTO log (id, what) VALUES ({n}, 'x')",
    "SELECT count(*) >= 20, 'row security shows them' FROM documents",
    "SELECT count(*) > 0, 'view' FROM big_orders",
    "SELECT max(total) > 0, 'view' FROM order_totals",
    "SELECT count(*) > 0, 'materialized view' FROM daily",
    "SELECT total_of(1) > 0, 'function'",
    "SELECT nextval('tickets') > 0, 'sequence'",
    "SELECT count(*) >= 300, 'partitions' FROM events",
    "SELECT count(*) > 0, 'index' FROM orders WHERE state = 'new'",
)
