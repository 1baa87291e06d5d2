// A WebSocket that shows frames live, and comes back when it is lost. What goes over it: rtparse/serve/messages.py.

import { request } from "./api.js";

const FIRST_DELAY = 0.5; // seconds until it is tried again; twice as long each time
const MOST_DELAY = 10;
const BUSY_DELAY = 5;
const QUIET_MS = 20_000; // without a frame that should have come: the network has gone and did not say so
const TRY_AGAIN = new Set([1000, 1001, 1005, 1006, 1012, 1013, 1015]);

/**
 * on: {
 *   open()                                  the connection stands
 *   async frame(header, labels, picture)    a frame to be shown; labels: a Uint8Array; picture: a Blob or null
 *   state(word)                             of the source
 *   lost(why, seconds)                      it is tried again in so many seconds; told once a second
 *   ended(why)                              it is not tried again
 *   expects()                               whether a frame should come
 * }
 */
export class Link {
  #address;
  #on;
  #acknowledges;
  #socket = null;
  #closed = true;
  #tries = 0;
  #timer = 0;
  #heard = 0;
  #retryAt = 0;
  #why = "";
  #next = null; // a message that came while another was being shown
  #showing = false;

  /** acknowledges: the server waits for word that a frame has been shown. */
  constructor(path, on, { acknowledges = false } = {}) {
    this.#address = new URL(path, location.href);
    this.#address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#on = on;
    this.#acknowledges = acknowledges;
  }

  open() {
    this.#closed = false;
    document.addEventListener("visibilitychange", this.#look);
    window.addEventListener("online", this.#look);
    clearInterval(this.#timer);
    this.#timer = setInterval(this.#look, 1000);
    this.#connect();
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    document.removeEventListener("visibilitychange", this.#look);
    window.removeEventListener("online", this.#look);
    this.#drop();
  }

  /** Whether something that is sent would leave at once. */
  get ready() {
    return this.#socket?.readyState === WebSocket.OPEN && this.#socket.bufferedAmount === 0;
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  #connect() {
    this.#retryAt = 0;
    this.#heard = performance.now();
    const socket = (this.#socket = new WebSocket(this.#address));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#on.open?.();
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.#on.state?.(JSON.parse(data).state);
      else this.#take(data);
    };
    socket.onclose = ({ code, reason }) => this.#lose(code, reason);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = this.#next = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  async #lose(code, reason) {
    this.#drop();
    if (!TRY_AGAIN.has(code)) {
      this.close();
      this.#on.ended(reason || `the server closed the connection (${code})`);
      return;
    }
    const delay = Math.min(MOST_DELAY, FIRST_DELAY * 2 ** this.#tries++) * (0.75 + Math.random() / 2);
    this.#retryAt = performance.now() + 1000 * Math.max(delay, code === 1013 ? BUSY_DELAY : 0);
    this.#why = reason || "the connection was lost";
    this.#tell();
    if (code !== 1006) return;
    const problem = await request("api/session").catch((error) => error);
    if (problem.status === 401) location.reload(); // to the page that asks for the token
  }

  /** Once a second, and when something has changed: whether it is time to try again, or to rest. */
  #look = (event) => {
    if (this.#closed) return;
    if (document.hidden) {
      this.#drop(); // nobody looks, so nobody else should have to wait
      this.#retryAt = 1;
      return;
    }
    const now = performance.now();
    if (this.#socket) {
      if (this.#on.expects() && now > this.#heard + QUIET_MS) this.#lose(1006, "");
    } else if (now >= this.#retryAt || event) {
      this.#connect();
    } else {
      this.#tell();
    }
  };

  #tell() {
    this.#on.lost(this.#why, Math.max(1, Math.ceil((this.#retryAt - performance.now()) / 1000)));
  }

  async #take(message) {
    this.#heard = performance.now();
    this.#tries = 0;
    if (this.#next) this.#acknowledge(); // it will never be shown
    this.#next = message;
    if (this.#showing) return;
    this.#showing = true;
    try {
      while (this.#next) {
        const socket = this.#socket;
        const frame = this.#next;
        this.#next = null;
        const { header, labels, picture } = await decode(frame);
        if (socket !== this.#socket) continue;
        await this.#on.frame(header, labels, picture);
        if (socket === this.#socket) this.#acknowledge();
      }
    } finally {
      this.#showing = false;
    }
  }

  #acknowledge() {
    if (this.#acknowledges) this.send("next");
  }
}

async function decode(message) {
  const size = new DataView(message).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(message, 4, size)));
  const [begin, end] = [4 + size, 4 + size + header.labels];
  const inflated = new Blob([message.slice(begin, end)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const labels = new Uint8Array(await new Response(inflated).arrayBuffer());
  const picture = header.picture ? new Blob([message.slice(end, end + header.picture)], { type: "image/jpeg" }) : null;
  return { header, labels, picture };
}
