// @ts-check
/** Keep answers of the gateway fresh while a view is open. */
import { link } from "./link.js";

/**
 * Ask now and again, one question after the other, until told to end.
 *
 * @param {() => Promise<void>} look asks and stores what it is told
 * @param {number} every_ms
 * @param {RegExp} [events] names of events after which to look at once
 * @returns {() => void} the end
 */
export function follow(look, every_ms, events) {
  let ended = false;
  let busy = false;
  let again = false;
  let timer = 0;
  const run = async () => {
    clearTimeout(timer);
    if (ended) return;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    if (!document.hidden) await look();
    busy = false;
    if (ended) return;
    timer = window.setTimeout(() => void run(), again ? 0 : every_ms);
    again = false;
  };
  const shown = () => !document.hidden && void run();
  document.addEventListener("visibilitychange", shown);
  const silence = events ? link.listen((name) => events.test(name) && void run()) : () => {};
  void run();
  return () => {
    ended = true;
    clearTimeout(timer);
    silence();
    document.removeEventListener("visibilitychange", shown);
  };
}
