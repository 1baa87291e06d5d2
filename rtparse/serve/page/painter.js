// Draws a picture and its labels in one of the views, as rtparse.render does.

const MOST_SIDE = 2048; // pixels of a canvas's longer side: enough for every screen, and for the memory of phones

/** What is drawn: labels (a Uint8Array of width * height class ids) of `picture`, or null where it cannot be shown. */
export class Scene {
  constructor(picture, labels, width, height, mirrored = false) {
    this.picture = picture;
    this.labels = labels;
    this.width = width;
    this.height = height;
    this.mirrored = mirrored;
  }

  /** The class id at a point of the picture as it is shown; x and y from 0 to 1. */
  at(x, y) {
    const column = Math.min(this.width - 1, Math.floor((this.mirrored ? 1 - x : x) * this.width));
    const row = Math.min(this.height - 1, Math.floor(y * this.height));
    return this.labels[row * this.width + column];
  }

  /** How much of the picture each class id covers, 0..1. */
  shares() {
    const counts = new Float64Array(256);
    for (const id of this.labels) counts[id]++;
    return counts.map((count) => count / this.labels.length);
  }
}

export class Painter {
  #canvas;
  #layer = new OffscreenCanvas(1, 1);
  #colours;

  /** colours: "#rrggbb" by class id; 0 is the background, which is never drawn. */
  constructor(canvas, colours) {
    this.#canvas = canvas;
    this.#colours = colours.map((colour) => parseInt(colour.slice(1), 16));
  }

  /** Draw a scene. shown: by class id, whether it is drawn. stacked: side by side is one above the other. */
  draw(scene, { view, alpha, shown, stacked }) {
    const scale = Math.min(1, MOST_SIDE / Math.max(scene.width, scene.height));
    const source = scene.picture ?? scene;
    // A picture of more pixels than its labels is shown with all of them.
    const finer = scale * Math.min(Math.max(1, (source.naturalWidth ?? source.width) / scene.width), 4);
    const most = MOST_SIDE / Math.max(scene.width, scene.height);
    const width = Math.max(1, Math.round(scene.width * Math.min(finer, most)));
    const height = Math.max(1, Math.round(scene.height * Math.min(finer, most)));
    const both = view === "side-by-side";
    resize(this.#canvas, both && !stacked ? 2 * width : width, both && stacked ? 2 * height : height);
    const context = this.#canvas.getContext("2d", { alpha: false });
    const place = (x, y) => {
      if (scene.mirrored) context.setTransform(-1, 0, 0, 1, x + width, y);
      else context.setTransform(1, 0, 0, 1, x, y);
    };

    place(0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (view !== "labels" && scene.picture) context.drawImage(scene.picture, 0, 0, width, height);
    if (both) {
      place(stacked ? 0 : width, stacked ? height : 0);
      context.fillRect(0, 0, width, height);
      if (scene.picture) context.drawImage(scene.picture, 0, 0, width, height);
    }
    if (view === "original") return;
    this.#paint(scene, Math.ceil(scene.width * scale), Math.ceil(scene.height * scale), shown);
    context.globalAlpha = view === "labels" || !scene.picture ? 1 : alpha;
    context.drawImage(this.#layer, 0, 0, width, height);
    context.globalAlpha = 1;
  }

  /** The classes in their colours, on nothing, into the layer. */
  #paint({ labels, width: labelsWidth, height: labelsHeight }, width, height, shown) {
    const colours = new Uint32Array(256); // ABGR: the bytes of a pixel are little-endian
    this.#colours.forEach((rgb, id) => {
      if (id && shown[id]) colours[id] = 0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16);
    });
    resize(this.#layer, width, height);
    const context = this.#layer.getContext("2d");
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    if (width === labelsWidth && height === labelsHeight) {
      for (let i = 0; i < pixels.length; i++) pixels[i] = colours[labels[i]];
    } else {
      for (let y = 0, i = 0; y < height; y++) {
        const row = Math.floor(((y + 0.5) * labelsHeight) / height) * labelsWidth;
        for (let x = 0; x < width; x++) {
          pixels[i++] = colours[labels[row + Math.floor(((x + 0.5) * labelsWidth) / width)]];
        }
      }
    }
    context.putImageData(image, 0, 0);
  }
}

function resize(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}
