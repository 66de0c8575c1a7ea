// Questions: the token, and changes that other people will notice.

import { fault, h } from "./elements.js";
import { token } from "./service.js";

const dialog = document.getElementById("dialog");

/** Ask with a form; resolves to its values, or to null when it was closed. What only tells has no `cancel`. */
export function question(title, fields, confirm, danger = false, cancel = "Cancel") {
  return new Promise((resolve) => {
    const form = h("form", { method: "dialog" },
      h("h2", {}, title), fields,
      h("div", { class: "actions" },
        cancel && h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, cancel),
        h("button", { class: danger ? "danger" : "primary" }, confirm)));
    let values = null;
    form.addEventListener("submit", () => { values = Object.fromEntries(new FormData(form)); });
    dialog.onclose = () => {
      dialog.replaceChildren();  // a token that was typed stays nowhere in the page
      resolve(values);
    };
    dialog.replaceChildren(form);
    dialog.showModal();
  });
}

/** Ask for a token; true when one was given or taken away. */
export async function askToken(reason) {
  const values = await question("Access token", [
    reason ? fault(reason) : null,
    h("p", {}, "Kept in this browser tab only, and sent with every request of this page."),
    h("label", {}, "Token",
      h("input", { type: "password", name: "token", autocomplete: "off", spellcheck: "false", value: token.get(),
        pattern: "\\s*[!-~]*\\s*", title: "What a header takes: letters, digits and signs of ASCII, without spaces" })),
  ], "Use");
  if (values === null) return false;
  token.set(values.token.trim());
  return true;
}

/** Do something; when it needs another token ask for that and do it again. */
export async function permitted(action) {
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if ((error.status !== 401 && error.status !== 403) || !(await askToken(error))) throw error;
    }
  }
}

/** Show an error that has no better place. */
export function tell(error) {
  return question("That did not work", [fault(error)], "OK", false, null);
}
