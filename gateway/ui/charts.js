// @ts-check
/** Small charts of the last minutes, drawn from numbers that were told one after the other. */
import { h } from "./dom.js";

const KEPT = 120;
/** So many places there are from the beginning, so that the first few numbers do not fill it all. */
const AT_LEAST = 30;
const HEIGHT = 40;

/** A number over time. */
export class Series {
  /** @type {number[]} */
  values;

  /** @param {Series} [beside] a chart that is drawn beside: until now this number was 0 */
  constructor(beside) {
    this.values = beside ? beside.values.map(() => 0) : [];
  }

  /** @param {number} value */
  add(value) {
    this.values.push(value);
    if (this.values.length > KEPT) this.values.shift();
  }

  get last() {
    return this.values.at(-1) ?? 0;
  }

  /** @param {string} words what it shows; its figures are told beside it */
  draw(words) {
    const top = Math.max(1, ...this.values);
    const width = Math.max(AT_LEAST, this.values.length) - 1;
    const from = width + 1 - this.values.length;
    const points = this.values.map((value, index) => `${from + index},${(HEIGHT - 1 - (value / top) * (HEIGHT - 3)).toFixed(1)}`);
    const all = points.join(" ");
    return h(
      "svg",
      { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${words}: ${this.last}, at most ${Math.max(0, ...this.values)} lately` },
      points.length > 1 && [
        h("polygon", { class: "area", points: `${from},${HEIGHT} ${all} ${width},${HEIGHT}` }),
        h("polyline", { class: "line", points: all }),
      ],
    );
  }
}
