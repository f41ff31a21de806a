// Tables whose rows are made once and written to in place.

import { set } from "./figures.js";

// rows: lists of texts, the first of each a row header; onRow(tr, index) may adorn.
export function fillRows(body, rows, onRow = null) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((texts, index) => {
    let row = body.rows[index];
    if (!row) {
      row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      row.append(head, ...texts.slice(1).map(() => document.createElement("td")));
      body.append(row);
    }
    texts.forEach((text, place) => set(row.cells[place], text));
    onRow?.(row, index);
  });
}
