import { createClient } from '@supabase/supabase-js';
import type { Database, Enums, Json, Tables, TablesInsert, TablesUpdate } from './generated/chatbot';
import { same, type OptionalKeys, type Rows } from './exact';

const db = createClient<Database>('http://127.0.0.1', 'key');

// Rows: every column, its type, and whether it may be null.
same<Tables<'conversations'>, {
  created_at: string; id: string; metadata: Json | null; system_prompt: string | null; title: string; updated_at: string; user_id: string;
}>(true);
same<Tables<'subscriptions'>['is_active'], boolean>(true);
same<Tables<'subscriptions'>['agent_limit'], number>(true);
same<Tables<'subscriptions'>['effective_agent_limit'], number | null>(true); // a computed column

// Inserts: what has a default or may be null may be left out, the rest may not.
same<OptionalKeys<TablesInsert<'conversations'>>, 'created_at' | 'id' | 'metadata' | 'system_prompt' | 'title' | 'updated_at'>(true);
same<OptionalKeys<TablesInsert<'messages'>>, 'attachments' | 'content' | 'created_at' | 'id' | 'parts' | 'reasoning'>(true);
same<OptionalKeys<TablesUpdate<'users'>>, 'avatar_url' | 'created_at' | 'email' | 'id' | 'name' | 'updated_at'>(true);
// @ts-expect-error a generated column is not written
const generated: TablesInsert<'subscriptions'> = { user_id: '', plan: 'free', status: 'active', agent_limit: 1, is_active: true };
// @ts-expect-error there are no enums in this project
type None = Enums<'anything'>;

export async function queries() {
  const list = db.from('conversations').select('title, system_prompt, messages(role, content)');
  same<Rows<typeof list>, { title: string; system_prompt: string | null; messages: { role: string; content: string }[] }[]>(true);

  const one = db.from('messages').select('content, conversations(title, users(email))').single();
  same<Rows<typeof one>, { content: string; conversations: { title: string; users: { email: string } } }>(true);

  const unsure = db.from('artifacts').select('title, messages(content)').single();
  same<Rows<typeof unsure>, { title: string; messages: { content: string } | null }>(true);

  // subscriptions.user_id is unique, so a user has one and not a list.
  const user = db.from('users').select('email, subscriptions(plan)').single();
  same<Rows<typeof user>, { email: string; subscriptions: { plan: string } | null }>(true);

  await db.from('conversations').insert({ user_id: '' });
  await db.from('agent_instances').update({ status: 'paused' }).eq('id', '');
  await db.rpc('get_conversation_messages', { conversation_id: '' });

  // @ts-expect-error no such table
  await db.from('nothing').select();
  // @ts-expect-error no such column
  await db.from('conversations').insert({ user_id: '', nothing: 1 });
  // @ts-expect-error user_id is missing
  await db.from('conversations').insert({ title: 'x' });
  // @ts-expect-error a number is no title
  await db.from('conversations').update({ title: 1 });
  // @ts-expect-error no such column in a filter
  await db.from('conversations').select().eq('nothing', 1);
  // @ts-expect-error no such function
  await db.rpc('nothing');
  // @ts-expect-error no such argument
  await db.rpc('get_conversation_messages', { id: '' });
  const { data } = await list;
  // @ts-expect-error the column was not selected
  data?.[0]?.user_id;
}
