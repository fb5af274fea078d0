// @ts-check
/**
 * What this browser keeps: its device key and the device token that the gateway issued to it, in
 * IndexedDB, for this origin alone. A shared secret is never kept.
 */

const NAME = "openclaw-gateway";
const SHELF = "kept";

/** @typedef {{deviceToken: string, scopes: string[], role: string}} Held */

/** @type {Promise<IDBDatabase> | null} */
let opened = null;

/** @returns {Promise<IDBDatabase>} */
function open() {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(SHELF);
    asked.onsuccess = () => {
      asked.result.onclose = () => (opened = null); // the site's data were cleared: open it anew
      resolve(asked.result);
    };
    asked.onerror = () => reject(asked.error);
  });
  opened.catch(() => (opened = null)); // what failed may work the next time
  return opened;
}

/**
 * Look at what is kept and keep what follows from it, in one turn: no other tab comes in between.
 *
 * @param {string} name
 * @param {(now: any) => unknown} next what is to be kept then; undefined keeps nothing
 * @returns {Promise<any>} what is kept then
 */
async function change(name, next) {
  const base = await open();
  return new Promise((resolve, reject) => {
    const turn = base.transaction(SHELF, "readwrite");
    const shelf = turn.objectStore(SHELF);
    const asked = shelf.get(name);
    /** @type {unknown} */
    let then;
    asked.onsuccess = () => {
      then = next(asked.result);
      if (then === undefined) shelf.delete(name);
      else if (then !== asked.result) shelf.put(then, name);
    };
    turn.oncomplete = () => resolve(then);
    turn.onabort = turn.onerror = () => reject(turn.error);
  });
}

/** @param {string} name @returns {Promise<any>} */
export async function kept(name) {
  const base = await open();
  return new Promise((resolve, reject) => {
    const asked = base.transaction(SHELF).objectStore(SHELF).get(name);
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

/**
 * Keep what is to be kept unless something is there; return what is there then.
 *
 * Two tabs that start at once come to one key by this.
 *
 * @param {string} name
 * @param {unknown} value
 */
export function keepFirst(name, value) {
  return change(name, (now) => now ?? value);
}

// A gateway under a path prefix has siblings on the same origin: each has its own token.
const TOKEN = `token ${new URL(".", location.href).pathname}`;

/** How the tabs of this page tell each other that the device token is another one. */
const tabs = new BroadcastChannel(`openclaw-gateway ${TOKEN}`);

/** @returns {Promise<Held | null>} the device token, if this browser has one */
export async function heldToken() {
  return (await kept(TOKEN)) ?? null;
}

/** @param {Held} held */
export async function keepToken(held) {
  await change(TOKEN, () => held);
  tabs.postMessage("kept");
}

/**
 * Forget a device token that does not count any more; one that another tab was given meanwhile stays.
 *
 * @param {string} deviceToken
 * @returns {Promise<Held | null>} what is kept then
 */
export async function dropToken(deviceToken) {
  return (await change(TOKEN, (/** @type {Held | undefined} */ held) => (held?.deviceToken === deviceToken ? undefined : held))) ?? null;
}

/** @param {() => void} then called when another tab was given a device token */
export function onTokenOfOtherTab(then) {
  tabs.onmessage = then;
}
