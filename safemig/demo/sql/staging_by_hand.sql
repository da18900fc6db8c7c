-- What a developer did to staging in an afternoon, through a dashboard and psql: nothing of it is in a file yet.

CREATE TABLE public.user_preferences (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id bigint NOT NULL UNIQUE REFERENCES public.users (id) ON DELETE CASCADE,
    theme text NOT NULL DEFAULT 'system',
    notifications jsonb NOT NULL DEFAULT '{"email": true, "push": false}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_preferences_theme_is_known CHECK (theme IN ('light', 'dark', 'system'))
);
COMMENT ON TABLE public.user_preferences IS 'How each user wants the shop to look and to write to them.';
CREATE INDEX user_preferences_theme_idx ON public.user_preferences (theme);
CREATE TRIGGER user_preferences_set_updated_at BEFORE UPDATE ON public.user_preferences
    FOR EACH ROW EXECUTE FUNCTION public.set_updated_at();
ALTER TABLE public.user_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY users_keep_their_preferences ON public.user_preferences TO shop_app
    USING (user_id = public.current_user_id()) WITH CHECK (user_id = public.current_user_id());
GRANT SELECT, INSERT, UPDATE ON public.user_preferences TO shop_app;

-- A new column, and the view that shows it.
ALTER TABLE sales.orders ADD COLUMN is_gift boolean NOT NULL DEFAULT false;
CREATE OR REPLACE VIEW sales.order_overview WITH (security_invoker = true) AS
    SELECT orders.id, orders.placed_at, orders.status, users.email, users.full_name,
           sales.order_total(orders.id) AS total, orders.is_gift
      FROM sales.orders
      JOIN public.users ON users.id = orders.user_id;

-- The report of the last days was slow.
CREATE INDEX orders_placed_at_idx ON sales.orders (placed_at);

-- Orders come back, too.
ALTER TYPE sales.order_status ADD VALUE 'returned' AFTER 'delivered';

-- Coupons were forgotten in the total.
CREATE OR REPLACE FUNCTION sales.order_total(for_order_id bigint) RETURNS numeric
    LANGUAGE sql STABLE
    AS $$
    SELECT round(coalesce(sum(items.line_total), 0) * (1 - coalesce(max(coupons.percent_off), 0) / 100), 2)
      FROM sales.orders
      LEFT JOIN sales.order_items AS items ON items.order_id = orders.id
      LEFT JOIN sales.coupons ON coupons.code = orders.coupon_code
     WHERE orders.id = for_order_id
$$;

-- Nobody has a fax any more.
ALTER TABLE public.users DROP COLUMN fax_number;
