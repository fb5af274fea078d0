// Drives the published npm client from the outside: connects as its options say, prints one JSON line per event.
// Usage: node npm_client.mjs FOLDER OPTIONS-JSON [METHOD PARAMS-JSON]...
// The method "upgrade" asks for scopes as the client's own helper does, and waits for the decision.
import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, optionsText, ...calls] = process.argv.slice(2);
const packages = process.env.OPENCLAW_TEST_NPM_DIR;
const load = (name) => import(pathToFileURL(createRequire(join(packages, "x.js")).resolve(name)).href);
const { GatewayClient, GatewayScopeUpgrade } = await load("@openclaw/gateway-client");
const say = (what) => console.log(JSON.stringify(what));

const seed = createHash("sha256").update(folder).digest();
const privateKey = createPrivateKey({
  key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]),
  format: "der",
  type: "pkcs8",
});
const raw = createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-32);
const identity = {
  deviceId: createHash("sha256").update(raw).digest("hex"),
  privateKeyPem: privateKey.export({ format: "pem", type: "pkcs8" }),
  publicKeyPem: createPublicKey(privateKey).export({ format: "pem", type: "spki" }),
};
const kept = join(folder, "device-token.json");
const hostDeps = {
  signDevicePayload: (pem, text) => sign(null, Buffer.from(text), createPrivateKey(pem)).toString("base64url"),
  publicKeyRawBase64UrlFromPem: () => raw.toString("base64url"),
  loadDeviceAuthToken: () => (existsSync(kept) ? JSON.parse(readFileSync(kept)) : null),
  storeDeviceAuthToken: ({ token, scopes }) => writeFileSync(kept, JSON.stringify({ token, scopes })),
  clearDeviceAuthToken: () => say({ cleared: true }),
};

const upgrade = ({ scopes }) =>
  new GatewayScopeUpgrade({
    request: (method, params, options) => client.request(method, params, options),
    tokenStore: { store: async (kept) => hostDeps.storeDeviceAuthToken(kept) },
    reconnect: () => say({ reconnects: true }),
  }).requestScopeUpgrade({
    scopes,
    binding: { clientId: "cli", deviceId: identity.deviceId, role: "operator" },
    onPending: (requestId) => say({ pending: requestId }),
  });

let refusals = 0;
const end = (code) => {
  client.stop();
  setTimeout(() => process.exit(code), 50);
};
setTimeout(() => {
  say({ timeout: true });
  process.exit(3);
}, Number(process.env.PATIENCE_MS ?? 20000)).unref();

const client = new GatewayClient({
  deviceIdentity: identity,
  hostDeps,
  mode: "cli",
  clientName: "cli",
  ...JSON.parse(optionsText),
  onHelloOk: async (hello) => {
    say({ hello });
    try {
      for (let at = 0; at < calls.length; at += 2) {
        const params = JSON.parse(calls[at + 1]);
        const result = calls[at] === "upgrade" ? await upgrade(params) : await client.request(calls[at], params);
        say({ method: calls[at], result });
      }
      end(0);
    } catch (error) {
      say({ failed: String(error.message), details: error.details ?? null });
      end(1);
    }
  },
  onConnectError: (error) => {
    say({ refused: String(error.message), details: error.details ?? null });
    if (++refusals === Number(process.env.TRIES)) end(1);
  },
  onReconnectPaused: (info) => {
    say({ paused: info });
    end(2);
  },
  onClose: (code, reason) => say({ close: code, reason }),
  onEvent: (event) => say({ event: event.event, seq: event.seq ?? null }),
  onGap: (gap) => say({ gap }),
});
client.start();
