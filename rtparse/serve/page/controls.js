// The settings as the visitor sees them: view, strength, smoothing, and a switch for each class.

import { hundredths } from "./words.js";

const element = (id) => document.getElementById(id);

export class Controls {
  #chips = new Map(); // class id -> its chip
  #settings;

  /** classes: as /api/classes lists them. */
  constructor(classes, settings) {
    this.#settings = settings;
    radios("view", settings.view, (view) => this.#look(view));
    radios("smooth", settings.smooth, (smooth) => settings.set({ smooth }));

    const alpha = element("alpha");
    const told = () => (element("alpha-value").textContent = `${alpha.value} %`);
    alpha.value = Math.round(100 * settings.alpha);
    alpha.addEventListener("input", () => {
      settings.set({ alpha: alpha.value / 100 });
      told();
    });
    told();

    const drawn = classes.slice(1); // the background is never drawn
    for (const { id, name, colour } of drawn) this.#chips.set(id, this.#chip(name, colour));
    element("classes").replaceChildren(...this.#chips.values());
    element("all").addEventListener("click", () => this.#hide([]));
    element("none").addEventListener("click", () => this.#hide(drawn.map((each) => each.name)));
  }

  /** Say how much of the picture each class covers. */
  set shares(shares) {
    for (const [id, chip] of this.#chips) {
      chip.lastElementChild.textContent = shares[id] ? hundredths(shares[id]) : "";
      chip.classList.toggle("seen", shares[id] > 0);
    }
  }

  /** Offer what means something for a mode. */
  offer({ original, smoothing, later }) {
    document.querySelector("input[name=view][value=original]").closest("label").hidden = !original;
    element("smoothings").hidden = !smoothing;
    element("settings-note").hidden = !later;
    element("classes-unit").hidden = later;
    // Without it the view is chosen among the others, for as long as the mode lasts.
    const view = this.#settings.view === "original" && !original ? "overlay" : this.#settings.view;
    document.querySelector(`input[name=view][value=${view}]`).checked = true;
    this.#mute(view);
  }

  #look(view) {
    this.#settings.set({ view });
    this.#mute(view);
  }

  /** The strength means nothing where no colours lie over a picture. */
  #mute(view) {
    element("alpha").disabled = view === "labels" || view === "original";
  }

  #chip(name, colour) {
    const chip = document.createElement("button");
    chip.className = "chip";
    chip.dataset.name = name;
    chip.style.setProperty("--colour", colour);
    const parts = ["swatch", "name", "share"].map((part) => {
      const span = document.createElement("span");
      span.className = part;
      return span;
    });
    parts[1].textContent = name;
    chip.append(...parts);
    chip.setAttribute("aria-pressed", !this.#settings.hidden.has(name));
    chip.addEventListener("click", () => {
      const hidden = new Set(this.#settings.hidden);
      if (!hidden.delete(name)) hidden.add(name);
      this.#hide(hidden);
    });
    return chip;
  }

  #hide(names) {
    const hidden = new Set(names);
    for (const chip of this.#chips.values()) chip.setAttribute("aria-pressed", !hidden.has(chip.dataset.name));
    this.#settings.set({ hidden });
  }
}

function radios(name, value, chosen) {
  for (const radio of document.querySelectorAll(`input[name=${name}]`)) {
    radio.checked = radio.value === value;
    radio.addEventListener("change", () => chosen(radio.value));
  }
}
