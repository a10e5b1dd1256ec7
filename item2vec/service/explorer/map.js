// The view Map: the items on a canvas, with panning, zooming, titles on hover and marked items.

import { get, post } from "./api.js";
import { element } from "./dom.js";
import { searchField } from "./search.js";
import { onChange, state } from "./state.js";

const by = (id) => document.getElementById(id);
// Six colours of the palette of Okabe & Ito, which colour-blind people can distinguish, and six more.
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7d00", "#7a4fb5", "#b23a48", "#3d8b8b", "#6b8e23", "#a0522d"];
const OTHER = "#8b928d";
// The scale for numbers: five colours of the colour map viridis, from the lowest to the highest number.
const SCALE = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];
const WITHOUT = 255; // the group of items without a number
const CELLS = 128; // cells per side of the grid in which the item under the pointer is searched
const LABELS = 5; // largest number of items of the history with a label: the newest
const LONGEST = 30; // characters of a label
const GAP = 11; // pixels between a point and its label
const LINE = 15; // pixels between the base lines of two labels that do not overlap
const POLL = 1000; // milliseconds between two requests while the service computes the map
const FIRST_ALPHA = 150; // opacity (0 to 255) of a pixel that one item covers
const MORE_ALPHA = 50; // opacity that each further item adds, so that dense regions are more opaque
const view = { x: 0.5, y: 0.5, scale: 1 };
let map = null; // {ids, titles, x, y, group, names, scale}; x, y and group are typed arrays
let order = null; // the items in the order in which they are drawn
let grid = null;
let pixels = null; // ImageData of the canvas
let isRequested = false; // whether the next animation frame draws the map
let neighbours = []; // the selected item and the items most similar to it
let positionOf = new Map();

export function start() {
  const canvas = by("map-canvas");
  const names = state.facts.attributes.map((attribute) => attribute.name);
  by("map-colour").replaceChildren(...["", ...names].map((name) => element("option", { value: name, textContent: name || "none" })));
  by("map-colour").value = state.facts.colour ?? "";
  by("map-colour").addEventListener("change", () => load().catch(() => {}));
  searchField(document.querySelector('[data-search="map"]'), (item) => focus(item.item).catch(() => {}));
  by("map-in").addEventListener("click", () => zoom(1.5));
  by("map-out").addEventListener("click", () => zoom(1 / 1.5));
  by("map-reset").addEventListener("click", () => moveTo(0.5, 0.5, 1));
  listen(canvas);
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  onChange(draw);
}

/** Draw the map when its view is opened. The first time, load it. */
export async function open() {
  if (!state.facts) return; // called again as soon as there is a model
  if (!map) await load();
  draw();
}

async function load() {
  by("map-status").textContent = "Computing the map…";
  const colour = by("map-colour").value;
  let answer;
  do {
    if (answer) await new Promise((resolve) => setTimeout(resolve, POLL));
    answer = await get(`explorer/map?colour=${encodeURIComponent(colour)}`);
  } while (answer.status === "computing");
  map = { ...answer, titles: answer.titles ?? answer.ids, ...arraysOf(answer) };
  order = drawingOrder();
  positionOf = new Map(map.ids.map((id, at) => [id, at]));
  grid = Array.from({ length: CELLS * CELLS }, () => []);
  for (let at = 0; at < map.ids.length; at++) grid[cellOf(map.x[at], map.y[at])].push(at);
  by("map-legend").replaceChildren(...legend());
  by("map-status").textContent = `${map.ids.length.toLocaleString("en")} items`;
  draw();
}

/** Return the entries of the legend: one per colour group, or the colour scale with its smallest and largest number. */
function legend() {
  const entry = (colour, text) => element("li", {}, element("i", { style: `background:${colour}` }), text);
  if (!map.scale) return map.names.map((name, group) => entry(colourOf(group), name ?? "other"));
  const [low, high] = map.scale.map((number) => String(Number(number.toPrecision(6))));
  const bar = element("span", { className: "scale", style: `background:linear-gradient(to right, ${SCALE.join()})` });
  return [element("li", {}, low, bar, high), ...(map.group.includes(WITHOUT) ? [entry(OTHER, "no value")] : [])];
}

/** Move the map so that an item is in its middle, and mark this item and the ten most similar items. */
async function focus(id) {
  const at = positionOf.get(id);
  if (at === undefined) {
    by("map-status").textContent = "This item is not on the map: it has no vector, or is newer than this map.";
    return;
  }
  neighbours = [at];
  moveTo(map.x[at], map.y[at], Math.max(view.scale, 6));
  const answer = await post("v1/similar", { item: id, k: 10 });
  neighbours = [at, ...answer.items.map((item) => positionOf.get(item.item)).filter((other) => other !== undefined)];
  by("map-status").textContent = `${map.titles[at]}: near ${answer.items.slice(0, 5).map((item) => item.title ?? item.item).join(", ")}`;
  draw();
}

function colourOf(group) {
  if (map.scale) return group === WITHOUT ? OTHER : mixed((group / (WITHOUT - 1)) * (SCALE.length - 1));
  if (!map.names.length) return COLOURS[0];
  return map.names[group] == null ? OTHER : COLOURS[group % COLOURS.length];
}

/** Interpolate the colours of `SCALE` at a place from 0 to the index of the last colour. */
function mixed(place) {
  const at = Math.min(SCALE.length - 2, Math.floor(place));
  const channel = (colour, k) => parseInt(colour.slice(1 + 2 * k, 3 + 2 * k), 16);
  const mix = (k) => channel(SCALE[at], k) + (place - at) * (channel(SCALE[at + 1], k) - channel(SCALE[at], k));
  return `#${[0, 1, 2].map((k) => Math.round(mix(k)).toString(16).padStart(2, "0")).join("")}`;
}

function cellOf(x, y) {
  const place = (value) => Math.min(CELLS - 1, Math.max(0, Math.floor(value * CELLS)));
  return place(y) * CELLS + place(x);
}

function frame() {
  const { width, height } = by("map-canvas").getBoundingClientRect();
  const size = Math.min(width, height) * 0.94 * view.scale;
  return { width, height, size, left: width / 2 - view.x * size, top: height / 2 - view.y * size };
}

/** Draw the map in the next animation frame, only once even if called several times before. */
function draw() {
  if (isRequested) return;
  isRequested = true;
  requestAnimationFrame(() => {
    isRequested = false;
    drawNow();
  });
}

function drawNow() {
  const canvas = by("map-canvas");
  if (!map || !canvas.offsetParent) return;
  const { width, height, size, left, top } = frame();
  const ratio = devicePixelRatio || 1;
  const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
  const context = canvas.getContext("2d");
  if (pixels?.width !== columns || pixels.height !== rows) {
    [canvas.width, canvas.height] = [columns, rows];
    pixels = context.createImageData(columns, rows);
  }
  drawItems({ left: left * ratio, top: top * ratio, size: size * ratio, ratio });
  context.putImageData(pixels, 0, 0);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const text = getComputedStyle(document.body).color;
  const marked = state.history.map((item) => positionOf.get(item.item)).filter((at) => at !== undefined);
  ring(context, neighbours, 6, text, { left, top, size });
  ring(context, marked, 9, text, { left, top, size });
  label(context, [...neighbours.slice(0, 6), ...marked.slice(-LABELS).reverse()], text, { left, top, size, width });
}

/** Write the items into the array of pixels: filling one shape per item would take longer than a frame. */
function drawItems({ left, top, size, ratio }) {
  const { width, height, data } = pixels;
  const colours = new Uint32Array(data.buffer);
  colours.fill(0);
  const radius = Math.min(6, Math.max(0.8, size / ratio / Math.sqrt(map.ids.length) / 4)) * ratio;
  const dot = dotOf(radius);
  const rgb = Array.from({ length: map.scale ? WITHOUT + 1 : Math.max(1, map.names.length) }, (_, group) => littleEndian(colourOf(group)));
  const { x, y, group } = map;
  for (let k = 0; k < order.length; k++) {
    const at = order[k];
    const u = Math.round(left + x[at] * size);
    const v = Math.round(top + y[at] * size);
    if (u < -radius || v < -radius || u >= width + radius || v >= height + radius) continue;
    for (let i = 0; i < dot.length; i += 2) {
      const column = u + dot[i];
      const row = v + dot[i + 1];
      if (column < 0 || row < 0 || column >= width || row >= height) continue;
      const place = row * width + column;
      const alpha = colours[place] >>> 24;
      colours[place] = rgb[group[at]] | ((alpha ? Math.min(255, alpha + MORE_ALPHA) : FIRST_ALPHA) << 24);
    }
  }
}

/** Return the offsets of the pixels of a dot from its centre: dx, dy, dx, dy, … */
function dotOf(radius) {
  const offsets = [];
  const reach = Math.floor(radius);
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) if (Math.hypot(dx, dy) <= radius) offsets.push(dx, dy);
  }
  return offsets.length > 2 ? offsets : [0, 0, 1, 0, 0, 1, 1, 1];
}

/** Return a colour such as #0072b2 in the byte order of ImageData, without opacity. */
function littleEndian(colour) {
  const rgb = parseInt(colour.slice(1), 16);
  return ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16);
}

function arraysOf(answer) {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  return { x: floats(answer.x), y: floats(answer.y), group: bytes(answer.group) };
}

/** Return the order of drawing: first the items without a colour of their own, so that coloured items cover them. */
function drawingOrder() {
  const isOther = (at) => (map.scale ? map.group[at] === WITHOUT : map.names[map.group[at]] == null);
  const all = Array.from(map.ids.keys());
  return Uint32Array.from([...all.filter(isOther), ...all.filter((at) => !isOther(at))]);
}

function ring(context, points, radius, colour, { left, top, size }) {
  context.strokeStyle = colour;
  context.lineWidth = 2;
  for (const at of points) {
    context.beginPath();
    context.arc(left + map.x[at] * size, top + map.y[at] * size, radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** Label points. A label is left of its point near the right edge, and left out if it would cover an earlier label. */
function label(context, points, colour, { left, top, size, width }) {
  context.fillStyle = colour;
  context.font = "13px system-ui, sans-serif";
  const drawn = [];
  for (const at of points) {
    const letters = [...map.titles[at]];
    const text = letters.length > LONGEST ? `${letters.slice(0, LONGEST - 1).join("")}…` : map.titles[at];
    const length = context.measureText(text).width;
    const [x, y] = [left + map.x[at] * size, top + map.y[at] * size];
    if (x < 0 || x > width) continue;
    const start = x + GAP + length > width ? Math.max(0, x - GAP - length) : x + GAP;
    if (drawn.some((other) => Math.abs(other.y - y) < LINE && start < other.end && other.start < start + length)) continue;
    drawn.push({ start, end: start + length, y });
    context.fillText(text, start, y + 4);
  }
}

function moveTo(x, y, scale) {
  Object.assign(view, { x, y, scale: Math.min(400, Math.max(0.5, scale)) });
  draw();
}

/** Zoom by a factor around a point of the canvas, by default its middle. */
function zoom(factor, px, py) {
  const { width, height, size, left, top } = frame();
  const [x, y] = [((px ?? width / 2) - left) / size, ((py ?? height / 2) - top) / size];
  const scale = Math.min(400, Math.max(0.5, view.scale * factor));
  const kept = view.scale / scale;
  moveTo(x + (view.x - x) * kept, y + (view.y - y) * kept, scale);
}

/** Return the item nearest to a point of the canvas, within 10 pixels. */
function itemAt(px, py) {
  if (!map) return -1;
  const { size, left, top } = frame();
  const [x, y, reach] = [(px - left) / size, (py - top) / size, 10 / size];
  let [best, nearest] = [-1, reach * reach];
  const step = 1 / CELLS;
  for (let v = y - reach; v < y + reach + step; v += step) {
    for (let u = x - reach; u < x + reach + step; u += step) {
      for (const at of grid[cellOf(Math.min(u, x + reach), Math.min(v, y + reach))]) {
        const distance = (map.x[at] - x) ** 2 + (map.y[at] - y) ** 2;
        if (distance < nearest) [best, nearest] = [at, distance];
      }
    }
  }
  return best;
}

function listen(canvas) {
  const tip = by("map-tip");
  const pointers = new Map();
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [px, py] = place(event);
    const before = pointers.get(event.pointerId);
    if (before) {
      const { size } = frame();
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
      if (others.length === 1) {
        const [ox, oy] = others[0];
        zoom(Math.hypot(px - ox, py - oy) / Math.max(1, Math.hypot(before[0] - ox, before[1] - oy)), ox, oy);
      } else moveTo(view.x - (px - before[0]) / size, view.y - (py - before[1]) / size, view.scale);
      pointers.set(event.pointerId, [px, py]);
      return;
    }
    const at = itemAt(px, py);
    tip.hidden = at < 0;
    if (at >= 0) {
      tip.textContent = map.titles[at];
      tip.style.left = `${Math.min(px + 12, canvas.clientWidth - 120)}px`;
      tip.style.top = `${py + 12}px`;
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("click", (event) => {
    const at = itemAt(...place(event));
    if (at >= 0) focus(map.ids[at]).catch(() => {});
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 300), ...place(event));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    const step = 0.1 / view.scale;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) moveTo(view.x + moves[event.key][0], view.y + moves[event.key][1], view.scale);
    else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") moveTo(0.5, 0.5, 1);
    else return;
    event.preventDefault();
  });
}
