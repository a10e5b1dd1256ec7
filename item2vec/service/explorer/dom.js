// Functions that create elements of the page. Text is always set as text, never as HTML.

/** Create an element with properties and children; a child may be a string. */
export function element(name, properties = {}, ...children) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria-") || key === "role" || key === "for") created.setAttribute(key, value);
    else if (key === "style") created.style.cssText = value;
    else created[key] = value;
  }
  created.append(...children.filter((child) => child != null));
  return created;
}

export function nameOf(item) {
  return item.title ?? item.item;
}

/** Replace the children of an element. If a button has the focus, the new button at its position gets the focus. */
function replace(place, ...children) {
  const at = [...place.querySelectorAll("button")].indexOf(document.activeElement);
  place.replaceChildren(...children);
  if (at < 0) return;
  const buttons = place.querySelectorAll("button");
  place.tabIndex = -1;
  (buttons[Math.min(at, buttons.length - 1)] ?? place).focus();
}

/** Show items as removable chips. */
export function showChips(list, items, remove) {
  replace(
    list,
    ...items.map((item) =>
      element(
        "li",
        {},
        nameOf(item),
        element("button", {
          type: "button",
          textContent: "×",
          "aria-label": `Remove ${nameOf(item)}`,
          onclick: () => remove(item),
        }),
      ),
    ),
  );
}

/**
 * Show ranked items with scores. `actions(item)` returns the buttons of an item, and `note(item, rank)` an element
 * below the item or null. `empty` is the text if there are no items.
 */
export function showResults(place, items, { actions = () => [], note = () => null, empty = "No item." } = {}) {
  if (!items.length) {
    replace(place, element("p", { className: "hint", textContent: empty }));
    return;
  }
  const scores = items.map((item) => item.score);
  const [low, high] = [Math.min(0, ...scores), Math.max(...scores)];
  replace(
    place,
    element(
      "ol",
      {},
      ...items.map((item, rank) => {
        const width = high > low ? Math.max(2, (100 * (item.score - low)) / (high - low)) : 100;
        const why = (item.why ?? []).filter((share) => share.item && share.share > 0).slice(0, 3);
        const source = item.source && item.source !== "model" ? ` · ${item.source}` : "";
        return element(
          "li",
          {},
          element(
            "div",
            { className: "name" },
            nameOf(item),
            element("br"),
            element("small", { textContent: `${item.item} · ${item.score.toPrecision(3)}${source}` }),
            element("span", { className: "bar", style: `width:${width}%` }),
          ),
          element("div", { className: "actions" }, ...actions(item)),
          why.length
            ? element("div", {
                className: "why",
                textContent: `because of ${why.map((share) => share.title ?? share.item).join(", ")}`,
              })
            : null,
          note(item, rank),
        );
      }),
    ),
  );
}

export function button(text, label, onclick) {
  return element("button", { type: "button", textContent: text, "aria-label": label, onclick });
}

/** Show rows (objects) as a table. `columns` maps the keys of the columns to their headings. */
export function showTable(place, columns, rows) {
  if (!rows.length) {
    place.replaceChildren(element("p", { className: "hint", textContent: "None yet." }));
    return;
  }
  const head = element("tr", {}, ...Object.values(columns).map((text) => element("th", { textContent: text, scope: "col" })));
  const body = rows.map((row) =>
    element(
      "tr",
      {},
      ...Object.keys(columns).map((key) => {
        const value = row[key];
        const isNumber = typeof value === "number";
        const text = value == null ? "" : isNumber && !Number.isInteger(value) ? value.toFixed(4) : String(value);
        return element("td", { textContent: text, className: isNumber ? "number" : "" });
      }),
    ),
  );
  place.replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}
