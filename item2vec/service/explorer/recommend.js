// The view Recommend: a history, dislikes and rules. The recommendations are updated after each change.

import { get, post } from "./api.js";
import { button, element, nameOf, showChips, showResults } from "./dom.js";
import { searchField } from "./search.js";
import { add, changed, onChange, removeFrom, state } from "./state.js";

const by = (id) => document.getElementById(id);
const BOOLEANS = new Map([["true", true], ["false", false]]);
let latest = 0;

export function start() {
  for (const list of ["history", "dislikes"]) {
    searchField(document.querySelector(`[data-search="${list}"]`), (item) => add(list, item));
  }
  by("load-user").addEventListener("submit", async (event) => {
    event.preventDefault();
    const user = by("user").value.trim();
    if (!user) return;
    state.history = (await get(`explorer/history?user=${encodeURIComponent(user)}`)).items;
    changed();
  });
  by("rules").addEventListener("input", changed);
  by("add-filter").addEventListener("click", addFilter);
  const names = state.facts.attributes.map((attribute) => attribute.name);
  by("cap-attribute").replaceChildren(...names.map((name) => element("option", { textContent: name })));
  by("add-filter").disabled = !names.length;
  onChange(() => refresh().catch(() => {}));
}

/** Return the rules that the controls specify, as fields of a request. */
export function rules() {
  const fields = { k: Number(by("k").value) || 10, diversity: Number(by("diversity").value) };
  if (by("popularity").valueAsNumber >= 0) fields.popularity = by("popularity").valueAsNumber;
  if (by("cap").value && by("cap-attribute").value) {
    fields.at_most = { [by("cap-attribute").value]: Number(by("cap").value) };
  }
  const conditions = [...by("filters").children].map(conditionOf).filter(Boolean);
  if (conditions.length) fields.where = conditions.length > 1 ? { all: conditions } : conditions[0];
  if (state.dislikes.length) fields.disliked = state.dislikes.map((item) => item.item);
  return fields;
}

export async function refresh() {
  by("diversity-value").textContent = by("diversity").value;
  const popularity = by("popularity").valueAsNumber;
  by("popularity-value").textContent = popularity < 0 ? "model" : popularity.toFixed(1);
  showChips(by("history"), state.history, (item) => removeFrom("history", item));
  showChips(by("dislikes"), state.dislikes, (item) => removeFrom("dislikes", item));
  const order = ++latest;
  const history = state.history.map((item) => item.item);
  const answer = await post("v1/recommendations", {
    ...rules(),
    history,
    filter_seen: !by("keep-seen").checked,
    explain: history.length > 0,
  });
  if (order !== latest) return;
  const titles = new Map(state.history.map((item) => [item.item, nameOf(item)]));
  for (const item of answer.items) {
    for (const share of item.why ?? []) share.title = titles.get(share.item);
  }
  showResults(by("results"), answer.items, {
    empty: "The rules exclude all items.",
    actions: (item) => [
      button("+", `Add ${nameOf(item)} to the history`, () => add("history", item)),
      button("−", `Dislike ${nameOf(item)}`, () => add("dislikes", item)),
    ],
  });
}

function addFilter() {
  const attributes = state.facts.attributes;
  const name = element("select", { "aria-label": "Attribute" }, ...attributes.map((a) => element("option", { textContent: a.name })));
  const operator = element("select", { "aria-label": "Comparison" });
  const value = element("input", { "aria-label": "Value", size: 12 });
  const values = element("datalist", { id: `values-${Date.now()}` });
  value.setAttribute("list", values.id);
  const row = element("div", { className: "row" }, name, operator, value, values);
  row.append(button("×", "Remove this filter", () => (row.remove(), by("add-filter").focus(), changed())));
  function choose() {
    const attribute = attributes.find((a) => a.name === name.value);
    const operators = attribute.kind === "number" ? ["==", "!=", ">=", "<="] : ["==", "!=", "contains"];
    const before = operator.value;
    operator.replaceChildren(...operators.map((text) => element("option", { textContent: text })));
    if (operators.includes(before)) operator.value = before;
    values.replaceChildren(...attribute.values.map((text) => element("option", { value: String(text) })));
  }
  name.addEventListener("input", choose); // before the rules, an ancestor, hear of the change
  choose();
  by("filters").append(row);
  value.focus();
}

/** Return the condition of a row of the filters; null if the value is empty or does not fit the attribute's type. */
function conditionOf(row) {
  const [name, operator, value] = row.querySelectorAll("select, input");
  if (!value.value.trim()) return null;
  const { kind } = state.facts.attributes.find((attribute) => attribute.name === name.value);
  let typed = value.value.trim();
  if (kind === "number") typed = Number(typed);
  if (kind === "boolean") typed = BOOLEANS.get(typed.toLowerCase()) ?? NaN;
  return Number.isNaN(typed) ? null : { [name.value]: { [operator.value]: typed } };
}
