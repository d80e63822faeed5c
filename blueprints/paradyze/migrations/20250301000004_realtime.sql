-- A second browser sees answers arrive, tweets change state and agents come and go.
-- twitter_accounts and agent_secrets stay out of the stream.
alter publication supabase_realtime add table public.agents, public.conversations, public.messages, public.tweets;
