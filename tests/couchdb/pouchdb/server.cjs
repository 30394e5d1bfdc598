// A server of CouchDB's protocol with all data in memory. Prints its port and runs until its standard input ends.
"use strict";

const path = require("node:path");
const { createRequire } = require("node:module");

const installed = createRequire(path.join(process.argv[2], "node_modules", "none.js"));
const PouchDB = installed("pouchdb-core")
  .plugin(installed("pouchdb-adapter-memory"))
  .plugin(installed("pouchdb-mapreduce"))
  .defaults({ adapter: "memory" });

const app = installed("express")();

// express-pouchdb lists databases without the slashes of their names, and all of them.
const databases = new Set();
app.use((request, response, next) => {
  const [name, ...more] = request.path.split("/").slice(1);
  if (name === "_all_dbs" && request.method === "GET") {
    const [first, last] = ["startkey", "endkey"].map((key) => JSON.parse(request.query[key] || "null"));
    const within = (one) => (first === null || one >= first) && (last === null || one <= last);
    response.json([...databases].sort().filter(within));
    return;
  }
  if (!more.some(Boolean) && !name.startsWith("_")) {
    response.on("finish", () => {
      if (response.statusCode >= 300) return;
      if (request.method === "PUT") databases.add(decodeURIComponent(name));
      if (request.method === "DELETE") databases.delete(decodeURIComponent(name));
    });
  }
  next();
});
app.use(installed("express-pouchdb")(PouchDB, {
  mode: "minimumForPouchDB",
  inMemoryConfig: true,
  logPath: "/dev/null",
}));
const server = app.listen(Number(process.argv[3] || 0), "127.0.0.1", () => {
  process.stdout.write(`${server.address().port}\n`);
});
process.stdin.resume().on("end", () => process.exit(0));
