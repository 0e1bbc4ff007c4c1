"use strict";
// A net attacked in the browser: the mathematics of refimpl, once more, in double precision.
// The first half knows no page; a test holds it equal to the library. The second half draws.

// ---- Data: nets, digits, written into the page when it is made ------------------------------------------------------

const DATA = JSON.parse(document.getElementById("data").textContent);
const SIDE = 28;

function bytes(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

// Numbers of single precision in one long array, taken apart into W (m x n, row by row) and b of each layer.
function network(record) {
  const numbers = new Float32Array(bytes(record.weights).buffer);
  const layers = [];
  let start = 0;
  const next = (count) => Float64Array.from(numbers.subarray(start, (start += count)));
  for (let i = 1; i < record.widths.length; i++) {
    const n = record.widths[i - 1], m = record.widths[i];
    layers.push({ m, n, W: next(m * n), b: next(m) });
  }
  return { ...record, layers };
}

const NETS = DATA.nets.map(network);
const DIGITS = DATA.digits.map(({ label, pixels }) => ({ label, x: Float64Array.from(bytes(pixels), (g) => g / 255) }));

// ---- Forward and backward -------------------------------------------------------------------------------------------

// The outputs t[0] = x, t[1], ... of every layer, the logits last: t = tanh(W t + b), and no tanh at the end.
function forward(net, x) {
  const outputs = [x];
  net.layers.forEach(({ m, n, W, b }, i) => {
    const t = outputs[i], y = new Float64Array(m);
    for (let j = 0; j < m; j++) {
      let sum = b[j];
      for (let k = 0; k < n; k++) sum += W[j * n + k] * t[k];
      y[j] = i < net.layers.length - 1 ? Math.tanh(sum) : sum;
    }
    outputs.push(y);
  });
  return outputs;
}

const logits = (net, x) => forward(net, x).at(-1);
const label = (z) => z.indexOf(Math.max(...z)); // the first of equals

// The gradient with respect to x, given dz, that with respect to the logits: dt = W'da, da = (1 - t^2) dt.
function inputGradient(net, outputs, dz) {
  let da = dz;
  for (let i = net.layers.length - 1; i >= 0; i--) {
    const { m, n, W } = net.layers[i], t = outputs[i], dt = new Float64Array(n);
    for (let j = 0; j < m; j++) for (let k = 0; k < n; k++) dt[k] += W[j * n + k] * da[j];
    da = i > 0 ? dt.map((d, k) => d * (1 - t[k] * t[k])) : dt;
  }
  return da;
}

// Of the cross-entropy: p - t with p the softmax; p_y - 1 as minus the sum of the others, which does not cancel.
function lossGradient(net, x, y) {
  const outputs = forward(net, x), z = outputs.at(-1), largest = Math.max(...z);
  const e = z.map((v) => Math.exp(v - largest)), total = e.reduce((a, b) => a + b);
  const others = e.reduce((sum, v, j) => (j === y ? sum : sum + v), 0);
  return inputGradient(net, outputs, e.map((v, j) => (j === y ? -others : v) / total));
}

// The margins z_k - z_l to every other class l, and the gradient of each.
function margins(net, x, k) {
  const outputs = forward(net, x), z = outputs.at(-1), found = [];
  for (let l = 0; l < z.length; l++) {
    if (l === k) continue;
    const dz = new Float64Array(z.length);
    dz[k] = 1;
    dz[l] = -1;
    found.push({ margin: z[k] - z[l], gradient: inputGradient(net, outputs, dz) });
  }
  return found;
}

// ---- Attacks in the l_inf ball --------------------------------------------------------------------------------------

const between = (v, low, high) => Math.min(Math.max(v, low), high);

// A step of this length along the sign of g, cut to the ball around x and, if wished, to pixels in [0, 1].
function signStep(at, g, length, x, eps, clip) {
  return at.map((v, i) => {
    const low = clip ? between(x[i] - eps, 0, 1) : x[i] - eps, high = clip ? between(x[i] + eps, 0, 1) : x[i] + eps;
    return between(v + length * Math.sign(g[i]), low, high);
  });
}

const ATTACKS = {
  FGSM: (net, x, y, eps, clip) => signStep(x, lossGradient(net, x, y), eps, x, eps, clip),

  PGD(net, x, y, eps, clip, steps = 20) {
    let at = x;
    for (let t = 0; t < steps; t++) at = signStep(at, lossGradient(net, at, y), eps / 10, x, eps, clip);
    return at;
  },

  // Each step aims at the class that it can bring nearest: the smallest of M - h |grad M|_1.
  GNM(net, x, y, eps, clip, steps = 5) {
    const h = eps / steps;
    let eta = new Float64Array(x.length);
    for (let t = 0; t < steps; t++) {
      let best = null, smallest = Infinity;
      for (const { margin, gradient } of margins(net, x.map((v, i) => v + eta[i]), y)) {
        const reached = margin - h * gradient.reduce((sum, g) => sum + Math.abs(g), 0);
        if (reached < smallest) [best, smallest] = [gradient, reached];
      }
      eta = eta.map((v, i) => v - h * Math.sign(best[i]));
      if (clip) eta = eta.map((v, i) => between(x[i] + v, 0, 1) - x[i]);
    }
    return x.map((v, i) => (clip ? between(v + eta[i], 0, 1) : v + eta[i]));
  },
};

// Over the digits of the page: how many are classified correctly, and which of these an attack fools.
function attackAll(net, attack, eps, clip) {
  const correct = DIGITS.map((_, i) => i).filter((i) => label(logits(net, DIGITS[i].x)) === DIGITS[i].label);
  const fooled = correct.filter((i) => {
    const { x, label: y } = DIGITS[i];
    return label(logits(net, ATTACKS[attack](net, x, y, eps, clip))) !== y;
  });
  return { correct, fooled };
}

// ---- The page -------------------------------------------------------------------------------------------------------

const element = (id) => document.getElementById(id);
const number = (v, digits = 2) => v.toFixed(digits).replace("-", "−");
const state = { x: DIGITS[0].x, y: DIGITS[0].label, digit: 0, segments: [] };

// A square picture; `colour` maps a value to red, green and blue from 0 to 255.
function paint(canvas, values, colour) {
  const context = canvas.getContext("2d"), picture = context.createImageData(SIDE, SIDE);
  values.forEach((v, i) => picture.data.set([...colour(v), 255], 4 * i));
  context.putImageData(picture, 0, 0);
}

const grey = (v) => Array(3).fill(255 * between(v, 0, 1));

// White at 0, towards red above, towards blue below; full colour at `most`.
function signed(most) {
  return (v) => {
    const part = between(v / (most || 1), -1, 1), pale = 255 * (1 - Math.abs(part));
    return part > 0 ? [255 - 75 * part, pale, pale] : [pale, pale, 255 + 75 * part];
  };
}

function settings() {
  const attack = document.querySelector("input[name=attack]:checked").value;
  return { attack, eps: Number(element("eps").value), clip: element("clip").checked };
}

function smallestMargin(z, y) {
  return z[y] - Math.max(...z.filter((_, j) => j !== y));
}

function rows(before, after, y) {
  const least = Math.min(...before, ...after), span = Math.max(...before, ...after) - least || 1;
  const bar = (v, kind) => `<span class="bar ${kind}" style="width:${(100 * (v - least)) / span}%"></span>`;
  return [...before].map((v, j) => {
    const marks = [j === y ? "label" : "", j === label(after) ? "answer" : ""].filter(Boolean).join(", ");
    return `<tr${j === y ? ' class="truth"' : ""}><th scope="row">${j}${marks ? ` <small>${marks}</small>` : ""}</th>
      <td>${number(v)}</td><td>${number(after[j])}</td><td class="bars">${bar(v, "before")}${bar(after[j], "after")}</td></tr>`;
  });
}

function update() {
  const { attack, eps, clip } = settings(), { x, y } = state;
  element("eps-value").textContent = eps.toFixed(3);
  paint(element("drawing"), x, grey);
  NETS.forEach((net, i) => {
    const adversarial = ATTACKS[attack](net, x, y, eps, clip), eta = adversarial.map((v, j) => v - x[j]);
    const before = logits(net, x), after = logits(net, adversarial);
    const [first, then] = [label(before), label(after)];
    const verdict = first !== y ? `answers ${first}, wrong without an attack` : then !== y ? `fooled: answers ${then}` : "not fooled";
    element(`verdict-${i}`).textContent = verdict;
    element(`verdict-${i}`).className = first === y && then === y ? "green" : "red";
    element(`margin-${i}`).textContent = `smallest margin ${number(smallestMargin(before, y))}, under attack ${number(smallestMargin(after, y))}`;
    element(`logits-${i}`).innerHTML = rows(before, after, y).join("");
    paint(element(`eta-${i}`), eta, signed(eps));
    paint(element(`adversarial-${i}`), adversarial, grey);
    element(`eta-${i}`).setAttribute("aria-label", `Perturbation, largest change of a pixel ${number(Math.max(...eta.map(Math.abs)), 3)}`);
  });
  element("all").textContent = "";
}

function choose(x, y) {
  state.x = x;
  state.y = y;
  element("label").value = String(y);
  update();
}

function nextDigit() {
  state.segments = [];
  state.digit = (state.digit + 1) % DIGITS.length;
  choose(DIGITS[state.digit].x, DIGITS[state.digit].label);
}

// Ink where the nearest stroke is nearer than the pen is thick, with an edge one pixel soft: as the built-in digits.
function ink(segments, pen = 1.2) {
  const x = new Float64Array(SIDE * SIDE);
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      let nearest = Infinity;
      for (const [x0, y0, x1, y1] of segments) {
        const dx = x1 - x0, dy = y1 - y0, squared = dx * dx + dy * dy;
        const along = squared ? between(((column - x0) * dx + (row - y0) * dy) / squared, 0, 1) : 0;
        nearest = Math.min(nearest, Math.hypot(column - x0 - along * dx, row - y0 - along * dy));
      }
      x[row * SIDE + column] = between(pen + 0.5 - nearest, 0, 1);
    }
  }
  return x;
}

function drawWithPointer(canvas) {
  let last = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect(), scale = SIDE / box.width;
    return [(event.clientX - box.left) * scale - 0.5, (event.clientY - box.top) * scale - 0.5];
  };
  canvas.addEventListener("pointerdown", (event) => {
    last = place(event);
    state.segments.push([...last, ...last]);
    canvas.setPointerCapture(event.pointerId);
    show();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const here = place(event);
    state.segments.push([...last, ...here]);
    last = here;
    show();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));
  const show = () => {
    const x = ink(state.segments);
    choose(x, label(logits(NETS[0], x))); // what the first net sees is its label until another is chosen
  };
}

// Rows of W1 as pictures, and its singular values.
function drawWeights(net, i) {
  const { m, n, W } = net.layers[0], most = W.reduce((largest, w) => Math.max(largest, Math.abs(w)), 0);
  for (let j = 0; j < m; j++) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    paint(canvas, W.subarray(j * n, (j + 1) * n), signed(most));
    element(`weights-${i}`).append(canvas);
  }
  const largest = net.singularValues[0];
  element(`spectrum-${i}`).innerHTML = net.singularValues
    .map((s) => `<span style="height:${Math.max((100 * s) / largest, 0.5)}%" title="${number(s, 3)}"></span>`)
    .join("");
}

function start() {
  for (const id of ["eps", "clip"]) element(id).addEventListener("input", update);
  for (const choice of document.querySelectorAll("input[name=attack]")) choice.addEventListener("input", update);
  element("label").addEventListener("input", () => choose(state.x, Number(element("label").value)));
  element("next").addEventListener("click", nextDigit);
  element("clear").addEventListener("click", () => {
    state.segments = [];
    choose(new Float64Array(SIDE * SIDE), state.y);
  });
  element("attack-all").addEventListener("click", () => {
    const { attack, eps, clip } = settings();
    const counts = NETS.map((net) => {
      const { correct, fooled } = attackAll(net, attack, eps, clip);
      return `${net.name}: ${fooled.length} of ${correct.length} correctly classified`;
    });
    element("all").textContent = `${attack} at eps ${eps.toFixed(3)} fools: ${counts.join("; ")}.`;
  });
  drawWithPointer(element("drawing"));
  NETS.forEach(drawWeights);
  choose(state.x, state.y);
}

start();
