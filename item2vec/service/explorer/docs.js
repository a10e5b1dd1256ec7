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
  section.append(element("pre", { textContent: command(path, method, route, body) }));
  return section;
}

function resolved(schema) {
  return schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema;
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  const members = schema.anyOf ?? schema.oneOf;
  if (members) return [...new Set(members.map(typeOf))].join(" or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? { type: "any" })}`;
  return schema.const ? JSON.stringify(schema.const) : (schema.type ?? "any");
}

function command(path, method, route, body) {
  const needed = (route.parameters ?? []).filter((parameter) => parameter.in === "query" && parameter.required);
  const query = needed.length ? `?${needed.map((parameter) => `${parameter.name}=ID`).join("&")}` : "";
  const words = ["curl"];
  if (method !== "get") words.push(`-X ${method.toUpperCase()}`);
  words.push(`'${location.origin}${path.replace(/\{.*?\}/g, "ID")}${query}'`);
  if ((route.security ?? api.security)?.length) words.push("-H 'X-API-Key: KEY'");
  if (body) words.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(example(body))}'`);
  return words.join(" ");
}

/** Return a value of a schema, with the required fields only; of several forms, a request has the last. */
function example(schema) {
  schema = resolved(schema);
  if (schema.properties) {
    const required = schema.required ?? schema.oneOf?.at(-1).required ?? [];
    return Object.fromEntries(required.map((name) => [name, example(schema.properties[name])]));
  }
  if (schema.oneOf) return example(schema.oneOf[0]);
  if (schema.type === "array") return [example(schema.items)];
  return schema.type === "object" ? {} : "ID";
}
