// Frames a second and latency: a number and the last minute of each.

import { latency } from "./words.js";

const SPAN_MS = 60_000;
const REDRAW_MS = 250;
const WINDOW_MS = 3000; // of which the figures are
const SLOW_MS = 12_000; // the same, for the last few frames of a slow server
const FEW = 4;

const element = (id) => document.getElementById(id);

export class Figures {
  #frames = []; // [time of arrival, latency in ms]
  #fps = [];
  #latency = [];
  #charts = [new Chart(element("fps-chart")), new Chart(element("latency-chart"))];
  #timer = 0;

  /** latencyName: what the latency is of. */
  start(latencyName) {
    this.stop();
    [this.#frames, this.#fps, this.#latency] = [[], [], []];
    element("latency-name").textContent = latencyName;
    element("figures").hidden = false;
    this.#tick();
    this.#timer = setInterval(() => this.#tick(), REDRAW_MS);
  }

  stop() {
    clearInterval(this.#timer);
    element("figures").hidden = true;
  }

  /** A frame was shown. latency: seconds, or null. */
  add(latency) {
    this.#frames.push([performance.now(), latency === null ? null : 1000 * latency]);
  }

  #tick() {
    const now = performance.now();
    const few = this.#frames.length - FEW;
    this.#frames = this.#frames.filter(([time], i) => time > now - (i < few ? WINDOW_MS : SLOW_MS));
    const fps = rate(this.#frames, now);
    const known = this.#frames.filter(([, latency]) => latency !== null).map(([, latency]) => latency);
    const late = known.length ? median(known) : null;
    this.#fps.push([now, fps]);
    this.#latency.push([now, late]);
    for (const points of [this.#fps, this.#latency]) while (points[0][0] < now - SPAN_MS) points.shift();
    element("fps").textContent = fps === null ? "–" : fps.toFixed(fps < 9.95 ? 1 : 0);
    element("latency").textContent = late === null ? "–" : latency(late);
    this.#charts[0].draw(this.#fps, now, 10, String);
    this.#charts[1].draw(this.#latency, now, 50, latency);
  }
}

/** A line over time, in the colour of its element, with a scale from 0. */
class Chart {
  #canvas;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** points: [time, value or null], in order. least: the scale reaches this. named: puts a value into words. */
  draw(points, now, least, named) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const dots = window.devicePixelRatio;
    if (!width) return;
    this.#canvas.width = Math.round(width * dots);
    this.#canvas.height = Math.round(height * dots);
    const context = this.#canvas.getContext("2d");
    context.scale(dots, dots);
    const { color, borderColor } = getComputedStyle(this.#canvas);
    const top = roundUp(Math.max(least, ...points.map(([, value]) => value ?? 0)));
    const x = (time) => width - ((now - time) / SPAN_MS) * width;
    const y = (value) => height - 1 - (value / top) * (height - 14);

    context.strokeStyle = borderColor;
    context.lineWidth = 1;
    context.beginPath();
    for (const value of [0, top]) {
      context.moveTo(0, Math.round(y(value)) + 0.5);
      context.lineTo(width, Math.round(y(value)) + 0.5);
    }
    context.stroke();
    context.fillStyle = color;
    context.globalAlpha = 0.75;
    context.font = "11px system-ui, sans-serif";
    context.fillText(named(top), 0, 10);

    context.globalAlpha = 1;
    context.strokeStyle = color;
    context.lineWidth = 1.75;
    context.lineJoin = "round";
    context.beginPath();
    let drawing = false;
    for (const [time, value] of points) {
      if (value === null) drawing = false;
      else if (drawing) context.lineTo(x(time), y(value));
      else context.moveTo(x(time), y(value));
      drawing = value !== null;
    }
    context.stroke();
  }
}

function rate(frames, now) {
  if (frames.length < 2) return null;
  const span = Math.max(frames.at(-1)[0] - frames[0][0], (now - frames[0][0]) * (frames.length - 1) / frames.length);
  return (1000 * (frames.length - 1)) / span;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** To a number that people count by: 10, 20, 50, 100, ... */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
