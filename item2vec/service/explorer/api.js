// Requests to the service, with paths relative to this page. Errors are shown in the alert of the page.

const alertBox = document.getElementById("error");
let failed = null; // path of the request whose error is shown; null if any request may have failed

/** Request a path with GET, and return the JSON of the answer. An error is shown on the page, and thrown. */
export async function get(path) {
  return answer(path, await attempt(fetch(path)));
}

/** Send JSON to a path with POST, and return the JSON of the answer. An error is shown, and thrown. */
export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return answer(path, await attempt(fetch(path, { method: "POST", headers, body: JSON.stringify(body) })));
}

/** Show an error, or hide it if `text` is empty. A later success of a request with the same `path` hides it. */
export function showError(text, path = null) {
  failed = path;
  if (alertBox.textContent !== text) alertBox.textContent = text;
  alertBox.hidden = !text;
}

async function attempt(request) {
  try {
    return await request;
  } catch {
    const text = "The service does not answer. Check that it is running, then try again.";
    showError(text);
    throw new Error(text);
  }
}

async function answer(path, response) {
  const route = path.split("?")[0];
  const body = await response.json().catch(() => null); // a proxy may answer with HTML
  if (!response.ok || body === null) {
    const fields = (body?.errors ?? []).map((error) => `${error.field}: ${error.expected}`).join("; ");
    const detail = body?.detail ?? `The answer has the status ${response.status} ${response.statusText}`.trim();
    const text = fields ? `${detail} (${fields})` : detail;
    showError(text, route);
    throw Object.assign(new Error(text), { status: response.status });
  }
  if (failed === null || failed === route) showError("");
  return body;
}
