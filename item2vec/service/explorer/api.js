// Requests to the service, with paths relative to this page. Errors are shown in the alert of the page.

const alertBox = document.getElementById("error");

/** Request a path with GET, and return the JSON of the answer. An error is shown on the page, and thrown. */
export async function get(path) {
  return answer(await attempt(fetch(path)));
}

/** Send JSON to a path with POST, and return the JSON of the answer. An error is shown, and thrown. */
export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return answer(await attempt(fetch(path, { method: "POST", headers, body: JSON.stringify(body) })));
}

export function showError(text) {
  alertBox.textContent = text;
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

async function answer(response) {
  const body = await response.json();
  if (!response.ok) {
    const fields = (body.errors ?? []).map((error) => `${error.field}: ${error.expected}`).join("; ");
    const text = fields ? `${body.detail} (${fields})` : body.detail;
    showError(text);
    throw new Error(text);
  }
  showError("");
  return body;
}
