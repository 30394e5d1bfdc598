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
app.use(installed("express-pouchdb")(PouchDB, {
  mode: "minimumForPouchDB",
  inMemoryConfig: true,
  logPath: "/dev/null",
}));
const server = app.listen(Number(process.argv[3] || 0), "127.0.0.1", () => {
  process.stdout.write(`${server.address().port}\n`);
});
process.stdin.resume().on("end", () => process.exit(0));
