// A line chart in SVG that can be read with the mouse, a finger or the arrow keys.
import { fill, html, say, svg } from "./dom.js";
import { mark, t } from "./language.js";

const MARGIN = { left: 40, right: 12, top: 8, bottom: 20 };

/**
 * options:
 *   label     what the chart shows, also for screen readers
 *   height    in pixels
 *   read(x)   the words below the chart for the place of the cursor, or for none (null)
 *   moved(x, meant)  called when the reader moves the cursor; with it the cursor stays where it is left.
 *             meant: by key or press, not by a mouse that only passes over
 *   unit      a phrase for where on x it is: "step {0}", "frame {0}"
 *   reading   an element for the words; without one they stand below the chart
 *   tickWords how a number on the axis is written
 * show(data) draws: { lines: [{ points: [[x, y], ...], kind }], first, last, low, high, ticks, bands, marks }
 *   kind      class of the line: "one", "two", "raw", ...; y may be null where the line breaks; dots: marks its points
 *   bands     [{ from, to }] stretches of x that are greyed
 *   levels    [{ y, words }] dashed lines across
 */
export class LineChart {
  constructor({ label, height = 120, read, moved = null, unit = mark("step {0}"), reading = null, tickWords = plain }) {
    Object.assign(this, { label, height, read, moved, unit, tickWords });
    this.data = null;
    this.at = null;
    this.width = 0;
    this.canvas = svg("svg", { class: "sa-canvas", height, "aria-hidden": "true" });
    this.pointer = svg("line", { class: "sa-cursor" });
    this.area = html("div", {
      class: "sa-plot",
      role: "slider",
      tabindex: "0",
      "aria-label": t`${label}; arrow keys read its values`,
      onpointermove: (event) => this.point(event),
      onpointerdown: (event) => this.grab(event),
      onpointerleave: () => this.leave(),
      onblur: () => this.leave(),
      onkeydown: (event) => this.key(event),
    });
    this.area.style.height = `${height}px`;
    this.area.append(this.canvas);
    this.reading = reading ?? html("div", { class: "sa-reading" });
    this.element = html("div", { class: "sa-chart" }, this.area, reading ? null : this.reading);
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(this.area);
  }

  /** Draw this from now on. */
  show(data) {
    this.data = data;
    if (this.at !== null) this.at = Math.max(data.first, Math.min(data.last, this.at));
    this.draw();
  }

  /** Put the cursor at x, or away with null. Does not call `moved`. */
  put(x) {
    this.at = x;
    this.mark();
  }

  /** Nothing is drawn any more. */
  close() {
    this.watcher.disconnect();
  }

  fit() {
    const width = this.area.clientWidth;
    if (width > 0 && width !== this.width) {
      this.width = width;
      this.draw();
    }
  }

  x(value) {
    const { first, last } = this.data;
    const room = this.width - MARGIN.left - MARGIN.right;
    return MARGIN.left + (last > first ? ((value - first) / (last - first)) * room : room / 2);
  }

  y(value) {
    const { low, high } = this.data;
    return this.height - MARGIN.bottom - ((value - low) / (high - low)) * (this.height - MARGIN.top - MARGIN.bottom);
  }

  draw() {
    if (!this.data || this.width < MARGIN.left + MARGIN.right + 20) return;
    const { lines, bands = [], levels = [], first, last, low, high, ticks } = this.data;
    const right = this.width - MARGIN.right;
    const bottom = this.height - MARGIN.bottom;
    const parts = [];
    const half = last > first ? (this.x(first + 1) - this.x(first)) / 2 : (right - MARGIN.left) / 2;
    for (const { from, to } of bands) {
      const x0 = Math.max(MARGIN.left, this.x(from) - half);
      const x1 = Math.min(right, this.x(to) + half);
      parts.push(svg("rect", { class: "sa-band", x: x0, y: MARGIN.top, width: x1 - x0, height: bottom - MARGIN.top }));
    }
    for (const tick of ticks ?? niceTicks(low, high)) {
      const y = this.y(tick);
      parts.push(svg("line", { class: tick === 0 ? "sa-zero" : "sa-grid", x1: MARGIN.left, x2: right, y1: y, y2: y }));
      parts.push(svg("text", { class: "sa-tick", x: MARGIN.left - 6, y: y + 3.5, "text-anchor": "end" }, this.tickWords(tick)));
    }
    parts.push(svg("text", { class: "sa-tick", x: MARGIN.left, y: this.height - 5 }, t(this.unit, first)));
    if (last > first) {
      parts.push(svg("text", { class: "sa-tick", x: right, y: this.height - 5, "text-anchor": "end" }, String(last)));
    }
    for (const { y, words } of levels) {
      parts.push(svg("line", { class: "sa-level", x1: MARGIN.left, x2: right, y1: this.y(y), y2: this.y(y) }));
      const above = this.y(y) > MARGIN.top + 14;
      const at = { class: "sa-tick", x: right, y: this.y(y) + (above ? -4 : 12), "text-anchor": "end" };
      parts.push(svg("text", at, words));
    }
    for (const { points, kind, dots } of lines) {
      parts.push(svg("path", { class: `sa-line sa-${kind}`, d: this.path(kind === "raw" ? thinned(points, (right - MARGIN.left) / 2) : points) }));
      const seen = points.filter(([, y]) => y !== null);
      if (dots || seen.length === 1) {
        for (const [x, y] of seen) parts.push(svg("circle", { class: `sa-dot sa-${kind}`, cx: this.x(x), cy: this.y(y), r: 2.5 }));
      }
    }
    this.canvas.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.canvas.setAttribute("width", this.width);
    fill(this.canvas, parts, this.pointer);
    this.mark();
  }

  path(points) {
    let path = "";
    let pen = "M";
    for (const [x, y] of points) {
      if (y === null || !Number.isFinite(y)) {
        pen = "M";
      } else {
        path += `${pen}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`;
        pen = "L";
      }
    }
    return path;
  }

  mark() {
    say(this.reading, this.data ? this.read(this.at) : "");
    if (!this.data) return;
    const { first, last } = this.data;
    this.area.setAttribute("aria-valuemin", first);
    this.area.setAttribute("aria-valuemax", last);
    this.area.setAttribute("aria-valuenow", this.at ?? last);
    this.area.setAttribute("aria-valuetext", this.reading.textContent || this.label);
    this.pointer.setAttribute("visibility", this.at === null ? "hidden" : "visible");
    if (this.at === null || !this.width) return;
    const x = this.x(this.at);
    for (const [name, value] of [["x1", x], ["x2", x], ["y1", MARGIN.top], ["y2", this.height - MARGIN.bottom]]) {
      this.pointer.setAttribute(name, value);
    }
  }

  grab(event) {
    this.area.setPointerCapture?.(event.pointerId);
    this.point(event, true);
  }

  point(event, meant = event.buttons > 0) {
    if (!this.data || !this.width) return;
    const box = this.area.getBoundingClientRect(); // the canvas may be zoomed
    const inside = ((event.clientX - box.left) / box.width) * this.width;
    const { first, last } = this.data;
    const share = (inside - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    this.go(Math.round(first + Math.max(0, Math.min(1, share)) * (last - first)), meant);
  }

  leave() {
    if (!this.moved) this.put(null);
  }

  key(event) {
    if (!this.data) return;
    const { first, last } = this.data;
    const far = Math.max(1, Math.round((last - first) / 20));
    const now = this.at ?? last;
    const steps = { ArrowLeft: now - 1, ArrowRight: now + 1, ArrowDown: now - 1, ArrowUp: now + 1 };
    const jumps = { PageDown: now - far, PageUp: now + far, Home: first, End: last };
    const wanted = { ...steps, ...jumps }[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    this.go(Math.max(first, Math.min(last, wanted)), true);
  }

  go(x, meant) {
    if (x === this.at && !meant) return;
    this.put(x);
    this.moved?.(x, meant);
  }
}

/** About four round numbers from low to high. */
export function niceTicks(low, high) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / 3;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * unit).find((each) => each >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + span * 1e-9; tick += step) {
    ticks.push(Math.abs(tick) < step * 1e-6 ? 0 : tick);
  }
  return ticks;
}

/** As many points as there are pixels: of each stretch its lowest and its highest. */
export function thinned(points, most) {
  if (points.length <= most) return points;
  const size = Math.ceil((2 * points.length) / most);
  const kept = [];
  for (let start = 0; start < points.length; start += size) {
    const stretch = points.slice(start, start + size);
    const low = stretch.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = stretch.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...(low === high ? [low] : low[0] < high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

function plain(tick) {
  return String(Number(tick.toPrecision(3)));
}
