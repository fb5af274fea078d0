// @ts-check
/**
 * This browser's device key: Ed25519, made once and kept.
 *
 * Where the browser offers WebCrypto the private key cannot be taken out of it. Where it does not
 * (plain HTTP away from this computer, and old browsers) a published implementation in JavaScript
 * signs, and the key lies in IndexedDB as it is.
 */
import { keepFirst, kept } from "./vault.js";
import { Lost } from "./wire.js";

/**
 * @typedef {object} DeviceKey
 * @property {string} deviceId lower-case hex of the SHA-256 of the public key
 * @property {string} publicKey base64url of its 32 bytes
 * @property {(text: string) => Promise<string>} sign returns base64url of the 64 bytes
 */

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} text */
function utf8(text) {
  return new TextEncoder().encode(text);
}

/** @returns {Promise<DeviceKey>} the key of this browser */
export async function deviceKey() {
  return (await nativeKey()) ?? (await writtenOutKey());
}

/** @returns {Promise<DeviceKey | null>} null where the browser has no Ed25519 of its own */
async function nativeKey() {
  if (!globalThis.crypto?.subtle) return null;
  let pair = /** @type {CryptoKeyPair | undefined} */ (await kept("key"));
  if (pair === undefined) {
    try {
      pair = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]));
    } catch {
      return null;
    }
    pair = /** @type {CryptoKeyPair} */ (await keepFirst("key", pair));
  }
  const { privateKey, publicKey } = pair;
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
  return {
    deviceId: hex(new Uint8Array(await crypto.subtle.digest("SHA-256", raw))),
    publicKey: base64url(raw),
    sign: async (text) => base64url(new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, utf8(text)))),
  };
}

/** @returns {Promise<DeviceKey>} */
async function writtenOutKey() {
  const { getPublicKey, randomSecretKey, sha256, sign } = await signer();
  const secret = /** @type {Uint8Array} */ (await keepFirst("key-bytes", randomSecretKey()));
  const raw = getPublicKey(secret);
  return {
    deviceId: hex(sha256(raw)),
    publicKey: base64url(raw),
    sign: async (text) => base64url(sign(utf8(text), secret)),
  };
}

/** @throws {Lost} the gateway did not send it */
async function signer() {
  try {
    return await import("./vendor/ed25519.js");
  } catch (error) {
    throw new Lost(1006, String(error), false);
  }
}
