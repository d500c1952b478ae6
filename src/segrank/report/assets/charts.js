"use strict";
// Charts, drawn when they come into view, then in the other theme, so that changing it or printing needs no drawing.

const charts = {
  start() {
    this.figures = [...document.querySelectorAll("figure[data-chart]")];
    const near = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.draw(target, theme.now);
    }, { rootMargin: "50% 0%" });
    for (const figure of this.figures) near.observe(figure);
    document.getElementById("theme").addEventListener("click", () => this.rest(0));
    this.rest(500);
    let width = innerWidth, wait;
    addEventListener("resize", () => {
      clearTimeout(wait);
      wait = setTimeout(() => {
        if (innerWidth === width) return;
        width = innerWidth;
        for (const one of document.querySelectorAll(".chart")) one.replaceChildren();
        for (const figure of this.figures) { near.unobserve(figure); near.observe(figure); }
        this.rest(500);
      }, 200);
    });
  },

  // all that is not drawn yet, one after the other, when nothing else is to be done
  rest(after) {
    const idle = globalThis.requestIdleCallback ?? ((act) => setTimeout(act, 50));
    const next = async () => {
      for (const name of [theme.now, theme.now === "dark" ? "light" : "dark"]) {
        const figure = this.figures.find((one) => !one.querySelector(`.chart.${name}`).hasChildNodes());
        if (figure) {
          await this.draw(figure, name);
          idle(next);
          return;
        }
      }
    };
    setTimeout(() => idle(next), after);
  },

  async draw(figure, name) {
    const place = figure.querySelector(`.chart.${name}`);
    if (place.hasChildNodes()) return;
    const inside = element("div");
    place.append(inside);
    const known = data.charts[figure.dataset.chart];
    const spec = structuredClone(known);
    const { config, least, fits } = known.usermeta;
    spec.config = data.configs[config][name];
    if (typeof spec.width === "number") spec.width = Math.max(least, figure.clientWidth || figure.closest("section").clientWidth);
    place.classList.toggle("fits", fits); // made smaller where there is less room; others are scrolled
    try {
      await vegaEmbed(inside, spec, {
        ast: true, renderer: "svg", logLevel: 1, actions: false, defaultStyle: false, hover: false,
        tooltip: { disableDefaultStyle: true },
      });
    } catch (error) {
      inside.replaceChildren(element("p", {}, "This chart could not be drawn; its numbers are below."));
      console.error(error);
    }
  },
};
