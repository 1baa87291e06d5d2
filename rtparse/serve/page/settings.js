// What the visitor has chosen, kept by the browser for the next visit.

const KEPT = "rtparse-settings";
const VIEWS = ["overlay", "labels", "side-by-side", "original"];
const SMOOTHINGS = { off: 0, light: 0.5, strong: 0.8 };

/** Sends the event "look" when pictures are to be drawn anew, and "smooth" when the smoothing has changed. */
export class Settings extends EventTarget {
  constructor() {
    super();
    this.view = "overlay";
    this.alpha = 0.5;
    this.smooth = "off";
    this.hidden = new Set(); // names of classes that are not drawn
    this.#restore();
  }

  /** The smoothing as a share of the past, as videos take it. */
  get strength() {
    return SMOOTHINGS[this.smooth];
  }

  set(changes) {
    Object.assign(this, changes);
    const { view, alpha, smooth, hidden } = this;
    try {
      localStorage.setItem(KEPT, JSON.stringify({ view, alpha, smooth, hidden: [...hidden] }));
    } catch {
      // A browser that keeps nothing: the settings last as long as the page.
    }
    this.dispatchEvent(new Event("smooth" in changes ? "smooth" : "look"));
  }

  #restore() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEPT)) ?? {};
      if (VIEWS.includes(kept.view)) this.view = kept.view;
      if (kept.alpha >= 0 && kept.alpha <= 1) this.alpha = kept.alpha;
      if (kept.smooth in SMOOTHINGS) this.smooth = kept.smooth;
      if (Array.isArray(kept.hidden)) this.hidden = new Set(kept.hidden);
    } catch {
      // Nothing, or nothing of ours, was kept.
    }
  }
}
