// A small dialog over whatever is open: a question, its fields, and the button that does it.
import { html, say, shield } from "./dom.js";
import { t } from "./language.js";

/**
 * Ask. body: elements. action: the words of the button, null for none; work(): does it, a refusal shows in the dialog.
 * danger: the button is not where Enter lands. Answers with what work() gave, or undefined where it was closed.
 */
export function ask({ title, body, action = null, work = () => {}, danger = false }) {
  return new Promise((done) => {
    let answer;
    const heading = html("h2", { class: "sa-browser-title" }, title);
    const message = html("p", { class: "sa-message sa-error", role: "alert" });
    const go = action && html("button", { type: "submit", class: "sa-button sa-wanted" }, action);
    const close = html("button", { type: "button", class: "sa-button", onclick: () => dialog.close() }, action ? t("Cancel") : t("Close"));
    const form = html("form", { class: "sa-form", method: "dialog" }, heading, body, message, html("div", { class: "sa-buttons sa-form-end" }, close, go));
    const dialog = shield(html("dialog", { class: "spatialalign sa-ask", "aria-label": title }, form));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!go || go.disabled) return;
      go.disabled = true;
      say(message, "");
      try {
        answer = await work();
        dialog.close();
      } catch (refused) {
        say(message, refused.message);
        go.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    if (danger) close.focus();
    else form.querySelector(".sa-field .sa-select")?.select();
  });
}

/** A checkbox with its words; small print below. */
export function choice(words, { checked = false, about = "", disabled = false } = {}) {
  const box = html("input", { type: "checkbox", checked, disabled });
  const label = html("label", { class: "sa-choice" }, box, html("span", {}, words, about && html("small", { class: "sa-quiet" }, about)));
  return { box, label };
}

/** A text field with its label. */
export function field(words, value, { lines = 1 } = {}) {
  const input = lines > 1 ? html("textarea", { class: "sa-select", rows: lines }, value) : html("input", { type: "text", class: "sa-select", value, spellcheck: "false" });
  return { input, label: html("label", { class: "sa-field" }, html("span", {}, words), input) };
}
