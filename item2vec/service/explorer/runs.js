// The view Runs: the nightly runs with metrics and gates, and the versions.

import { get } from "./api.js";
import { element, showTable } from "./dom.js";

const by = (id) => document.getElementById(id);
const [WIDTH, HEIGHT, EDGE] = [640, 180, 40];

export async function open() {
  const [{ runs }, { versions }] = await Promise.all([get("v1/runs?limit=100"), get("v1/versions")]);
  showTable(
    by("runs-table"),
    { id: "Run", started_at: "Started", status: "Result", version: "Version", metric: "Metric", value: "Value", refused: "Failed gates", reason: "Reason" },
    runs.map(summary),
  );
  showTable(
    by("versions-table"),
    { id: "Version", state: "State", created_at: "Created", items: "Items", objective: "Objective" },
    versions.map((version) => ({ ...version, state: version.states.join(", ") })),
  );
  drawChart(runs.map(summary).filter((run) => run.value != null).reverse());
}

function summary(run) {
  return { ...run, refused: (run.refused ?? []).join(", ") };
}

/** Draw the metric of the gates for each run as SVG, oldest run first. The table contains the same values. */
function drawChart(runs) {
  if (runs.length < 2) return by("runs-chart").replaceChildren();
  const values = runs.map((run) => run.value);
  const [low, high] = [Math.min(...values) * 0.95, Math.max(...values) * 1.02 || 1];
  const x = (at) => EDGE + (at * (WIDTH - 2 * EDGE)) / (runs.length - 1);
  const y = (value) => HEIGHT - EDGE + ((value - low) * (2 * EDGE - HEIGHT)) / (high - low || 1);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${runs[0].metric} of the last ${runs.length} runs` });
  svg.append(shape("polyline", { points: values.map((value, at) => `${x(at)},${y(value)}`).join(" "), fill: "none", stroke: "var(--accent)", "stroke-width": 2 }));
  runs.forEach((run, at) => {
    const point = shape("circle", { cx: x(at), cy: y(run.value), r: 4, fill: run.status === "promoted" ? "var(--accent)" : "var(--danger)" });
    point.append(Object.assign(shape("title", {}), { textContent: `${run.started_at}: ${run.value.toFixed(4)}, ${run.status}` }));
    svg.append(point);
  });
  for (const value of [low, high]) {
    const text = shape("text", { x: 2, y: y(value) + 4 });
    text.textContent = value.toFixed(3);
    svg.append(text);
  }
  by("runs-chart").replaceChildren(element("h3", { textContent: `${runs[0].metric} per run` }), svg);
}

function shape(name, attributes) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  return created;
}
