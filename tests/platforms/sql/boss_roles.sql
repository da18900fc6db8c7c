-- A server of one's own, as Docker's POSTGRES_USER=boss makes it: the superuser is not called postgres. Run by boss.
CREATE ROLE app_rw LOGIN;
CREATE ROLE app_ro LOGIN;
