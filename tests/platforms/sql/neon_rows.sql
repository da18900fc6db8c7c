INSERT INTO notes (body, embedding) SELECT 'note ' || n, '[1,2,3]' FROM generate_series(1, 50) n;
