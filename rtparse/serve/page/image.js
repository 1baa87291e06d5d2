// A picture of the visitor's: dropped, pasted, chosen or taken.

import { upload } from "./api.js";
import { Scene } from "./painter.js";
import { tooLarge } from "./words.js";

const SHOWN_SIDE = 2048;
const KEPT = "It is parsed by this server, and not kept.";

const element = (id) => document.getElementById(id);

export class ImageMode {
  title = "Image";
  offers = { original: true, smoothing: false, later: false };
  #stage;
  #limits;
  #scene = null;
  #work = null; // an AbortController
  #entered = false;

  /** limits: as /api/limits has them. */
  constructor(stage, limits) {
    this.#stage = stage;
    this.#limits = limits;
    for (const id of ["image-file", "image-photo"]) {
      element(id).addEventListener("change", ({ target }) => {
        if (target.files[0]) this.take(target.files[0]);
        target.value = ""; // so that the same file can be chosen again
      });
    }
  }

  enter() {
    this.#entered = true;
    element("image-bar").hidden = !this.#scene;
    if (this.#scene) this.#show();
    else this.#welcome();
  }

  leave() {
    this.#entered = false;
    this.#work?.abort();
    this.#work = null;
    element("image-bar").hidden = true;
    this.#stage.note("");
    this.#stage.clear();
  }

  async take(file) {
    this.#work?.abort();
    const work = (this.#work = new AbortController());
    this.#stage.note("");
    this.#say(`Sending ${file.name}…`);
    const begun = performance.now();
    try {
      if (file.size > this.#limits.image_bytes) throw new Error(tooLarge(file.size, this.#limits.image_bytes));
      const progress = (share) => !work.signal.aborted && share === 1 && this.#say(`Parsing ${file.name}…`);
      const picture = load(file);
      const answer = await upload("api/parse?format=json", file, { progress, signal: work.signal });
      const { width, height, runs } = answer;
      const scene = new Scene(await picture, spread(runs, width * height), width, height);
      if (work.signal.aborted) return;
      const seconds = ((performance.now() - begun) / 1000).toFixed(1);
      element("image-status").textContent = `${file.name} · ${width} × ${height} · ${seconds} s`;
      this.#scene = scene;
      if (this.#entered) this.#show();
    } catch (error) {
      if (work.signal.aborted) return;
      if (error.status === 401) location.reload();
      const actions = [{ label: "Choose another", run: () => element("image-file").click(), primary: true }];
      if (this.#scene) actions.push({ label: "Back", run: () => this.#show() });
      this.#stage.card("This picture was not parsed", error.message, { actions, error: true });
    }
  }

  #show() {
    element("image-bar").hidden = false;
    this.#stage.show(this.#scene, { steady: true });
    this.#stage.note(this.#scene.picture ? "" : "Your browser cannot show this kind of file; these are its labels.");
  }

  #welcome() {
    const actions = [{ label: "Choose a picture", run: () => element("image-file").click(), primary: true }];
    if (matchMedia("(pointer: coarse)").matches) {
      actions.push({ label: "Take a photo", run: () => element("image-photo").click() });
      this.#stage.card("A picture of yours", KEPT, { actions });
    } else {
      this.#stage.card("Drop a picture here", `Or paste one. ${KEPT}`, { actions, drop: true });
    }
  }

  #say(text) {
    this.#stage.card(text, "", { busy: true });
  }
}

/** The file's picture, upright and not larger than a screen; null where the browser does not know its format. */
async function load(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    const { naturalWidth, naturalHeight } = image;
    const scale = Math.min(1, SHOWN_SIDE / Math.max(naturalWidth, naturalHeight));
    const [width, height] = [naturalWidth, naturalHeight].map((side) => Math.max(1, Math.round(side * scale)));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, width, height);
    return canvas;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

/** Labels of run lengths: id, length, id, length, ... */
function spread(runs, size) {
  const labels = new Uint8Array(size);
  for (let i = 0, end = 0; i < runs.length; i += 2) labels.fill(runs[i], end, (end += runs[i + 1]));
  return labels;
}
