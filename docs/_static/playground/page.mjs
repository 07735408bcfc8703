// The playground's page: what its controls say goes to the worker, what the worker sends is shown.
import { gaussianSource } from "./samplers.mjs";

const SIDE = 28; // pixels of a picture, in height and width
const GAP = 2; // white pixels between pictures
const COLUMNS = 5;
const WORDS = {
  "2m": "no new noise; 10 to 20 steps are enough",
  ddim: "no new noise, unless η says so",
  ancestral: "new noise in each step",
};

const part = (name) => document.getElementById(`pg-${name}`);
const number = (name) => Number(part(name).value);

let film = []; // of the last walk: { t, x, x0 } from the noise to the digits
let asked = null; // the last request
let requests = 0;
let playing = null; // the timer of the film
const paint = new Map(); // pixel of the first picture's noise -> its value
const cursor = { row: 14, column: 14 };

// What is asked for

const labels = () => [...part("digits").value].map((sign) => (sign === "?" ? null : Number(sign)));

function startNoise() {
  const count = labels().length;
  const noise = gaussianSource(number("seed"))(count * SIDE * SIDE);
  for (const [pixel, value] of paint) noise[pixel] = value;
  if (part("same").checked) {
    for (let n = 1; n < count; n++) noise.copyWithin(n * SIDE * SIDE, 0, SIDE * SIDE);
  }
  return noise;
}

function draw() {
  stopFilm();
  const xT = startNoise();
  asked = {
    kind: "draw",
    number: ++requests,
    labels: labels(),
    guidance: number("guidance"),
    sampler: part("sampler").value,
    eta: number("eta"),
    steps: number("steps"),
    seed: number("seed"),
    xT,
  };
  film = [{ t: null, x: xT, x0: null }];
  worker.postMessage(asked);
  part("draw").disabled = true;
  part("stop").disabled = false;
  part("progress").max = asked.steps;
  say("drawing …");
  showEnd();
}

// What comes back

const worker = new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });
const WITHOUT = "The playground cannot load its model";

worker.addEventListener("error", () => say(`${WITHOUT}.`));
worker.addEventListener("message", ({ data }) => {
  if (data.kind === "ready") draw();
  if (data.kind === "failed" && data.number === undefined) say(`${WITHOUT}: ${data.text}`);
  if (asked === null || data.number !== asked.number) return;
  if (data.kind === "moment") {
    film.push(data);
    showEnd();
  } else {
    part("draw").disabled = false;
    part("stop").disabled = true;
    if (data.kind === "done") {
      const count = asked.labels.length;
      const digits = count === 1 ? "1 digit" : `${count} digits`;
      say(`${digits} in ${asked.steps} steps: ${data.seconds.toFixed(1)} seconds`);
    } else if (data.kind === "stopped") {
      say(`stopped after ${film.length - 1} of ${asked.steps} steps`);
    } else {
      say(`Drawing has failed: ${data.text}`);
    }
  }
});

function say(text) {
  part("status").textContent = text;
}

// Pictures

function showEnd() {
  const last = film.length - 1;
  part("moment").max = last;
  part("moment").value = last;
  part("moment").disabled = part("play").disabled = last === 0;
  part("progress").value = last;
  showMoment();
}

function showMoment() {
  const place = number("moment");
  const { t, x, x0 } = film[place];
  const digits = part("digits").value;
  const moment = place === 0 ? "pure noise" : `after step ${place} of ${asked.steps}, at t = ${t}`;
  show(part("moment"), place === 0 ? "the noise" : `${place} of ${asked.steps}, t = ${t}`);
  const wanted = asked.labels.map((label) => label ?? "any").join(" ");
  paintGrid(part("x"), x, `x_t, ${moment}; asked for: ${wanted}`);
  paintGrid(part("x0"), x0 ?? new Float64Array(x.length).fill(-1), place === 0
    ? "no guess yet"
    : `the guess of x_0, ${moment}; asked for: ${wanted}`);
}

// Pictures side by side on white, as chapter 06's image_grid lays them out.
function paintGrid(canvas, values, words) {
  const count = values.length / (SIDE * SIDE);
  const columns = Math.min(COLUMNS, count);
  canvas.width = columns * (SIDE + GAP) + GAP;
  canvas.height = Math.ceil(count / columns) * (SIDE + GAP) + GAP;
  canvas.setAttribute("aria-label", words);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (let n = 0; n < count; n++) {
    const left = GAP + (n % columns) * (SIDE + GAP);
    const top = GAP + Math.floor(n / columns) * (SIDE + GAP);
    const picture = values.subarray(n * SIDE * SIDE, (n + 1) * SIDE * SIDE);
    context.putImageData(grey(picture), left, top);
  }
}

// Values from -1 to 1 as shades from black to white.
function grey(values) {
  const image = new ImageData(SIDE, SIDE);
  values.forEach((value, pixel) => {
    const shade = Math.round((255 * (Math.min(1, Math.max(-1, value)) + 1)) / 2);
    image.data.set([shade, shade, shade, 255], 4 * pixel);
  });
  return image;
}

// The film

function playFilm() {
  part("play").textContent = "Stop the film";
  let place = 0;
  const next = () => {
    part("moment").value = place;
    showMoment();
    if (place++ === film.length - 1) stopFilm();
  };
  playing = setInterval(next, 150); // milliseconds
  next();
}

function stopFilm() {
  clearInterval(playing);
  playing = null;
  part("play").textContent = "Play the film";
}

// The noise that is painted by hand

function showNoise() {
  const context = part("noise").getContext("2d");
  // Two standard deviations of the noise from black to white.
  context.putImageData(grey(startNoise().subarray(0, SIDE * SIDE).map((value) => value / 2)), 0, 0);
  if (document.activeElement === part("noise")) {
    context.fillStyle = "#d55e00";
    context.fillRect(cursor.column, cursor.row, 1, 1);
  }
}

function dab(row, column) {
  const value = part("brush").value;
  for (const [down, right] of [[0, 0], [0, 1], [1, 0], [1, 1]]) { // as wide as a pen: two pixels
    if (row + down >= SIDE || column + right >= SIDE) continue;
    const pixel = (row + down) * SIDE + column + right;
    if (value === "") paint.delete(pixel);
    else paint.set(pixel, Number(value));
  }
  showNoise();
}

function paintByPointer(event) {
  const box = part("noise").getBoundingClientRect();
  const place = (at, from, size) => Math.floor(((at - from) / size) * SIDE);
  const row = place(event.clientY, box.top, box.height);
  const column = place(event.clientX, box.left, box.width);
  if (row >= 0 && row < SIDE && column >= 0 && column < SIDE) dab(row, column);
}

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function paintByKey(event) {
  if (event.key === " ") {
    dab(cursor.row, cursor.column);
  } else if (event.key in MOVES) {
    const [down, right] = MOVES[event.key];
    cursor.row = (cursor.row + down + SIDE) % SIDE;
    cursor.column = (cursor.column + right + SIDE) % SIDE;
    showNoise();
  } else {
    return;
  }
  event.preventDefault(); // neither scrolls the page
  const painted = paint.has(cursor.row * SIDE + cursor.column) ? ", painted" : "";
  part("cursor").textContent = `row ${cursor.row + 1}, column ${cursor.column + 1}${painted}`;
}

// Controls

// The value beside a slider, and for those who hear it.
function show(slider, words) {
  document.querySelector(`output[for=${slider.id}]`).textContent = words;
  slider.setAttribute("aria-valuetext", words);
}

function showSettings() {
  for (const name of ["guidance", "eta", "steps"]) show(part(name), part(name).value);
  part("sampler-help").textContent = WORDS[part("sampler").value];
  part("eta").disabled = part("sampler").value !== "ddim";
}

document.getElementById("playground").addEventListener("submit", (event) => {
  event.preventDefault();
  draw();
});
part("stop").addEventListener("click", () => worker.postMessage({ kind: "stop", number: 0 }));
for (const name of ["guidance", "eta", "steps", "sampler"]) {
  part(name).addEventListener("input", showSettings);
}
part("moment").addEventListener("input", () => {
  stopFilm();
  showMoment();
});
part("play").addEventListener("click", () => (playing === null ? playFilm() : stopFilm()));
part("seed").addEventListener("input", showNoise);
part("clear").addEventListener("click", () => {
  paint.clear();
  showNoise();
});
part("noise").addEventListener("pointerdown", (event) => {
  part("noise").setPointerCapture(event.pointerId);
  paintByPointer(event);
});
part("noise").addEventListener("pointermove", (event) => {
  if (event.buttons) paintByPointer(event);
});
part("noise").addEventListener("keydown", paintByKey);
part("noise").addEventListener("focus", showNoise);
part("noise").addEventListener("blur", showNoise);
showSettings();
showNoise();
