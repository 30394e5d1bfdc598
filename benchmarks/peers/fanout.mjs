// Call events from RabbitMQ to websockets, as a Node service would do it: amqplib and ws.
//
// node fanout.mjs SPECIFICATION: a JSON file, see `NodePeer` in fanout.py. A client subscribes with a token
// to an account's calls; each event is normalised and encoded once, and sent to the account's subscribers.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.cwd() + '/');
const amqp = require('amqplib');
const { WebSocketServer } = require('ws');

const spec = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const DROPPED = new Set([
  'App-Name', 'App-Version', 'Event-Category', 'Event-Name', 'Msg-ID', 'Msg-Reply-ID', 'Node', 'Server-ID',
]);
const names = new Map();

function nameOf(key) {
  let name = names.get(key);
  if (name === undefined) names.set(key, (name = key.toLowerCase().replaceAll('-', '_')));
  return name;
}

function normalise(value) {
  if (Array.isArray(value)) return value.map(normalise);
  if (value === null || typeof value !== 'object') return value;
  const result = {};
  for (const key in value) if (value[key] !== null) result[nameOf(key)] = normalise(value[key]);
  return result;
}

// Account -> event -> sockets.
const subscribers = new Map();

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: spec.port,
  backlog: 4096,
  perMessageDeflate: false,
  clientTracking: false,
});

server.on('connection', (socket) => {
  const own = [];
  socket.on('message', (text) => {
    const { action, auth_token: token, data } = JSON.parse(text);
    if (action !== 'subscribe' || token !== spec.token) {
      socket.send(JSON.stringify({ action: 'reply', status: 'error' }));
      return;
    }
    const key = `${data.account_id} ${data.binding.split('.')[1]}`;
    if (!subscribers.has(key)) subscribers.set(key, new Set());
    subscribers.get(key).add(socket);
    own.push(key);
    socket.send(JSON.stringify({ action: 'reply', status: 'success', data: { subscribed: [data.binding] } }));
  });
  socket.on('close', () => own.forEach((key) => subscribers.get(key).delete(socket)));
  socket.on('error', () => {});
});

const connection = await amqp.connect(spec.amqp_uri, { noDelay: true });
const channel = await connection.createChannel();
const { queue } = await channel.assertQueue('', { exclusive: true, autoDelete: true });
await channel.assertExchange('callevt', 'topic', { durable: false });
await channel.bindQueue(queue, 'callevt', 'call.CHANNEL_CREATE.*');
await channel.consume(queue, (message) => {
  const body = JSON.parse(message.content);
  const name = body['Event-Name'];
  const found = subscribers.get(`${body['Custom-Channel-Vars']?.['Account-ID']} ${name}`);
  if (found === undefined || found.size === 0) return;
  for (const key of DROPPED) delete body[key];
  const text = Buffer.from(JSON.stringify({
    action: 'event',
    subscribed_key: 'call.CHANNEL_CREATE.*',
    name,
    routing_key: message.fields.routingKey,
    data: normalise(body),
  }));
  for (const socket of found) socket.send(text, { binary: false });
}, { noAck: true });

process.on('SIGTERM', () => process.exit(0));
