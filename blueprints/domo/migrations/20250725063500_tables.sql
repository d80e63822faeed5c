-- Tables of Domo AI: demos, their videos and knowledge, the conversations that visitors hold with them, and the audit log.

create extension if not exists vector with schema extensions;

create type public.demo_status as enum ('draft', 'published', 'archived');
create type public.processing_status as enum ('pending', 'processing', 'completed', 'failed');
create type public.message_role as enum ('user', 'assistant', 'system');

-- What the application shows of a person. auth.users stays private to the auth schema.
create table public.profiles (
    id uuid primary key references auth.users (id) on delete cascade,
    email text,
    display_name text,
    avatar_url text,
    created_at timestamp with time zone not null default now(),
    updated_at timestamp with time zone not null default now()
);

create table public.demos (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    description text,
    created_at timestamp with time zone default now(),
    updated_at timestamp with time zone default now(),
    user_id uuid not null references auth.users (id) on delete cascade,
    agent_name text default 'Demo Agent',
    agent_personality text default 'Friendly and helpful',
    agent_greeting text default 'Hello! I''m your demo agent. How can I help you today?',
    cta_text text,
    cta_link text,
    status public.demo_status not null default 'draft',
    published_url text,
    tavus_persona_id text,
    tavus_conversation_id text,
    video_storage_path text default '',
    metadata jsonb default '{}',
    -- The type already says so; the constraint is kept because the document names it.
    constraint demos_status_check check (status in ('draft', 'published', 'archived')),
    constraint demos_name_length_check check (char_length(name) >= 1 and char_length(name) <= 255)
);

create index idx_demos_status on public.demos (status);
create index idx_demos_tavus_persona_id on public.demos (tavus_persona_id);
-- Leads with user_id, so it also serves the lookups of the document's idx_demos_user_id.
create index idx_demos_user_status on public.demos (user_id, status);
create index idx_demos_metadata_gin on public.demos using gin (metadata);

create table public.demo_videos (
    id uuid primary key default gen_random_uuid(),
    demo_id uuid not null references public.demos (id) on delete cascade,
    title text not null,
    storage_url text not null,
    order_index integer not null,
    duration_seconds integer,
    processing_status public.processing_status not null default 'pending',
    created_at timestamp with time zone default now(),
    updated_at timestamp with time zone default now(),
    transcript text,
    constraint demo_videos_order_index_check check (order_index >= 0),
    constraint demo_videos_duration_check check (duration_seconds is null or duration_seconds > 0),
    -- Deferrable: checked when a statement ends, so that one update may swap the places of two videos.
    constraint idx_demo_videos_order unique (demo_id, order_index) deferrable initially immediate
);

create index idx_demo_videos_status on public.demo_videos (processing_status);
create index idx_videos_processing on public.demo_videos (demo_id) where processing_status = 'pending';

create table public.knowledge_chunks (
    id uuid primary key default gen_random_uuid(),
    demo_id uuid not null references public.demos (id) on delete cascade,
    content text not null,
    question text,
    answer text,
    source text,
    vector_embedding extensions.vector(1536),
    created_at timestamp with time zone default now(),
    updated_at timestamp with time zone default now(),
    constraint knowledge_chunks_content_length_check check (char_length(content) >= 1)
);

create index idx_chunks_demo_source on public.knowledge_chunks (demo_id, source);
-- HNSW needs no training data, so unlike ivfflat it is as good on a table that starts empty.
create index knowledge_chunks_vector_embedding_idx on public.knowledge_chunks
    using hnsw (vector_embedding extensions.vector_cosine_ops);

-- Which demo a Tavus conversation belongs to. Callbacks carry the conversation's id and nothing of ours, and
-- demos.tavus_conversation_id remembers the current one only.
create table public.conversations (
    id uuid primary key default gen_random_uuid(),
    demo_id uuid not null references public.demos (id) on delete cascade,
    conversation_id text unique,
    conversation_url text,
    status text not null default 'requested',
    error_message text,
    created_at timestamp with time zone not null default now(),
    updated_at timestamp with time zone not null default now(),
    ended_at timestamp with time zone,
    constraint conversations_status_check check (status in ('requested', 'active', 'ended', 'failed')),
    constraint conversations_started_check check (status in ('requested', 'failed') or conversation_id is not null)
);

create index idx_conversations_demo_id on public.conversations (demo_id);

-- No foreign key to conversations: a callback may come before its conversation is registered, or after its demo is
-- gone, and must be harmless in both cases.
create table public.processed_webhook_events (
    id uuid primary key default gen_random_uuid(),
    conversation_id text not null,
    event_type text not null,
    event_data jsonb not null,
    processed_at timestamp with time zone default now(),
    processing_duration_ms integer,
    event_hash text not null, -- For idempotency
    constraint idx_webhook_events_hash unique (event_hash),
    constraint processed_webhook_events_event_hash_check check (event_hash ~ '^[0-9a-f]{64}$')
);

create index idx_webhook_events_conversation_id on public.processed_webhook_events (conversation_id);
create index idx_webhook_events_type on public.processed_webhook_events (event_type);
create index idx_webhook_events_processed_at on public.processed_webhook_events (processed_at);

create table public.conversation_messages (
    id uuid primary key default gen_random_uuid(),
    conversation_id text not null,
    message_id text,
    role public.message_role not null,
    content text,
    content_length integer,
    timestamp timestamp with time zone,
    sentiment text,
    intent text,
    confidence decimal(3, 2),
    created_at timestamp with time zone default now()
);

create index idx_conversation_messages_conversation_id on public.conversation_messages (conversation_id);
create index idx_conversation_messages_timestamp on public.conversation_messages (timestamp);
create index idx_conversation_messages_role on public.conversation_messages (role);

-- user_id is the owner of the demo that was touched; actor_role says who touched it. An API user can touch demos of
-- its own only, so 'authenticated' always means the owner in person.
create table public.audit_logs (
    id uuid primary key default gen_random_uuid(),
    user_id uuid references auth.users (id) on delete set null,
    action text not null,
    table_name text not null,
    record_id uuid,
    old_values jsonb,
    new_values jsonb,
    created_at timestamp with time zone default now(),
    actor_role text
);

create index idx_audit_logs_user_id on public.audit_logs (user_id, created_at desc);
create index idx_audit_logs_record on public.audit_logs (record_id);
