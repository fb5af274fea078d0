// Drives the published npm client as a node: answers system.which, never system.run; prints one JSON line per event.
// Usage: node npm_node.mjs FOLDER OPTIONS-JSON
import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, optionsText] = process.argv.slice(2);
const packages = process.env.OPENCLAW_TEST_NPM_DIR;
const load = (name) => import(pathToFileURL(createRequire(join(packages, "x.js")).resolve(name)).href);
const { GatewayClient } = await load("@openclaw/gateway-client");
const say = (what) => console.log(JSON.stringify(what));

const seed = createHash("sha256").update(folder).digest();
const privateKey = createPrivateKey({
  key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]),
  format: "der",
  type: "pkcs8",
});
const raw = createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-32);
const nodeId = createHash("sha256").update(raw).digest("hex");
const kept = join(folder, "device-token.json");
const client = new GatewayClient({
  deviceIdentity: {
    deviceId: nodeId,
    privateKeyPem: privateKey.export({ format: "pem", type: "pkcs8" }),
    publicKeyPem: createPublicKey(privateKey).export({ format: "pem", type: "spki" }),
  },
  hostDeps: {
    signDevicePayload: (pem, text) => sign(null, Buffer.from(text), createPrivateKey(pem)).toString("base64url"),
    publicKeyRawBase64UrlFromPem: () => raw.toString("base64url"),
    loadDeviceAuthToken: () => (existsSync(kept) ? JSON.parse(readFileSync(kept)) : null),
    storeDeviceAuthToken: ({ token, scopes }) => writeFileSync(kept, JSON.stringify({ token, scopes })),
    clearDeviceAuthToken: () => say({ cleared: true }),
  },
  role: "node",
  mode: "node",
  clientName: "node-host",
  clientDisplayName: "kitchen",
  platform: "linux",
  scopes: [],
  caps: ["system"],
  commands: ["system.run", "system.which"],
  ...JSON.parse(optionsText),
  onHelloOk: (hello) => say({ hello, nodeId }),
  onConnectError: (error) => say({ refused: String(error.message), details: error.details ?? null }),
  onClose: (code, reason) => say({ close: code, reason }),
  onGap: (gap) => say({ gap }),
  onEvent: async ({ event, seq, payload }) => {
    say({ event, seq: seq ?? null });
    if (event !== "node.invoke.request" || payload.command === "system.run") return;
    const payloadJSON = JSON.stringify({ asked: JSON.parse(payload.paramsJSON) });
    say({ told: await client.request("node.invoke.result", { id: payload.id, nodeId, ok: true, payloadJSON }) });
  },
});
client.start();
process.stdin.on("end", () => process.exit(0)).resume();
