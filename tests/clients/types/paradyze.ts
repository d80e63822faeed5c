import { createClient } from '@supabase/supabase-js';
import type { Database, Tables, TablesInsert } from './generated/paradyze';
import { same, type OptionalKeys, type Rows } from './exact';

const db = createClient<Database>('http://127.0.0.1', 'key');

same<Tables<'tweets'>['posted_at'], string | null>(true);
same<Tables<'tweets'>['attempts'], number>(true);
same<Tables<'messages'>['content'], string>(true);
// user_id is the caller's by default.
same<Exclude<keyof TablesInsert<'agents'>, OptionalKeys<TablesInsert<'agents'>>>, 'name'>(true);
same<Exclude<keyof TablesInsert<'conversations'>, OptionalKeys<TablesInsert<'conversations'>>>, 'agent_id'>(true);

export async function queries() {
  const tweets = db.from('tweets').select('content, agents(name), twitter_accounts(username)');
  same<Rows<typeof tweets>, { content: string; agents: { name: string }; twitter_accounts: { username: string } }[]>(true);

  // @ts-expect-error no agent
  await db.from('conversations').insert({});
  // @ts-expect-error no such column
  await db.from('profiles').update({ nothing: 1 });
}
