"use strict";
theme.start();
for (const table of document.querySelectorAll(".grid > .scroll > table")) {
  grids[table.id] = new Grid(table, "lazy" in table.dataset ? data.tables[table.id] : undefined);
}
const widgets = { classes, images };
for (const place of document.querySelectorAll(".widget")) {
  widgets[place.dataset.widget].start(place, data.parts[place.dataset.data]);
}
document.querySelectorAll(".choices").forEach(choices);
runs.start();
charts.start();
if (matchMedia("(max-width: 40rem)").matches) document.querySelector("nav details").open = false;
addEventListener("afterprint", () => Object.values(grids).forEach((grid) => grid.tell()));
addEventListener("beforeprint", () => {
  for (const grid of Object.values(grids)) grid.print();
  for (const details of document.querySelectorAll("details.remarks")) details.open = true;
});
