import { createClient } from '@supabase/supabase-js';
import type { Database, Json, Tables, TablesInsert } from './generated/echelon';
import { same, type Rows } from './exact';

const db = createClient<Database>('http://127.0.0.1', 'key');

same<Tables<'agents'>['config'], Json>(true);
same<Tables<'agents'>['deployment_config'], Json | null>(true);
same<Tables<'agents'>['team_id'], string | null>(true);
same<Tables<'workflows'>['execution_count'], number>(true);
same<TablesInsert<'agents'>['name'], string>(true);

export async function queries() {
  const agents = db.from('agents').select('name, teams(name), workflows(name, workflow_executions(status))');
  same<Rows<typeof agents>[number]['teams'], { name: string } | null>(true);
  same<Rows<typeof agents>[number]['workflows'][number]['name'], string>(true);

  // Two keys lead to users, so a hint is needed.
  const roles = db.from('user_roles').select('role, users!user_id(email)');
  same<Rows<typeof roles>[number]['role'], string>(true);

  const marked = db.rpc('mark_notifications_read', { notification_ids: [''] });
  same<Rows<typeof marked>, number>(true);
  await db.rpc('mark_notifications_read'); // its one argument has a default
  await db.rpc('accept_team_invite', { invite_id: '' });

  // @ts-expect-error an array is wanted
  await db.rpc('mark_notifications_read', { notification_ids: '' });
  // @ts-expect-error functions of other schemas are not there
  await db.rpc('teams_as', { roles: [] });
  // @ts-expect-error type is missing
  await db.from('agents').insert({ name: 'x' });
}
