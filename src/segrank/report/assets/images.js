"use strict";
// Images, their truth and what each encoder made of them, drawn from maps of classes; one image at a time.
const VIEWS = { classes: "classes", errors: "errors", over: "classes over the image" };

const images = {
  start(place, part) {
    this.part = part;
    this.colours = part.colours.map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
    const select = (label, options, act) => {
      const box = element("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));
      box.addEventListener("change", act);
      return [element("label", {}, `${label} `, box), box];
    };
    const [order, orderBox] = select("Order", [["disagreement", "encoders disagree most"], ...part.encoders.map((name, at) => [at, `worst for ${name}`])], () => this.sort());
    const [view, viewBox] = select("Show", Object.entries(VIEWS), () => this.show());
    const step = (by, text, name) => {
      const button = element("button", { type: "button", "aria-label": name }, text);
      button.addEventListener("click", () => this.go(by));
      return button;
    };
    this.count = element("span", { role: "status" });
    this.tiles = element("div", { class: "tiles", tabindex: "0", role: "region", "aria-label": "Images: arrow keys go to the next one" });
    this.tiles.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (by) { event.preventDefault(); this.go(by); }
    });
    this.legend = element("ul", { class: "legend" });
    this.under = element("p", { class: "quiet under" }, "Move over a picture to read classes.");
    Object.assign(this, { orderBox, viewBox });
    place.replaceChildren(element("div", { class: "tools" }, step(-1, "\u2190", "Previous image"), this.count,
      step(1, "\u2192", "Next image"), order, view), this.tiles, this.under, this.legend);
    this.cache = new Map();
    this.sort();
  },

  sort() {
    const by = this.orderBox.value;
    const value = by === "disagreement" ? (one) => one.disagreement : (one) => one.wrong[by];
    this.order = this.part.images.map((one, at) => at).sort((a, b) => value(this.part.images[b]) - value(this.part.images[a]) || a - b);
    this.at = 0;
    this.show();
  },

  go(by) {
    this.at = (this.at + by + this.order.length) % this.order.length;
    this.show();
  },

  async pixels(url) {
    if (!this.cache.has(url)) {
      const picture = new Image();
      picture.src = url;
      await picture.decode();
      const canvas = new OffscreenCanvas(picture.width, picture.height);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 0, 0);
      this.cache.set(url, context.getImageData(0, 0, picture.width, picture.height));
    }
    return this.cache.get(url);
  },

  async show() {
    const one = this.part.images[this.order[this.at]];
    const asked = (this.asked = {});
    const [image, truth, ...maps] = await Promise.all([one.image, one.truth, ...one.maps].map((url) => this.pixels(url)));
    if (asked !== this.asked) return; // another one was asked for meanwhile
    this.count.textContent = `${this.at + 1} of ${this.order.length}: ${one.name}`;
    const share = (value) => `${(100 * value).toFixed(1)} % wrong`;
    const tiles = [["image", "", image, null], ["truth", "", truth, "classes"],
      ...maps.map((map, at) => [this.part.encoders[at], share(one.wrong[at]), map, this.viewBox.value])];
    this.tiles.replaceChildren(...tiles.map(([name, note, pixels, view]) => {
      const canvas = element("canvas", { width: pixels.width, height: pixels.height, role: "img", "aria-label": `${name} ${note}` });
      this.draw(canvas, pixels, view, truth, image);
      canvas.addEventListener("pointermove", (event) => this.read(event, canvas, truth, maps));
      return element("figure", {}, canvas, element("figcaption", {}, name, " ", element("span", { class: "quiet" }, note)));
    }));
    const seen = new Set();
    for (const map of [truth, ...maps]) for (let at = 0; at < map.data.length; at += 4) seen.add(map.data[at]);
    const known = [...seen].filter((value) => value < this.part.classes.length).sort((a, b) => a - b);
    this.legend.replaceChildren(...known.map((value) => {
      const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const square = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [key, text] of Object.entries({ width: 12, height: 12, "aria-hidden": "true" })) swatch.setAttribute(key, text);
      for (const [key, text] of Object.entries({ width: 12, height: 12, fill: this.part.colours[value] })) square.setAttribute(key, text);
      swatch.append(square);
      return element("li", {}, swatch, ` ${this.part.classes[value]}`);
    }));
    if (this.viewBox.value === "errors") this.legend.prepend(element("li", {}, "errors: hatched on the image; not labelled: dark"));
  },

  draw(canvas, pixels, view, truth, image) {
    const context = canvas.getContext("2d");
    const made = context.createImageData(pixels.width, pixels.height);
    for (let at = 0; at < made.data.length; at += 4) {
      const value = pixels.data[at];
      const ignored = truth.data[at] === 255;
      const own = [image.data[at], image.data[at + 1], image.data[at + 2]];
      let colour = own;
      if (view === "classes") colour = this.colours[value] ?? [0, 0, 0];
      else if (view === "over") colour = (this.colours[value] ?? [0, 0, 0]).map((part, c) => 0.55 * part + 0.45 * own[c]);
      else if (view === "errors") {
        const grey = 0.5 * (0.3 * own[0] + 0.59 * own[1] + 0.11 * own[2]) + 110;
        const [x, y] = [(at / 4) % pixels.width, Math.floor(at / 4 / pixels.width)];
        // not by colour alone: errors have stripes
        if (ignored) colour = [30, 30, 30];
        else colour = value === truth.data[at] ? [grey, grey, grey] : (x + y) % 6 < 3 ? [213, 94, 0] : [120, 40, 0];
      }
      made.data.set([...colour, 255], at);
    }
    context.putImageData(made, 0, 0);
  },

  read(event, canvas, truth, maps) {
    const box = canvas.getBoundingClientRect();
    const x = Math.min(truth.width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * truth.width)));
    const y = Math.min(truth.height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * truth.height)));
    const at = 4 * (y * truth.width + x);
    const name = (map) => this.part.classes[map.data[at]] ?? "not labelled";
    this.under.textContent = `Truth: ${name(truth)}. ${maps.map((map, n) => `${this.part.encoders[n]}: ${name(map)}`).join("; ")}`;
  },
};
