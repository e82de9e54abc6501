// How the photo that is being marked looks: its mask, the outline under the pointer, the box, the cursor.

const TINT = "#ff006e";

// A canvas on which what the steps have marked is opaque.
export function maskOf(photo) {
  const [height, width] = photo.preview;
  const layer = new OffscreenCanvas(width, height);
  const pen = layer.getContext("2d");
  const scale = width / photo.size[1];
  pen.lineCap = pen.lineJoin = "round";
  for (const step of photo.steps) {
    pen.globalCompositeOperation = step.add ? "source-over" : "destination-out";
    if (step.kind === "outline") {
      const outline = photo.pieces.find(step.proposal, step.at);
      pen.drawImage(photo.pieces.picture(outline), 0, 0, width, height);
      continue;
    }
    pen.lineWidth = 2 * step.radius * scale;
    pen.beginPath();
    const [first, ...rest] = step.points.map(([x, y]) => [x * scale, y * scale]);
    pen.moveTo(...first);
    pen.lineTo(...first);
    rest.forEach((point) => pen.lineTo(...point));
    pen.stroke();
  }
  return layer;
}

// `shown`: the layer of the mask, and if there are any the outline, the box [from, to] and the cursor {place, radius}.
export function paintPhoto(canvas, view, photo, shown) {
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, width, height);
  view.transform(pen);
  pen.drawImage(photo.image, 0, 0, width, height);
  pen.setTransform(1, 0, 0, 1, 0, 0);
  tinted(pen, view, shown.layer, TINT, 0.5, 2);
  if (shown.outline) tinted(pen, view, photo.pieces.picture(shown.outline), "#ffffff", 0.35, 3);
  const lines = [];
  if (shown.box) {
    const [[left, top], [right, bottom]] = shown.box.map((place) => view.pixels(place));
    lines.push(() => pen.rect(left, top, right - left, bottom - top));
  } else if (shown.cursor) {
    lines.push(() => pen.arc(...view.pixels(shown.cursor.place), shown.cursor.radius, 0, 2 * Math.PI));
  }
  for (const line of lines) {
    for (const [ink, thick] of [["#222222", 3], ["#ffffff", 1.5]]) {
      pen.strokeStyle = ink;
      pen.lineWidth = thick;
      pen.beginPath();
      line();
      pen.stroke();
    }
  }
}

// A mask in a colour, with a bright rim and a dark one around it.
function tinted(onto, view, mask, colour, opacity, rim) {
  const { width, height } = onto.canvas;
  const paint = new OffscreenCanvas(width, height);
  const pen = paint.getContext("2d");
  const draw = (dx, dy) => {
    view.transform(pen);
    pen.drawImage(mask, dx / view.scale, dy / view.scale, width, height);
    pen.setTransform(1, 0, 0, 1, 0, 0);
  };
  const fill = (ink) => {
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = ink;
    pen.fillRect(0, 0, width, height);
    pen.globalCompositeOperation = "source-over";
  };
  const around = (distance, ink) => {
    for (let turn = 0; turn < 8; turn++) {
      const angle = (turn * Math.PI) / 4;
      draw(distance * Math.cos(angle), distance * Math.sin(angle));
    }
    fill(ink);
    pen.globalCompositeOperation = "destination-out";
    draw(0, 0);
    pen.globalCompositeOperation = "source-over";
    onto.drawImage(paint, 0, 0);
    pen.clearRect(0, 0, width, height);
  };
  around(rim + 1.5, "#222222");
  around(rim, "#ffffff");
  draw(0, 0);
  fill(colour);
  onto.globalAlpha = opacity;
  onto.drawImage(paint, 0, 0);
  onto.globalAlpha = 1;
}
