// The state of the page: the served model, and the history and dislikes that all views share.

const listeners = new Set();

export const state = {
  facts: null, // summary of the served model: version, attributes, whether there is a store
  history: [], // {item, title} of each item, oldest first
  dislikes: [], // {item, title} of each disliked item
};

/** Call a function after each change of the state. */
export function onChange(listener) {
  listeners.add(listener);
}

export function changed() {
  for (const listener of listeners) listener();
}

/** Add an item to a list of the state, unless the list contains it. */
export function add(list, item) {
  if (!state[list].some((other) => other.item === item.item)) {
    state[list] = [...state[list], item];
    changed();
  }
}

/** Remove an entry of a list. Other entries of the same item are kept. */
export function removeFrom(list, entry) {
  state[list] = state[list].filter((other) => other !== entry);
  changed();
}
