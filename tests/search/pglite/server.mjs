// server.mjs PORT: PostgreSQL with pgvector in this process (PGlite), in memory. All connections are one session, so that
// there may be one at a time; the others are for those that are being closed.
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";

const db = await PGlite.create({ extensions: { vector } });

// PGlite takes COPY FROM STDIN only where its lines come with it, and a client sends them when it was asked for: it is
// asked here, and what it sends is kept until it is whole.
const run = db.execProtocolRawStream.bind(db);
let copy = null;
const asksForLines = Buffer.from([..."G"].map((c) => c.charCodeAt(0)).concat([0, 0, 0, 7, 0, 0, 0]));
const letter = (message) => String.fromCharCode(message[0]);
db.execProtocolRawStream = async (message, options) => {
  if (letter(message) === "Q" && /^\s*COPY\b.*\bFROM\s+STDIN/is.test(Buffer.from(message.subarray(5)).toString())) {
    copy = [message];
    options.onRawData(asksForLines);
    return;
  }
  if (copy === null || !"dcf".includes(letter(message))) return run(message, options);
  copy.push(message);
  if (letter(message) === "d") return;
  const whole = Buffer.concat(copy);
  copy = null;
  const answers = [];
  await run(new Uint8Array(whole), { ...options, onRawData: (data) => answers.push(Buffer.from(data)) });
  const answer = Buffer.concat(answers);
  const asked = answer.length > 0 && letter(answer) === "G" ? 1 + answer.readInt32BE(1) : 0;
  options.onRawData(new Uint8Array(answer.subarray(asked)));
};

const server = new PGLiteSocketServer({ db, port: Number(process.argv[2]), host: "127.0.0.1", maxConnections: 4 });
await server.start();
