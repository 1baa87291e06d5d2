// The large area of the page: a picture with its classes, and what is said over it.

import { Painter } from "./painter.js";
import { hundredths } from "./words.js";

const NARROW = 640; // CSS pixels, below which two pictures stand better above one another
const KEY_STEP = 0.02;
const SHARES_MS = 500;

const element = (id) => document.getElementById(id);

export class Stage {
  #classes;
  #settings;
  #painter;
  #scene = null;
  #point = null; // of the probe, in the shown picture, 0..1
  #shares = new Float64Array(256);
  #counted = 0;
  #onShares;
  #waiting = 0;
  #said = "";
  #root = element("stage");
  #canvas = element("picture");

  /** classes: as /api/classes lists them. onShares: called now and then with the share of each class id. */
  constructor(classes, settings, onShares) {
    this.#classes = classes;
    this.#settings = settings;
    this.#onShares = onShares;
    this.#painter = new Painter(this.#canvas, classes.map((each) => each.colour));
    settings.addEventListener("look", () => this.#redraw());
    new ResizeObserver(() => this.#redraw()).observe(this.#root);
    this.#canvas.addEventListener("pointerdown", (event) => event.button === 0 && this.#pick(event));
    this.#canvas.addEventListener("keydown", (event) => this.#key(event));
    element("save").addEventListener("click", () => this.#save());
    element("fullscreen").addEventListener("click", () => this.#fullscreen());
    element("fullscreen").hidden = !document.fullscreenEnabled;
  }

  /** Show a scene, with the next refresh of the screen; an older one that waits for it is never drawn. */
  show(scene, { steady = false } = {}) {
    if (this.#scene?.picture !== scene.picture) this.#scene?.picture?.close?.(); // or bitmaps would pile up
    this.#scene = scene;
    if (steady || performance.now() > this.#counted + SHARES_MS) this.#count();
    this.hideCard();
    this.#redraw();
  }

  /** What is shown, or null. */
  get scene() {
    return this.#scene;
  }

  clear() {
    this.#scene = null;
    this.#point = null;
    this.#canvas.hidden = element("tools").hidden = element("probe").hidden = true;
    this.#root.style.removeProperty("--ratio");
    this.#shares.fill(0);
    this.#onShares(this.#shares);
  }

  /**
   * Words in the middle, over everything. actions: [{label, run, primary}].
   * busy, drop: with a sign that work goes on, that files can be dropped. error: for what went wrong.
   */
  card(title, text = "", { actions = [], busy = false, drop = false, error = false } = {}) {
    element("card-title").textContent = title;
    element("card-text").textContent = text;
    element("card-spinner").hidden = !busy;
    element("card").setAttribute("role", error ? "alert" : "group");
    if (!error) this.#speak(title);
    element("card").classList.toggle("drop", drop);
    element("card-actions").replaceChildren(
      ...actions.map(({ label, run, primary }) => {
        const button = document.createElement("button");
        button.className = primary ? "button primary" : "button";
        button.textContent = label;
        button.addEventListener("click", run);
        return button;
      }),
    );
    element("card").hidden = false;
    this.#root.classList.toggle("covered", !this.#canvas.hidden);
  }

  hideCard() {
    element("card").hidden = true;
    this.#root.classList.remove("covered");
  }

  /** A line at the upper edge; "" takes it away. */
  note(text) {
    element("note").textContent = text;
    element("note").hidden = !text;
    if (text) this.#speak(text);
  }

  /** Say the first sentence to those who cannot see it: what follows may count seconds. */
  #speak(text) {
    const [sentence] = text.split(". ");
    if (sentence !== this.#said) element("spoken").textContent = this.#said = sentence;
  }

  /** The shape of the stage on a narrow screen, width / height. */
  set ratio(value) {
    this.#root.style.setProperty("--ratio", value);
  }

  #redraw() {
    if (!this.#scene || this.#waiting) return;
    this.#waiting = requestAnimationFrame(() => {
      this.#waiting = 0;
      if (this.#scene) this.#draw();
    });
  }

  #draw() {
    const { view, alpha, hidden } = this.#settings;
    const shown = this.#classes.map(({ name }) => !hidden.has(name));
    const stacked = this.#isStacked();
    this.#painter.draw(this.#scene, { view, alpha, shown, stacked });
    this.#canvas.hidden = element("tools").hidden = false;
    this.ratio = (this.#canvas.width / this.#canvas.height).toFixed(4);
    this.#placeProbe();
  }

  #isStacked() {
    return this.#root.clientWidth < NARROW && this.#scene.width > this.#scene.height;
  }

  #count() {
    this.#counted = performance.now();
    this.#shares = this.#scene.shares();
    this.#onShares(this.#shares);
  }

  /** Where the canvas's pictures are on the stage, in CSS pixels: of one picture, and how far the second is from it. */
  #layout() {
    const { clientWidth, clientHeight } = this.#canvas;
    const scale = Math.min(clientWidth / this.#canvas.width, clientHeight / this.#canvas.height);
    const whole = { width: this.#canvas.width * scale, height: this.#canvas.height * scale };
    const both = this.#settings.view === "side-by-side";
    const stacked = this.#isStacked();
    return {
      left: this.#canvas.offsetLeft + (clientWidth - whole.width) / 2,
      top: this.#canvas.offsetTop + (clientHeight - whole.height) / 2,
      width: both && !stacked ? whole.width / 2 : whole.width,
      height: both && stacked ? whole.height / 2 : whole.height,
      right: both && !stacked ? whole.width / 2 : 0,
      down: both && stacked ? whole.height / 2 : 0,
    };
  }

  #pick(event) {
    if (!this.#scene) return;
    const box = this.#layout();
    const stage = this.#root.getBoundingClientRect();
    let x = (event.clientX - stage.left - box.left) / box.width;
    let y = (event.clientY - stage.top - box.top) / box.height;
    if (box.right && x >= 1) x -= 1;
    if (box.down && y >= 1) y -= 1;
    this.#point = x < 0 || x >= 1 || y < 0 || y >= 1 ? null : { x, y };
    this.#count();
    this.#placeProbe(true);
  }

  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!this.#scene) return;
    if (event.key === "Escape") {
      this.#point = null;
    } else if (event.key in steps) {
      event.preventDefault();
      const [x, y] = steps[event.key];
      const from = this.#point ?? { x: 0.5, y: 0.5 };
      const inside = (value) => Math.min(0.999, Math.max(0, value));
      this.#point = { x: inside(from.x + x * KEY_STEP), y: inside(from.y + y * KEY_STEP) };
    } else {
      return;
    }
    this.#placeProbe(true);
  }

  /** Name the class under the probe. spoken: to those who cannot see it, too. */
  #placeProbe(spoken = false) {
    const probe = element("probe");
    probe.hidden = !this.#point || !this.#scene;
    if (probe.hidden) return;
    const box = this.#layout();
    const x = box.left + box.right + this.#point.x * box.width;
    const y = box.top + box.down + this.#point.y * box.height;
    const id = this.#scene.at(this.#point.x, this.#point.y);
    const { name, colour } = this.#classes[id];
    const share = `${hundredths(this.#shares[id])} % of the picture`;
    probe.style.left = `${x}px`;
    probe.style.top = `${y}px`;
    probe.style.setProperty("--colour", colour);
    probe.classList.toggle("leftward", x > this.#root.clientWidth / 2);
    probe.classList.toggle("downward", y < 64);
    const [title, detail] = [document.createElement("strong"), document.createElement("span")];
    [title.textContent, detail.textContent] = [name, share];
    element("probe-text").replaceChildren(title, detail);
    if (spoken) this.#speak(`${name}, ${share}`);
  }

  #save() {
    this.#canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = "parsed.png";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    }, "image/png");
  }

  #fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.#root.requestFullscreen();
  }
}
