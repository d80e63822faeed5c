import { defineConfig } from 'drizzle-kit';

export default defineConfig({
  dialect: 'postgresql',
  schema: './schema.ts',
  out: './out',
  // The project's DB_URL, as `plinth status` prints it.
  dbCredentials: { url: process.env.DATABASE_URL ?? '' },
  // Plinth's own schemas (auth, storage, …) are not Drizzle's to manage, nor are the roles that policies name.
  schemaFilter: ['public'],
  entities: { roles: { provider: 'supabase' } },
});
