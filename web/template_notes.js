// The notes and titles of the pack's templates in the artist's language: the files themselves are English.
import { template } from "./shared/language.js";

const NOTES = ["MarkdownNote", "Note"];

/**
 * Before a workflow goes onto the canvas: texts that are word for word those of a template are replaced by their
 * translation. A note that somebody has changed is left alone, and so are workflows without any of these notes.
 */
export function translateNotes(workflow) {
  const graphs = [workflow, ...(workflow?.definitions?.subgraphs ?? [])];
  const nodes = graphs.flatMap((graph) => graph?.nodes ?? []);
  const known = nodes.filter((node) => NOTES.includes(node.type) && template(node.widgets_values?.[0]));
  if (!known.length) return;
  for (const note of known) note.widgets_values[0] = template(note.widgets_values[0]);
  const foreign = nodes.filter((node) => NOTES.includes(node.type) && !known.includes(node));
  const titled = [...nodes.filter((node) => !foreign.includes(node)), ...graphs.flatMap((graph) => graph?.groups ?? [])];
  for (const each of titled) each.title = template(each.title) ?? each.title;
}
