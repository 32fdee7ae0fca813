// A list of any length that keeps only the rows in view in the page.
import { fill, html } from "./dom.js";

const SPARE = 2; // rows above and below the view

/**
 * rowHeight: of every row, in pixels. render(item): its element. release(element): before it leaves the page.
 * show(items, key) gives it the items; rows whose key(item) stays are kept as they are.
 */
export class LongList {
  constructor({ rowHeight, render, release = () => {}, label }) {
    Object.assign(this, { rowHeight, render, release });
    this.items = [];
    this.rows = new Map();
    this.space = html("div", { class: "sa-list-space", role: "list" });
    this.element = html("div", { class: "sa-list", tabindex: "0", role: "region", "aria-label": label }, this.space);
    this.element.dataset.captureWheel = "true"; // tells Nodes 2.0 that this scrolls, the canvas does not zoom
    this.element.addEventListener("scroll", () => this.later(), { passive: true });
    this.element.addEventListener("wheel", (event) => this.element.scrollHeight > this.element.clientHeight && event.stopPropagation());
    this.watcher = new ResizeObserver(() => this.later());
    this.watcher.observe(this.element);
  }

  show(items, key) {
    const known = new Map([...this.rows.values()].map((row) => [row.key, row]));
    this.items = items;
    this.key = key;
    this.rows = new Map();
    items.forEach((item, index) => {
      const row = known.get(key(item));
      if (row && row.print === JSON.stringify(item)) {
        this.rows.set(index, row);
        known.delete(row.key);
        this.place(row, index);
      }
    });
    for (const row of known.values()) this.drop(row);
    this.space.style.height = `${items.length * this.rowHeight}px`;
    this.draw();
  }

  close() {
    this.watcher.disconnect();
    for (const row of this.rows.values()) this.drop(row);
    this.rows.clear();
    fill(this.space);
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const top = this.element.scrollTop;
    const from = Math.max(0, Math.floor(top / this.rowHeight) - SPARE);
    const to = Math.min(this.items.length, Math.ceil((top + this.element.clientHeight) / this.rowHeight) + SPARE);
    for (const [index, row] of this.rows) {
      if (index < from || index >= to) {
        this.drop(row);
        this.rows.delete(index);
      }
    }
    for (let index = from; index < to; index += 1) {
      if (this.rows.has(index)) continue;
      const item = this.items[index];
      const element = html("div", { class: "sa-list-row", role: "listitem" }, this.render(item));
      const row = { print: JSON.stringify(item), key: this.key(item), element };
      this.place(row, index);
      this.rows.set(index, row);
      this.space.insertBefore(element, this.after(index, to)); // in order, for keyboard and screen reader
    }
  }

  after(index, to) {
    for (let next = index + 1; next < to; next += 1) {
      if (this.rows.has(next)) return this.rows.get(next).element;
    }
    return null;
  }

  place(row, index) {
    row.element.setAttribute("aria-posinset", index + 1);
    row.element.setAttribute("aria-setsize", this.items.length);
    row.element.style.top = `${index * this.rowHeight}px`;
    row.element.style.height = `${this.rowHeight}px`;
  }

  drop(row) {
    this.release(row.element);
    row.element.remove();
  }
}
