-- What a developer did to staging in the dashboard: nothing of it is in a file yet.

CREATE TABLE public.user_preferences (
    id uuid PRIMARY KEY DEFAULT extensions.uuid_generate_v4(),
    user_id uuid NOT NULL UNIQUE REFERENCES auth.users (id) ON DELETE CASCADE,
    theme text NOT NULL DEFAULT 'system',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_preferences_theme_is_known CHECK (theme IN ('light', 'dark', 'system'))
);
COMMENT ON TABLE public.user_preferences IS 'How each user wants the application to look.';
CREATE INDEX user_preferences_theme_idx ON public.user_preferences (theme);
ALTER TABLE public.user_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Users keep their preferences" ON public.user_preferences TO authenticated
    USING ((SELECT auth.uid()) = user_id) WITH CHECK ((SELECT auth.uid()) = user_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.user_preferences TO authenticated;
GRANT ALL ON public.user_preferences TO service_role;
ALTER PUBLICATION supabase_realtime ADD TABLE public.user_preferences;

-- On the platform's own tables: a policy of storage, and a trigger where users are kept.
CREATE POLICY "Members upload their avatar" ON storage.objects FOR INSERT TO authenticated
    WITH CHECK (bucket_id = 'avatars' AND (SELECT auth.uid())::text = (storage.foldername(name))[1]);
CREATE FUNCTION public.follow_email() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    UPDATE public.profiles SET username = NEW.email WHERE id = NEW.id;
    RETURN NEW;
END $$;
CREATE TRIGGER on_auth_user_email AFTER UPDATE OF email ON auth.users FOR EACH ROW EXECUTE FUNCTION public.follow_email();

-- A new column.
ALTER TABLE public.documents ADD COLUMN is_public boolean NOT NULL DEFAULT false;

-- Avatars are found by their folder now.
ALTER TABLE public.profiles DROP COLUMN avatar_key;
