// The page: one stage and one set of controls, and four ways to fill the stage.

import { request } from "./api.js";
import { CameraMode } from "./camera.js";
import { Controls } from "./controls.js";
import { Figures } from "./figures.js";
import { ImageMode } from "./image.js";
import { LiveMode } from "./live.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";
import { VideoMode } from "./video.js";

const tabs = [...document.querySelectorAll("[role=tab]")];
let current = null;

async function start() {
  if (!window.DecompressionStream || !window.OffscreenCanvas) throw new Error("It needs a browser of 2023 or later.");
  const [{ classes }, limits, { sources }] = await Promise.all(
    ["api/classes", "api/limits", "api/sources"].map(async (path) => (await request(path)).json()),
  );
  const settings = new Settings();
  const controls = new Controls(classes, settings);
  const figures = new Figures();
  const stage = new Stage(classes, settings, (shares) => (controls.shares = shares));
  const drawn = classes.slice(1).map(({ name }) => name);
  const modes = {
    live: new LiveMode(stage, figures, settings, () => go("camera")),
    camera: new CameraMode(stage, figures, settings),
    image: new ImageMode(stage, limits),
    video: new VideoMode(stage, settings, drawn, limits),
  };

  function go(name) {
    if (current === modes[name]) return;
    current?.leave();
    current = modes[name];
    for (const tab of tabs) {
      const chosen = tab.dataset.mode === name;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
    }
    document.getElementById("panel").setAttribute("aria-labelledby", `tab-${name}`);
    document.title = `${current.title} – rtparse`;
    history.replaceState(null, "", `#${name}`);
    controls.offer(current.offers);
    current.enter();
  }

  for (const tab of tabs) tab.addEventListener("click", () => go(tab.dataset.mode));
  document.querySelector("[role=tablist]").addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const at = tabs.findIndex((tab) => tab.tabIndex === 0);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    next.focus();
    go(next.dataset.mode);
  });
  takeFiles((file) => {
    const name = file.type.startsWith("image/") ? "image" : "video";
    go(name);
    modes[name].take(file);
  });

  const asked = location.hash.slice(1);
  const usual = sources.length ? "live" : window.isSecureContext ? "camera" : "image";
  go(Object.hasOwn(modes, asked) ? asked : usual);
}

/** Files that are dropped anywhere on the page, or pasted. */
function takeFiles(take) {
  let depth = 0; // dragenter and dragleave come for every element that is crossed
  const over = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  const holdsFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  window.addEventListener("dragenter", (event) => holdsFiles(event) && over(1));
  window.addEventListener("dragleave", (event) => holdsFiles(event) && over(-1));
  window.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    over(-depth);
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  window.addEventListener("paste", ({ clipboardData }) => clipboardData.files[0] && take(clipboardData.files[0]));
}

start().catch((error) => {
  if (error.status === 401) location.reload(); // to the page that asks for the token
  document.getElementById("card-title").textContent = "The page cannot be shown";
  document.getElementById("card-text").textContent = error.message;
  document.getElementById("card").hidden = false;
});
