import { createClient } from '@supabase/supabase-js';
import type { Database, Enums, Tables, TablesInsert } from './generated/aethercrown';
import { same, type Rows } from './exact';

const db = createClient<Database>('http://127.0.0.1', 'key');

same<Enums<'task_priority'>, 'low' | 'medium' | 'high' | 'critical'>(true);
same<Tables<'ai_tasks'>['priority'], 'low' | 'medium' | 'high' | 'critical'>(true);
same<Tables<'payments'>['amount'], number>(true);
same<Tables<'activity_logs'>['entity_id'], string | null>(true);
same<Tables<'ai_tasks'>['completed_at'], string | null>(true);
// @ts-expect-error partitions are not tables of their own
type Partition = Tables<'activity_logs_default'>;

export async function queries() {
  const clones = db.from('ai_clones').select('name, ai_tasks(task_name, priority)');
  same<Rows<typeof clones>, { name: string; ai_tasks: { task_name: string; priority: Enums<'task_priority'> }[] }[]>(true);

  const task: TablesInsert<'ai_tasks'> = { task_name: 'T', priority: 'critical' };
  await db.from('ai_tasks').insert(task);

  // @ts-expect-error not a priority
  await db.from('ai_tasks').insert({ task_name: 'T', priority: 'urgent' });
  // @ts-expect-error a name is missing
  await db.from('ai_clones').insert({ model_type: 'gpt-4' });
}
