// Reads the seed data of the five systems as ada and as eve, who has signed up but owns nothing.
//   npm ci --prefix examples && node --experimental-websocket examples/tour.mjs      (beside a running `make up`)
import { execFileSync } from 'node:child_process';
import { createClient } from '@supabase/supabase-js';

const plinth = (...args) => execFileSync(process.env.PLINTH_BIN ?? 'target/release/plinth', args, { encoding: 'utf8' }).trim();
const { projects } = JSON.parse(plinth('status', '-o', 'json'));
const tables = { paradyze: 'agents', echelon: 'agents', chatbot: 'conversations', domo: 'demo_videos', aethercrown: 'ai_clones' };

for (const [project, table] of Object.entries(tables)) {
  const { API_URL, PUBLISHABLE_KEY } = projects[project];
  const signedIn = (email) => {
    const token = plinth('token', '--project', project, '--email', email);
    return createClient(API_URL, PUBLISHABLE_KEY, { accessToken: async () => token });
  };
  const [ada, eve] = [signedIn('ada@example.com'), signedIn('eve@example.com')];
  const { data: rows } = await ada.from(table).select('*');
  const { data: seen } = await eve.from(table).select('*');
  const { data: gone } = await eve.from(table).delete().eq('id', rows[0].id).select('id');
  console.log(`${project}: ada sees ${rows.length} ${table}, eve sees ${seen.length} and could delete ${gone?.length ?? 0}`);
}
