// Shows openapi.json; needs nothing from outside.

function make(tag, text = "", ...children) {
  const element = document.createElement(tag);
  element.textContent = text.replaceAll("`", "");
  element.append(...children);
  return element;
}

function table(heads, rows) {
  const body = rows.map((cells) => make("tr", "", ...cells.map((cell) => make("td", cell))));
  return make("table", "", make("tr", "", ...heads.map((head) => make("th", head))), ...body);
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return String(schema.const);
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties) {
    return `name to ${typeOf(schema.additionalProperties)}`;
  }
  return schema.type ?? "any";
}

function operation(path, method, description) {
  const summary = make("summary", "", make("code", `${method.toUpperCase()} ${path}`));
  const box = make("details", "", summary, make("p", description.description ?? ""));
  box.lastChild.className = "text";
  if (description.parameters?.length) {
    box.append(table(["parameter", "in", "type", "default", ""], description.parameters.map((p) => [
      p.name, p.in, typeOf(p.schema), p.schema.default === undefined ? (p.required ? "required" : "") : String(p.schema.default),
      p.description ?? p.schema.description ?? "",
    ])));
  }
  box.append(table(["answer", "type", ""], Object.entries(description.responses).map(([code, answer]) => {
    const [[media, content] = ["", {}]] = Object.entries(answer.content ?? {});
    return [code, typeOf(content.schema) || media, answer.description];
  })));
  return box;
}

function schema(name, { description, properties, required = [] }) {
  const rows = Object.entries(properties ?? {}).map(([field, value]) => [
    field, typeOf(value), required.includes(field) ? "" : "optional", value.description ?? "",
  ]);
  return make("details", "", make("summary", "", make("code", name)), make("p", description ?? ""), table(["field", "type", "", ""], rows));
}

const target = document.getElementById("api");
try {
  const response = await fetch("/openapi.json");
  const api = await response.json();
  const text = make("p", api.info.description);
  text.className = "text";
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, description]) => operation(path, method, description)));
  const schemas = Object.entries(api.components?.schemas ?? {}).map(([name, value]) => schema(name, value));
  target.replaceChildren(text, make("h2", "Requests"), ...operations, make("h2", "Types"), ...schemas);
} catch (error) {
  target.textContent = `openapi.json could not be read: ${error.message}`;
}
