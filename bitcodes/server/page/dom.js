// Elements made by hand: names and labels become text, never markup.

/** An element with attributes, and children that are elements or text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** The element of an id. */
export const byId = (id) => document.getElementById(id);

/** A number with its noun. */
export const counted = (number, noun, plural = `${noun}s`) => `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;

/** A path as text that may break behind each slash. */
export function breakable(path) {
  const shown = element("bdi");
  for (const part of path.split(/(?<=\/)/)) shown.append(part, element("wbr"));
  return shown;
}
