-- Why: a project may sign its users' tokens with key pairs, so that others can verify them without being able to sign.
create table plinth.signing_key (
  project       text not null references plinth.project (name) on delete cascade,
  kid           text not null check (kid <> '' and length(kid) <= 128),
  algorithm     text not null check (algorithm in ('ES256', 'RS256', 'EdDSA')),
  -- The private half as sign-in seals it: whoever reads this table alone can sign nothing.
  sealed        text not null,
  -- A JSON Web Key without its private half.
  public_jwk    text not null check (public_jwk::jsonb ->> 'kty' in ('EC', 'RSA', 'OKP') and not public_jwk::jsonb ? 'd'),
  -- standby: announced, so that it is known everywhere before it signs. in_use: signs. previously_used: its tokens are
  -- good until they expire. revoked: its tokens are refused.
  state         text not null default 'standby' check (state in ('standby', 'in_use', 'previously_used', 'revoked')),
  created_at    timestamptz not null default now(),
  changed_at    timestamptz not null default now(),
  primary key (project, kid)
);
create unique index signing_key_in_use on plinth.signing_key (project) where state = 'in_use';

create trigger signing_key_changed after insert or update or delete on plinth.signing_key
  for each statement execute function plinth.project_changed();
