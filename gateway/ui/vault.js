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
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
    asked.onblocked = () => reject(new Error("another tab holds the store of this page"));
  });
  return opened;
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(shelf: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T>}
 */
async function on(mode, work) {
  const base = await open();
  return new Promise((resolve, reject) => {
    const turn = base.transaction(SHELF, mode);
    const asked = work(turn.objectStore(SHELF));
    turn.oncomplete = () => resolve(asked.result);
    turn.onabort = turn.onerror = () => reject(turn.error);
  });
}

/** @param {string} name @returns {Promise<any>} */
export function kept(name) {
  return on("readonly", (shelf) => shelf.get(name));
}

/** @param {string} name @param {unknown} value */
export async function keep(name, value) {
  await on("readwrite", (shelf) => shelf.put(value, name));
}

/**
 * Keep what is to be kept unless something is there; return what is there then.
 *
 * Two tabs that start at once come to one key by this.
 *
 * @param {string} name
 * @param {unknown} value
 * @returns {Promise<any>}
 */
export async function keepFirst(name, value) {
  const base = await open();
  return new Promise((resolve, reject) => {
    const turn = base.transaction(SHELF, "readwrite");
    const shelf = turn.objectStore(SHELF);
    let result = value;
    const asked = shelf.get(name);
    asked.onsuccess = () => {
      if (asked.result === undefined) shelf.put(value, name);
      else result = asked.result;
    };
    turn.oncomplete = () => resolve(result);
    turn.onabort = turn.onerror = () => reject(turn.error);
  });
}

/** @param {string} name */
export async function drop(name) {
  await on("readwrite", (shelf) => shelf.delete(name));
}

// A gateway under a path prefix has siblings on the same origin: each has its own token.
const TOKEN = `token ${new URL(".", location.href).pathname}`;

/** @returns {Promise<Held | null>} the device token, if this browser has one */
export async function heldToken() {
  return (await kept(TOKEN)) ?? null;
}

/** @param {Held} held */
export function keepToken(held) {
  return keep(TOKEN, held);
}

/** Forget the device token. */
export function dropToken() {
  return drop(TOKEN);
}
