// Decisions on a group of near-duplicates: which image to keep, and which are no duplicates of it.

import { postJson } from "./api.js";
import { counted, element } from "./dom.js";

const button = (words, attributes = {}) => element("button", { class: "small", type: "button", ...attributes }, words);

/** What was decided, as lines of the file: the image to keep first. */
function decisionsOf(paths, kept, different) {
  const others = paths.filter((path) => path !== kept);
  const duplicates = others.filter((path) => !different.has(path));
  const apart = others.filter((path) => different.has(path)).map((path) => ({ word: "different", paths: [kept, path] }));
  return [...(duplicates.length ? [{ word: "duplicate", paths: [kept, ...duplicates] }] : []), ...apart];
}

/** Add buttons to the cards of a group, and below them those that save. `onProblem` gets errors. */
export function decider(set, images, list, onProblem) {
  const paths = images.map((image) => image.path);
  const different = new Set();
  let kept = paths[0];
  const cards = [...list.children];
  const choices = paths.map((path) => [button("Keep"), button("Not a duplicate")].map((one) => (one.setAttribute("aria-label", `${one.textContent}: ${path}`), one)));
  const save = button("Save decision");
  const undo = button("Undo", { hidden: true });
  const words = element("span", { role: "status" });

  function showChoices() {
    paths.forEach((path, number) => {
      const [keep, apart] = choices[number];
      keep.setAttribute("aria-pressed", String(path === kept));
      apart.setAttribute("aria-pressed", String(different.has(path)));
      apart.disabled = path === kept || save.hidden;
      keep.disabled = save.hidden;
    });
  }
  async function send(decisions, isSaved, message) {
    try {
      await postJson("decisions", { set, decisions });
    } catch (problem) {
      onProblem(problem);
      return;
    }
    onProblem(null);
    save.hidden = isSaved;
    undo.hidden = !isSaved;
    words.textContent = message;
    showChoices();
    (isSaved ? undo : save).focus();
  }

  choices.forEach(([keep, apart], number) => {
    keep.addEventListener("click", () => {
      kept = paths[number];
      different.delete(kept);
      showChoices();
    });
    apart.addEventListener("click", () => {
      if (!different.delete(paths[number])) different.add(paths[number]);
      showChoices();
    });
    cards[number].append(element("span", { class: "choices" }, keep, apart));
  });
  save.addEventListener("click", () => {
    const duplicates = paths.length - 1 - different.size;
    const noDuplicates = different.size ? `, ${counted(different.size, "image")} not a duplicate` : "";
    send(decisionsOf(paths, kept, different), true, `Saved: ${counted(duplicates, "duplicate")} of ${kept}${noDuplicates}. `);
  });
  undo.addEventListener("click", () => send([{ word: "undecided", paths }], false, "Not decided. "));
  showChoices();
  return element("p", { class: "deciding" }, words, save, undo);
}
