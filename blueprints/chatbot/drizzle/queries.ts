// The document's example query. `eq` comes from drizzle-orm; the relation it follows is defined in schema.ts.
import { eq } from 'drizzle-orm';
import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import * as schema from './schema';

export type Database = NodePgDatabase<typeof schema>;

export async function getConversationMessages(db: Database, conversationId: string) {
  return db.query.conversations.findFirst({
    where: eq(schema.conversations.id, conversationId),
    with: {
      messages: {
        orderBy: (messages, { asc }) => [asc(messages.createdAt)],
      },
    },
  });
}
