CREATE TYPE geometry;
CREATE FUNCTION geometry_in(cstring) RETURNS geometry LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textin';
CREATE FUNCTION geometry_out(geometry) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textout';
CREATE FUNCTION geometry_typmod_in(cstring[]) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT ($1::text[])[cardinality($1)]::integer $$;
CREATE TYPE geometry (INPUT = geometry_in, OUTPUT = geometry_out, TYPMOD_IN = geometry_typmod_in, STORAGE = main, DELIMITER = ':');
CREATE CAST (geometry AS text) WITHOUT FUNCTION;
CREATE FUNCTION st_makepoint(float8, float8) RETURNS geometry LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT format('POINT(%s %s)', $1, $2)::geometry $$;
CREATE FUNCTION st_astext(geometry) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT $1::text $$;
CREATE FUNCTION postgis_version() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT '3.5 stand-in' $$;
CREATE TABLE spatial_ref_sys (srid integer NOT NULL PRIMARY KEY CHECK (srid > 0 AND srid <= 998999), auth_name varchar(256), auth_srid integer,
  srtext varchar(2048), proj4text varchar(2048));
INSERT INTO spatial_ref_sys VALUES (4326, 'EPSG', 4326, 'GEOGCS["WGS 84"]', '+proj=longlat +datum=WGS84 +no_defs');
SELECT pg_catalog.pg_extension_config_dump('spatial_ref_sys', 'WHERE srid > 998000');
