-- The shop's rows: the same for the same sizes, wherever and whenever they are made. The sizes come from temporary
-- table demo_sizes (users, products, orders), so that staging is production in small.
-- Triggers and foreign keys do not fire while the rows are loaded: they are right by construction, which a test checks.
SET LOCAL session_replication_role = replica;

INSERT INTO public.users (id, email, full_name, fax_number, is_active, created_at, updated_at)
SELECT n,
       'user' || n || '@example.com',
       (ARRAY['Ada', 'Grace', 'Edgar', 'Barbara', 'Michael', 'Margaret', 'Donald', 'Frances', 'Alan', 'Radia'])[1 + n % 10]
           || ' ' || (ARRAY['Jansen', 'de Vries', 'Bakker', 'Visser', 'Smit', 'Meijer', 'Mulder'])[1 + n % 7],
       CASE WHEN n % 40 = 0 THEN '+31 20 ' || lpad((n % 10000000)::text, 7, '0') END,
       n % 50 <> 0,
       timestamptz '2024-06-01 08:00+00' + n * interval '7 minutes',
       timestamptz '2024-06-01 08:00+00' + n * interval '7 minutes'
  FROM demo_sizes, generate_series(1, users) AS n;

INSERT INTO public.addresses (id, user_id, street, city, postal_code, is_default)
SELECT n, n,
       (ARRAY['Keizersgracht', 'Stationsweg', 'Dorpsstraat', 'Kerklaan'])[1 + n % 4] || ' ' || 1 + n % 300,
       (ARRAY['Amsterdam', 'Utrecht', 'Groningen', 'Zwolle', 'Delft'])[1 + n % 5],
       1000 + n % 9000 || ' ' || chr(65 + n % 26) || chr(65 + n / 26 % 26),
       true
  FROM demo_sizes, generate_series(1, users) AS n;

INSERT INTO catalog.brands (id, name) OVERRIDING SYSTEM VALUE
SELECT n, (ARRAY['Noord', 'Vuurtoren', 'Polder', 'Zilt', 'Duin', 'Kompas'])[n] FROM generate_series(1, 6) AS n;

INSERT INTO catalog.categories (id, parent_id, name) OVERRIDING SYSTEM VALUE
VALUES (1, NULL, 'Outdoor'), (2, 1, 'Tents'), (3, 1, 'Bags'), (4, NULL, 'Kitchen'), (5, 4, 'Knives'), (6, 4, 'Pans');

INSERT INTO catalog.products (id, sku, brand_id, name, description, price, attributes, updated_at)
SELECT n,
       'SKU-' || lpad(n::text, 6, '0'),
       1 + n % 6,
       (ARRAY['Light', 'Sturdy', 'Small', 'Large', 'Blue'])[1 + n % 5] || ' '
           || (ARRAY['tent', 'rucksack', 'pan', 'knife', 'kettle', 'lamp', 'blanket'])[1 + n % 7] || ' ' || n,
       'Made to last, number ' || n || ' of its kind.',
       5 + (n * 37 % 19500) / 100.0,
       jsonb_build_object('weight_g', 100 + n * 13 % 4000, 'colour', (ARRAY['red', 'blue', 'green'])[1 + n % 3]),
       timestamptz '2025-01-01 00:00+00'
  FROM demo_sizes, generate_series(1, products) AS n;

INSERT INTO catalog.product_categories (product_id, category_id)
SELECT n, 1 + n % 6 FROM demo_sizes, generate_series(1, products) AS n;

INSERT INTO catalog.stock (product_id, on_hand, reserved)
SELECT n, n % 90, n % 90 / 10 FROM demo_sizes, generate_series(1, products) AS n;

INSERT INTO sales.coupons (code, percent_off, valid)
VALUES ('WELCOME10', 10, '[2025-01-01,2026-01-01)'), ('SPRING', 15, '[2025-03-01,2025-06-01)');

-- An order every few minutes of the first half of 2025, the later ones further from done.
INSERT INTO sales.orders (id, user_id, address_id, coupon_code, status, placed_at)
SELECT n, customer, customer,
       CASE WHEN n % 9 = 0 THEN 'WELCOME10' END,
       CASE WHEN n % 31 = 0 THEN 'cancelled' WHEN n > orders * 0.99 THEN 'pending' WHEN n > orders * 0.98 THEN 'paid'
            WHEN n > orders * 0.97 THEN 'shipped' ELSE 'delivered' END::sales.order_status,
       timestamptz '2025-01-01 00:00+00' + n * (interval '180 days' / orders)
  FROM demo_sizes, generate_series(1, orders) AS n, LATERAL (SELECT 1 + n * 7919::bigint % users AS customer) AS chosen;

INSERT INTO sales.order_items (order_id, line, product_id, quantity, unit_price)
SELECT n, line, product.id, 1 + (n + line) % 3, product.price
  FROM demo_sizes, generate_series(1, orders) AS n, generate_series(1, 1 + n % 3) AS line,
       LATERAL (SELECT 1 + (n * 104729::bigint + line * 611) % products AS id) AS chosen
  JOIN catalog.products AS product ON product.id = chosen.id;

INSERT INTO sales.payments (id, order_id, method, amount, paid_at)
SELECT md5('payment ' || orders.id)::uuid, orders.id,
       (ARRAY['card', 'card', 'paypal', 'invoice'])[1 + orders.id % 4]::sales.payment_method,
       totals.amount, orders.placed_at + interval '2 minutes'
  FROM sales.orders
  JOIN (SELECT order_id, sum(line_total) AS amount FROM sales.order_items GROUP BY order_id) AS totals
    ON totals.order_id = orders.id
 WHERE orders.status NOT IN ('pending', 'cancelled')
 ORDER BY orders.id;

INSERT INTO sales.shipments (id, order_id, carrier, tracking_number, shipped_at, delivered_at)
SELECT orders.id, orders.id, (ARRAY['PostNL', 'DHL', 'UPS'])[1 + orders.id % 3], 'NL' || lpad(orders.id::text, 11, '0'),
       orders.placed_at + interval '1 day', CASE WHEN orders.status = 'delivered' THEN orders.placed_at + interval '3 days' END
  FROM sales.orders
 WHERE orders.status IN ('shipped', 'delivered')
 ORDER BY orders.id;

INSERT INTO audit.events (id, happened_at, table_name, row_id, action, details)
SELECT orders.id, orders.placed_at, 'sales.orders', orders.id, 'status', jsonb_build_object('to', orders.status)
  FROM sales.orders
 ORDER BY orders.id;

SELECT setval(pg_get_serial_sequence(name, 'id'), last)
  FROM demo_sizes,
       LATERAL (VALUES ('public.users', users), ('public.addresses', users), ('catalog.brands', 6), ('catalog.categories', 6),
                       ('catalog.products', products), ('sales.orders', orders), ('sales.shipments', orders)) AS sequences (name, last);
SELECT setval('audit.events_id_seq', orders) FROM demo_sizes;

REFRESH MATERIALIZED VIEW sales.daily_revenue;
