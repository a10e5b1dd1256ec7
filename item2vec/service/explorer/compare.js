// The view Compare: the recommendations of two versions side by side, for a history or a user.

import { get, post } from "./api.js";
import { element, showResults } from "./dom.js";
import { state } from "./state.js";

const by = (id) => document.getElementById(id);

export function start() {
  by("compare-form").addEventListener("submit", (event) => {
    event.preventDefault();
    compare().catch(() => {});
  });
}

/** Offer the versions of the models folder that are not damaged. Called when the view is opened. */
export async function open() {
  const { versions } = await get("v1/versions");
  const usable = versions.filter((version) => !version.states.includes("damaged"));
  for (const [side, at] of [["left", Math.min(1, usable.length - 1)], ["right", 0]]) {
    const chosen = by(side).value;
    by(side).replaceChildren(
      ...usable.map((version) =>
        element("option", { value: version.id, textContent: `${version.id}${version.states.includes("served") ? " (served)" : ""}` }),
      ),
    );
    by(side).value = chosen || usable[at]?.id || "";
  }
  by("compare-summary").textContent = usable.length ? "" : "There are no versions to compare.";
}

async function compare() {
  const user = by("compare-user").value.trim();
  const query = user ? { user } : { history: state.history.map((item) => item.item) };
  const answers = await Promise.all(
    ["left", "right"].map((side) => post("explorer/compare", { version: by(side).value, k: 10, ...query })),
  );
  const ranks = answers.map((answer) => new Map(answer.items.map((item, rank) => [item.item, rank])));
  ["left", "right"].forEach((side, at) => {
    by(`${side}-title`).textContent = answers[at].version;
    showResults(by(`${side}-results`), answers[at].items, {
      note: (item, rank) => element("div", { className: "moved why", textContent: movement(ranks[1 - at].get(item.item), rank) }),
    });
  });
  const common = answers[0].items.filter((item) => ranks[1].has(item.item)).length;
  by("compare-summary").textContent = `${common} of ${answers[0].items.length} items are in both answers.`;
}

function movement(other, rank) {
  if (other === undefined) return "not in the other answer";
  return other === rank ? "same rank in the other answer" : `rank ${other + 1} in the other answer`;
}
