"use strict";
// Decisions on groups of near-duplicates, by keyboard; saved as a file, for a page can write none.
const { name, lines, groups } = JSON.parse(document.getElementById("review").textContent);
const sections = [...document.querySelectorAll("section[data-group]")];
const asFound = ({ similar, decided }) => ({ kept: 0, different: new Set(similar), decided, isNew: false });
const states = groups.map(asFound);
let group = 0, image = 0, unsaved = false;

function decisions({ paths, decided: wasDecided }, { kept, different, decided, isNew }) {
  if (!isNew) return [];
  if (!decided) return wasDecided ? [["undecided", ...paths]] : [];
  const apart = paths.filter((_, place) => different.has(place));
  const same = paths.filter((_, place) => place !== kept && !different.has(place));
  if (!same.length) return [["different", paths[kept], ...apart]];
  return [["duplicate", paths[kept], ...same], ...apart.map((path) => ["different", paths[kept], path])];
}

function save() {
  const all = [...lines, ...groups.flatMap((one, place) => decisions(one, states[place]).map((line) => line.join("\t")))];
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

const others = (kept) => groups[group].paths.map((_, place) => place).filter((place) => place !== kept);
const keys = {
  ArrowDown: () => goTo(group + 1),
  ArrowUp: () => goTo(group - 1),
  ArrowRight: () => { image = Math.min(groups[group].paths.length - 1, image + 1); },
  ArrowLeft: () => { image = Math.max(0, image - 1); },
  Enter: () => { decide(() => {}); goTo(group + 1); },
  n: () => { decide((state) => { state.different = new Set(others(state.kept)); }); goTo(group + 1); },
  m: () => decide((state) => { state.kept = image; state.different.delete(image); }),
  x: () => decide((state) => {
    if (image !== state.kept && !state.different.delete(image)) state.different.add(image);
  }),
  u: () => decide((state) => Object.assign(state, asFound(groups[group]), { decided: false, isNew: true })),
  s: save,
};
document.addEventListener("keydown", (event) => {
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  const pressesButton = event.key === "Enter" && event.target.id === "save";
  if (!act || event.ctrlKey || event.metaKey || event.altKey || pressesButton) return;
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
