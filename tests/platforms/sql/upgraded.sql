-- A database that pg_upgrade brought here from 14 or before: its schema public keeps the owner and the grants of that time.
ALTER SCHEMA public OWNER TO postgres;
GRANT ALL ON SCHEMA public TO PUBLIC;
