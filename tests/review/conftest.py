"""A small shop on each server, for what is measured rather than believed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.postgres.target_facts import read_target_facts
from safemig.review import TargetFacts

TABLES = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN plain AS int;
CREATE TABLE teams (id int PRIMARY KEY, name text);
CREATE TABLE users (
    id int PRIMARY KEY, email varchar(50), name text, price numeric(10, 2), at timestamp, seen timestamptz, ip cidr, n int NOT NULL,
    amount plain, feeling mood, note text DEFAULT 'x', CONSTRAINT positive_n CHECK (n > 0),
    CONSTRAINT name_there CHECK (name IS NOT NULL)
);
ALTER TABLE users ADD CONSTRAINT unchecked CHECK (n < 1000) NOT VALID;
CREATE INDEX users_email_idx ON users (email);
CREATE UNIQUE INDEX users_n_key ON users (n);
CREATE TABLE orders (id int PRIMARY KEY, user_id int CONSTRAINT orders_user_fk REFERENCES users ON DELETE CASCADE, total int);
CREATE TABLE events (at date, a int) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE events_2024 (at date, a int);
CREATE TABLE people (id int, n int);
CREATE TABLE twins (id int, n int);
CREATE DOMAIN always AS int;
CREATE TABLE logs (at date, a int, b always) PARTITION BY RANGE (at);
CREATE TABLE logs_2025 PARTITION OF logs FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE SCHEMA attic;
CREATE VIEW user_names AS SELECT id, name FROM users;
CREATE MATERIALIZED VIEW totals AS SELECT user_id, sum(total) AS total FROM orders GROUP BY user_id;
CREATE UNIQUE INDEX totals_key ON totals (user_id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM users';
CREATE FUNCTION answer() RETURNS int LANGUAGE sql STABLE AS 'SELECT 42';
CREATE FUNCTION wipe_orders() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; RETURN NEW; END $$;
CREATE TRIGGER users_touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER teams_wipe AFTER INSERT ON teams FOR EACH ROW EXECUTE FUNCTION wipe_orders();
CREATE POLICY own ON users USING (true);
CREATE RULE quiet AS ON INSERT TO people DO ALSO NOTHING;
CREATE SEQUENCE counter;
CREATE STATISTICS users_stats (dependencies) ON email, name FROM users;
CREATE TABLE clubs (id int PRIMARY KEY, name text);
CREATE TABLE badges (id int PRIMARY KEY, club_id int REFERENCES clubs);
INSERT INTO users (id, email, name, n) SELECT i, 'a' || i, 'b', i FROM generate_series(1, 40) AS i;
ANALYZE;
"""


@pytest.fixture(scope="session")
def shop(every_server: ThrowawayServer) -> Iterator[str]:
    """The URL of the shop on each server."""
    yield make_shop(every_server)
    every_server.drop_database("shop")


@pytest.fixture(scope="session")
def newest_shop(server: ThrowawayServer) -> Iterator[str]:
    """The URL of the shop on the newest server, a template that no one is connected to."""
    yield make_shop(server)
    server.drop_database("shop")


def make_shop(server: ThrowawayServer) -> str:
    url = server.create_database("shop")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)
    return url


@pytest.fixture(scope="session")
def shop_facts(shop: str) -> TargetFacts:
    """What the review knows of the shop."""
    with psycopg.connect(shop) as connection:
        return read_target_facts(connection, "shop")


@pytest.fixture
def shop_connection(shop: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction in the shop that is rolled back."""
    with psycopg.connect(shop) as connection:
        yield connection
        connection.rollback()
