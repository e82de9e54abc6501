// The outlines that fill a box which was drawn around something.

const PROBES = 24; // places along each side of the box at which it is looked for outlines
const ALIKE = 0.3; // IoU of an outline's own box with the drawn one, from which it may be meant

// `box`: two corners, in shares of width and height. The best first.
export function boxed(outlines, [one, other]) {
  const [left, right] = [one[0], other[0]].sort((a, b) => a - b);
  const [top, bottom] = [one[1], other[1]].sort((a, b) => a - b);
  const found = new Set();
  for (let row = 0; row < PROBES; row++) {
    for (let column = 0; column < PROBES; column++) {
      const x = left + ((column + 0.5) / PROBES) * (right - left);
      const y = top + ((row + 0.5) / PROBES) * (bottom - top);
      for (const piece of outlines.under(x, y)) found.add(piece);
    }
  }
  const fits = [...found].map((piece) => [piece, overlap(extent(piece, outlines), [left, top, right, bottom])]);
  return fits.filter(([, fit]) => fit >= ALIKE).sort((a, b) => b[1] - a[1]).map(([piece]) => piece);
}

// Left, top, right and bottom of a piece.
function extent(piece, { width, height }) {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (const cell of piece.cells) {
    const [column, row] = [cell % width, Math.floor(cell / width)];
    left = Math.min(left, column);
    right = Math.max(right, column + 1);
    top = Math.min(top, row);
    bottom = Math.max(bottom, row + 1);
  }
  return [left / width, top / height, right / width, bottom / height];
}

function overlap(a, b) {
  const area = ([left, top, right, bottom]) => Math.max(0, right - left) * Math.max(0, bottom - top);
  const both = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return both / (area(a) + area(b) - both || 1);
}
