"use strict";
// A table that is sorted by its headings and searched. Of a long one only so many rows are made as were scrolled to.
const SCREEN = 60;
const PRINTED = 200; // rows of a table that is printed whole

function asNumber(text) {
  const found = /[-\u2212]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?/.exec(text);
  return found ? Number(found[0].replaceAll(",", "").replace("\u2212", "-")) : NaN;
}

class Grid {
  // lazy: {rows, runs} of a table whose body is not in the page
  constructor(table, lazy) {
    this.table = table;
    this.body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    this.look = headings.map((heading) => heading.className);
    this.text = headings.map((heading) => heading.classList.contains("text"));
    const after = this.text.indexOf(true) + 1; // where the column of runs is, if there is one
    const counted = (of) => (of.length ? `${of.length} run${of.length === 1 ? "" : "s"}` : "");
    this.rows = lazy
      ? lazy.rows.map((cells, at) => {
        const runs = lazy.runs?.[at];
        return { at, runs, cells: runs ? cells.toSpliced(after, 0, counted(runs)) : cells };
      })
      : [...this.body.rows].map((row, at) => ({ at, cells: [...row.cells].map((cell) => cell.textContent.trim()), row }));
    const frame = table.closest(".grid");
    this.status = frame.querySelector(".status");
    this.scroller = frame.querySelector(".scroll");
    this.search = frame.querySelector("input[type=search]");
    this.back = frame.querySelector(".all");
    this.keep = null; // (row) => whether it is among those that a link leads to
    this.finish = null; // (element, row) => adds what is not text
    this.headings();
    this.search?.addEventListener("input", () => this.show());
    this.back?.addEventListener("click", () => this.only(null));
    this.scroller.addEventListener("scroll", () => {
      if (this.scroller.scrollTop + 2 * this.scroller.clientHeight > this.scroller.scrollHeight) this.more();
    }, { passive: true });
    this.show();
  }

  headings() {
    [...this.table.tHead.rows[0].cells].forEach((heading, at) => {
      const name = heading.textContent.trim();
      if (!name) return;
      const button = element("button", { type: "button" }, name);
      button.addEventListener("click", () => this.sort(at));
      heading.replaceChildren(button);
    });
  }

  sort(at, down) {
    const headings = [...this.table.tHead.rows[0].cells];
    down ??= headings[at].getAttribute("aria-sort") === "ascending";
    for (const heading of headings) heading.removeAttribute("aria-sort");
    headings[at].setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = this.text[at] ? (row) => row.cells[at] ?? "" : (row) => asNumber(row.cells[at] ?? "");
    const order = this.text[at] ? new Intl.Collator("en", { numeric: true }).compare : (a, b) => a - b;
    const empty = (one) => one === "" || Number.isNaN(one);
    const keyed = this.rows.map((row) => [value(row), row]);
    keyed.sort(([a, x], [b, y]) => {
      if (empty(a) || empty(b)) return empty(a) - empty(b) || x.at - y.at; // nothing stands last, either way
      return (down ? order(b, a) : order(a, b)) || x.at - y.at;
    });
    this.rows = keyed.map(([, row]) => row);
    this.show();
  }

  only(keep) {
    this.keep = keep;
    if (this.search) this.search.value = "";
    this.show();
  }

  show() {
    const words = (this.search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (row) => {
      if (this.keep && !this.keep(row)) return false;
      const all = words.length ? row.cells.join("\n").toLowerCase() : "";
      return words.every((word) => all.includes(word));
    };
    this.found = words.length || this.keep ? this.rows.filter(fits) : this.rows;
    this.made = 0;
    this.body.replaceChildren();
    this.scroller.scrollTop = 0;
    this.more();
    if (this.back) this.back.hidden = !this.keep;
  }

  more(count = SCREEN) {
    const next = this.found.slice(this.made, this.made + count);
    this.made += next.length;
    this.body.append(...next.map((row) => this.element(row)));
    this.tell();
  }

  // what of it is there, and how to get at the rest
  tell(rest = "scroll for more") {
    const whole = this.rows.length;
    const all = this.found.length;
    const told = [];
    if (all < whole) told.push(`${all.toLocaleString("en")} of ${whole.toLocaleString("en")} rows.`);
    if (this.made < all) told.push(`${this.made} are shown; ${rest}.`);
    this.status.textContent = told.join(" ");
  }

  // thousands of runs are not for paper
  print() {
    if (this.found.length <= PRINTED) this.more(PRINTED);
    this.tell("all are in the file that this was printed from");
  }

  element(row) {
    if (row.row) return row.row;
    const head = this.text.indexOf(true);
    row.row = element("tr", {}, ...row.cells.map((cell, at) => {
      if (at === head) return element("th", { scope: "row", class: this.look[at] }, cell);
      const link = at === head + 1 && row.runs?.length && element("a", { href: "#runs", "data-runs": row.runs.join(" ") }, cell);
      return element("td", { class: this.look[at] }, link || cell);
    }));
    this.finish?.(row.row, row);
    return row.row;
  }
}

// Headings and rows made by a script, in the same frame as those of the page.
function frame(name, title, headings, rows, searched = true) {
  const table = element("table", { id: name }, element("caption", { class: "quiet" }, title),
    element("thead", {}, element("tr", {}, ...headings.map(({ name, text }) =>
      element("th", { scope: "col", class: text ? "text" : "" }, name)))), element("tbody"));
  const made = element("div", { class: "grid" });
  if (searched) made.append(element("div", { class: "tools" },
    element("label", {}, "Search ", element("input", { type: "search", autocomplete: "off", spellcheck: "false" }))));
  made.append(element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, table),
    element("p", { class: "status quiet", role: "status" }));
  grids[name] = new Grid(table, { rows });
  return [made, grids[name]];
}

const grids = {};
