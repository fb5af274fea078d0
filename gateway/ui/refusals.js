// @ts-check
/** Each way of being turned down, in words for the person before the screen, with its way out. */
import { locality } from "./words.js";

/** @typedef {import("./wire.js").Refusal} Refusal */

/**
 * @typedef {object} Screen what the gate shows of a refusal
 * @property {string} title
 * @property {string} lead
 * @property {string} [code] the request id, which is the verification code
 * @property {string} [command] where the refusal itself names none
 * @property {"token" | "reload" | "again" | "anew" | null} offers what can be done on this page
 * @property {string} [secret] how the secret is called that is asked for
 * @property {boolean} [explains] whether what the gateway saw is part of the way out
 * @property {boolean} [wrong] what was typed or brought was wrong
 */

const LINK = "openclaw dashboard";

/** @type {Record<string, (refusal: Refusal) => Screen>} by the code of the refusal */
const SCREENS = {
  PAIRING_REQUIRED: (refusal) => pairing(refusal),
  AUTH_TOKEN_MISSING: () => ({
    title: "This gateway asks for its token",
    lead: "Open the link that the command prints, or type the token once. This browser then gets a key of its own, and the token is not kept.",
    offers: "token",
    secret: "Token",
    command: LINK,
  }),
  AUTH_PASSWORD_MISSING: () => ({
    title: "This gateway asks for its password",
    lead: "Open the link that the command prints, or type the password once. This browser then gets a key of its own, and the password is not kept.",
    offers: "token",
    secret: "Password",
    command: LINK,
  }),
  AUTH_TOKEN_MISMATCH: () => ({
    title: "That is not this gateway's token",
    lead: "It may be an older one, or that of another gateway. The link that the command prints needs none.",
    offers: "token",
    secret: "Token",
    wrong: true,
  }),
  AUTH_PASSWORD_MISMATCH: () => ({
    title: "That is not this gateway's password",
    lead: "It may be an older one, or that of another gateway. The link that the command prints needs none.",
    offers: "token",
    secret: "Password",
    wrong: true,
  }),
  AUTH_DEVICE_TOKEN_MISMATCH: () => ({
    title: "This browser's access ended",
    lead: "Its device was removed, or its token was revoked or replaced. To come back, open the link that the command prints, or type the gateway's secret once more.",
    offers: "token",
    secret: "Token or password",
    command: LINK,
  }),
  AUTH_BOOTSTRAP_TOKEN_INVALID: () => ({
    title: "This link does not count any more",
    lead: "A link opens the gateway once and for a few minutes: it was used already, it ended, or it was taken back. Make a new one.",
    offers: "token",
    secret: "Token or password",
    command: LINK,
  }),
  AUTH_RATE_LIMITED: () => ({
    title: "Too many wrong secrets came from here",
    lead: "The gateway takes no more of them for a while, the right one included. Other devices are not affected.",
    offers: "token",
    secret: "Token or password",
  }),
  CONTROL_UI_ORIGIN_NOT_ALLOWED: () => ({
    title: "The gateway does not know this address",
    lead: "A page may connect only from an address that the gateway calls its own. If the address in the bar above is yours, allow it; this page then enters by itself.",
    offers: "again",
    explains: true,
  }),
  CONTROL_UI_DEVICE_IDENTITY_REQUIRED: () => ({
    title: "This browser has no device key",
    lead: "Browsers make one only on HTTPS, or on the computer's own address.",
    offers: "again",
  }),
  AUTH_UNAUTHORIZED: (refusal) => byProxy(refusal),
  AUTH_IDENTITY_HEADER_REQUIRED: (refusal) => byProxy(refusal),
  UNAVAILABLE: () => ({
    title: "The gateway cannot let anybody new in now",
    lead: "It cannot write down who comes in: mostly its disk is full or read-only. Devices that are paired come in as before. This page goes on by itself once that is mended.",
    offers: "again",
    explains: true,
  }),
  PROTOCOL_MISMATCH: () => ({
    title: "This page is of another version than the gateway",
    lead: "The gateway was updated while the page was open. Load it anew.",
    offers: "reload",
  }),
};

/** @type {Record<string, [string, string]>} title and lead by the reason of the refusal */
const PAIRING = {
  "not-paired": ["Approve this browser", "Its secret is right. An operator still has to let this device in, once. Compare the code: it is the same on both screens."],
  "role-upgrade": ["Approve this browser as an operator", "This device is known in another role. An operator has to let it act as one. Compare the code: it is the same on both screens."],
  "scope-upgrade": ["Approve what this browser asks for", "This device is known, but nothing of what it asks for now was given to it yet. Compare the code: it is the same on both screens."],
  "metadata-upgrade": ["Approve this browser again", "This device is known under another platform. An operator has to confirm that it is the same. Compare the code: it is the same on both screens."],
  "too-many-pending": ["Too many devices wait already", "This one was not added to the list. Approve or reject some of them; this page then goes on by itself."],
  "too-many-scopes": ["This asks for too much at once", "Approve or reject what this device asked for before."],
  rejected: ["An operator turned this browser down", "Its secret is right, but what it asked for was rejected. It asks for nothing more by itself. If that was a mistake, tell an operator, and ask again: the same code comes back."],
  blocked: ["This browser is blocked", "An operator blocked this device. Until the block is lifted it is not let in, and nothing is recorded of its tries."],
};

/** @param {Refusal} refusal @returns {Screen} */
function pairing(refusal) {
  const reason = String(refusal.details["reason"] ?? "not-paired");
  const [title, lead] = PAIRING[reason] ?? /** @type {[string, string]} */ (PAIRING["not-paired"]);
  const id = refusal.details["requestId"];
  const offers = reason === "rejected" ? "anew" : "again";
  return { title, lead, offers, explains: true, ...(id ? { code: String(id) } : {}) };
}

/** Who is there is said by a proxy here, so that no secret helps. @param {Refusal} refusal @returns {Screen} */
function byProxy(refusal) {
  const reason = String(refusal.details["reason"]);
  if (/_source$/.test(reason)) {
    return {
      title: "Come in through the proxy",
      lead: "This gateway lets in whom its proxy signs in, and this page did not come by that proxy. Open the proxy's address instead of the gateway's own.",
      offers: "again",
      explains: true,
    };
  }
  if (/_not_allowed$/.test(reason)) {
    return {
      title: "The proxy signed in somebody who is not let in",
      lead: "Sign in at the proxy as another user, or have this one added to those who may come in.",
      offers: "again",
      explains: true,
    };
  }
  return {
    title: "The proxy does not say who is there",
    lead: "This gateway lets in whom its proxy signs in, and what the proxy has to send for that did not come, or not as it has to. Sign in at the proxy; if you are, it is the proxy that has to be set right.",
    offers: "again",
    explains: true,
  };
}

/** @param {Refusal} refusal @returns {Screen} */
export function screenOf(refusal) {
  const known = SCREENS[refusal.code];
  if (known) return known(refusal);
  if (refusal.code.startsWith("DEVICE_AUTH_")) {
    return {
      title: "The gateway does not take this browser's key",
      lead: "The key, or what was signed with it, arrived other than it was sent. Try again; if it stays, something between here and the gateway changes messages, or the page is an older one: load it anew.",
      offers: "reload",
      explains: true,
    };
  }
  return { title: "The gateway turned this page away", lead: refusal.message, offers: "again", explains: true };
}

/**
 * What the gateway saw of this connection, as rows of names and values.
 *
 * @param {Refusal} refusal
 * @returns {Array<[string, string | null]>}
 */
export function sawRows(refusal) {
  const saw = refusal.details["saw"] ?? {};
  const same = saw.peer === saw.client;
  return [
    ["Address of this browser", saw.client ?? null],
    ["Reached the gateway from", same ? null : (saw.peer ?? null)],
    ["Forwarded for", saw.forwardedFor ?? null],
    ["Called by the name", saw.host ?? null],
    ["Page of", saw.origin ?? null],
    ["Local or not", saw.locality ? locality(saw.locality) : null],
  ];
}
