-- What people wrote once the second migration was there.
SET LOCAL session_replication_role = replica;

INSERT INTO catalog.reviews (id, product_id, user_id, stars, body, written_at)
SELECT n, 1 + n % products, n, 1 + (n * 7 + n / 5) % 5,
       (ARRAY['Does what it should.', 'Broke after a week.', 'My second one.', ''])[1 + n % 4],
       timestamptz '2025-06-25 09:00+00' + n * interval '3 minutes'
  FROM demo_sizes, generate_series(1, users / 2) AS n;

SELECT setval(pg_get_serial_sequence('catalog.reviews', 'id'), greatest(users / 2, 1)) FROM demo_sizes;
