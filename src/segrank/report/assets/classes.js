"use strict";
// IoU of every class: one encoder against another, or all beside each other.
const classes = {
  start(place, part) {
    const select = (label, options) => {
      const chosen = element("select", {}, ...options.map((text, at) => element("option", { value: at }, text)));
      chosen.addEventListener("change", () => this.show());
      return [element("label", {}, `${label} `, chosen), chosen];
    };
    this.part = part;
    const [setting, settingBox] = select("Setting", part.settings.map((name) => name || "all runs"));
    settingBox.addEventListener("change", () => this.choices());
    const [a, aBox] = select("Encoder", []);
    const [b, bBox] = select("against", []);
    const every = element("input", { type: "checkbox" });
    every.addEventListener("change", () => this.show());
    Object.assign(this, { settingBox, aBox, bBox, every });
    const tools = element("div", { class: "tools" }, a, b, element("label", {}, every, " all encoders"));
    if (part.settings.length > 1) tools.prepend(setting);
    this.table = element("div");
    place.replaceChildren(tools, this.table);
    this.choices();
  },

  choices() {
    const { encoders } = this.part.parts[this.settingBox.value];
    const before = [this.aBox, this.bBox].map((box) => box.selectedOptions[0]?.textContent);
    [this.aBox, this.bBox].forEach((box, at) => {
      box.replaceChildren(...encoders.map((name, index) => element("option", { value: index }, name)));
      const again = encoders.indexOf(before[at]);
      box.value = again >= 0 ? again : Math.min(at, encoders.length - 1);
    });
    this.show();
  },

  show() {
    const { classes: names, encoders, iou } = this.part.parts[this.settingBox.value];
    const [a, b] = [Number(this.aBox.value), Number(this.bBox.value)];
    const percent = (value) => (value === null ? "" : ((100 * value) / this.part.per_unit).toFixed(2));
    const both = (of) => of[a] !== null && of[b] !== null;
    const most = Math.max(1, ...iou.filter(both).map((of) => Math.abs(of[a] - of[b])));
    const headings = [{ name: "class", text: true }, { name: `${encoders[a]} IoU %` }, { name: `${encoders[b]} IoU %` }, { name: "difference" }, { name: "" }];
    const others = this.every.checked ? encoders.map((_, at) => at).filter((at) => at !== a && at !== b) : [];
    headings.push(...others.map((at) => ({ name: encoders[at] })));
    const rows = names.map((name, at) => {
      const of = iou[at];
      const apart = both(of) ? of[a] - of[b] : null;
      const signed = apart === null ? "" : `${apart > 0 ? "+" : apart < 0 ? "\u2212" : ""}${percent(Math.abs(apart))}`;
      return [name, percent(of[a]), percent(of[b]), signed, "", ...others.map((other) => percent(of[other]))];
    });
    const [made, grid] = frame("classes-table", "IoU of each class", headings, rows);
    grid.finish = (row, { at }) => {
      const of = iou[at];
      if (both(of)) row.cells[4].replaceChildren(bar((of[a] - of[b]) / most));
    };
    grid.show();
    for (const row of grid.rows) if (row.row) grid.finish(row.row, row);
    this.table.replaceChildren(made);
  },
};

// Right of the middle for what is ahead, left for what is behind.
function bar(share) {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const middle = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [key, value] of Object.entries({ width: 120, height: 12, viewBox: "-60 0 120 12", "aria-hidden": "true" })) picture.setAttribute(key, value);
  for (const [key, value] of Object.entries({ x: Math.min(0, 58 * share), y: 1, width: Math.abs(58 * share), height: 10, class: share > 0 ? "plus" : "minus" })) shape.setAttribute(key, value);
  for (const [key, value] of Object.entries({ y1: 0, y2: 12, class: "middle" })) middle.setAttribute(key, value);
  picture.append(shape, middle);
  return picture;
}
