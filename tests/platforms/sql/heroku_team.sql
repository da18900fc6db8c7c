CREATE TABLE posts (id uuid PRIMARY KEY DEFAULT heroku_ext.uuid_generate_v4(), title text NOT NULL);
CREATE TABLE comments (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, post uuid NOT NULL REFERENCES posts, body text);
