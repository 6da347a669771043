"use strict";
// Decisions on groups of near-duplicates, by keyboard; saved as a file, for a page can write none.
const { name, lines, groups } = JSON.parse(document.getElementById("review").textContent);
const sections = [...document.querySelectorAll("section[data-group]")];
const wasDecided = (paths) => lines.some((line) => {
  const [word, kept, ...others] = line.split("\t");
  return word === "duplicate" && kept === paths[0] && paths.slice(1).every((path) => others.includes(path));
});
const states = groups.map((paths) => ({ kept: 0, different: new Set(), decided: wasDecided(paths), isNew: false }));
let group = 0, image = 0, unsaved = false;

function decisions(paths, { kept, different, decided, isNew }) {
  if (!decided || !isNew) return [];
  const apart = paths.filter((_, place) => different.has(place));
  const same = paths.filter((_, place) => place !== kept && !different.has(place));
  const found = [];
  if (same.length) found.push(["duplicate", paths[kept], ...same].join("\t"));
  if (apart.length) found.push(["different", paths[kept], ...apart].join("\t"));
  return found;
}

function save() {
  const all = [...lines, ...groups.flatMap((paths, place) => decisions(paths, states[place]))];
  const text = ["# bitcodes: decisions on near-duplicates", ...all, ""].join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
  link.download = name;
  link.click();
  unsaved = false;
}

function show() {
  sections.forEach((section, place) => {
    const { kept, different, decided } = states[place];
    section.classList.toggle("current", place === group);
    section.classList.toggle("decided", decided);
    section.querySelector(".state").textContent = decided ? "decided" : "";
    [...section.querySelectorAll("li")].forEach((item, number) => {
      const role = number === kept ? "keep" : different.has(number) ? "different, keep" : "duplicate";
      item.classList.toggle("kept", number === kept || different.has(number));
      item.classList.toggle("current", place === group && number === image);
      if (states[place].isNew) item.querySelector(".role").textContent = role;
    });
  });
  document.getElementById("progress").textContent =
    `${states.filter((state) => state.decided).length} of ${groups.length} groups decided.`;
}

function decide(change) {
  const state = states[group];
  Object.assign(state, { isNew: true, decided: true });
  change(state);
  unsaved = true;
}

function goTo(place) {
  group = Math.max(0, Math.min(groups.length - 1, place));
  image = 0;
  sections[group].scrollIntoView({ block: "nearest" });
}

const others = (kept) => groups[group].map((_, place) => place).filter((place) => place !== kept);
const keys = {
  ArrowDown: () => goTo(group + 1),
  ArrowUp: () => goTo(group - 1),
  ArrowRight: () => { image = Math.min(groups[group].length - 1, image + 1); },
  ArrowLeft: () => { image = Math.max(0, image - 1); },
  Enter: () => { decide(() => {}); goTo(group + 1); },
  n: () => { decide((state) => { state.different = new Set(others(state.kept)); }); goTo(group + 1); },
  m: () => decide((state) => { state.kept = image; state.different.delete(image); }),
  x: () => decide((state) => {
    if (image !== state.kept && !state.different.delete(image)) state.different.add(image);
  }),
  u: () => decide((state) => Object.assign(state, { kept: 0, different: new Set(), decided: false })),
  s: save,
};
document.addEventListener("keydown", (event) => {
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target.id === "save") return;
  event.preventDefault();
  act();
  show();
});
sections.forEach((section, place) => {
  [...section.querySelectorAll("li")].forEach((item, number) => {
    item.addEventListener("click", () => { [group, image] = [place, number]; show(); });
  });
});
document.getElementById("save").addEventListener("click", save);
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
show();
