// The page that describes the API, from openapi.json: routes, parameters, bodies and curl commands.

import { get } from "./api.js";
import { element, showTable } from "./dom.js";

const api = await get("openapi.json");
const routes = document.getElementById("routes");

for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, route] of Object.entries(methods)) routes.append(describe(path, method, route));
}

function describe(path, method, route) {
  const body = resolved(route.requestBody?.content?.["application/json"]?.schema);
  const section = element(
    "details",
    {},
    element("summary", { textContent: `${method.toUpperCase()} ${path}` }),
    element("p", { textContent: route.description ?? route.summary }),
  );
  const fields = [
    ...(route.parameters ?? []).map((parameter) => ({ name: parameter.name, place: parameter.in, type: typeOf(parameter.schema ?? parameter.content["application/json"].schema), required: parameter.required ? "yes" : "" })),
    ...Object.entries(body?.properties ?? {}).map(([name, schema]) => ({ name, place: "body", type: typeOf(schema), required: body.required?.includes(name) ? "yes" : "" })),
  ];
  if (fields.length) {
    const table = element("div", { className: "scroll" });
    showTable(table, { name: "Field", place: "In", type: "Type", required: "Required" }, fields);
    section.append(table);
  }
  section.append(element("pre", { textContent: command(path, method, body) }));
  return section;
}

function resolved(schema) {
  return schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema;
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? { type: "any" })}`;
  return schema.const ? JSON.stringify(schema.const) : (schema.type ?? "any");
}

function command(path, method, body) {
  const url = `${location.origin}${path.replace(/\{.*?\}/g, "ID")}`;
  if (!body) return `curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${url}'`;
  const required = Object.fromEntries((body.required ?? []).map((name) => [name, "…"]));
  return `curl -X ${method.toUpperCase()} '${url}' -H 'Content-Type: application/json' -d '${JSON.stringify(required)}'`;
}
