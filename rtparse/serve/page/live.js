// The server's own sources.

import { request } from "./api.js";
import { Link } from "./link.js";
import { Scene } from "./painter.js";
import { sentence } from "./words.js";

const STATES = {
  connecting: "The source is being opened…",
  waiting: "The source is away. It is opened again as soon as it is back.",
};

const element = (id) => document.getElementById(id);

export class LiveMode {
  title = "Live";
  offers = { original: true, smoothing: true, later: false };
  #stage;
  #figures;
  #settings;
  #link = null;
  #source = null;
  #state = "";
  #entered = false;

  /** toCamera: goes to the visitor's own camera. */
  constructor(stage, figures, settings, toCamera) {
    this.#stage = stage;
    this.#figures = figures;
    this.#settings = settings;
    this.toCamera = toCamera;
    settings.addEventListener("smooth", () => this.#link && this.#watch());
  }

  async enter() {
    this.#entered = true;
    element("live-bar").hidden = true;
    this.#stage.card("Looking for sources…", "", { busy: true });
    let sources;
    try {
      ({ sources } = await (await request("api/sources")).json());
    } catch (error) {
      if (error.status === 401) location.reload();
      const again = { label: "Try again", run: () => this.enter(), primary: true };
      if (this.#entered) this.#stage.card("No connection", error.message, { actions: [again], error: true });
      return;
    }
    if (!this.#entered) return;
    this.#list(sources);
    if (!sources.length) {
      const actions = [{ label: "Use my camera", run: this.toCamera, primary: true }];
      this.#stage.card("No sources", "Start the server with some: rtparse serve street.mp4 rtsp://…", { actions });
      return;
    }
    this.#choose(sources.find(({ number }) => number === this.#source?.number) ?? sources[0]);
  }

  leave() {
    this.#entered = false;
    element("live-bar").hidden = true;
    this.#link?.close();
    this.#link = null;
    this.#figures.stop();
    this.#stage.note("");
    this.#stage.clear();
  }

  #list(sources) {
    element("live-bar").hidden = !sources.length;
    element("sources").hidden = sources.length < 2;
    element("sources").replaceChildren(
      ...sources.map((source) => {
        const [label, radio, name] = ["label", "input", "span"].map((tag) => document.createElement(tag));
        Object.assign(radio, { type: "radio", name: "source", value: source.number });
        radio.addEventListener("change", () => this.#choose(source));
        name.textContent = source.name;
        label.append(radio, name);
        return label;
      }),
    );
  }

  #choose(source) {
    this.#source = source;
    element("sources").querySelector(`input[value="${source.number}"]`).checked = true;
    this.#stage.clear();
    this.#watch();
  }

  #watch() {
    this.#link?.close();
    const { number, name } = this.#source;
    this.#figures.start("Latency on the server");
    this.#say("Connecting…");
    element("live-status").textContent = "";
    const link = (this.#link = new Link(
      `live/sources/${number}?smooth=${this.#settings.smooth}`,
      {
        open: () => this.#say("Waiting for the first frame…"),
        frame: async (header, labels, picture) => {
          const bitmap = await createImageBitmap(picture);
          if (link !== this.#link) return;
          this.#stage.note("");
          this.#stage.show(new Scene(bitmap, labels, header.width, header.height));
          this.#figures.add(header.latency);
          const size = `${header.width} × ${header.height}`;
          element("live-status").textContent = `${name} · ${size}${skipped(header.dropped)}`;
        },
        state: (state) => {
          this.#state = state;
          if (state in STATES) this.#say(STATES[state]);
        },
        lost: (why, seconds) => this.#say(`${sentence(why)} Trying again in ${seconds} s.`),
        ended: (why) => {
          const again = { label: "Try again", run: () => this.#watch(), primary: true };
          this.#figures.stop();
          this.#stage.note("");
          this.#stage.card("This source has ended", sentence(why), { actions: [again], error: true });
        },
        expects: () => this.#state === "live",
      },
      { acknowledges: true },
    ));
    link.open();
  }

  /** Over the last picture, or in the middle where there is none. */
  #say(text) {
    if (this.#stage.scene) this.#stage.note(text);
    else this.#stage.card(text, "", { busy: true });
  }
}

/** Frames for which newer ones were shown. */
function skipped(frames) {
  return frames ? ` · ${frames} older ${frames === 1 ? "frame" : "frames"} skipped` : "";
}
