// A video of the visitor's: sent, parsed on the server, watched here, and fetched.

import { ServerError, request, upload, words } from "./api.js";
import { duration, megabytes, tooLarge } from "./words.js";

const POLL_MS = 500;
const MISSES = 20; // of polls in a row, after which the server counts as gone

const element = (id) => document.getElementById(id);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class VideoMode {
  title = "Video";
  offers = { original: false, smoothing: true, later: true };
  #stage;
  #settings;
  #classes;
  #limits;
  #file = null;
  #job = null; // {id, sending, done} of the video under way, or of the one whose result is shown
  #problem = ""; // why it was not parsed
  #player = element("player");
  #entered = false;

  /** classes: names of all that can be drawn. limits: as /api/limits has them. */
  constructor(stage, settings, classes, limits) {
    this.#stage = stage;
    this.#settings = settings;
    this.#classes = classes;
    this.#limits = limits;
    element("video-file").addEventListener("change", ({ target }) => {
      if (target.files[0]) this.take(target.files[0]);
      target.value = "";
    });
    element("video-parse").addEventListener("click", () => this.#parse());
    element("video-cancel").addEventListener("click", () => this.#cancel());
    window.addEventListener("pagehide", ({ persisted }) => {
      if (this.#job?.id && !this.#job.done && !persisted) this.#forget(this.#job);
    });
    for (const event of ["loadedmetadata", "error"]) this.#player.addEventListener(event, () => this.#reveal());
  }

  enter() {
    this.#entered = true;
    element("video-bar").hidden = !this.#file;
    if (this.#file) this.#reveal();
    else this.#welcome();
  }

  /** The work goes on; the visitor may come back. */
  leave() {
    this.#entered = false;
    this.#player.pause();
    this.#player.hidden = element("video-bar").hidden = true;
    this.#stage.clear();
  }

  /** Show a file; it is not sent before the visitor says so. */
  take(file) {
    this.#discard();
    this.#file = file;
    element("video-bar").hidden = false;
    this.#play(URL.createObjectURL(file));
    this.#offer({ choose: true, parse: true });
    this.#tell(`${file.name} · ${megabytes(file.size)}`);
    const most = this.#limits.video_bytes;
    if (file.size > most) this.#fail(tooLarge(file.size, most));
  }

  async #parse() {
    this.#discard();
    this.#preview();
    const job = (this.#job = { id: null, sending: new AbortController(), done: false });
    const over = () => job !== this.#job;
    this.#offer({ cancel: true });
    this.#tell("Sending…", 0);
    try {
      const progress = (share) => over() || this.#tell(`Sending, ${Math.floor(100 * share)} %`, share);
      const { signal } = job.sending;
      const answer = await upload(`api/videos?${this.#options()}`, this.#file, { progress, signal });
      job.id = answer.id;
      if (over()) return this.#forget(job);
      await this.#follow(job, over);
    } catch (error) {
      if (!over()) this.#fail(error.message);
    }
  }

  /** Tell how far the work is until it is done. Raises ServerError when it fails. */
  async #follow(job, over) {
    const begun = performance.now();
    let first = null; // what the first frames' status was, and when
    for (let misses = 0; !over(); await pause(POLL_MS)) {
      let status;
      try {
        status = await (await request(`api/videos/${job.id}`)).json();
        misses = 0;
      } catch (error) {
        if (error.status === 401) location.reload();
        if (error.status || ++misses > MISSES) throw error;
        continue;
      }
      if (over()) return;
      if (status.state === "failed") throw new ServerError(words(status.error));
      if (status.state === "done") return this.#finish(job, status.frames, (performance.now() - begun) / 1000);
      if (status.state !== "running" || !status.frames) {
        this.#tell(status.state === "running" ? "Parsing…" : "Waiting for its turn…", null);
        continue;
      }
      const { frames, total, progress } = status;
      first ??= { frames, at: performance.now() };
      const speed = (frames - first.frames) / ((performance.now() - first.at) / 1000);
      const left = total && speed > 0 ? `, about ${duration((total - frames) / speed)} left` : "";
      this.#tell(`Parsing frame ${frames}${total ? ` of ${total}` : ""}${left}`, progress);
    }
  }

  #finish(job, frames, seconds) {
    job.done = true;
    const result = `api/videos/${job.id}/result`;
    this.#play(result);
    element("video-download").href = result;
    this.#offer({ download: true, choose: true, parse: true });
    this.#tell(`Done: ${frames} frames in ${duration(seconds)}`);
  }

  #cancel() {
    this.#discard();
    this.#offer({ choose: true, parse: true });
    this.#tell("Cancelled");
  }

  #fail(why) {
    this.#discard();
    this.#problem = why;
    this.#offer({ choose: true, parse: this.#file.size <= this.#limits.video_bytes });
    this.#tell("");
    this.#reveal();
  }

  /** End the work on the video that is under way, or forget the one that is done. */
  #discard() {
    const job = this.#job;
    this.#job = null;
    this.#problem = "";
    if (!job) return;
    job.sending.abort();
    if (job.id) this.#forget(job);
  }

  #forget({ id }) {
    // Where it fails the server forgets the video by itself, later.
    request(`api/videos/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});
  }

  #options() {
    const { view, alpha, hidden, strength } = this.#settings;
    const options = { view: view === "original" ? "overlay" : view, alpha, smooth: strength };
    if (hidden.size) options.classes = this.#classes.filter((name) => !hidden.has(name)).join(",");
    return new URLSearchParams(options);
  }

  #play(address) {
    if (this.#player.src.startsWith("blob:")) URL.revokeObjectURL(this.#player.src);
    this.#player.src = address;
    this.#reveal();
  }

  /** The file as it is, where the result of an earlier run is shown. */
  #preview() {
    if (this.#player.src.startsWith("blob:")) this.#reveal();
    else this.#play(URL.createObjectURL(this.#file));
  }

  /** Show the video, or why there is none to be seen. */
  #reveal() {
    if (!this.#entered) return;
    this.#player.hidden = Boolean(this.#problem || this.#player.error);
    if (this.#problem) {
      const actions = [{ label: "Choose another", run: () => element("video-file").click(), primary: true }];
      this.#stage.card("This video was not parsed", this.#problem, { actions, error: true });
    } else if (this.#player.error) {
      const able = this.#job?.done ? "It can be downloaded." : "The server may well parse it.";
      this.#stage.card("No preview", `Your browser cannot play this kind of file. ${able}`);
    } else {
      const { videoWidth, videoHeight } = this.#player;
      if (videoHeight) this.#stage.ratio = videoWidth / videoHeight;
      this.#stage.hideCard();
    }
  }

  #welcome() {
    const actions = [{ label: "Choose a video", run: () => element("video-file").click(), primary: true }];
    const { video_bytes: most, lifetime } = this.#limits;
    const drop = !matchMedia("(pointer: coarse)").matches;
    const text = `Up to ${megabytes(most)}. The result is kept for ${duration(lifetime)}.`;
    this.#stage.card(drop ? "Drop a video here" : "A video of yours", text, { actions, drop });
  }

  #offer({ choose = false, parse = false, download = false, cancel = false }) {
    element("video-choose").hidden = !choose;
    element("video-parse").hidden = !parse;
    element("video-parse").classList.toggle("primary", !download);
    element("video-parse").textContent = download ? "Parse again" : "Parse this video";
    element("video-download").hidden = !download;
    element("video-cancel").hidden = !cancel;
  }

  /** progress: 0..1, null for work of unknown length, undefined for none. */
  #tell(text, progress) {
    const bar = element("video-progress");
    element("video-status").textContent = text;
    bar.hidden = progress === undefined;
    if (progress === null) bar.removeAttribute("value");
    else if (progress !== undefined) bar.value = progress;
  }
}
