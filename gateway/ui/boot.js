// @ts-check
/**
 * What runs first, inside of the page: lets that be painted, then loads the rest. A part that does not come (the network of
 * this computer changed just then, the gateway went down) is tried again, and said in the end.
 */

const TRIES = "openclaw tries";
const WAITS_MS = [300, 2_000, 5_000];
/** A tab in the background is painted by nobody. */
const PAINTED_WITHIN_MS = 100;

await new Promise((painted) => {
  requestAnimationFrame(() => setTimeout(painted));
  setTimeout(painted, PAINTED_WITHIN_MS);
});
const later = [.../** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll("link[rel=later]"))].map(({ href }) => href);
for (const href of later) document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href }));
try {
  await import(later.find((href) => href.endsWith("/main.js")) ?? "");
  note(0);
} catch (error) {
  const wait_ms = WAITS_MS[tries()];
  if (wait_ms === undefined) {
    explain(error);
  } else {
    note(tries() + 1);
    setTimeout(() => location.reload(), wait_ms);
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

/** @param {number} count */
function note(count) {
  try {
    if (count) sessionStorage.setItem(TRIES, String(count));
    else sessionStorage.removeItem(TRIES);
  } catch {
    return; // then there is nothing to forget either
  }
}

/** @param {unknown} error */
function explain(error) {
  note(0);
  const card = document.querySelector("main .card") ?? document.body;
  const text = document.createElement("p");
  text.textContent = `This page could not be loaded whole: ${error instanceof Error ? error.message : error}. Is the gateway still running?`;
  const again = Object.assign(document.createElement("button"), { type: "button", textContent: "Load it again", onclick: () => location.reload() });
  card.setAttribute("aria-busy", "false");
  card.setAttribute("role", "alert");
  card.replaceChildren(...card.querySelectorAll("h1"), text, again);
}

export {};
