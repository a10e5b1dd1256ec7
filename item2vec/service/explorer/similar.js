// The views Similar items and Analogy.

import { get, post } from "./api.js";
import { button, element, nameOf, showChips, showResults } from "./dom.js";
import { searchField } from "./search.js";
import { add } from "./state.js";

const by = (id) => document.getElementById(id);
const analogy = { positive: [], negative: [] };
let latest = 0;

export function start() {
  searchField(document.querySelector('[data-search="similar"]'), (item) => show(item).catch(() => {}));
  for (const list of ["positive", "negative"]) {
    searchField(document.querySelector(`[data-search="${list}"]`), (item) => {
      analogy[list] = [...analogy[list].filter((other) => other.item !== item.item), item];
      refresh().catch(() => {});
    });
  }
}

async function show(item) {
  const order = ++latest;
  try {
    const facts = await get(`v1/items?item=${encodeURIComponent(item.item)}`);
    if (order !== latest) return;
    showFacts(facts.items[0]);
    const answer = await post("v1/similar", { item: item.item, k: 20 });
    if (order === latest) showResults(by("similar-results"), answer.items, { actions: actionsOf });
  } catch (error) {
    if (order === latest) by("similar-results").replaceChildren(); // those of another item
    throw error;
  }
}

function actionsOf(item) {
  return [
    button("≈", `Items similar to ${nameOf(item)}`, () => show(item).catch(() => {})),
    button("+", `Add ${nameOf(item)} to the history`, () => add("history", item)),
  ];
}

function showFacts(item) {
  const rows = { id: item.item, "training tokens": item.count, active: item.active ? "yes" : "no", ...item.attributes };
  by("item-facts").replaceChildren(
    element("h3", { textContent: nameOf(item) }),
    element(
      "dl",
      {},
      ...Object.entries(rows).flatMap(([name, value]) => [
        element("dt", { textContent: name }),
        element("dd", { textContent: Array.isArray(value) ? value.join(", ") : String(value) }),
      ]),
    ),
  );
}

async function refresh() {
  for (const list of ["positive", "negative"]) {
    showChips(by(list), analogy[list], (item) => {
      analogy[list] = analogy[list].filter((other) => other !== item);
      refresh().catch(() => {});
    });
  }
  if (!analogy.positive.length) return by("analogy-results").replaceChildren();
  const ids = (list) => analogy[list].map((item) => item.item);
  const answer = await post("v1/analogies", { positive: ids("positive"), negative: ids("negative"), k: 10 });
  showResults(by("analogy-results"), answer.items, { actions: actionsOf });
}
