"use strict";
// The runs: links from numbers choose among them, and each opens a panel with the spec that repeats it.
const runs = {
  start() {
    const grid = grids["runs-table"];
    const part = data.parts.runs;
    if (!grid || !part) return;
    this.grid = grid;
    this.panel = element("div", { class: "panel", role: "region", "aria-label": "The chosen run", tabindex: "-1", hidden: "" });
    grid.scroller.after(this.panel);
    grid.finish = (row, { at, cells }) => {
      const button = element("button", { type: "button", "aria-label": `Run ${cells[0]}: its spec` }, cells[0]);
      button.addEventListener("click", () => this.open(at, cells, button));
      row.cells[0].replaceChildren(button);
    };
    for (const row of grid.rows) if (row.row) grid.finish(row.row, row);
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.("a[data-runs]");
      if (!link) return;
      event.preventDefault();
      location.hash = `runs=${link.dataset.runs.split(" ").map(encodeURIComponent).join(",")}`;
    });
    addEventListener("hashchange", () => this.follow());
    this.follow();
  },

  follow() {
    if (!location.hash.startsWith("#runs=")) return;
    const keys = new Set(location.hash.slice(6).split(",").map(decodeURIComponent));
    this.grid.only((row) => keys.has(row.cells[0]));
    document.getElementById("runs").scrollIntoView();
    this.grid.scroller.focus({ preventScroll: true });
  },

  open(at, cells, button) {
    const { spec, defaults, others } = data.parts.runs;
    const value = ({ values, at: which }) => values[which ? which[at] : 0];
    const fields = Object.entries(spec).map(([name, column]) => [name, value(column)]);
    const yaml = fields.filter(([name, text]) => text !== defaults[name] && text !== "null").map(([name, text]) => `${name}: ${text}`);
    const close = element("button", { type: "button" }, "Close");
    close.addEventListener("click", () => { this.panel.hidden = true; button.focus(); });
    const facts = Object.entries(others).map(([name, column]) => [name, value(column)]).filter(([, text]) => text);
    this.panel.replaceChildren(
      element("h3", {}, `Run ${cells[0]}`), element("p", { class: "quiet" },
        "As a file for segrank run; fields that are not named have their defaults, and how it was scored is part of it:"),
      element("pre", { tabindex: "0" }, yaml.join("\n")),
      ...facts.map(([name, text]) => name === "error" ? element("pre", { tabindex: "0" }, text) : element("p", { class: "quiet" }, `${name.replaceAll("_", " ")}: ${text}`)),
      close);
    this.panel.hidden = false;
    this.panel.focus();
  },
};
