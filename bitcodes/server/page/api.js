// What the service is asked, and its errors as they stand in its answers.

/** An answer that says what is wrong, in words for the user. */
export class Problem extends Error {}

async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service does not answer. Is it still running?");
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(body?.detail ?? `${answer.status} ${answer.statusText}`);
  return body;
}

/** Parameters as a query string, without those that are empty; an array repeats its name. */
export function parameters(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of [value].flat()) {
      if (one !== null && one !== undefined && one !== "") query.append(name, one);
    }
  }
  return query.toString();
}

/** GET a route of the interface. */
export const get = (route, values = {}, signal = undefined) => ask(`v1/${route}?${parameters(values)}`, { signal });

/** Change something on the service. */
export const post = (route) => ask(`v1/${route}`, { method: "POST" });

/** Change something on the service, as a document says. */
export const postJson = (route, body) =>
  ask(`v1/${route}`, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

/** Search with a picture. */
export const upload = (file, values) =>
  ask(`v1/search?${parameters(values)}`, {
    method: "POST",
    body: file,
    headers: { "Content-Type": file.type.startsWith("image/") ? file.type : "application/octet-stream" },
  });

/** The address of a thumbnail. */
export const thumbnail = (answer, row, size) => `v1/images/${row}/thumbnail?${parameters({ size, version: answer.version, set: answer.codes })}`;
