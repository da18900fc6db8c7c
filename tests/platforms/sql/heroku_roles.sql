-- A Heroku server as its customer sees it: one role, without CREATEDB, and others' roles. Run by postgres, a superuser.
CREATE ROLE heroku_admin NOLOGIN;
CREATE ROLE u7f3c2e1b9a0d4 LOGIN CONNECTION LIMIT 40;
