// Events from RabbitMQ to webhooks, as a Node service would do it: amqplib and undici.
//
// node webhooks.mjs SPECIFICATION: a JSON file, see `PeerContender`. Does what our node does with a call
// event: picks the hooks of its account, makes the payload, encodes it, sends it with a stable webhook-id,
// retries what failed, and acknowledges the event when all its hooks have it. It stores nothing: what waits
// for a retry stays with the broker.
import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.cwd() + '/');
const amqp = require('amqplib');
const { Pool } = require('undici');

const spec = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const QUICK_RETRIES = 2;
const QUICK_RETRY_DELAY_MS = 2000;
const RETRY_DELAYS_MS = [5, 30, 120, 600, 1800, 3600].map((seconds) => seconds * 1000);
const ACK_DELAY_MS = 5;

const HOOK_BY_EVENT = new Map(Object.entries({
  CHANNEL_CREATE: 'channel_create',
  CHANNEL_ANSWER: 'channel_answer',
  CHANNEL_BRIDGE: 'channel_bridge',
  CHANNEL_DESTROY: 'channel_destroy',
}));

const RESERVED_VARIABLES = new Set([
  'Account-ID', 'Account-Name', 'Account-Realm', 'Authorizing-ID', 'Authorizing-Type', 'Auto-Answer',
  'Call-Forward', 'Call-Waiting-Disabled', 'Confirm-Cancel-Timeout', 'Confirm-File', 'Confirm-Key',
  'Fax-Enabled', 'Loopback-Bowout', 'Media-Encryption-Enforce-Security', 'Media-Webrtc', 'Owner-ID',
  'Presence-ID', 'RTCP-MUX', 'Realm', 'Require-Ignore-Early-Media', 'Retain-CID', 'SIP-Invite-Domain',
  'Simplify-Loopback', 'Username',
]);

const FROM_EVENT = [
  ['call_direction', 'Call-Direction'], ['call_id', 'Call-ID'], ['callee_id_name', 'Callee-ID-Name'],
  ['callee_id_number', 'Callee-ID-Number'], ['caller_id_name', 'Caller-ID-Name'],
  ['caller_id_number', 'Caller-ID-Number'], ['custom_application_vars', 'Custom-Application-Vars'],
  ['from', 'From'], ['inception', 'Inception'], ['other_leg_call_id', 'Other-Leg-Call-ID'],
  ['request', 'Request'], ['timestamp', 'Timestamp'], ['to', 'To'],
];
const FROM_VARIABLES = [
  ['authorizing_id', 'Authorizing-ID'], ['authorizing_type', 'Authorizing-Type'],
  ['owner_id', 'Owner-ID'], ['reseller_id', 'Reseller-ID'],
];

const isTrue = (value) => value === true || value === 'true';

function payloadOf(hook, body) {
  const variables = body['Custom-Channel-Vars'] ?? {};
  const global = isTrue(variables['Global-Resource']);
  const forwarded = variables['Call-Forward'];
  const kept = {};
  for (const name in variables) if (!RESERVED_VARIABLES.has(name)) kept[name] = variables[name];
  const payload = {
    hook_event: hook,
    account_id: variables['Account-ID'],
    call_forwarded: forwarded == null ? undefined : isTrue(forwarded),
    custom_channel_vars: kept,
    emergency_resource_used: isTrue(variables['Emergency-Resource']),
    is_internal_leg: isTrue(body['Channel-Is-Loopback']),
    local_resource_id: global ? undefined : variables['Resource-ID'],
    local_resource_used: !global,
  };
  for (const [name, source] of FROM_EVENT) {
    const value = body[source];
    if (value != null) payload[name] = value;
  }
  for (const [name, source] of FROM_VARIABLES) {
    const value = variables[source] ?? body[source];
    if (value != null) payload[name] = value;
  }
  payload.cluster_id = spec.cluster_id;
  return payload;
}

const SAFE = /^[A-Za-z0-9_.~-]*$/;
const quote = (text) => (SAFE.test(text) ? text : encodeURIComponent(text).replaceAll('%20', '+'));

function addPairs(pairs, name, value, opening, closing) {
  if (typeof value === 'string') pairs.push(`${name}=${quote(value)}`);
  else if (value == null) return;
  else if (Array.isArray(value)) {
    for (const item of value) addPairs(pairs, name + opening + closing, item, opening, closing);
  } else if (typeof value === 'object') {
    for (const key in value) addPairs(pairs, name + opening + quote(key) + closing, value[key], opening, closing);
  } else pairs.push(`${name}=${value}`);
}

function formEncode(payload, opening = '[', closing = ']') {
  const pairs = [];
  for (const key in payload) addPairs(pairs, key, payload[key], opening, closing);
  return pairs.join('&');
}

const pools = new Map();

function poolOf(origin) {
  let pool = pools.get(origin);
  if (pool === undefined) {
    pool = new Pool(origin, {
      connections: spec.connections_per_receiver,
      pipelining: 1,
      headersTimeout: 10_000,
      bodyTimeout: 10_000,
    });
    pools.set(origin, pool);
  }
  return pool;
}

function prepare(document) {
  const url = new URL(document.uri);
  const headers = {
    'User-Agent': 'node-peer/1.0',
    'X-Hook-ID': document.id,
    'X-Account-ID': document.account_id,
  };
  if (document.verb !== 'get') {
    headers['Content-Type'] =
      document.format === 'json' ? 'application/json' : 'application/x-www-form-urlencoded';
  }
  return {
    ...document,
    headers,
    path: url.pathname + url.search,
    method: document.verb.toUpperCase(),
    pool: poolOf(url.origin),
    key: document.secret ? Buffer.from(document.secret.replace('whsec_', ''), 'base64') : null,
    tails: new Map(),
  };
}

// Account -> hook type -> hooks.
const hooksByAccount = new Map();
for (const document of spec.hooks) {
  let byType = hooksByAccount.get(document.account_id);
  if (byType === undefined) hooksByAccount.set(document.account_id, (byType = new Map()));
  if (!byType.has(document.hook)) byType.set(document.hook, []);
  byType.get(document.hook).push(prepare(document));
}

const digest = (text) => 'msg_' + createHash('sha256').update(text).digest('hex').slice(0, 32);

function makeRequest(hook, payload, eventId) {
  const id = digest(`${eventId}\0${hook.id}`);
  const headers = { ...hook.headers, 'webhook-id': id };
  let path = hook.path;
  let body = '';
  if (hook.method === 'GET') path += (path.includes('?') ? '&' : '?') + formEncode(payload, '%5B', '%5D');
  else body = hook.format === 'json' ? JSON.stringify(payload) : formEncode(payload);
  if (hook.key !== null) {
    const timestamp = Math.floor(Date.now() / 1000).toString();
    const mac = createHmac('sha256', hook.key).update(`${id}.${timestamp}.`).update(body).digest('base64');
    headers['webhook-timestamp'] = timestamp;
    headers['webhook-signature'] = `v1,${mac}`;
  }
  return { path, method: hook.method, headers, body: hook.method === 'GET' ? null : body };
}

// `dispatch` is the cheapest way through undici: `request` took a sixth more processor time.
function attempt(hook, request) {
  return new Promise((resolve) => {
    let status = 0;
    hook.pool.dispatch(request, {
      onConnect() {},
      onHeaders(code) { status = code; return true; },
      onData() { return true; },
      onComplete() { resolve(status === 200 || (hook.method === 'PUT' && status === 201)); },
      onError() { resolve(false); },
    });
  });
}

async function deliver(hook, payload, eventId) {
  const request = makeRequest(hook, payload, eventId);
  for (let attempts = 0; !(await attempt(hook, request)); attempts++) {
    const later = RETRY_DELAYS_MS[Math.min(attempts - QUICK_RETRIES, RETRY_DELAYS_MS.length - 1)];
    await new Promise((resolve) => setTimeout(resolve, attempts < QUICK_RETRIES ? QUICK_RETRY_DELAY_MS : later));
  }
}

// One call's events go out one after another; different calls do in parallel.
function deliverInOrder(hook, payload, eventId) {
  const before = hook.tails.get(payload.call_id);
  const sent = before === undefined
    ? deliver(hook, payload, eventId)
    : before.then(() => deliver(hook, payload, eventId));
  hook.tails.set(payload.call_id, sent);
  return sent.then(() => {
    if (hook.tails.get(payload.call_id) === sent) hook.tails.delete(payload.call_id);
  });
}

const connection = await amqp.connect(spec.amqp_uri, { noDelay: true });
const channel = await connection.createChannel();
await channel.prefetch(spec.prefetch);

// Acknowledgements are collected: one for all that are done up to a tag, single ones for the rest.
const done = new Set();
let acknowledged = 0;
let timer = null;

function flush() {
  timer = null;
  let last = acknowledged;
  while (done.delete(last + 1)) last++;
  if (last > acknowledged) channel.ack({ fields: { deliveryTag: last } }, true);
  acknowledged = last;
}

function acknowledge(message) {
  if (!spec.batch_acknowledgements) {
    channel.ack(message);
    return;
  }
  done.add(message.fields.deliveryTag);
  if (timer === null) timer = setTimeout(flush, ACK_DELAY_MS);
}

await channel.consume(spec.queue, (message) => {
  const body = JSON.parse(message.content);
  const type = HOOK_BY_EVENT.get(body['Event-Name']);
  const account = body['Custom-Channel-Vars']?.['Account-ID'];
  const hooks = hooksByAccount.get(account)?.get(type);
  if (hooks === undefined) {
    acknowledge(message);
    return;
  }
  const payload = payloadOf(type, body);
  const eventId = digest(`${message.fields.exchange}\0${message.fields.routingKey}\0${message.content}`);
  if (hooks.length === 1) {
    const hook = hooks[0];
    const sent = hook.ordered ? deliverInOrder(hook, payload, eventId) : deliver(hook, payload, eventId);
    sent.then(() => acknowledge(message));
    return;
  }
  Promise.all(hooks.map((hook) =>
    hook.ordered ? deliverInOrder(hook, payload, eventId) : deliver(hook, payload, eventId),
  )).then(() => acknowledge(message));
});

process.on('SIGTERM', async () => {
  if (timer !== null) flush();
  await connection.close();
  process.exit(0);
});
