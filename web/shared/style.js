// The pack's one style sheet. Its colours come from ComfyUI's own variables, so that light and dark both work.

const ID = "spatialalign-style";

/** Put the style sheet into the page, once. */
export function addStyle() {
  if (document.getElementById(ID)) return;
  const link = document.createElement("link");
  link.id = ID;
  link.rel = "stylesheet";
  link.href = new URL("../spatialalign.css", import.meta.url).href;
  document.head.append(link);
}
