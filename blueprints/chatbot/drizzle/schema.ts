// The tables of the chatbot blueprint, for Drizzle. The same tables are made by ../migrations/*.sql, which add what Drizzle
// cannot say: triggers, functions and grants. A test keeps the two equal, so change both.
//
// Row level security and its policies are here as well, because `drizzle-kit push` drops whatever the schema does not name:
// pushed without them, it would open every table.
import { relations, sql } from 'drizzle-orm';
import {
  boolean, check, index, integer, jsonb, pgPolicy, pgTable, text, timestamp, unique, uuid,
} from 'drizzle-orm/pg-core';
import { authenticatedRole, authUid, authUsers } from 'drizzle-orm/supabase';

// `timestamp` without a zone would take the writer's wall clock for the truth.
const moment = (name: string) => timestamp(name, { withTimezone: true });

// ---- people ---------------------------------------------------------------------------------------------------------

export const users = pgTable('users', {
  id: uuid('id').primaryKey().defaultRandom().references(() => authUsers.id, { onDelete: 'cascade' }),
  email: text('email').notNull().unique(),
  name: text('name'),
  avatarUrl: text('avatar_url'),
  createdAt: moment('created_at').defaultNow().notNull(),
  updatedAt: moment('updated_at').defaultNow().notNull(),
}, (t) => [
  pgPolicy('Users read their own row', { for: 'select', to: authenticatedRole, using: sql`${t.id} = ${authUid}` }),
  pgPolicy('Users change their own row', {
    for: 'update', to: authenticatedRole, using: sql`${t.id} = ${authUid}`, withCheck: sql`${t.id} = ${authUid}`,
  }),
]);

export type User = typeof users.$inferSelect;
export type NewUser = typeof users.$inferInsert;

export const subscriptions = pgTable('subscriptions', {
  id: uuid('id').primaryKey().defaultRandom(),
  userId: uuid('user_id').references(() => users.id, { onDelete: 'cascade' }).notNull().unique(),
  stripeCustomerId: text('stripe_customer_id'),
  stripeSubscriptionId: text('stripe_subscription_id').unique(),
  stripePriceId: text('stripe_price_id'),
  stripeCurrentPeriodEnd: moment('stripe_current_period_end'),
  plan: text('plan').notNull(), // 'free', 'pro', 'enterprise'
  status: text('status').notNull(), // 'active', 'canceled', 'past_due'
  isActive: boolean('is_active').generatedAlwaysAs(sql`status = 'active'`).notNull(),
  agentLimit: integer('agent_limit').notNull(),
  createdAt: moment('created_at').defaultNow().notNull(),
  updatedAt: moment('updated_at').defaultNow().notNull(),
}, (t) => [
  check('subscriptions_plan_check', sql`plan in ('free', 'pro', 'enterprise')`),
  check('subscriptions_status_check', sql`status in ('active', 'canceled', 'past_due')`),
  check('subscriptions_agent_limit_check', sql`agent_limit >= 0`),
  pgPolicy('Users read their own subscription', {
    for: 'select', to: authenticatedRole, using: sql`${t.userId} = ${authUid}`,
  }),
]);

export type Subscription = typeof subscriptions.$inferSelect;
export type NewSubscription = typeof subscriptions.$inferInsert;

// ---- conversations --------------------------------------------------------------------------------------------------

export const conversations = pgTable('conversations', {
  id: uuid('id').primaryKey().defaultRandom(),
  userId: uuid('user_id').references(() => users.id, { onDelete: 'cascade' }).notNull(),
  title: text('title').notNull().default('New chat'),
  systemPrompt: text('system_prompt'),
  metadata: jsonb('metadata').$type<Record<string, any>>(),
  createdAt: moment('created_at').defaultNow().notNull(),
  updatedAt: moment('updated_at').defaultNow().notNull(),
}, (t) => [
  index('conversations_user_id_idx').on(t.userId, t.updatedAt),
  pgPolicy('Users manage their own conversations', {
    to: authenticatedRole, using: sql`${t.userId} = ${authUid}`, withCheck: sql`${t.userId} = ${authUid}`,
  }),
]);

export type Conversation = typeof conversations.$inferSelect;
export type NewConversation = typeof conversations.$inferInsert;

const ownConversation = sql`exists (
    select 1 from public.conversations c where c.id = conversation_id and c.user_id = ${authUid})`;

export const messages = pgTable('messages', {
  id: uuid('id').primaryKey().defaultRandom(),
  conversationId: uuid('conversation_id').references(() => conversations.id, { onDelete: 'cascade' }).notNull(),
  role: text('role').notNull(), // 'user', 'assistant', 'system', 'tool'
  content: text('content').notNull().default(''), // a message that only calls a tool says nothing
  parts: jsonb('parts').$type<any[]>(),
  attachments: jsonb('attachments').$type<any[]>(),
  reasoning: text('reasoning'),
  createdAt: moment('created_at').defaultNow().notNull(),
}, (t) => [
  check('messages_role_check', sql`role in ('user', 'assistant', 'system', 'tool')`),
  index('messages_conversation_id_idx').on(t.conversationId, t.createdAt),
  pgPolicy('Users manage the messages of their conversations', {
    to: authenticatedRole, using: ownConversation, withCheck: ownConversation,
  }),
]);

export type Message = typeof messages.$inferSelect;
export type NewMessage = typeof messages.$inferInsert;

export const artifacts = pgTable('artifacts', {
  id: uuid('id').primaryKey().defaultRandom(),
  userId: uuid('user_id').references(() => users.id, { onDelete: 'cascade' }).notNull(),
  messageId: uuid('message_id').references(() => messages.id, { onDelete: 'set null' }),
  type: text('type').notNull(), // 'code', 'text', 'sheet', 'image'
  title: text('title').notNull(),
  content: text('content'),
  metadata: jsonb('metadata').$type<Record<string, any>>(),
  createdAt: moment('created_at').defaultNow().notNull(),
  updatedAt: moment('updated_at').defaultNow().notNull(),
}, (t) => [
  check('artifacts_type_check', sql`type in ('code', 'text', 'sheet', 'image')`),
  index('artifacts_user_id_idx').on(t.userId, t.updatedAt),
  index('artifacts_message_id_idx').on(t.messageId),
  pgPolicy('Users manage their own artifacts', {
    to: authenticatedRole,
    using: sql`${t.userId} = ${authUid}`,
    withCheck: sql`${t.userId} = ${authUid} and (message_id is null or exists (
    select 1 from public.messages m join public.conversations c on c.id = m.conversation_id
    where m.id = message_id and c.user_id = ${authUid}))`,
  }),
]);

export type Artifact = typeof artifacts.$inferSelect;
export type NewArtifact = typeof artifacts.$inferInsert;

// Written by a trigger on artifacts: every saved state of an artifact, 1 being the first.
export const artifactVersions = pgTable('artifact_versions', {
  id: uuid('id').primaryKey().defaultRandom(),
  artifactId: uuid('artifact_id').references(() => artifacts.id, { onDelete: 'cascade' }).notNull(),
  version: integer('version').notNull(),
  title: text('title').notNull(),
  content: text('content'),
  createdAt: moment('created_at').defaultNow().notNull(),
}, (t) => [
  unique('artifact_versions_artifact_id_version_unique').on(t.artifactId, t.version),
  pgPolicy('Users read the versions of their artifacts', {
    for: 'select',
    to: authenticatedRole,
    using: sql`exists (
    select 1 from public.artifacts a where a.id = artifact_id and a.user_id = ${authUid})`,
  }),
]);

export type ArtifactVersion = typeof artifactVersions.$inferSelect;

// ---- agents ---------------------------------------------------------------------------------------------------------

export const agentDefinitions = pgTable('agent_definitions', {
  id: uuid('id').primaryKey().defaultRandom(),
  userId: uuid('user_id').references(() => users.id, { onDelete: 'cascade' }).notNull(),
  name: text('name').notNull(),
  description: text('description').notNull(),
  systemPrompt: text('system_prompt').notNull(),
  isPublic: boolean('is_public').default(false).notNull(),
  tools: jsonb('tools').$type<string[]>(), // ids of agent_tools, checked by a trigger
  capabilities: jsonb('capabilities').$type<Record<string, any>>(),
  metadata: jsonb('metadata').$type<Record<string, any>>(),
  createdAt: moment('created_at').defaultNow().notNull(),
  updatedAt: moment('updated_at').defaultNow().notNull(),
}, (t) => [
  index('agent_definitions_user_id_idx').on(t.userId),
  index('agent_definitions_is_public_idx').on(t.isPublic).where(sql`is_public`),
  index('agent_definitions_tools_idx').using('gin', t.tools),
  pgPolicy('Users manage their own agent definitions', {
    to: authenticatedRole, using: sql`${t.userId} = ${authUid}`, withCheck: sql`${t.userId} = ${authUid}`,
  }),
  pgPolicy('Signed-in users read public agent definitions', {
    for: 'select', to: authenticatedRole, using: sql`is_public`,
  }),
]);

export type AgentDefinition = typeof agentDefinitions.$inferSelect;
export type NewAgentDefinition = typeof agentDefinitions.$inferInsert;

export const agentInstances = pgTable('agent_instances', {
  id: uuid('id').primaryKey().defaultRandom(),
  userId: uuid('user_id').references(() => users.id, { onDelete: 'cascade' }).notNull(),
  // Cascades to the owner's own instances only: a trigger first hands other users a copy of the definition.
  definitionId: uuid('definition_id').references(() => agentDefinitions.id, { onDelete: 'cascade' }).notNull(),
  name: text('name').notNull(),
  configuration: jsonb('configuration').$type<Record<string, any>>(),
  status: text('status').notNull().default('active'), // 'active', 'paused', 'archived'
  metadata: jsonb('metadata').$type<Record<string, any>>(),
  createdAt: moment('created_at').defaultNow().notNull(),
  updatedAt: moment('updated_at').defaultNow().notNull(),
}, (t) => [
  check('agent_instances_status_check', sql`status in ('active', 'paused', 'archived')`),
  index('agent_instances_user_id_idx').on(t.userId, t.createdAt),
  index('agent_instances_definition_id_idx').on(t.definitionId),
  pgPolicy('Users manage their own agent instances', {
    to: authenticatedRole, using: sql`${t.userId} = ${authUid}`, withCheck: sql`${t.userId} = ${authUid}`,
  }),
]);

export type AgentInstance = typeof agentInstances.$inferSelect;
export type NewAgentInstance = typeof agentInstances.$inferInsert;

export const agentTools = pgTable('agent_tools', {
  id: uuid('id').primaryKey().defaultRandom(),
  name: text('name').notNull().unique(),
  description: text('description').notNull(),
  // JSON Schema of the tool's parameters. The check wants an object of named arguments; a trigger looks further down.
  schema: jsonb('schema').$type<Record<string, any>>().notNull(),
  isSystem: boolean('is_system').default(false).notNull(), // a tool of the system, or a custom one (called over HTTP)
  metadata: jsonb('metadata').$type<Record<string, any>>(),
  createdAt: moment('created_at').defaultNow().notNull(),
  updatedAt: moment('updated_at').defaultNow().notNull(),
}, () => [
  check('agent_tools_schema_check', sql`schema @> '{"type": "object"}'`),
  pgPolicy('Signed-in users read the tools', { for: 'select', to: authenticatedRole, using: sql`true` }),
]);

export type AgentTool = typeof agentTools.$inferSelect;
export type NewAgentTool = typeof agentTools.$inferInsert;

export const workflows = pgTable('workflows', {
  id: uuid('id').primaryKey().defaultRandom(),
  userId: uuid('user_id').references(() => users.id, { onDelete: 'cascade' }).notNull(),
  agentInstanceId: uuid('agent_instance_id').references(() => agentInstances.id, { onDelete: 'set null' }),
  workflowId: text('workflow_id').notNull().unique(), // Upstash Workflow ID
  status: text('status').notNull(), // 'pending', 'running', 'completed', 'failed'
  goal: text('goal').notNull(),
  steps: jsonb('steps').$type<Record<string, any>[]>(),
  result: jsonb('result').$type<Record<string, any>>(),
  metadata: jsonb('metadata').$type<Record<string, any>>(),
  createdAt: moment('created_at').defaultNow().notNull(),
  updatedAt: moment('updated_at').defaultNow().notNull(),
}, (t) => [
  check('workflows_status_check', sql`status in ('pending', 'running', 'completed', 'failed')`),
  index('workflows_user_id_idx').on(t.userId, t.createdAt),
  index('workflows_agent_instance_id_idx').on(t.agentInstanceId),
  index('workflows_status_idx').on(t.status, t.createdAt),
  pgPolicy('Users read their own workflows', {
    for: 'select', to: authenticatedRole, using: sql`${t.userId} = ${authUid}`,
  }),
  // A user starts a workflow; the server moves it on. Which columns a user may write is a matter of grants.
  pgPolicy('Users start workflows of their own', {
    for: 'insert',
    to: authenticatedRole,
    withCheck: sql`${t.userId} = ${authUid} and status = 'pending' and (agent_instance_id is null or exists (
    select 1 from public.agent_instances i where i.id = agent_instance_id and i.user_id = ${authUid}))`,
  }),
  pgPolicy('Users change their own workflows', {
    for: 'update', to: authenticatedRole, using: sql`${t.userId} = ${authUid}`, withCheck: sql`${t.userId} = ${authUid}`,
  }),
  pgPolicy('Users delete their own workflows', {
    for: 'delete', to: authenticatedRole, using: sql`${t.userId} = ${authUid}`,
  }),
]);

export type Workflow = typeof workflows.$inferSelect;
export type NewWorkflow = typeof workflows.$inferInsert;

// ---- relations, for db.query.… with { with: … } -----------------------------------------------------------------------

export const usersRelations = relations(users, ({ one, many }) => ({
  subscription: one(subscriptions),
  conversations: many(conversations),
  artifacts: many(artifacts),
  agentDefinitions: many(agentDefinitions),
  agentInstances: many(agentInstances),
  workflows: many(workflows),
}));

export const subscriptionsRelations = relations(subscriptions, ({ one }) => ({
  user: one(users, { fields: [subscriptions.userId], references: [users.id] }),
}));

export const conversationsRelations = relations(conversations, ({ one, many }) => ({
  user: one(users, { fields: [conversations.userId], references: [users.id] }),
  messages: many(messages),
}));

export const messagesRelations = relations(messages, ({ one, many }) => ({
  conversation: one(conversations, { fields: [messages.conversationId], references: [conversations.id] }),
  artifacts: many(artifacts),
}));

export const artifactsRelations = relations(artifacts, ({ one, many }) => ({
  user: one(users, { fields: [artifacts.userId], references: [users.id] }),
  message: one(messages, { fields: [artifacts.messageId], references: [messages.id] }),
  versions: many(artifactVersions),
}));

export const artifactVersionsRelations = relations(artifactVersions, ({ one }) => ({
  artifact: one(artifacts, { fields: [artifactVersions.artifactId], references: [artifacts.id] }),
}));

export const agentDefinitionsRelations = relations(agentDefinitions, ({ one, many }) => ({
  user: one(users, { fields: [agentDefinitions.userId], references: [users.id] }),
  instances: many(agentInstances),
}));

export const agentInstancesRelations = relations(agentInstances, ({ one, many }) => ({
  user: one(users, { fields: [agentInstances.userId], references: [users.id] }),
  definition: one(agentDefinitions, { fields: [agentInstances.definitionId], references: [agentDefinitions.id] }),
  workflows: many(workflows),
}));

export const workflowsRelations = relations(workflows, ({ one }) => ({
  user: one(users, { fields: [workflows.userId], references: [users.id] }),
  agentInstance: one(agentInstances, { fields: [workflows.agentInstanceId], references: [agentInstances.id] }),
}));
