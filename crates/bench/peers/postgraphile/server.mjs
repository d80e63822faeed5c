// PostGraphile with a worker per core, so that it has the whole machine as Plinth has. An error ends it.
//   DATABASE_URL  a login that may become the roles of the requests' tokens
//   JWT_SECRET    what the tokens are signed with
//   PORT          where it listens; it prints `ready` when all workers do
import cluster from "node:cluster";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";

import { PersistedPlugin } from "@grafserv/persisted";
import jwt from "jsonwebtoken";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

import operations from "./operations.json" with { type: "json" };

const { DATABASE_URL, JWT_SECRET, PORT } = process.env;

/** Who asks, said to PostgreSQL as Plinth says it. */
function settingsOf(request) {
  const token = request.headers.authorization.replace(/^Bearer /, "");
  const claims = jwt.verify(token, JWT_SECRET, { algorithms: ["HS256"] });
  return { role: claims.role, "request.jwt.claims": JSON.stringify(claims) };
}

/** GraphQL answers 200 when a field fails; a measurement must not count that. */
function end(error) {
  console.error(error.originalError ?? error);
  process.exit(1);
}

async function serve() {
  const server = createServer();
  const instance = postgraphile({
    extends: [PostGraphileAmberPreset],
    plugins: [PersistedPlugin],
    pgServices: [makePgService({ connectionString: DATABASE_URL, schemas: ["public"] })],
    grafast: { context: ({ node }) => ({ pgSettings: settingsOf(node.req) }) },
    grafserv: { graphiql: false, maskError: end, persistedOperations: operations },
  });
  await instance.createServ(grafserv).addTo(server);
  server.listen(Number(PORT), "127.0.0.1");
}

if (cluster.isPrimary) {
  const workers = availableParallelism();
  let listening = 0;
  cluster.on("listening", () => ++listening === workers && console.log("ready"));
  cluster.on("exit", () => process.exit(1));
  for (let worker = 0; worker < workers; worker++) cluster.fork();
} else {
  await serve();
}
