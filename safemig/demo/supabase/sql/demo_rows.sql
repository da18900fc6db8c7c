-- The application's rows: the same for the same number of users, so that staging is production in small. The number comes
-- from temporary table demo_sizes (users). Profiles are made by the trigger on auth.users, as in life.
INSERT INTO auth.users (id, email, created_at)
SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n || '@example.com',
       timestamptz '2025-04-01 08:00+00' + n * interval '7 minutes'
  FROM demo_sizes, generate_series(1, users) AS n;

INSERT INTO auth.identities (id, provider_id, user_id, identity_data, provider)
SELECT md5('identity ' || email)::uuid, email, id, jsonb_build_object('email', email), 'email'
  FROM auth.users;

INSERT INTO storage.buckets (id, name, public) VALUES ('avatars', 'avatars', true);

INSERT INTO storage.objects (id, bucket_id, name, owner, metadata)
SELECT md5('avatar ' || email)::uuid, 'avatars', id || '/avatar.png', id, jsonb_build_object('size', 2000 + length(email))
  FROM auth.users;

INSERT INTO public.documents (owner, body, embedding)
SELECT ('00000000-0000-4000-8000-' || lpad((1 + n * 7 % users)::text, 12, '0'))::uuid,
       'Document ' || n || ': ' || (ARRAY['minutes', 'a draft', 'an invoice', 'a recipe', 'notes'])[1 + n % 5],
       ('[' || n || ',' || n % 13 || ',' || n % 7 || ']')::extensions.vector
  FROM demo_sizes, generate_series(1, users * 3) AS n;
