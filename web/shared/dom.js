// Elements without markup: what comes from outside only ever becomes text.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Attributes that are null, undefined or false are left away; `on...` are listeners. */
export function html(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** An SVG element, in the same way. */
export function svg(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

/** Give an element these children instead of those it has. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

/** Set the words of an element, only where they change: screen readers and selections stay undisturbed. */
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Keep what happens inside an element from the canvas below it: no dragging of nodes, no shortcuts, no zoom. */
export function shield(element) {
  for (const kind of ["pointerdown", "mousedown", "dblclick", "contextmenu", "keydown"]) {
    element.addEventListener(kind, (event) => event.stopPropagation());
  }
  return element;
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
