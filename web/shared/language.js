// What the panels say, in the artist's language. English is what stands in the code; tools/locales.py gathers it there.
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

let words = {}; // English phrase -> translation
let notes = {}; // text of a template -> translation
let patterns = []; // of what the server says: [what it looks like, names of its holes, translation]
let tag; // of the language, where there is a translation

/** Load the language that ComfyUI is set to; before it is there, or without a translation, everything stays English. */
export async function learn(chosen = setting()) {
  const table = await ask(chosen);
  words = table.words ?? {};
  notes = table.notes ?? {};
  // Those that say more come first: "Cannot write {0} into {1}" before "Cannot write {0}".
  patterns = Object.entries({ ...table.sentences, ...table.errors }).sort(([one], [other]) => literal(other) - literal(one)).map(pattern);
  tag = Object.keys(words).length ? chosen : undefined;
}

/** For numbers and days; undefined leaves the browser's own. */
export function language() {
  return tag;
}

/**
 * A phrase in the artist's language: t`step ${a} of ${b}`, or a plain string with what is to stand in its holes.
 * The translation is of the phrase "step {0} of {1}".
 */
export function t(phrase, ...values) {
  const english = typeof phrase === "string" ? phrase : phrase.reduce((before, part, index) => `${before}{${index - 1}}${part}`);
  return insert(words[english] ?? english, (index) => values[index]);
}

/** The translation of a text that is word for word one of the templates' notes or titles; undefined without one. */
export function template(text) {
  return Object.hasOwn(notes, text) ? notes[text] : undefined;
}

/** A phrase that t() says later; here it is only found by tools/locales.py. */
export function mark(phrase) {
  return phrase;
}

/** What the server said, in the artist's language; as it is where there is no translation. */
export function retell(sentence) {
  return (sentence && patterns.length ? translated(sentence) : null) ?? sentence;
}

/** null where there is no translation. A message of several parts is taken apart where each of them has one. */
function translated(sentence) {
  return (
    inParts(sentence, /(?<=\.) /, mark(" ")) ??
    inParts(sentence, "; ", mark("; ")) ??
    whole(sentence) ??
    inParts(sentence, ", ", mark(", "))
  );
}

function whole(sentence) {
  for (const [looks, holes, other] of patterns) {
    const found = sentence.match(looks);
    if (found) return insert(other, (index) => retell(found[1 + holes.indexOf(index)] ?? ""));
  }
  return null;
}

function inParts(sentence, between, joint) {
  const parts = sentence.split(between);
  const told = parts.length > 1 ? parts.map(translated) : [null];
  return told.every((each) => each !== null) ? told.join(t(joint)) : null;
}

function literal(english) {
  return english.replace(/\{\d\}/g, "").length;
}

function pattern([english, other]) {
  const holes = [...english.matchAll(/\{(\d)\}/g)].map((found) => found[1]);
  const parts = english.split(/\{\d\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return [new RegExp(`^${parts.join("(.*?)")}$`, "s"), holes, other];
}

function insert(phrase, value) {
  return phrase.replace(/\{(\d)\}/g, (_, index) => value(index));
}

function setting() {
  return app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language.split("-")[0];
}

async function ask(chosen) {
  if (chosen === "en") return {};
  try {
    const all = await (await api.fetchApi("/i18n")).json();
    return all[chosen]?.spatialalign ?? {};
  } catch {
    return {};
  }
}
