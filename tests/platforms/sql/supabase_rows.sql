INSERT INTO storage.buckets (id, name, public) VALUES ('avatars', 'avatars', true);
INSERT INTO auth.users (id, email, created_at)
  SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n || '@example.com', '2026-01-01' FROM generate_series(1, 50) n;
INSERT INTO public.documents (owner, body, embedding) SELECT id, 'text', '[1,2,3]' FROM public.profiles;
