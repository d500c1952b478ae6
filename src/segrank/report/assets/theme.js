"use strict";
// Everything that the scripts share: what the page knows, and small helpers. Names are text: set, never parsed.
const data = JSON.parse(document.getElementById("data").textContent);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== false) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const theme = {
  get now() { return document.documentElement.dataset.theme; },
  set(name) {
    document.documentElement.dataset.theme = name;
    const button = document.getElementById("theme");
    button.textContent = name === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", name === "dark" ? "Use the light theme" : "Use the dark theme");
  },
  start() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const button = document.getElementById("theme");
    this.set(dark.matches ? "dark" : "light");
    let chosen = false;
    dark.addEventListener("change", () => chosen || this.set(dark.matches ? "dark" : "light"));
    button.hidden = false;
    button.addEventListener("click", () => {
      chosen = true;
      this.set(this.now === "dark" ? "light" : "dark");
    });
  },
};
