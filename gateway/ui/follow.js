// @ts-check
/** Keep answers of the gateway fresh while a view is open. */
import { link } from "./link.js";

/** Events come in groups: one look is enough for those of a moment. */
const MOMENT_MS = 60;
/** A look that takes long is followed by a rest that is longer by this, however many events come. */
const REST = 3;

/**
 * Ask now and again, one question after the other, until told to end.
 *
 * @param {() => Promise<void>} look asks, stores what it is told, and shows it
 * @param {number} every_ms
 * @param {RegExp} [events] names of events after which to look soon
 * @param {boolean} [unseen] whether to look also while the page is hidden
 * @returns {() => void} the end
 */
export function follow(look, every_ms, events, unseen = false) {
  let ended = false;
  let busy = false;
  let wanted = false;
  let rested_ms = 0;
  let timer = 0;
  const run = async () => {
    clearTimeout(timer);
    if (busy || ended) return;
    busy = true;
    wanted = false;
    const began_ms = performance.now();
    try {
      if (unseen || !document.hidden) await look();
    } finally {
      busy = false;
      rested_ms = performance.now() + REST * (performance.now() - began_ms);
      if (!ended) plan(wanted ? Math.max(MOMENT_MS, rested_ms - performance.now()) : every_ms);
    }
  };
  /** @param {number} in_ms */
  const plan = (in_ms) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void run(), in_ms);
  };
  const soon = () => {
    if (!wanted && !busy) plan(Math.max(MOMENT_MS, rested_ms - performance.now()));
    wanted = true;
  };
  const seen = () => !document.hidden && void run();
  document.addEventListener("visibilitychange", seen);
  const silence = events ? link.listen((name) => events.test(name) && soon()) : () => {};
  void run();
  return () => {
    ended = true;
    clearTimeout(timer);
    silence();
    document.removeEventListener("visibilitychange", seen);
  };
}
