// The page: loads the summary of the served model, and shows the view that the fragment of the URL names.

import { get, showError } from "./api.js";
import * as compare from "./compare.js";
import * as map from "./map.js";
import * as recommend from "./recommend.js";
import * as runs from "./runs.js";
import * as similar from "./similar.js";
import { changed, state } from "./state.js";

const RETRY = 3000; // milliseconds until the next attempt to load the summary of the served model
const VIEWS = { recommend, similar, analogy: {}, map, compare, runs };

function show() {
  const name = location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "recommend";
  for (const other of Object.keys(VIEWS)) document.getElementById(`view-${other}`).hidden = other !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  VIEWS[name].open?.().catch(() => {});
}

/** Return the summary of the served model, as soon as there is one. Meanwhile, the views that need no model are usable. */
async function factsOfModel() {
  for (;;) {
    try {
      return await get("explorer/facts");
    } catch (error) {
      if (error.status === 503) document.getElementById("version").textContent = "no model yet";
      await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  }
}

const needing = ["recommend", "similar", "analogy", "map"].map((name) => document.getElementById(`view-${name}`));
for (const section of needing) section.inert = true;
compare.start();
addEventListener("hashchange", () => {
  showError("");
  show();
});
show();
state.facts = await factsOfModel();
const { version, n_items, objective } = state.facts;
document.getElementById("version").textContent = `${version ?? "single model"} · ${n_items.toLocaleString("en")} items · ${objective}`;
document.getElementById("load-user").hidden = !state.facts.has_store;
for (const module of [recommend, similar, map]) module.start();
for (const section of needing) section.inert = false;
show();
changed();
