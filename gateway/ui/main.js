// @ts-check
/** Where the page begins: the address bar first, then the way in, then what there is to see. */
import { onLink, takeBrought } from "./arrival.js";
import { showGate, showPlainHttp, tickCountdowns } from "./gate.js";
import { link } from "./link.js";
import { leaveShell, showShell } from "./shell.js";
import { tick } from "./words.js";

/** @typedef {import("./gate.js").PageFacts} PageFacts */

const place = /** @type {HTMLElement} */ (document.getElementById("app"));
const told = document.querySelector("meta[name=openclaw-gateway]")?.getAttribute("content");
/** @type {PageFacts} */
const page = JSON.parse(told ?? "{}");

function render() {
  const { state } = link;
  const inside = state.kind === "in" || (link.wasIn && (state.kind === "down" || state.kind === "connecting"));
  place.className = inside ? "inside" : "gate";
  if (inside) {
    showShell(place, page);
  } else {
    leaveShell();
    showGate(place, page);
  }
}

setInterval(() => {
  tick();
  if (tickCountdowns()) render();
}, 1000);

if (!isSecureContext && !page.allowPlainHttp) {
  place.className = "gate";
  showPlainHttp(place, page);
} else {
  link.watch(render);
  onLink((found) => link.start(found));
  addEventListener("online", () => link.state.kind === "down" && link.again());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && link.state.kind === "down") link.again();
  });
  link.start(takeBrought());
}
