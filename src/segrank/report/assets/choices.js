"use strict";
// Of several that take the same place, such as the rankings of settings, one is shown; printed are all.
function choices(place) {
  const all = [...place.querySelectorAll(".choice")];
  const box = element("select", {}, ...all.map((one, at) => element("option", { value: at }, one.querySelector("h3").textContent)));
  const show = () => all.forEach((one, at) => one.classList.toggle("away", at !== Number(box.value)));
  box.addEventListener("change", show);
  place.prepend(element("div", { class: "tools" }, element("label", {}, "Show ", box)));
  show();
}
