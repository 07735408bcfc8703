// The samplers of chapters 06 and 07, as the reference has them (solutions/ch06_guided_sampling.py,
// solutions/ch07_fast_sampling.py). A test walks both with the same noise and compares each step.
//
//   x, eps, x0    all pixels of all images in one row of numbers, in about [-1, 1]
//   t             a step of the schedule, 0 ... T-1, the same for all images
//   a, aNext      alpha_bar where the images are, and where the step leads; 1 is the clean image
//   noise         fresh Gaussian noise, as long as x

const clip = (value) => Math.min(1, Math.max(-1, value));

// A new row of numbers, computed from the numbers at the same place of others.
const each = (formula, ...rows) =>
  Float64Array.from(rows[0], (_, i) => formula(...rows.map((row) => row[i])));

// The schedule (chapter 01)

// Nichol & Dhariwal 2021, equation 17.
export function cosineBetas(T, s = 0.008, maxBeta = 0.999) {
  const f = (u) => Math.cos(((u + s) / (1 + s)) * (Math.PI / 2)) ** 2;
  const beta = (t) => Math.min(1 - f((t + 1) / T) / f(t / T), maxBeta);
  return Array.from({ length: T }, (_, t) => beta(t));
}

// Ho et al. 2020, section 2: alpha_bar_t is the product of all (1 - beta) up to t.
export function alphaBarsOf(betas) {
  let product = 1;
  return betas.map((beta) => (product *= 1 - beta));
}

// Lin et al. 2024, section 3.3, "trailing": from T-1, all steps equally long. Halves are rounded to
// the even neighbour, as PyTorch does.
export function timeGrid(T, numSteps) {
  const round = (value) => (value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));
  return Array.from({ length: numSteps }, (_, i) => round(((numSteps - i) * T) / numSteps) - 1);
}

// Salimans & Ho 2022, algorithm 2: the steps of a student that goes in `calls` steps where its
// teacher went in 16, by leaving out every second one again and again.
export function fewStepsGrid(T, calls, teacherCalls = 16) {
  return timeGrid(T, teacherCalls).filter((_, place) => place % (teacherCalls / calls) === 0);
}

// From what the network says to an image

// Salimans & Ho 2022, appendix D: the noise, from a predicted v.
export function epsFromV(x, v, a) {
  return each((x, v) => Math.sqrt(1 - a) * x + Math.sqrt(a) * v, x, v);
}

// Ho & Salimans 2022, equation 6: away from "any digit", towards the one that was asked for.
export function guide(epsCond, epsNull, w) {
  return each((cond, none) => (1 + w) * cond - w * none, epsCond, epsNull);
}

// Ho et al. 2020, equation 15, clipped: what the images would be, if the noise in x were eps.
export function guessX0(x, eps, a) {
  return each((x, eps) => clip((x - Math.sqrt(1 - a) * eps) / Math.sqrt(a)), x, eps);
}

// The steps: each takes what is known, and returns [the next x, what the next step must remember].

// Ho et al. 2020, algorithm 2 with equation 7: one draw from the posterior.
function ancestralStep({ x, x0, a, aNext, drawNoise }) {
  const beta = 1 - a / aNext;
  const x0Coef = (Math.sqrt(aNext) * beta) / (1 - a);
  const xCoef = (Math.sqrt(1 - beta) * (1 - aNext)) / (1 - a);
  const sigma = Math.sqrt((beta * (1 - aNext)) / (1 - a)); // 0 in the last step
  const step = (x, x0, noise) => x0Coef * x0 + xCoef * x + sigma * noise;
  return [each(step, x, x0, drawNoise()), null];
}

// Song et al. 2021, equations 12 and 16.
function ddimStep({ x, x0, a, aNext, drawNoise, eta }) {
  const sigma = eta * Math.sqrt((1 - aNext) / (1 - a)) * Math.sqrt(1 - a / aNext);
  const rest = Math.sqrt(Math.max(0, 1 - aNext - sigma ** 2));
  const mix = (x, x0) => {
    const eps = (x - Math.sqrt(a) * x0) / Math.sqrt(1 - a); // derived again: x0 was clipped
    return Math.sqrt(aNext) * x0 + rest * eps;
  };
  const next = each(mix, x, x0);
  return [eta > 0 ? each((x, noise) => x + sigma * noise, next, drawNoise()) : next, null];
}

// Lu et al. 2022, algorithm 2: DPM-Solver++(2M), which remembers lambda and the guess before.
function dpm2mStep({ x, x0, a, aNext, memory }) {
  const lambda = Math.log(a / (1 - a)) / 2;
  const h = Math.log(aNext / (1 - aNext)) / 2 - lambda; // infinite in the last step
  let D = x0;
  if (memory !== null && aNext < 1) {
    const r = (lambda - memory.lambda) / h;
    D = each((x0, before) => x0 + (x0 - before) / (2 * r), x0, memory.x0);
  }
  const xCoef = Math.sqrt((1 - aNext) / (1 - a));
  const dCoef = Math.sqrt(aNext) * Math.expm1(-h);
  return [each((x, D) => xCoef * x - dCoef * D, x, D), { lambda, x0 }];
}

export const STEPS = { ancestral: ancestralStep, ddim: ddimStep, "2m": dpm2mStep };

// Walk from noise to images over the steps of a grid, and show each moment.
//
//   predictEps(x, t)   the noise in x, as a promise; labels and guidance are already inside it
//   drawNoise()        called only by steps that need fresh noise
//   yields { t, x, x0 }: the step that was taken, where the images are after it, and the guess of
//   the clean images on which it was based
export async function* walk({ predictEps, sampler, xT, grid, alphaBars, drawNoise, eta = 0 }) {
  let x = xT;
  let memory = null;
  for (const [place, t] of grid.entries()) {
    const a = alphaBars[t];
    const aNext = place + 1 < grid.length ? alphaBars[grid[place + 1]] : 1;
    const x0 = guessX0(x, await predictEps(x, t), a);
    [x, memory] = STEPS[sampler]({ x, x0, a, aNext, drawNoise, eta, memory });
    yield { t, x, x0 };
  }
}

// What each image is told if it is to be one of these digits; null is any digit. And what guidance
// leads away from: no label at all.
export function labelled(labels, numClasses) {
  const nullLabel = numClasses;
  return { asked: labels.map((label) => label ?? nullLabel), none: labels.map(() => nullLabel) };
}

// The noise to take away.
//
//   network(x, t, asked)   what the network predicts for each image, as a promise
//   prediction             what that is: "v" or "eps"
//   told                   asked: what each image is told; none: what guidance leads away from
export function guidedEps(network, prediction, { asked, none }, w, alphaBars) {
  const toEps = (x, said, t) => (prediction === "v" ? epsFromV(x, said, alphaBars[t]) : said);
  return async (x, t) => {
    if (w === 0) return toEps(x, await network(x, t, asked), t);
    // One call with a batch of 2B: each image as it was asked for, and as none.
    const both = new Float64Array(2 * x.length);
    both.set(x);
    both.set(x, x.length);
    const eps = toEps(both, await network(both, t, [...asked, ...none]), t);
    return guide(eps.subarray(0, x.length), eps.subarray(x.length), w);
  };
}

// Gaussian noise from a seed: the same in every browser, and other than PyTorch's.
export function gaussianSource(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    // mulberry32 (public domain, Tommy Ettinger): 32 bits that look random
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return (((z ^ (z >>> 14)) >>> 0) + 0.5) / 2 ** 32; // never 0
  };
  // Box and Muller 1958
  const gaussian = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return (count) => Float64Array.from({ length: count }, gaussian);
}
