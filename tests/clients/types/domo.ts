import { createClient } from '@supabase/supabase-js';
import { Constants, type Database, type Enums, type Tables, type TablesInsert } from './generated/domo';
import { same, type Rows } from './exact';

const db = createClient<Database>('http://127.0.0.1', 'key');

same<Enums<'demo_status'>, 'draft' | 'published' | 'archived'>(true);
same<Enums<'message_role'>, 'user' | 'assistant' | 'system'>(true);
same<Tables<'demos'>['status'], 'draft' | 'published' | 'archived'>(true);
same<Tables<'demo_videos'>['processing_status'], 'pending' | 'processing' | 'completed' | 'failed'>(true);
same<Tables<'knowledge_chunks'>['vector_embedding'], string | null>(true);
same<(typeof Constants)['public']['Enums']['demo_status'], readonly ['draft', 'published', 'archived']>(true);
// @ts-expect-error not a status
const wrong: TablesInsert<'demos'> = { name: 'x', user_id: '', status: 'banana' };

export async function queries() {
  const demos = db.from('demos').select('name, demo_videos(title, order_index)').eq('status', 'published');
  same<Rows<typeof demos>, { name: string; demo_videos: { title: string; order_index: number }[] }[]>(true);

  const found = db.rpc('search_knowledge_chunks', { demo_id: '', query_embedding: '[]' });
  same<Rows<typeof found>[number]['similarity'], number>(true);
  await db.rpc('search_knowledge_chunks', { demo_id: '', query_embedding: '[]', match_count: 3, match_threshold: 0.5 });

  const stats = db.rpc('get_demo_stats', { demo_uuid: '' });
  same<Rows<typeof stats>[number]['video_count'], number>(true);

  const dashboard = db.from('demo_dashboard').select('name, video_count');
  same<Rows<typeof dashboard>, { name: string | null; video_count: number | null }[]>(true); // a view's columns may all be null

  // @ts-expect-error an argument without a default is missing
  await db.rpc('search_knowledge_chunks', { demo_id: '' });
  // @ts-expect-error not a status
  await db.from('demos').update({ status: 'banana' });
}
