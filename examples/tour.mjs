// Signs in to the five systems as ada, who is in their seed data and owns things, and signs up somebody new, who does not.
//   npm ci --prefix examples && node --experimental-websocket examples/tour.mjs      (beside a running `make up`)
import { execFileSync } from 'node:child_process';
import { createClient } from '@supabase/supabase-js';

const plinth = process.env.PLINTH_BIN ?? 'target/release/plinth';
const { projects } = JSON.parse(execFileSync(plinth, ['status', '-o', 'json'], { encoding: 'utf8' }));
const tables = { paradyze: 'agents', echelon: 'agents', chatbot: 'conversations', domo: 'demo_videos', aethercrown: 'ai_clones' };

for (const [project, table] of Object.entries(tables)) {
  const { API_URL, PUBLISHABLE_KEY } = projects[project];
  const [ada, nina] = [createClient(API_URL, PUBLISHABLE_KEY), createClient(API_URL, PUBLISHABLE_KEY)];
  await ada.auth.signInWithPassword({ email: 'ada@example.com', password: 'plinth-demo' });
  const { data: { user } } = await nina.auth.signUp({ email: `nina-${Date.now()}@example.com`, password: 'correct horse' });
  const { data: rows } = await ada.from(table).select('*');
  const { data: seen } = await nina.from(table).select('*');
  const { data: gone } = await nina.from(table).delete().eq('id', rows[0].id).select('id');
  console.log(`${project}: ada sees ${rows.length} ${table}, ${user.email} sees ${seen.length} and could delete ${gone?.length ?? 0}`);
}
