type DatabaseWithoutInternals = Omit<Database, "__InternalSupabase">

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">]

type InSchema = { schema: keyof DatabaseWithoutInternals }

type SchemaOf<Options extends InSchema> =
  DatabaseWithoutInternals[Options["schema"]]

type Relations<Schema extends { Tables: unknown; Views: unknown }> =
  Schema["Tables"] & Schema["Views"]

export type Tables<
  NameOrOptions extends keyof Relations<DefaultSchema> | InSchema,
  Name extends (NameOrOptions extends InSchema
    ? keyof Relations<SchemaOf<NameOrOptions>>
    : never) = never,
> = (
  NameOrOptions extends InSchema
    ? Relations<SchemaOf<NameOrOptions>>[Name]
    : NameOrOptions extends keyof Relations<DefaultSchema>
      ? Relations<DefaultSchema>[NameOrOptions]
      : never
) extends { Row: infer Row }
  ? Row
  : never

export type TablesInsert<
  NameOrOptions extends keyof DefaultSchema["Tables"] | InSchema,
  Name extends (NameOrOptions extends InSchema
    ? keyof SchemaOf<NameOrOptions>["Tables"]
    : never) = never,
> = (
  NameOrOptions extends InSchema
    ? SchemaOf<NameOrOptions>["Tables"][Name]
    : NameOrOptions extends keyof DefaultSchema["Tables"]
      ? DefaultSchema["Tables"][NameOrOptions]
      : never
) extends { Insert: infer Insert }
  ? Insert
  : never

export type TablesUpdate<
  NameOrOptions extends keyof DefaultSchema["Tables"] | InSchema,
  Name extends (NameOrOptions extends InSchema
    ? keyof SchemaOf<NameOrOptions>["Tables"]
    : never) = never,
> = (
  NameOrOptions extends InSchema
    ? SchemaOf<NameOrOptions>["Tables"][Name]
    : NameOrOptions extends keyof DefaultSchema["Tables"]
      ? DefaultSchema["Tables"][NameOrOptions]
      : never
) extends { Update: infer Update }
  ? Update
  : never

export type Enums<
  NameOrOptions extends keyof DefaultSchema["Enums"] | InSchema,
  Name extends (NameOrOptions extends InSchema
    ? keyof SchemaOf<NameOrOptions>["Enums"]
    : never) = never,
> = NameOrOptions extends InSchema
  ? SchemaOf<NameOrOptions>["Enums"][Name]
  : NameOrOptions extends keyof DefaultSchema["Enums"]
    ? DefaultSchema["Enums"][NameOrOptions]
    : never

export type CompositeTypes<
  NameOrOptions extends keyof DefaultSchema["CompositeTypes"] | InSchema,
  Name extends (NameOrOptions extends InSchema
    ? keyof SchemaOf<NameOrOptions>["CompositeTypes"]
    : never) = never,
> = NameOrOptions extends InSchema
  ? SchemaOf<NameOrOptions>["CompositeTypes"][Name]
  : NameOrOptions extends keyof DefaultSchema["CompositeTypes"]
    ? DefaultSchema["CompositeTypes"][NameOrOptions]
    : never
