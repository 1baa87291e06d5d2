// The visitor's own camera: one frame is on its way at a time, and the next one is the newest there is then.

import { Link } from "./link.js";
import { Scene } from "./painter.js";
import { sentence } from "./words.js";

const SENT_SIDE = 640; // pixels of the longer side of what is sent: the network sees less
const SHOWN_SIDE = 1280;
const JPEG_QUALITY = 0.85;

const element = (id) => document.getElementById(id);

export class CameraMode {
  title = "Camera";
  offers = { original: true, smoothing: true, later: false };
  #stage;
  #figures;
  #settings;
  #link = null;
  #media = null;
  #starting = 0; // the number of the newest try
  #video = element("camera");
  #sent = null; // the frame on its way: its pts and picture
  #encoding = false;
  #spare = [new OffscreenCanvas(1, 1), new OffscreenCanvas(1, 1)];
  #small = new OffscreenCanvas(1, 1);

  constructor(stage, figures, settings) {
    this.#stage = stage;
    this.#figures = figures;
    this.#settings = settings;
    settings.addEventListener("smooth", () => this.#link && this.#connect());
    element("camera-stop").addEventListener("click", () => this.#stop());
    element("cameras").addEventListener("change", () => this.#start(element("cameras").value));
  }

  enter() {
    this.#stop();
  }

  leave() {
    this.#stop();
    this.#stage.clear();
  }

  async #start(deviceId) {
    const turn = ++this.#starting;
    this.#release();
    if (!navigator.mediaDevices?.getUserMedia) {
      this.#refuse(
        window.isSecureContext
          ? "This browser gives pages no camera."
          : "Browsers give a camera only to pages over HTTPS or on localhost. " +
              "Start the server with --cert and --key, and open its https:// address.",
      );
      return;
    }
    this.#stage.card("Waiting for the camera…", "Your browser may ask whether this page may use it.", { busy: true });
    const wanted = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: "user" } };
    const size = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
    let media;
    try {
      media = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, ...size }, audio: false });
    } catch (error) {
      if (turn === this.#starting) this.#refuse(REFUSALS[error.name] ?? `The camera cannot be used (${error.name}).`);
      return;
    }
    if (turn !== this.#starting) {
      media.getTracks().forEach((track) => track.stop());
      return;
    }
    this.#media = media;
    const [track] = media.getVideoTracks();
    track.addEventListener("ended", () => this.#media === media && this.#refuse("The camera was taken away."));
    element("mirror").checked = track.getSettings().facingMode !== "environment";
    element("camera-bar").hidden = false;
    this.#video.srcObject = media;
    await this.#video.play().catch(() => {}); // it was stopped meanwhile
    if (this.#media !== media) return;
    this.#offerCameras(track.getSettings().deviceId);
    this.#connect();
    this.#watch(media);
  }

  /** Back to the beginning. */
  #stop() {
    this.#starting++;
    this.#release();
    this.#stage.clear();
    const actions = [{ label: "Start the camera", run: () => this.#start(), primary: true }];
    this.#stage.card("Your own camera", "Its pictures go to this server, are parsed, and are not kept.", { actions });
  }

  #refuse(why) {
    this.#release();
    this.#stage.clear();
    const actions = [{ label: "Try again", run: () => this.#start(), primary: true }];
    this.#stage.card("No camera", why, { actions, error: true });
  }

  #release() {
    this.#link?.close();
    this.#link = this.#sent = null;
    this.#media?.getTracks().forEach((track) => track.stop());
    this.#media = this.#video.srcObject = null;
    this.#figures.stop();
    this.#stage.note("");
    element("camera-status").textContent = "";
    element("camera-bar").hidden = true;
  }

  async #offerCameras(current) {
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
    element("camera-choice").hidden = devices.length < 2;
    element("cameras").replaceChildren(
      ...devices.map(({ deviceId, label }, i) => {
        return new Option(label || `Camera ${i + 1}`, deviceId, false, deviceId === current);
      }),
    );
  }

  #connect() {
    this.#link?.close();
    this.#sent = null;
    this.#figures.start("Camera to screen");
    this.#say("Connecting…");
    const link = (this.#link = new Link(`live/camera?smooth=${this.#settings.smooth}`, {
      open: () => {
        this.#sent = null; // what was on its way is lost
        this.#say("Waiting for the first answer…");
      },
      frame: async (header, labels) => {
        const sent = this.#sent;
        if (link !== this.#link || header.pts !== sent?.pts) return;
        this.#stage.note("");
        this.#stage.show(new Scene(sent.picture, labels, header.width, header.height, element("mirror").checked));
        this.#figures.add(performance.now() / 1000 - sent.pts);
        this.#sent = null;
        element("camera-status").textContent = `${sent.picture.width} × ${sent.picture.height}`;
      },
      lost: (why, seconds) => this.#say(`${sentence(why)} Trying again in ${seconds} s.`),
      ended: (why) => this.#refuse(sentence(why)),
      expects: () => this.#sent !== null,
    }));
    link.open();
  }

  /** Look at every frame of the camera, for as long as it runs. */
  #watch(media) {
    if (this.#media !== media) return;
    if (!this.#sent && !this.#encoding && this.#link.ready) this.#send();
    const again = () => this.#watch(media);
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(again);
    else requestAnimationFrame(again);
  }

  async #send() {
    const { videoWidth, videoHeight } = this.#video;
    if (!videoWidth) return;
    const link = this.#link;
    const pts = performance.now() / 1000;
    const picture = this.#spare.reverse()[0]; // the other one may still be shown
    fit(picture, this.#video, videoWidth, videoHeight, SHOWN_SIDE);
    fit(this.#small, picture, picture.width, picture.height, SENT_SIDE);
    this.#encoding = true;
    try {
      const jpeg = await this.#small.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
      const time = new DataView(new ArrayBuffer(8));
      time.setFloat64(0, pts, true);
      const message = await new Blob([time, jpeg]).arrayBuffer();
      if (link !== this.#link || !link.ready) return;
      this.#sent = { pts, picture };
      link.send(message);
    } finally {
      this.#encoding = false;
    }
  }

  #say(text) {
    if (this.#stage.scene) this.#stage.note(text);
    else this.#stage.card(text, "", { busy: true });
  }
}

const REFUSALS = {
  NotAllowedError: "The browser was told not to give this page a camera. Allow it in its settings for this page.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
  OverconstrainedError: "This camera was not found any more.",
};

function fit(canvas, picture, width, height, side) {
  const scale = Math.min(1, side / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
}
