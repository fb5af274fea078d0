// @ts-check
/**
 * What runs first, inside of the page: lets that be painted, then loads the rest. A part that does not come (the
 * network of this computer changed just then, the gateway went down) is asked for again, and said in the end.
 */

const TRIES = "openclaw tries";
const WAITS_MS = [300, 2_000, 5_000];
/** A tab in the background is painted by nobody. */
const PAINTED_WITHIN_MS = 100;
const ANSWERS_WITHIN_MS = 5_000;

/** @param {number} ms */
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

await Promise.race([new Promise((painted) => requestAnimationFrame(() => setTimeout(painted))), sleep(PAINTED_WITHIN_MS)]);
const later = [.../** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll("link[rel=later]"))].map(({ href }) => href);
for (const href of later) document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href }));
try {
  await import(later.find((href) => href.endsWith("/main.js")) ?? "");
  note(0);
} catch (error) {
  // All of it came before any of it ran: what began and failed would fail again.
  if (document.documentElement.dataset["began"] !== undefined) {
    explain("This page failed as it began", error);
    reportError(error);
  } else {
    await tryAgain(error);
  }
}

/** Load the page anew once the gateway answers; what is there stays until then. @param {unknown} error */
async function tryAgain(error) {
  for (;;) {
    const wait_ms = WAITS_MS[tries()];
    if (wait_ms === undefined || !note(tries() + 1)) break;
    await sleep(wait_ms);
    if (await answers()) return location.reload();
  }
  explain("This page could not be loaded whole; is the gateway still running", error);
}

async function answers() {
  try {
    return (await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) })).ok;
  } catch {
    return false;
  }
}

/** @returns {number} how often the page was loaded in vain */
function tries() {
  try {
    return Number(sessionStorage.getItem(TRIES));
  } catch {
    return WAITS_MS.length; // a browser that keeps nothing would try for ever
  }
}

/** @param {number} count @returns {boolean} whether it is kept */
function note(count) {
  try {
    if (count) sessionStorage.setItem(TRIES, String(count));
    else sessionStorage.removeItem(TRIES);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} what @param {unknown} error */
function explain(what, error) {
  note(0);
  const card = document.querySelector("main .card") ?? document.body;
  const text = document.createElement("p");
  text.textContent = `${what}: ${error instanceof Error ? error.message : error}`;
  const again = Object.assign(document.createElement("button"), { type: "button", textContent: "Load it again", onclick: () => location.reload() });
  card.setAttribute("aria-busy", "false");
  card.setAttribute("role", "alert");
  card.replaceChildren(...card.querySelectorAll("h1"), text, again);
}

export {};
