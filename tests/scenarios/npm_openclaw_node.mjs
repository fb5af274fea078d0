// Drives the published npm package openclaw-node from the outside: connects once, prints one JSON line per event.
// Usage: node npm_openclaw_node.mjs FOLDER OPTIONS-JSON [METHOD PARAMS-JSON]...   With the method "stay" it stays.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, optionsText, ...calls] = process.argv.slice(2);
const packages = process.env.OPENCLAW_TEST_NPM_DIR;
const load = (name) => import(pathToFileURL(createRequire(join(packages, "x.js")).resolve(name)).href);
const { OpenClawClient } = await load("openclaw-node");
const say = (what) => console.log(JSON.stringify(what));
setTimeout(() => {
  say({ timeout: true });
  process.exit(3);
}, 20000).unref();

const client = new OpenClawClient({
  deviceIdentityPath: join(folder, "device-identity.json"),
  autoReconnect: false,
  ...JSON.parse(optionsText),
});
client.on("error", (error) => say({ error: String(error.message) }));
client.on("pairingRequired", (pairing) => say({ pairing }));
client.on("protocol:response", ({ error }) => error && say({ refused: error }));
client.on("event", ({ event }) => say({ event }));
try {
  const hello = await client.connect();
  say({ hello });
  for (let at = 0; at < calls.length; at += 2) {
    if (calls[at] === "stay") await new Promise((resolve) => process.stdin.on("end", resolve).resume());
    else
      await client.request(calls[at], JSON.parse(calls[at + 1])).then(
        ({ payload }) => say({ method: calls[at], result: payload }),
        (error) => say({ method: calls[at], failed: String(error.message) }),
      );
  }
} catch (error) {
  say({ failed: String(error.message) });
}
await client.disconnect();
setTimeout(() => process.exit(0), 50);
