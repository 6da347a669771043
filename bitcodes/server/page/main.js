// The page: its state is the address, so that links, reloading and going back work.

import { get, parameters, post, upload } from "./api.js";
import { byId, element } from "./dom.js";
import { filters, queryCard, viewOf } from "./views.js";

const KEYS = ["tab", "path", "code", "label", "filter", "radius", "set", "of", "offset", "rerank"];
const previews = new Map(); // code -> address of the picture that was dropped, while the page lives
let info;
let running = new AbortController();

const stateNow = () => Object.fromEntries([...new URLSearchParams(location.search)].filter(([name]) => KEYS.includes(name)));
const setNow = (state) => info.sets.find((set) => set.name === state.set) ?? info.sets[0];

/** Go to a state; `replace` it if going back should not come here. */
function go(state, replace = false) {
  const query = parameters(state);
  history[replace ? "replaceState" : "pushState"](null, "", query ? `?${query}` : location.pathname);
  show();
}

function problem(error) {
  byId("problem").hidden = !error;
  byId("problem").textContent = error?.message ?? "";
}

/** Show the state of the address. */
async function show() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const state = stateNow();
  const set = setNow(state);
  fill(state, set);
  problem(null);
  byId("results").setAttribute("aria-busy", "true");
  const slow = setTimeout(() => (byId("status").textContent = "Searching…"), 300);
  try {
    const { status, parts, query } = await viewOf(state)(state, set, signal, info.decisions ? problem : null);
    byId("query").hidden = !query;
    byId("query").replaceChildren(...(query ? [queryCard(query, state, previews.get(state.code))] : []));
    byId("results").replaceChildren(...parts);
    clearTimeout(slow);
    byId("status").textContent = status;
  } catch (error) {
    if (error.name === "AbortError") return;
    byId("query").hidden = true;
    byId("results").replaceChildren();
    byId("status").textContent = "";
    problem(error);
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) {
      byId("results").removeAttribute("aria-busy");
      document.body.dataset.shown = location.search;
    }
  }
}

/** Let tabs, filters and slider show the state. */
function fill(state, set) {
  const tab = state.tab ?? "search";
  document.body.dataset.tab = tab;
  for (const link of document.querySelectorAll("#tabs a")) {
    link.toggleAttribute("aria-current", link.dataset.tab === tab);
    if (link.dataset.tab === tab) link.setAttribute("aria-current", "page");
    link.search = parameters({ tab: link.dataset.tab === "search" ? null : link.dataset.tab, set: state.set });
  }
  byId("home").search = parameters({ set: state.set });
  byId("about").textContent = `${set.name}: ${set.count.toLocaleString("en")} images, codes of ${set.bits} bits`;
  document.title = `${state.path ?? { duplicates: "Duplicates", walk: "Walk" }[tab] ?? set.name} · bitcodes`;
  const labels = [element("option", { value: "" }, "any")];
  for (const { name, count } of set.labels) labels.push(element("option", { value: name }, `${name} (${count.toLocaleString("en")})`));
  byId("label").replaceChildren(...labels);
  byId("label").value = state.label ?? "";
  byId("label").parentElement.hidden = tab === "walk" || !set.labels.length;
  byId("path").value = state.filter ?? "";
  byId("path").parentElement.hidden = tab === "walk";
  byId("order").value = state.rerank ?? "";
  byId("order").parentElement.hidden = tab !== "search" || state.path === undefined || !set.features;
  byId("radius").max = tab === "duplicates" ? Math.floor(set.bits / 4) : Math.floor(set.bits / 2);
  byId("radius").value = state.radius ?? (tab === "duplicates" ? set.duplicate_radius : byId("radius").max);
  byId("radius").parentElement.hidden = tab === "walk" || (tab === "search" && state.path === undefined && state.code === undefined);
  byId("controls").hidden = tab === "walk";
  byId("ask").hidden = tab !== "search";
  radiusWords();
}

const isAny = () => (stateNow().tab ?? "search") === "search" && byId("radius").value === byId("radius").max;

function radiusWords() {
  const words = isAny() ? "any" : `up to ${byId("radius").value} ${byId("radius").value === "1" ? "bit" : "bits"}`;
  byId("radius-words").textContent = words;
  byId("radius").setAttribute("aria-valuetext", words);
}

/** Search with a picture that was dropped, pasted, chosen or taken. */
async function searchWith(file) {
  if (!file) return;
  problem(null);
  byId("status").textContent = "Reading the picture…";
  const state = stateNow();
  try {
    if (file.size > info.limits.bytes) throw new Error(`The picture has ${file.size.toLocaleString("en")} bytes; expected at most ${info.limits.bytes.toLocaleString("en")}`);
    const { code } = (await upload(file, { ...filters(state), k: 1 })).queries[0];
    if (previews.has(code)) URL.revokeObjectURL(previews.get(code));
    previews.set(code, URL.createObjectURL(file));
    go({ set: state.set, label: state.label, filter: state.filter, radius: state.tab ? null : state.radius, code });
  } catch (error) {
    byId("status").textContent = "";
    problem(error);
  }
}

function listen() {
  window.addEventListener("popstate", show);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || link.pathname !== location.pathname || link.hash) return;
    event.preventDefault();
    go(Object.fromEntries(new URLSearchParams(link.search)));
    scrollTo(0, 0);
    byId("results").focus({ preventScroll: true });
  });
  byId("radius").addEventListener("input", radiusWords);
  byId("radius").addEventListener("change", () => go({ ...stateNow(), offset: null, radius: isAny() ? null : byId("radius").value }));
  byId("label").addEventListener("change", () => go({ ...stateNow(), offset: null, label: byId("label").value }));
  byId("path").addEventListener("change", () => go({ ...stateNow(), offset: null, filter: byId("path").value.trim() }));
  byId("order").addEventListener("change", () => go({ ...stateNow(), rerank: byId("order").value }));
  byId("set").addEventListener("change", () => go({ set: byId("set").value }));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["file", "camera"]) {
    byId(id).addEventListener("change", () => {
      searchWith(byId(id).files[0]);
      byId(id).value = "";
    });
  }
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) {
      event.preventDefault();
      searchWith(file);
    }
  });
  const over = (is) => document.body.classList.toggle("over", is);
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && over(false));
  document.addEventListener("drop", (event) => {
    over(false);
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    searchWith(event.dataTransfer.files[0]);
  });
}

/** Offer to encode the folder, and show how far that is. */
function prepare() {
  const { folder, codes, state, done, total, error } = info.preparing;
  byId("ask").hidden = byId("controls").hidden = byId("tabs").hidden = true;
  byId("about").textContent = "";
  problem(error ? new Error(error) : null);
  if (state === "running") {
    const bar = byId("results").querySelector("progress") ?? element("progress", { "aria-label": "Encoding" });
    if (total) bar.max = total;
    if (total) bar.value = done;
    if (!bar.isConnected) byId("results").replaceChildren(bar);
    byId("status").textContent = `Encoding ${folder}: ${done.toLocaleString("en")}${total ? ` of ${total.toLocaleString("en")}` : ""} images`;
    setTimeout(begin, 500);
    return;
  }
  byId("status").textContent = `${folder} has no codes yet. Encoding reads each image once, changes none, and writes ${codes}.`;
  const button = element("button", { class: "button", type: "button" }, "Encode the images");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post("encode");
      begin();
    } catch (problem_) {
      problem(problem_);
    }
  });
  byId("results").replaceChildren(button);
}

async function begin() {
  try {
    info = await get("info");
  } catch (error) {
    byId("about").textContent = "";
    problem(error);
    return;
  }
  if (!info.sets.length) {
    prepare();
    return;
  }
  byId("set-choice").hidden = info.sets.length < 2;
  byId("set").replaceChildren(...info.sets.map(({ name }) => element("option", { value: name }, name)));
  byId("set").value = setNow(stateNow()).name;
  byId("tabs").hidden = false;
  await show();
}

listen();
begin();
