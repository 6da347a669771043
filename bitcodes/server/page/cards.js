// Grids of images: each is a link to a search from it.

import { parameters, thumbnail } from "./api.js";
import { breakable, element } from "./dom.js";

/** The address of a search from an image, which keeps the filters of the present one. */
export const searchFrom = (state, path) => `?${parameters({ ...state, tab: null, of: null, code: null, offset: null, path })}`;

/** A picture of a row; a reason in its place if it cannot be shown. */
export function picture(answer, row, path, size = "medium") {
  const image = element("img", { src: thumbnail(answer, row, size), alt: path, loading: "lazy", decoding: "async", width: 320, height: 320 });
  image.addEventListener("error", () => image.replaceWith(element("span", { class: "missing" }, `No picture: ${path}`)), { once: true });
  return image;
}

/** Images as a list of cards. `facts` gives the lines of text below an image. */
export function grid(answer, state, images, facts = () => []) {
  const list = element("ol", { class: "cards" });
  for (const image of images) {
    list.append(
      element(
        "li",
        {},
        element(
          "a",
          { href: searchFrom(state, image.path), title: image.path },
          picture(answer, image.row, image.path),
          element("span", { class: "facts" }, ...facts(image), ...labels(image), element("span", { class: "path" }, breakable(image.path))),
        ),
      ),
    );
  }
  return list;
}

const labels = (image) => (image.labels ?? []).map((label) => element("span", { class: "label" }, label));

/** Links to the pages before and behind, for `total` things of which `limit` are shown. */
export function pager(state, offset, limit, total) {
  const links = element("nav", { class: "pager", "aria-label": "Pages" });
  const link = (to, words) => links.append(element("a", { href: `?${parameters({ ...state, offset: to || null })}` }, words));
  if (offset > 0) link(Math.max(0, offset - limit), "← Previous");
  if (offset + limit < total) link(offset + limit, "Next →");
  return links;
}
