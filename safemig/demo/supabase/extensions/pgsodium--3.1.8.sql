CREATE SEQUENCE pgsodium.key_key_id_seq;
CREATE TYPE pgsodium.key_status AS ENUM ('default', 'valid', 'invalid', 'expired');
CREATE TABLE pgsodium.key (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), status pgsodium.key_status DEFAULT 'valid',
  created timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP, name text UNIQUE, key_id bigint DEFAULT nextval('pgsodium.key_key_id_seq'));
CREATE FUNCTION pgsodium.randombytes_random() RETURNS integer LANGUAGE sql AS $$ SELECT (random() * 1000000)::int $$;
SELECT pg_catalog.pg_extension_config_dump('pgsodium.key', '');
SELECT pg_catalog.pg_extension_config_dump('pgsodium.key_key_id_seq', '');
