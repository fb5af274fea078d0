// @ts-check
/**
 * One WebSocket to the gateway: challenge, connect, requests, events.
 *
 * Source: the gateway's wire reference, protocol 4; the device signs payload v3.
 */

/** @typedef {import("./keys.js").DeviceKey} DeviceKey */
/**
 * @typedef {object} Told what a refused request or handshake is told
 * @property {string} [code]
 * @property {string} [message]
 * @property {Record<string, any>} [details]
 * @property {boolean} [retryable]
 * @property {number} [retryAfterMs]
 */

export const PROTOCOL = 4;
const CHALLENGE_WITHIN_MS = 15_000;
const ANSWER_WITHIN_MS = 30_000;
/** How this page hangs up on what does not speak the protocol. */
const NO_GATEWAY = 4002;

/** A request that was answered with an error, or a connection that was turned down. */
export class Refusal extends Error {
  /** @param {Told} told */
  constructor(told) {
    super(told.message ?? "the gateway gave no reason");
    this.code = String(told.details?.["code"] ?? told.code ?? "UNKNOWN");
    this.details = told.details ?? {};
    this.retryAfterMs = told.retryAfterMs ?? null;
    this.retryable = told.retryable === true;
  }
}

/** A connection that ended, or never was. */
export class Lost extends Error {
  /** @param {number} code @param {string} reason @param {boolean} opened whether it was ever open */
  constructor(code, reason, opened) {
    super(reason || `connection closed (${code})`);
    this.code = code;
    this.opened = opened;
  }
}

/**
 * @typedef {object} Asking
 * @property {DeviceKey} key
 * @property {Record<string, string>} auth
 * @property {string[]} scopes
 * @property {string | null} awaiting the request that is waited for: if it was rejected, no other is made
 */

/** The address of the gateway that served this page, and of no other. */
export function ownAddress() {
  const here = new URL(".", location.href);
  here.protocol = here.protocol === "https:" ? "wss:" : "ws:";
  here.search = here.hash = "";
  return here.href;
}

/** How this browser calls itself in lists of devices. */
function browserName() {
  const said = navigator.userAgent;
  const browser = [["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]];
  const system = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS", "macOS"], ["CrOS", "ChromeOS"], ["Linux", "Linux"]];
  /** @param {string[][]} known */
  const first = (known) => known.find(([sign]) => said.includes(sign ?? ""))?.[1];
  return `${first(browser) ?? "Browser"} on ${first(system) ?? "an unknown system"}`;
}

// One client, whatever it runs on: these are signed, and a change of them asks to be approved anew.
const CLIENT = { id: "openclaw-control-ui", version: "1", platform: "web", deviceFamily: "browser", mode: "webchat" };

/** @param {Asking} asking @param {{nonce: string, ts: number}} challenge */
async function connectParams({ key, auth, scopes, awaiting }, { nonce, ts }) {
  const token = auth["token"] ?? auth["deviceToken"] ?? auth["bootstrapToken"] ?? "";
  const signed = [
    ...["v3", key.deviceId, CLIENT.id, CLIENT.mode, "operator", scopes.join(","), ts],
    ...[token, nonce, CLIENT.platform, CLIENT.deviceFamily],
  ].join("|");
  return {
    minProtocol: PROTOCOL,
    maxProtocol: PROTOCOL,
    client: { ...CLIENT, displayName: browserName() },
    role: "operator",
    scopes,
    caps: [],
    // The challenge's own time: a clock of this computer that is wrong does no harm.
    device: { id: key.deviceId, publicKey: key.publicKey, signature: await key.sign(signed), signedAt: ts, nonce },
    ...(Object.keys(auth).length ? { auth } : {}),
    ...(awaiting ? { awaiting } : {}),
    locale: navigator.language,
    userAgent: navigator.userAgent,
  };
}

/** @param {unknown} data @returns {any} null if it is no frame */
function readFrame(data) {
  try {
    const frame = JSON.parse(String(data));
    return typeof frame === "object" ? frame : null;
  } catch {
    return null;
  }
}

/** One admitted connection. */
export class Wire {
  /** @type {Map<string, {resolve: (value: any) => void, reject: (error: Error) => void, timer: number}>} */
  #waiting = new Map();
  #next = 0;
  #heard_ms = Date.now();
  #watch = 0;

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.socket = socket;
    /** @type {any} what the gateway said when it let this browser in */
    this.hello = null;
    /** @type {(name: string, payload: any) => void} */
    this.onevent = () => {};
    /** @type {(lost: Lost) => void} */
    this.onlost = () => {};
    /** @type {Lost | null} how it ended, once it did */
    this.lost = null;
  }

  /**
   * Connect and be let in.
   *
   * @param {Asking} asking
   * @returns {Promise<Wire>}
   * @throws {Refusal} it was turned down
   * @throws {Lost} there is nobody, or somebody who does not speak the protocol
   */
  static open(asking) {
    const socket = new WebSocket(ownAddress());
    const wire = new Wire(socket);
    return new Promise((resolve, reject) => {
      let opened = false;
      let challenged = false;
      const timer = setTimeout(() => socket.close(NO_GATEWAY, "no challenge"), CHALLENGE_WITHIN_MS);
      socket.onopen = () => (opened = true);
      socket.onclose = (event) => {
        clearTimeout(timer);
        const lost = new Lost(event.code, event.reason, opened);
        reject(lost);
        wire.#end(lost);
      };
      socket.onmessage = ({ data }) => {
        const frame = readFrame(data);
        if (frame?.type !== "event" || frame.event !== "connect.challenge" || challenged) {
          if (frame) wire.#take(frame);
          else socket.close(NO_GATEWAY, "no frame of a gateway");
          return;
        }
        challenged = true;
        clearTimeout(timer);
        wire.#greet(asking, frame.payload).then(resolve, (error) => {
          reject(error instanceof Refusal ? error : new Lost(NO_GATEWAY, String(error?.message ?? error), opened));
          socket.close();
        });
      };
    });
  }

  /**
   * Answer the challenge; return this wire once the gateway let it in.
   *
   * @param {Asking} asking @param {{nonce: string, ts: number}} challenge
   */
  async #greet(asking, challenge) {
    this.hello = await this.#ask("connect", await connectParams(asking, challenge));
    this.#watchTicks(this.hello.policy?.tickIntervalMs ?? 30_000);
    return this;
  }

  /**
   * Ask the gateway and return its answer.
   *
   * @param {string} method
   * @param {unknown} [params]
   * @param {number} [within_ms]
   * @returns {Promise<any>}
   * @throws {Refusal}
   * @throws {Lost}
   */
  ask(method, params = {}, within_ms = ANSWER_WITHIN_MS) {
    if (this.socket.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Lost(1006, "not connected to the gateway", true));
    }
    return this.#ask(method, params, within_ms);
  }

  /** @param {string} method @param {unknown} params @returns {Promise<any>} */
  #ask(method, params, within_ms = ANSWER_WITHIN_MS) {
    const id = `${++this.#next}`;
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#waiting.delete(id);
        reject(new Error(`the gateway did not answer ${method} within ${within_ms / 1000} s`));
      };
      this.#waiting.set(id, { resolve, reject, timer: window.setTimeout(late, within_ms) });
      this.socket.send(JSON.stringify({ type: "req", id, method, params }));
    });
  }

  /** @param {any} frame */
  #take(frame) {
    this.#heard_ms = Date.now();
    if (frame.type === "event") {
      this.onevent(frame.event, frame.payload);
      return;
    }
    const asked = this.#waiting.get(frame.id);
    if (!asked) return;
    this.#waiting.delete(frame.id);
    clearTimeout(asked.timer);
    if (frame.ok) asked.resolve(frame.payload);
    else asked.reject(new Refusal(frame.error ?? {}));
  }

  /** A connection that went quiet is as good as gone, and a browser may notice that much later. */
  #watchTicks(/** @type {number} */ every_ms) {
    this.#watch = window.setInterval(() => {
      if (Date.now() - this.#heard_ms <= 2 * every_ms) return;
      this.socket.close(4000, "tick timeout");
      this.#end(new Lost(4000, "nothing was heard for too long", true)); // the far end may never answer the close
    }, every_ms / 2);
  }

  /** @param {Lost} lost */
  #end(lost) {
    if (this.lost) return;
    this.lost = lost;
    clearInterval(this.#watch);
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(lost);
    }
    this.#waiting.clear();
    if (this.hello) this.onlost(lost);
  }

  /** Hang up. */
  close() {
    this.onlost = this.onevent = () => {};
    this.socket.close(1000, "page left");
  }
}
