// A list of any length that keeps only the rows in view in the page.
import { fill, html } from "./dom.js";

const SPARE = 2; // rows above and below the view

/**
 * rowHeight: of every row, in pixels. scroller: the element that scrolls and holds the list, perhaps among other things.
 * render(item): the element of an item. release(element): called before it leaves the page.
 * show(items, key) gives it the items; rows whose key(item) and content stay are kept as they are.
 */
export class LongList {
  constructor({ rowHeight, scroller, render, release = () => {}, label }) {
    Object.assign(this, { rowHeight, scroller, render, release });
    this.items = [];
    this.rows = new Map();
    this.element = html("div", { class: "sa-list", role: "list", "aria-label": label });
    this.scrolled = () => this.later();
    scroller.addEventListener("scroll", this.scrolled, { passive: true });
    this.watcher = new ResizeObserver(this.scrolled);
    this.watcher.observe(scroller);
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
    this.sort();
    this.element.style.height = `${items.length * this.rowHeight}px`;
    this.draw();
  }

  /** Rows of another height from now on. */
  resize(rowHeight) {
    if (rowHeight === this.rowHeight) return;
    this.rowHeight = rowHeight;
    this.element.style.height = `${this.items.length * rowHeight}px`;
    for (const [index, row] of this.rows) this.place(row, index);
    this.later();
  }

  close() {
    this.watcher.disconnect();
    this.scroller.removeEventListener("scroll", this.scrolled);
    for (const row of this.rows.values()) this.drop(row);
    this.rows.clear();
    fill(this.element);
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
    const { from, to } = this.inView();
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
      this.element.insertBefore(element, this.after(index, to)); // in order, for keyboard and screen reader
    }
  }

  /** Kept rows in the order of their items, for keyboard and screen reader. One that stands right stays untouched: moved, a video stops. */
  sort() {
    const rows = [...this.rows].sort(([one], [other]) => one - other).map(([, { element }]) => element);
    rows.forEach((element, index) => {
      const there = this.element.children[index];
      if (there !== element) this.element.insertBefore(element, there);
    });
  }

  /** The rows in view, and a few more. Pixels of the screen, because the canvas may be zoomed. */
  inView() {
    const view = this.scroller.getBoundingClientRect();
    const list = this.element.getBoundingClientRect();
    const row = list.height / Math.max(1, this.items.length);
    if (!(row > 0) || !view.height) return { from: 0, to: 0 };
    const from = Math.max(0, Math.floor((view.top - list.top) / row) - SPARE);
    return { from, to: Math.min(this.items.length, Math.ceil((view.bottom - list.top) / row) + SPARE) };
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
