// @ts-check
/**
 * The page's way into the gateway: tries, waits, comes back, and says at each moment where it is.
 *
 * Rule: there is one link and one state, and views only read it.
 */
import { noteHost } from "./host.js";
import { deviceKey } from "./keys.js";
import { dropToken, heldToken, keepToken, onTokenOfOtherTab } from "./vault.js";
import { holds, now, tellTime } from "./words.js";
import { Lost, Refusal, Wire } from "./wire.js";

/**
 * @typedef {{kind: "connecting"}
 *   | {kind: "in", wire: Wire, hello: any}
 *   | {kind: "refused", refusal: Refusal, retryAtMs: number | null}
 *   | {kind: "down", sinceMs: number, retryAtMs: number, upgradeLost: boolean, problem: string}
 *   | {kind: "broken", problem: string}} State
 */

/** What an owner's page asks for when it asks for the first time. */
export const EVERYTHING = [
  "operator.admin",
  "operator.approvals",
  "operator.pairing",
  "operator.read",
  "operator.write",
];

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const ANSWERS_WITHIN_MS = 5_000;
/** What another program may have mended meanwhile is tried again this often. */
const LOOK_AGAIN_MS = 5_000;
/** A wish for more scopes is waited for as long as the gateway keeps it, and that is its to say. */
const DECIDED_WITHIN_MS = 24 * 3600 * 1000;

/** Refusals that end by themselves once somebody did something at the gateway. */
const MENDED_ELSEWHERE = new Set(["CONTROL_UI_ORIGIN_NOT_ALLOWED"]);

class Link {
  /** @type {State} */
  state = { kind: "connecting" };
  /** @type {Set<() => void>} */
  #watchers = new Set();
  /** @type {Set<(name: string, payload: any) => void>} */
  #listeners = new Set();
  /** Secrets live here and nowhere else, until the device token takes their place. */
  #secret = /** @type {string | null} */ (null);
  #bootstrap = /** @type {string | null} */ (null);
  /** The device token of the last try, if it was made with one. */
  #shown = /** @type {string | null} */ (null);
  #wanted = /** @type {string[] | null} */ (null);
  /** The request that this page waits for: once it was rejected, nothing more is asked by itself. */
  #awaiting = /** @type {string | null} */ (null);
  #timer = 0;
  #tries = 0;
  #downSince_ms = 0;
  #turn = 0;
  /** How the last wish for more scopes ended, if not as wished: "rejected" or "expired". */
  upgradeEnded = "";
  /** This browser, as lists of devices name it. */
  ownDeviceId = "";
  /** Whether this page has been inside since it was opened. */
  wasIn = false;

  constructor() {
    // Who was let in in another tab of this browser is let in here.
    onTokenOfOtherTab(() => this.state.kind === "refused" && this.again());
  }

  /** @param {() => void} watcher called at every change of state */
  watch(watcher) {
    this.#watchers.add(watcher);
  }

  /**
   * @param {(name: string, payload: any) => void} listener called with every event of the gateway
   * @returns {() => void} ends it
   */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What this session may do, or did while it was there. @type {string[]} */
  scopes = [];

  /** @param {string} scope */
  may(scope) {
    return holds(this.scopes, scope);
  }

  /** What was asked for and waits to be approved. @returns {{requestId: string, scopes: string[]} | null} */
  get pendingUpgrade() {
    return this.state.kind === "in" ? (this.state.hello.auth?.pendingUpgrade ?? null) : null;
  }

  /**
   * @param {string} method @param {unknown} [params] @param {number} [within_ms]
   * @returns {Promise<any>}
   */
  ask(method, params, within_ms) {
    if (this.state.kind !== "in") return Promise.reject(new Lost(1006, "not connected to the gateway", false));
    return this.state.wire.ask(method, params, within_ms);
  }

  /** @param {{secret?: string | null, bootstrap?: string | null}} [found] what to show; what is not said stays */
  start({ secret, bootstrap } = {}) {
    if (secret) [this.#secret, this.#bootstrap] = [secret, null];
    if (bootstrap) [this.#secret, this.#bootstrap] = [null, bootstrap];
    if (this.state.kind === "in") this.state.wire.close();
    this.#tries = 0;
    this.#awaiting = null;
    this.#to({ kind: "connecting" });
    void this.#try();
  }

  /** Try again now. */
  again() {
    void this.#try();
  }

  /** Ask for everything; what is not approved yet becomes a request, and this session goes on. */
  async askForMore() {
    if (this.state.kind !== "in") return;
    const { wire } = this.state;
    this.upgradeEnded = "";
    try {
      const { requestId } = await wire.ask("device.scopes.requestUpgrade", { scopes: EVERYTHING });
      this.#say(wire, { pendingUpgrade: { requestId, scopes: EVERYTHING } });
      await this.#waitForMore(wire, requestId);
    } catch (error) {
      if (!(error instanceof Refusal)) return; // a lost connection has its own screen
      this.#wanted = EVERYTHING; // without the right to ask in words, by connecting anew
      this.start();
    }
  }

  /** Keep a device token that the gateway gave in an answer. @param {string} deviceToken */
  async replaceToken(deviceToken) {
    await keepToken({ deviceToken, scopes: this.scopes, role: "operator" });
  }

  /** @param {State} state */
  #to(state) {
    this.state = state;
    for (const watcher of this.#watchers) watcher();
  }

  /** @returns {Promise<{auth: Record<string, string>, scopes: string[]}>} what to show and to ask for */
  async #credentials() {
    const held = await heldToken();
    const scopes = this.#wanted ?? (held && !this.#secret ? held.scopes : EVERYTHING);
    this.#shown = null;
    // What a link gives is fixed and told with the device token: asking for more would leave a request.
    if (this.#bootstrap) return { auth: { bootstrapToken: this.#bootstrap }, scopes: this.#wanted ?? [] };
    if (this.#secret) return { auth: { token: this.#secret, password: this.#secret }, scopes };
    this.#shown = held?.deviceToken ?? null;
    return { auth: held ? { deviceToken: held.deviceToken } : {}, scopes };
  }

  async #try() {
    clearTimeout(this.#timer);
    const turn = ++this.#turn;
    /** @type {Wire | null} */
    let wire = null;
    try {
      const key = await deviceKey();
      this.ownDeviceId = key.deviceId;
      wire = await Wire.open({ key, ...(await this.#credentials()), awaiting: this.#awaiting });
      await this.#enter(wire, turn);
    } catch (error) {
      wire?.close();
      if (turn === this.#turn) await this.#failed(error);
    }
  }

  /** @param {unknown} error why the last try led nowhere */
  async #failed(error) {
    try {
      if (error instanceof Refusal) await this.#refused(error);
      else if (error instanceof Lost) await this.#lost(error);
      else throw error;
    } catch (why) {
      // Whatever the gateway does ends in one of the two above: this browser keeps nothing.
      this.#to({ kind: "broken", problem: why instanceof Error ? why.message : String(why) });
    }
  }

  /** @param {Wire} wire @param {number} turn */
  async #enter(wire, turn) {
    const { hello } = wire;
    const { deviceToken, scopes, role } = hello.auth ?? {};
    if (deviceToken) await keepToken({ deviceToken, scopes, role }); // a link counts once: even if it is late
    if (turn !== this.#turn) return wire.close();
    if (deviceToken) {
      const byLink = this.#bootstrap !== null && this.#wanted === null;
      this.#secret = this.#bootstrap = null; // from here on the device token stands for it
      if (byLink) {
        wire.close();
        return this.#try();
      }
    }
    if (wire.lost) throw wire.lost; // it went while the token was put away
    if (hello.snapshot?.health?.ts) tellTime(hello.snapshot.health.ts);
    this.#tries = this.#downSince_ms = 0;
    this.#awaiting = null;
    this.wasIn = true;
    this.scopes = scopes ?? [];
    wire.onevent = (name, payload) => {
      if (name === "tick" && payload?.ts) tellTime(payload.ts);
      for (const listener of this.#listeners) listener(name, payload);
    };
    wire.onlost = (lost) => void this.#lost(lost);
    this.upgradeEnded = "";
    this.#to({ kind: "in", wire, hello });
    const pending = this.pendingUpgrade;
    if (pending) this.#waitForMore(wire, pending.requestId).catch(() => {}); // told by the connection, if it matters
    void this.#askHost(wire);
  }

  /** Learn how commands are typed where the gateway runs; without an answer they are shown plainly. @param {Wire} wire */
  async #askHost(wire) {
    try {
      noteHost(this.may("operator.read") ? (await wire.ask("status")).gateway?.typedAs : undefined);
    } catch (error) {
      if (!(error instanceof Refusal)) return; // a lost connection has its own screen
      noteHost(undefined);
    }
    for (const watcher of this.#watchers) watcher();
  }

  /** @param {Refusal} refusal */
  async #refused(refusal) {
    const { code } = refusal;
    noteHost(undefined); // what was told to who was in is nothing for who is not
    const offered = this.#secret !== null || this.#bootstrap !== null;
    const useless = /^AUTH_(TOKEN|PASSWORD)_MISMATCH$|^AUTH_BOOTSTRAP_TOKEN_INVALID$/.test(code);
    if (useless || (code === "AUTH_RATE_LIMITED" && offered && (await heldToken()))) {
      this.#secret = this.#bootstrap = null; // a wrong one is never sent twice
      if (offered && (await heldToken())) return this.#try(); // a link does not put out who was in
    }
    if (code === "AUTH_DEVICE_TOKEN_MISMATCH" && this.#shown !== null && (await dropToken(this.#shown))) {
      return this.#try(); // another tab was given a new one meanwhile
    }
    if (code === "PAIRING_REQUIRED" && this.#bootstrap) this.#wanted = EVERYTHING; // it has to ask after all
    this.wasIn = false;
    this.#downSince_ms = 0;
    this.#awaiting = refusal.details["requestId"] ?? this.#awaiting;
    const retryAtMs = this.#retryAt(refusal);
    this.#to({ kind: "refused", refusal, retryAtMs });
    if (retryAtMs !== null && (code !== "AUTH_RATE_LIMITED" || this.#shown !== null)) this.#tryAt(retryAtMs);
  }

  /** @param {Refusal} refusal @returns {number | null} */
  #retryAt(refusal) {
    if (refusal.details["reloadRequired"] || refusal.code === "PROTOCOL_MISMATCH") return null;
    if (refusal.retryAfterMs !== null) return Date.now() + refusal.retryAfterMs;
    if (refusal.retryable || MENDED_ELSEWHERE.has(refusal.code)) return Date.now() + LOOK_AGAIN_MS;
    return null;
  }

  /** @param {Lost} lost */
  async #lost(lost) {
    if (lost.code === 4001) {
      // What this session lived on was taken away: what is true now is told by the next try.
      this.#to({ kind: "connecting" });
      return this.#try();
    }
    const turn = this.#turn;
    this.#downSince_ms ||= now();
    const wait_ms = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#tries++);
    const retryAtMs = Date.now() + wait_ms * (0.8 + 0.4 * Math.random());
    const upgradeLost = !lost.opened && this.#tries > 1 && (await answersHttp());
    if (turn !== this.#turn) return; // somebody tried again meanwhile
    this.#to({ kind: "down", sinceMs: this.#downSince_ms, retryAtMs, upgradeLost, problem: lost.opened ? lost.message : "" });
    this.#tryAt(retryAtMs);
  }

  /** @param {number} at_ms */
  #tryAt(at_ms) {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#try(), Math.max(0, at_ms - Date.now()));
  }

  /**
   * Wait until a wish for more scopes is decided, and hold them from then on.
   *
   * @param {Wire} wire @param {string} requestId
   */
  async #waitForMore(wire, requestId) {
    const told = await wire.ask("device.scopes.waitUpgrade", { requestId }, DECIDED_WITHIN_MS);
    this.#wanted = null; // it is decided: coming back asks for what there is
    if (told.status === "approved") {
      const { deviceToken, scopes } = told;
      await keepToken({ deviceToken, scopes, role: "operator" });
      this.scopes = scopes;
      void this.#askHost(wire); // an admin may know more of it
    } else {
      this.upgradeEnded = told.status;
    }
    this.#say(wire, { pendingUpgrade: null });
  }

  /**
   * Note what changed of the rights of the session that there is.
   *
   * @param {Wire} wire @param {Record<string, unknown>} changes
   */
  #say(wire, changes) {
    if (this.state.kind !== "in" || this.state.wire !== wire) return;
    const { hello } = this.state;
    this.#to({ kind: "in", wire, hello: { ...hello, auth: { ...hello.auth, ...changes } } });
  }
}

/** Tell whether plain HTTP comes through where a WebSocket does not: then a proxy drops it. */
async function answersHttp() {
  try {
    const told = await fetch(new URL("healthz", new URL(".", location.href)), { cache: "no-store", signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) });
    return told.ok && (await told.json()).ok === true;
  } catch {
    return false;
  }
}

export const link = new Link();
