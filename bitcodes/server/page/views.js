// The views: search results, all images, duplicates, and the walk through clusters.

import { get } from "./api.js";
import { grid, pager, picture } from "./cards.js";
import { decider } from "./decide.js";
import { breakable, counted, element } from "./dom.js";

const LIMIT = 48;

/** The filters of a state, as the interface names them; * and ? in the path make it a pattern. */
export function filters(state) {
  const path = state.filter ?? "";
  return { set: state.set, label: state.label, ...(/[*?[]/.test(path) ? { glob: path } : { under: path }) };
}

const apart = (bits) => element("span", { class: "distance" }, element("b", {}, String(bits)), ` ${bits === 1 ? "bit" : "bits"} apart`);

/** The results of a search, by the path of an image or by a code. */
async function search(state, set, signal) {
  const query = state.path !== undefined ? { path: state.path } : { hex: state.code };
  const answer = await get("search", { ...query, ...filters(state), radius: state.radius, k: LIMIT, rerank: state.rerank }, signal);
  const [result] = answer.queries;
  const hits = result.results;
  const more = result.more || result.tied ? ", and more as near" : "";
  const facts = (hit) => [
    hit.distance === 0 && hit.path === result.path ? element("span", { class: "distance" }, "this image") : apart(hit.distance),
    element("span", { class: "bar", "aria-hidden": "true" }, bar(hit.similarity)),
  ];
  const among = answer.count === set.count ? counted(answer.count, "image") : `${counted(answer.count, "image")} that the filter leaves`;
  return {
    query: { answer, result },
    status: hits.length ? `${counted(hits.length, "image")}, nearest first${more}, among ${among}` : `Nothing found among ${among}`,
    parts: [grid(answer, state, hits, facts)],
  };
}

function bar(similarity) {
  const inner = element("span", {});
  inner.style.width = `${(100 * similarity).toFixed(1)}%`; // by script, as the policy allows
  return inner;
}

/** The images of the set, page by page, for a start. */
async function all(state, set, signal) {
  const offset = Number(state.offset ?? 0);
  const answer = await get("images", { ...filters(state), offset, limit: LIMIT }, signal);
  const last = offset + answer.images.length;
  const status = answer.total ? `Images ${(offset + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${answer.total.toLocaleString("en")}. Choose one to find those like it.` : "No image fits the filter";
  return { status, parts: [grid(answer, state, answer.images), pager(state, offset, LIMIT, answer.total)] };
}

/** The groups of near-duplicates; if `onProblem` is there, which gets errors, people can decide. */
async function duplicates(state, set, signal, onProblem) {
  const offset = Number(state.offset ?? 0);
  const limit = 20;
  const answer = await get("duplicates", { ...filters(state), radius: state.radius, offset, limit }, signal);
  const groups = answer.groups.map((images, number) => {
    const list = grid(answer, { set: state.set }, images, (image) => (image !== images[0] ? [apart(image.distance)] : onProblem ? [] : [element("span", { class: "keep" }, "keep")]));
    const deciding = onProblem ? [decider(set.name, images, list, onProblem)] : [];
    return element("section", { class: "group" }, element("h2", {}, `Group ${offset + number + 1}: ${counted(images.length, "image")}`), list, ...deciding);
  });
  const notes = answer.notes.map((note) => element("p", { class: "note" }, note));
  const status = `${counted(answer.total, "group")} within ${counted(answer.radius, "bit")}: ${counted(answer.extra, "duplicate")} among ${counted(answer.count, "image")}`;
  return { status, parts: [...notes, ...groups, pager(state, offset, limit, answer.total)] };
}

/** A cluster: the clusters in it as cards of four pictures, or its images. */
async function walk(state, set, signal) {
  const answer = await get("clusters", { set: state.set, of: state.of }, signal);
  const to = (name) => (name ? `?tab=walk&of=${name}${state.set ? `&set=${encodeURIComponent(state.set)}` : ""}` : "?tab=walk");
  const numbers = answer.of ? answer.of.split(".") : [];
  const crumbs = element("nav", { class: "crumbs", "aria-label": "Clusters above" }, element("a", { href: to("") }, "All images"));
  numbers.forEach((number, depth) => crumbs.append(" › ", element("a", { href: to(numbers.slice(0, depth + 1).join(".")) }, `Cluster ${Number(number) + 1}`)));
  const list = element("ol", { class: "cards clusters" });
  for (const cluster of answer.clusters) {
    const name = `Cluster ${Number(cluster.name.split(".").at(-1)) + 1}`;
    const pictures = cluster.images.map((image) => picture(answer, image.row, "", "small"));
    list.append(element("li", {}, element("a", { href: to(cluster.name) }, element("span", { class: "four" }, ...pictures), element("span", { class: "facts" }, element("b", {}, name), ` ${counted(cluster.count, "image")}`))));
  }
  const status = answer.clusters.length ? `${counted(answer.count, "image")} in ${counted(answer.clusters.length, "cluster")} of like images` : `${counted(answer.count, "image")}${answer.images.length < answer.count ? `, the first ${answer.images.length} shown` : ""}`;
  return { status, parts: [crumbs, answer.clusters.length ? list : grid(answer, {}, answer.images)] };
}

/** The view of a state. */
export function viewOf(state) {
  if (state.tab === "duplicates") return duplicates;
  if (state.tab === "walk") return walk;
  return state.path !== undefined || state.code !== undefined ? search : all;
}

/** What stands above the results: the picture that was searched for. */
export function queryCard({ answer, result }, state, preview) {
  const own = state.path !== undefined ? result.results.find((hit) => hit.path === state.path) : undefined;
  const parts = [];
  if (preview) parts.push(element("img", { src: preview, alt: "The picture that you searched with" }));
  else if (own) parts.push(picture(answer, own.row, own.path, "medium"));
  const words = state.path !== undefined ? breakable(state.path) : preview ? "Your picture" : "A picture that is not in the set";
  const text = element("p", {}, "Images like ", element("b", {}, words));
  return element("div", { class: "query" }, ...parts, text);
}

