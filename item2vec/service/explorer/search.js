// Search fields: comboboxes (WAI-ARIA) that list the items that match the query, tolerant of typing errors.

import { get } from "./api.js";
import { element, nameOf } from "./dom.js";

const DELAY = 120; // milliseconds between the last change of the text and the search
let number = 0;

/** Turn an empty element into a search field; `choose(item)` is called with the chosen item. */
export function searchField(place, choose) {
  const id = `search-${++number}`;
  const input = element("input", {
    id,
    type: "search",
    autocomplete: "off",
    spellcheck: false,
    role: "combobox",
    "aria-expanded": "false",
    "aria-controls": `${id}-list`,
    "aria-autocomplete": "list",
  });
  const list = element("ul", { id: `${id}-list`, role: "listbox", hidden: true, "aria-label": "Items found" });
  place.classList.add("search");
  place.append(element("label", { for: id, textContent: place.dataset.label }), input, list);
  let [items, active, timer, latest] = [[], -1, 0, 0];
  let isStale = false; // whether the text has changed since the listed items were found

  function close() {
    isStale = false;
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(position) {
    active = position;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === active)));
    if (active >= 0) {
      input.setAttribute("aria-activedescendant", list.children[active].id);
      list.children[active].scrollIntoView({ block: "nearest" });
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  }

  function pick(item) {
    input.value = "";
    close();
    choose({ item: item.item, title: item.title ?? undefined });
  }

  async function find() {
    const query = input.value.trim();
    const order = ++latest;
    if (!query) return close();
    const found = await get(`v1/items?k=8&q=${encodeURIComponent(query)}`);
    if (order !== latest) return;
    isStale = false;
    items = found.items;
    list.replaceChildren(
      ...items.map((item, at) =>
        element(
          "li",
          {
            id: `${id}-${at}`,
            role: "option",
            "aria-selected": "false",
            onmousedown: (event) => event.preventDefault(),
            onclick: () => pick(item),
          },
          nameOf(item),
          " ",
          element("small", { textContent: item.item }),
        ),
      ),
    );
    list.hidden = !items.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(items.length ? 0 : -1);
  }

  /** Choose the marked item; if the text has just changed, the best item for the new text. */
  async function enter() {
    if (isStale) {
      clearTimeout(timer);
      await find();
    }
    if (active >= 0) pick(items[active]);
  }

  input.addEventListener("input", () => {
    isStale = true;
    mark(-1);
    clearTimeout(timer);
    timer = setTimeout(() => find().catch(() => {}), DELAY);
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter") {
      event.preventDefault();
      enter().catch(() => {});
    } else if (["ArrowDown", "ArrowUp"].includes(event.key) && items.length && !list.hidden) {
      event.preventDefault();
      mark((active + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length);
    }
  });
}
